use image::{GrayImage, Luma, RgbImage};

use super::IGNORED;

/// An affine map from the result's pixels to the source's: (a x + b y + c, d x + e y + f) for [a, b, c, d, e, f].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine(pub [f64; 6]);

impl Affine {
    /// Row y of the result reads `slope` y to the right: torchvision's shear along x.
    pub fn shear_x(slope: f64) -> Self {
        Affine([1.0, slope, 0.0, 0.0, 1.0, 0.0])
    }

    /// Column x of the result reads `slope` x below: torchvision's shear along y.
    pub fn shear_y(slope: f64) -> Self {
        Affine([1.0, 0.0, 0.0, slope, 1.0, 0.0])
    }

    /// Moves the image by whole pixels to the right and down.
    pub fn translation(right: i32, down: i32) -> Self {
        Affine([1.0, 0.0, -f64::from(right), 0.0, 1.0, -f64::from(down)])
    }

    /// The pixel of the source that each pixel of the result reads, row by row; `None` beyond the edges.
    ///
    /// In Pillow's fixed-point numbers with 16 binary places, so that edges fall as in Pillow.
    fn sources(self, (width, height): (u32, u32)) -> impl Iterator<Item = Option<(u32, u32)>> {
        let fixed = |value: f64| (value * 65_536.0 + 0.5).floor() as i64;
        let [a, b, c, d, e, f] = self.0;
        let first = (fixed(c + 0.5 * (a + b)), fixed(f + 0.5 * (d + e)));
        let (right, below) = ((fixed(a), fixed(d)), (fixed(b), fixed(e)));
        let inside = move |place: i64, size: u32| u32::try_from(place >> 16).ok().filter(|&place| place < size);
        let place = move |x: u32, y: u32| {
            let at = |start: i64, across: i64, down: i64| start + across * i64::from(x) + down * i64::from(y);
            Some((inside(at(first.0, right.0, below.0), width)?, inside(at(first.1, right.1, below.1), height)?))
        };
        (0..height).flat_map(move |y| (0..width).map(move |x| place(x, y)))
    }

    /// Each pixel from the nearest of the source; beyond the edges `fill`.
    pub fn apply(self, image: &RgbImage, fill: [u8; 3]) -> RgbImage {
        let pixels = image.as_chunks::<3>().0;
        let mut result = RgbImage::new(image.width(), image.height());
        for (pixel, source) in result.as_chunks_mut::<3>().0.iter_mut().zip(self.sources(image.dimensions())) {
            *pixel = source.map_or(fill, |(x, y)| pixels[y as usize * image.width() as usize + x as usize]);
        }
        result
    }

    /// The same of a mask; what comes in is ignored.
    pub fn apply_to_mask(self, mask: &GrayImage) -> GrayImage {
        let mut result = GrayImage::new(mask.width(), mask.height());
        for (pixel, source) in result.pixels_mut().zip(self.sources(mask.dimensions())) {
            *pixel = source.map_or(Luma([IGNORED]), |(x, y)| *mask.get_pixel(x, y));
        }
        result
    }
}
