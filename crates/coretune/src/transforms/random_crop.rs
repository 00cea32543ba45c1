use image::RgbImage;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::TransformError;
use super::step::{SIDE_LIMIT, check_side};
use crate::random::Stream;

/// What lies beyond the edges of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaddingMode {
    /// Black.
    #[default]
    Zero,
    /// The image mirrored at its outermost pixels, which are not repeated.
    Reflect,
}

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
    /// What is added.
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

    pub(super) fn apply(self, image: &RgbImage, stream: &mut Stream) -> RgbImage {
        let top = self.draw(image.height(), stream);
        let left = self.draw(image.width(), stream);
        self.at(image, left, top)
    }

    /// Where the crop starts along a side of the unpadded image; negative inside the padding.
    fn draw(self, side: u32, stream: &mut Stream) -> i64 {
        let padding = i64::from(self.padding);
        let room = i64::from(side) + 2 * padding - i64::from(self.size);
        let offset = if room > 0 { stream.random_range(0..=room) } else { room.div_euclid(2) };
        offset - padding
    }

    /// The crop whose upper left pixel is (`left`, `top`) of the unpadded image; both may lie outside of it.
    pub fn at(self, image: &RgbImage, left: i64, top: i64) -> RgbImage {
        let columns: Vec<Option<u32>> = self.source_indices(image.width(), left).collect();
        let pixels = image.as_chunks::<3>().0;
        let mut result = RgbImage::new(self.size, self.size);
        let rows = result.as_chunks_mut::<3>().0.chunks_exact_mut(self.size as usize);
        for (target, y) in rows.zip(self.source_indices(image.height(), top)) {
            let Some(y) = y else { continue };
            let source = &pixels[y as usize * image.width() as usize..];
            for (pixel, x) in target.iter_mut().zip(&columns) {
                if let Some(x) = x {
                    *pixel = source[*x as usize];
                }
            }
        }
        result
    }

    /// For each of the `size` positions from `start` on: the index along a side of length `side`, `None` for black.
    fn source_indices(self, side: u32, start: i64) -> impl Iterator<Item = Option<u32>> {
        let side = i64::from(side);
        (start..start + i64::from(self.size)).map(move |i| match self.mode {
            PaddingMode::Zero => (0..side).contains(&i).then_some(i as u32),
            PaddingMode::Reflect => Some(reflect(i, side)),
        })
    }
}

/// Index `i` of an endless mirrored row of `side` pixels: ... 2 1 | 0 1 2 3 | 2 1 0 1 ...
fn reflect(i: i64, side: i64) -> u32 {
    if side == 1 {
        return 0;
    }
    let period = 2 * (side - 1);
    let i = i.rem_euclid(period);
    i.min(period - i) as u32
}
