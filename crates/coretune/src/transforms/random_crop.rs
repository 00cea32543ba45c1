use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::limits::{SIDE_LIMIT, check_side};
use super::{PaddingMode, TransformError, Window};
use crate::random::Stream;

/// Pads every side, then cuts `size` x `size` at a uniformly drawn place.
///
/// Where the padded image is still smaller than the crop, the crop is centred on it and what lies beyond is padded too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomCrop {
    /// Side of the result.
    pub size: u32,
    /// Pixels added on every side.
    #[serde(default)]
    pub padding: u32,
    /// The values of the added pixels.
    #[serde(default)]
    pub mode: PaddingMode,
}

impl RandomCrop {
    pub(super) const NAME: &'static str = "random-crop";

    pub(super) fn check(self) -> Result<(), TransformError> {
        check_side(Self::NAME, "size", self.size)?;
        if self.padding > SIDE_LIMIT {
            let found = self.padding.to_string();
            return Err(TransformError::Setting {
                step: Self::NAME,
                name: "padding",
                expected: "at most 16384",
                found,
            });
        }
        Ok(())
    }

    /// The place of the crop in an image of `width` x `height`.
    pub(super) fn draw(self, (width, height): (u32, u32), stream: &mut Stream) -> Window {
        let top = self.draw_start(height, stream);
        let left = self.draw_start(width, stream);
        Window { left, top, width: self.size, height: self.size, beyond: self.mode }
    }

    /// Where the crop starts along a side of the unpadded image; negative inside the padding.
    fn draw_start(self, side: u32, stream: &mut Stream) -> i64 {
        let padding = i64::from(self.padding);
        let room = i64::from(side) + 2 * padding - i64::from(self.size);
        let offset = if room > 0 { stream.random_range(0..=room) } else { room.div_euclid(2) };
        offset - padding
    }
}
