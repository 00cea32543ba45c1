//! Images small enough to be part of the page.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, RgbImage};

/// Longest side of a thumbnail, pixels.
const SIDE: u32 = 96;

/// Images up to this side are kept pixel by pixel.
const SMALL: u32 = 48;

const JPEG_QUALITY: u8 = 85;

/// Longest side of a picture that shows pixels, pixels.
const PICTURE: u32 = 320;

/// The image as a `data:` URI: PNG if it is small, else JPEG of at most [`SIDE`] pixels.
pub(super) fn data_uri(image: RgbImage) -> Result<String, image::ImageError> {
    encoded(image, SIDE)
}

/// The image as a `data:` URI: PNG if it is small, else JPEG of at most [`PICTURE`] pixels.
pub(super) fn picture_uri(image: RgbImage) -> Result<String, image::ImageError> {
    encoded(image, PICTURE)
}

fn encoded(image: RgbImage, side: u32) -> Result<String, image::ImageError> {
    let small = image.width().max(image.height()) <= SMALL;
    let mut bytes = Cursor::new(Vec::new());
    let kind = if small {
        image.write_to(&mut bytes, ImageFormat::Png)?;
        "png"
    } else {
        let image = DynamicImage::from(image);
        let image = if image.width().max(image.height()) > side { image.thumbnail(side, side) } else { image };
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(&image.into_rgb8())?;
        "jpeg"
    };
    Ok(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes.into_inner())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_images_keep_their_pixels_and_large_ones_their_proportions() {
        assert!(data_uri(RgbImage::new(32, 32)).unwrap().starts_with("data:image/png;base64,"));
        let uri = data_uri(RgbImage::new(960, 480)).unwrap();
        let bytes = STANDARD.decode(uri.strip_prefix("data:image/jpeg;base64,").unwrap()).unwrap();
        let image = image::load_from_memory(&bytes).unwrap();
        assert_eq!((image.width(), image.height()), (96, 48));
    }
}
