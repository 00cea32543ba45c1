use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::limits::RESULT_LIMIT;
use super::{Interpolation, TransformError};
use crate::random::Stream;

/// Resizes the whole image by a factor uniform in [`least`, `most`]; the proportion is kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomScale {
    /// Smallest factor.
    pub least: f64,
    /// Largest factor.
    pub most: f64,
    /// Filter.
    #[serde(default)]
    pub interpolation: Interpolation,
}

impl RandomScale {
    pub(super) const NAME: &'static str = "random-scale";

    pub(super) fn check(self) -> Result<(), TransformError> {
        let range = 0.01..=100.0;
        if range.contains(&self.least) && range.contains(&self.most) && self.least <= self.most {
            return Ok(());
        }
        let (step, name) = (Self::NAME, "least and most");
        let found = format!("{} and {}", self.least, self.most);
        Err(TransformError::Setting { step, name, expected: "0.01 to 100, in ascending order", found })
    }

    /// The size that an image of `width` x `height` gets: each side rounded, at least one pixel.
    pub(super) fn draw(self, (width, height): (u32, u32), stream: &mut Stream) -> Result<(u32, u32), TransformError> {
        let factor = stream.random_range(self.least..=self.most);
        let scaled = |side: u32| (f64::from(side) * factor).round().max(1.0) as u64;
        let (from_width, from_height, width, height) = (width, height, scaled(width), scaled(height));
        if width * height > RESULT_LIMIT {
            let (step, limit) = (Self::NAME, RESULT_LIMIT);
            return Err(TransformError::TooLarge { step, from_width, from_height, width, height, limit });
        }
        Ok((width as u32, height as u32))
    }
}
