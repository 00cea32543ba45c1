use image::{GrayImage, Luma, Rgb, RgbImage};
use serde::{Deserialize, Serialize};

use super::{IGNORED, Region};

/// The values beyond the edges of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaddingMode {
    /// Black.
    #[default]
    Zero,
    /// The image mirrored at its outermost pixels, which are not repeated.
    Reflect,
    /// Red, green and blue of one colour, such as the mean of the images.
    Color([u8; 3]),
}

impl PaddingMode {
    /// The colour of what lies beyond the edges where the image is not mirrored.
    pub(super) fn color(self) -> [u8; 3] {
        match self {
            PaddingMode::Color(color) => color,
            PaddingMode::Zero | PaddingMode::Reflect => [0; 3],
        }
    }
}

/// A rectangle of whole pixels that may reach beyond the edges of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Column of its first pixel; negative left of the image.
    pub left: i64,
    /// Row of its first pixel; negative above the image.
    pub top: i64,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The values beyond the edges.
    pub beyond: PaddingMode,
}

impl Window {
    /// Copies the rectangle out of `image`; the whole image is handed on without a copy.
    pub fn cut(self, image: RgbImage) -> RgbImage {
        match self.inside(&image) {
            Some(region) => region.cut(image),
            None => self.cut_padded(&image),
        }
    }

    /// Copies the rectangle out of `image`.
    pub fn cut_from(self, image: &RgbImage) -> RgbImage {
        match self.inside(image) {
            Some(region) => region.cut_from(image),
            None => self.cut_padded(image),
        }
    }

    /// The same rectangle, if it lies inside `image`.
    fn inside(self, image: &RgbImage) -> Option<Region> {
        let (left, top) = (u32::try_from(self.left).ok()?, u32::try_from(self.top).ok()?);
        let fits = left.checked_add(self.width)? <= image.width() && top.checked_add(self.height)? <= image.height();
        fits.then_some(Region { left, top, width: self.width, height: self.height })
    }

    fn cut_padded(self, image: &RgbImage) -> RgbImage {
        let columns: Vec<Option<u32>> = self.source_indices(self.left, self.width, image.width()).collect();
        let pixels = image.as_chunks::<3>().0;
        let mut result = RgbImage::from_pixel(self.width, self.height, Rgb(self.beyond.color()));
        let rows = result.as_chunks_mut::<3>().0.chunks_exact_mut(self.width as usize);
        for (target, y) in rows.zip(self.source_indices(self.top, self.height, image.height())) {
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

    /// Copies the rectangle out of a mask; what lies beyond the edges is ignored, also where the image is mirrored.
    pub fn cut_mask(self, mask: &GrayImage) -> GrayImage {
        GrayImage::from_fn(self.width, self.height, |x, y| {
            let inside =
                |start: i64, at: u32, side: u32| u32::try_from(start + i64::from(at)).ok().filter(|&at| at < side);
            match (inside(self.left, x, mask.width()), inside(self.top, y, mask.height())) {
                (Some(x), Some(y)) => *mask.get_pixel(x, y),
                _ => Luma([IGNORED]),
            }
        })
    }

    /// For each of `length` positions from `start` on: the index along a side of the image, `None` for the colour.
    fn source_indices(self, start: i64, length: u32, side: u32) -> impl Iterator<Item = Option<u32>> {
        let side = i64::from(side);
        (start..start + i64::from(length)).map(move |i| match self.beyond {
            PaddingMode::Zero | PaddingMode::Color(_) => (0..side).contains(&i).then_some(i as u32),
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
