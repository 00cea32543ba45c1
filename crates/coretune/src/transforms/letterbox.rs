use serde::{Deserialize, Serialize};

use super::limits::check_side;
use super::{Interpolation, PaddingMode, TransformError, Window};

/// Fits the whole image into a square: its longer side becomes that of the square, the shorter one keeps the proportion,
/// floor(short x side / long) and at least 1, and both sides of it are filled with one colour.
///
/// An odd margin has its extra pixel on the right or at the bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letterbox {
    /// Side of the square.
    pub size: u32,
    /// Red, green and blue of the margins, such as the mean of the images.
    pub fill: [u8; 3],
    /// Filter.
    #[serde(default)]
    pub interpolation: Interpolation,
}

impl Letterbox {
    pub(super) const NAME: &'static str = "letterbox";

    pub(super) fn check(self) -> Result<(), TransformError> {
        check_side(Self::NAME, "size", self.size)
    }

    /// (width, height) of an image of this size inside the square.
    pub(super) fn result_size(self, (width, height): (u32, u32)) -> (u32, u32) {
        let longer = u64::from(width.max(height));
        let scaled = |side: u32| (u64::from(side) * u64::from(self.size) / longer).max(1) as u32;
        (scaled(width), scaled(height))
    }

    /// The square around an image of this size, which fits into it.
    pub(super) fn window(self, (width, height): (u32, u32)) -> Window {
        let margin = |side: u32| i64::from((self.size - side) / 2);
        let (left, top) = (-margin(width), -margin(height));
        Window { left, top, width: self.size, height: self.size, beyond: PaddingMode::Color(self.fill) }
    }
}
