use image::RgbImage;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::TransformError;
use super::limits::check_probability;
use crate::random::Stream;

/// Replaces the three channels by their luma with a probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomGrayscale {
    /// Probability that the colours go.
    pub probability: f64,
}

impl RandomGrayscale {
    pub(super) const NAME: &'static str = "random-grayscale";

    pub(super) fn check(self) -> Result<(), TransformError> {
        check_probability(Self::NAME, self.probability)
    }

    /// Whether to remove the colours.
    pub(super) fn draw(self, stream: &mut Stream) -> bool {
        stream.random_bool(self.probability)
    }
}

/// Luma of ITU-R 601: 0.299 R + 0.587 G + 0.114 B, in 16-bit fixed point and rounded, as Pillow's `L`.
#[inline]
pub fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// Every channel becomes the luma.
pub fn grayscale(mut image: RgbImage) -> RgbImage {
    for pixel in image.as_chunks_mut::<3>().0 {
        *pixel = [luma(*pixel); 3];
    }
    image
}
