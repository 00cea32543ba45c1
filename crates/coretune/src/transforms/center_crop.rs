use serde::{Deserialize, Serialize};

use super::limits::check_side;
use super::{PaddingMode, TransformError, Window};

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

    /// The crop out of an image of `width` x `height`.
    pub(super) fn window(self, (width, height): (u32, u32)) -> Window {
        let (left, top) = (start(width, self.width), start(height, self.height));
        Window { left, top, width: self.width, height: self.height, beyond: PaddingMode::Zero }
    }
}

/// Where `wanted` pixels in the middle of `side` begin; negative where a border is added.
fn start(side: u32, wanted: u32) -> i64 {
    if side >= wanted { i64::from(half_to_even(side - wanted)) } else { -i64::from((wanted - side) / 2) }
}

/// n / 2, halves rounded to even as Python's `round` does.
fn half_to_even(n: u32) -> u32 {
    let half = n / 2;
    if n % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}
