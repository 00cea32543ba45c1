use image::RgbImage;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::TransformError;
use super::limits::check_probability;
use crate::random::Stream;

/// Mirrors left and right with a probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomHorizontalFlip {
    /// Probability of the flip.
    pub probability: f64,
}

impl RandomHorizontalFlip {
    pub(super) const NAME: &'static str = "random-horizontal-flip";

    pub(super) fn check(self) -> Result<(), TransformError> {
        check_probability(Self::NAME, self.probability)
    }

    /// Whether to flip.
    pub(super) fn draw(self, stream: &mut Stream) -> bool {
        stream.random_bool(self.probability)
    }
}

/// Mirrors left and right.
pub fn horizontal_flip(mut image: RgbImage) -> RgbImage {
    let row = image.width() as usize * 3;
    for pixels in image.chunks_exact_mut(row) {
        pixels.as_chunks_mut::<3>().0.reverse();
    }
    image
}
