use image::imageops::flip_horizontal;
use image::{GrayImage, RgbImage};

use super::{
    Affine, ColorChange, Interpolation, Rectangle, Region, RotationInterpolation, Tone, Window, gaussian_blur,
    grayscale, horizontal_flip, resample, resample_as_pillow, resample_from, resample_mask, rotate, rotate_mask,
};

/// One change of one image, with the numbers that were drawn for it: what a [`Step`](super::Step) does to this image.
///
/// The cases that move pixels (`Resample`, `PillowResample`, `Crop`, `HorizontalFlip`, `Rotate`, `Affine`) or erase them hold all of their geometry, so that
/// a mask can follow ([`apply_to_mask`](Self::apply_to_mask)); the others change values only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Drawn {
    /// Resamples a region to `width` x `height`.
    Resample {
        /// The part of the image that is kept.
        region: Region,
        /// Width of the result.
        width: u32,
        /// Height of the result.
        height: u32,
        /// Filter.
        interpolation: Interpolation,
    },
    /// The same with the arithmetic of Pillow, to the last bit.
    PillowResample {
        /// The part of the image that is kept.
        region: Region,
        /// Width of the result.
        width: u32,
        /// Height of the result.
        height: u32,
        /// Filter.
        interpolation: Interpolation,
    },
    /// Cuts a window out, which may reach beyond the edges.
    Crop(Window),
    /// Mirrors left and right.
    HorizontalFlip,
    /// Rotates counter-clockwise about the centre.
    Rotate {
        /// Angle.
        degrees: f64,
        /// Reading between pixels.
        interpolation: RotationInterpolation,
        /// Colour of the corners that come in.
        fill: [u8; 3],
    },
    /// Changes brightness, contrast, saturation or hue.
    Color(ColorChange),
    /// Moves pixels by an affine map.
    Affine {
        /// Where each pixel comes from.
        affine: Affine,
        /// Colour of what comes in.
        fill: [u8; 3],
    },
    /// Changes the values of pixels or channels alike, or the sharpness.
    Tone(Tone),
    /// Fills a rectangle.
    Erase {
        /// The rectangle.
        part: Rectangle,
        /// Its colour.
        fill: [u8; 3],
    },
    /// Replaces the channels by their luma.
    Grayscale,
    /// Blurs with a Gaussian.
    Blur {
        /// Points of the kernel along a side.
        kernel: u32,
        /// Width of the Gaussian in pixels.
        sigma: f64,
    },
}

impl Drawn {
    /// (width, height) of the result for an image of `size`.
    pub fn result_size(&self, size: (u32, u32)) -> (u32, u32) {
        match *self {
            Drawn::Resample { width, height, .. }
            | Drawn::PillowResample { width, height, .. }
            | Drawn::Crop(Window { width, height, .. }) => (width, height),
            Drawn::HorizontalFlip
            | Drawn::Rotate { .. }
            | Drawn::Affine { .. }
            | Drawn::Color(_)
            | Drawn::Tone(_)
            | Drawn::Erase { .. }
            | Drawn::Grayscale
            | Drawn::Blur { .. } => size,
        }
    }

    /// Changes an image.
    ///
    /// # Panics
    /// When a region leaves the image: the numbers were drawn for an image of another size.
    pub fn apply(&self, mut image: RgbImage) -> RgbImage {
        match *self {
            Drawn::Resample { region, width, height, interpolation } => {
                resample(image, region, width, height, interpolation)
            }
            Drawn::PillowResample { region, width, height, interpolation } => {
                resample_as_pillow(image, region, width, height, interpolation)
            }
            Drawn::Crop(window) => window.cut(image),
            Drawn::HorizontalFlip => horizontal_flip(image),
            Drawn::Rotate { degrees, interpolation, fill } => rotate(&image, degrees, interpolation, fill),
            Drawn::Affine { affine, fill } => affine.apply(&image, fill),
            Drawn::Color(change) => change.apply(image),
            Drawn::Tone(tone) => tone.apply(image),
            Drawn::Erase { part, fill } => {
                part.fill(&mut image, fill);
                image
            }
            Drawn::Grayscale => grayscale(image),
            Drawn::Blur { kernel, sigma } => gaussian_blur(&image, kernel, sigma),
        }
    }

    /// Changes a copy of an image; of a part that is cut out, only that part is copied.
    ///
    /// # Panics
    /// As [`Drawn::apply`].
    pub fn apply_to_copy(&self, image: &RgbImage) -> RgbImage {
        match *self {
            Drawn::Resample { region, width, height, interpolation } => {
                resample_from(image, region, width, height, interpolation)
            }
            Drawn::Crop(window) => window.cut_from(image),
            Drawn::Rotate { degrees, interpolation, fill } => rotate(image, degrees, interpolation, fill),
            Drawn::Affine { affine, fill } => affine.apply(image, fill),
            Drawn::Blur { kernel, sigma } => gaussian_blur(image, kernel, sigma),
            _ => self.apply(image.clone()),
        }
    }

    /// Moves the pixels of a mask as those of its image, each read from the nearest one; what lies beyond the edges becomes
    /// [`IGNORED`](super::IGNORED). Changes of colour leave it as it is.
    ///
    /// # Panics
    /// As [`apply`](Self::apply).
    pub fn apply_to_mask(&self, mut mask: GrayImage) -> GrayImage {
        match *self {
            Drawn::Resample { region, width, height, .. } | Drawn::PillowResample { region, width, height, .. } => {
                resample_mask(mask, region, width, height)
            }
            Drawn::Crop(window) => window.cut_mask(&mask),
            Drawn::HorizontalFlip => flip_horizontal(&mask),
            Drawn::Rotate { degrees, .. } => rotate_mask(&mask, degrees),
            Drawn::Affine { affine, .. } => affine.apply_to_mask(&mask),
            Drawn::Erase { part, .. } => {
                part.ignore(&mut mask);
                mask
            }
            Drawn::Color(_) | Drawn::Tone(_) | Drawn::Grayscale | Drawn::Blur { .. } => mask,
        }
    }
}
