use image::{GrayImage, Rgb, RgbImage};

use crate::transforms::IGNORED;

/// Lays the colours of the classes over an image, half and half; ignored pixels are hatched in white.
///
/// # Panics
/// When the mask has another size than the image.
pub fn overlay(mut image: RgbImage, mask: &GrayImage, colors: &[[u8; 3]]) -> RgbImage {
    assert_eq!(image.dimensions(), mask.dimensions(), "a mask has the size of its image");
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let class = mask.get_pixel(x, y).0[0];
        let color = match colors.get(usize::from(class)) {
            Some(&color) => color,
            None if class == IGNORED && (x + y) % 8 < 3 => [255; 3],
            None => continue,
        };
        *pixel = Rgb(std::array::from_fn(|i| u8::midpoint(pixel.0[i], color[i])));
    }
    image
}
