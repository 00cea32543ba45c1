use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::step::check_side;
use super::{Region, TransformError};

/// Cuts the middle `size` x `size` out of an image; one that is smaller is padded with black first.
///
/// Odd margins are shared as torchvision shares them: half a pixel is rounded to even for the crop, and goes to the
/// right and bottom for the padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterCrop {
    /// Width of the result.
    pub width: u32,
    /// Height of the result.
    pub height: u32,
}

impl CenterCrop {
    pub(super) const NAME: &'static str = "center-crop";

    /// A square of `size`.
    pub fn square(size: u32) -> Self {
        CenterCrop { width: size, height: size }
    }

    pub(super) fn check(self) -> Result<(), TransformError> {
        check_side(Self::NAME, "width", self.width)?;
        check_side(Self::NAME, "height", self.height)
    }

    pub(super) fn apply(self, image: RgbImage) -> RgbImage {
        let (width, height) = image.dimensions();
        let cut = Region {
            left: half_to_even(width.saturating_sub(self.width)),
            top: half_to_even(height.saturating_sub(self.height)),
            width: width.min(self.width),
            height: height.min(self.height),
        };
        let inner = cut.cut(image);
        if inner.dimensions() == (self.width, self.height) {
            return inner;
        }
        let mut padded = RgbImage::new(self.width, self.height);
        let (left, top) = ((self.width - cut.width) / 2, (self.height - cut.height) / 2);
        image::imageops::replace(&mut padded, &inner, i64::from(left), i64::from(top));
        padded
    }
}

/// n / 2, halves rounded to even as Python's `round` does.
fn half_to_even(n: u32) -> u32 {
    let half = n / 2;
    if n % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}
