use std::cell::RefCell;

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{GrayImage, RgbImage};
use serde::{Deserialize, Serialize};

use super::limits::{RESULT_LIMIT, check_side};
use super::{Region, TransformError};
use crate::settings::choice;

choice! {
    /// Resampling filter, antialiased as Pillow's: its support grows with the reduction.
    #[derive(Default)]
    Interpolation {
        /// Triangle filter, torchvision's default.
        #[default]
        Bilinear = "bilinear",
        /// Cubic convolution with a = -0.5.
        Bicubic = "bicubic",
    }
}

impl Interpolation {
    fn algorithm(self) -> ResizeAlg {
        ResizeAlg::Convolution(match self {
            Interpolation::Bilinear => FilterType::Bilinear,
            Interpolation::Bicubic => FilterType::CatmullRom,
        })
    }
}

/// The size that [`Resize`] aims at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeTo {
    /// The shorter side gets this length, the longer one keeps the proportion: floor(long x side / short).
    ShorterSide(u32),
    /// Both sides as given; the proportion is not kept.
    Exact {
        /// Width of the result.
        width: u32,
        /// Height of the result.
        height: u32,
    },
}

/// Resizes the whole image; an image that has the size already is handed on untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Size of the result.
    pub to: ResizeTo,
    /// Filter.
    #[serde(default)]
    pub interpolation: Interpolation,
}

impl Resize {
    pub(super) const NAME: &'static str = "resize";

    pub(super) fn check(&self) -> Result<(), TransformError> {
        match self.to {
            ResizeTo::ShorterSide(side) => check_side(Self::NAME, "to.shorter-side", side),
            ResizeTo::Exact { width, height } => {
                check_side(Self::NAME, "to.exact.width", width)?;
                check_side(Self::NAME, "to.exact.height", height)
            }
        }
    }

    /// The size that an image of this size gets.
    pub(super) fn result_size(&self, (from_width, from_height): (u32, u32)) -> Result<(u32, u32), TransformError> {
        let (width, height) = self.size_for(from_width, from_height);
        if width * height > RESULT_LIMIT {
            let limit = RESULT_LIMIT;
            return Err(TransformError::TooLarge { step: Self::NAME, from_width, from_height, width, height, limit });
        }
        Ok((width as u32, height as u32))
    }

    fn size_for(&self, width: u32, height: u32) -> (u64, u64) {
        match self.to {
            ResizeTo::Exact { width, height } => (u64::from(width), u64::from(height)),
            ResizeTo::ShorterSide(side) => {
                let side = u64::from(side);
                let longer = |long: u32, short: u32| u64::from(long) * side / u64::from(short);
                if width <= height { (side, longer(height, width)) } else { (longer(width, height), side) }
            }
        }
    }
}

thread_local! {
    // It keeps its intermediate image and finds out about the processor once.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Resamples `region` of `image` to `width` x `height`; pixels outside of the region are not read.
///
/// Equal to Pillow's `image.crop(region).resize((width, height), interpolation)` within one grey level.
///
/// # Panics
/// When the region is empty or leaves the image: whoever makes a region makes it from the image's size.
pub fn resample(image: RgbImage, region: Region, width: u32, height: u32, interpolation: Interpolation) -> RgbImage {
    if (region.width, region.height) == (width, height) {
        return region.cut(image);
    }
    resample_from(&image, region, width, height, interpolation)
}

/// [`resample`] of an image that is kept.
///
/// # Panics
/// As [`resample`].
pub fn resample_from(
    image: &RgbImage,
    region: Region,
    width: u32,
    height: u32,
    interpolation: Interpolation,
) -> RgbImage {
    if (region.width, region.height) == (width, height) {
        return region.cut_from(image);
    }
    // The library filters columns first where both sides change, Pillow rows first. The order shows where a bicubic
    // filter overshoots and the values in between are cut to 0..=255 (ten levels measured), so it gets them one by one.
    if interpolation == Interpolation::Bicubic && region.width != width && region.height != height {
        let across = convolve(image, region, width, region.height, interpolation);
        return convolve(&across, Region::whole(across.dimensions()), width, height, interpolation);
    }
    convolve(image, region, width, height, interpolation)
}

fn convolve(image: &RgbImage, region: Region, width: u32, height: u32, interpolation: Interpolation) -> RgbImage {
    let whole = ImageRef::new(image.width(), image.height(), image.as_raw(), PixelType::U8x3);
    let whole = whole.expect("an RgbImage holds three bytes for every pixel");
    let source = CroppedImage::new(&whole, region.left, region.top, region.width, region.height);
    let source = source.expect("the region lies inside the image");
    let mut result = RgbImage::new(width, height);
    let mut target = Image::from_slice_u8(width, height, &mut result, PixelType::U8x3).expect("sizes are equal");
    let options = ResizeOptions::new().resize_alg(interpolation.algorithm()).use_alpha(false);
    RESIZER
        .with_borrow_mut(|resizer| resizer.resize(&source, &mut target, &options))
        .expect("source and target are RGB of at least one pixel");
    result
}

/// Resamples `region` of a mask to `width` x `height`: each pixel of the result is the one of the region that its centre
/// falls into, as Pillow's nearest filter has it.
///
/// # Panics
/// When the region leaves the mask.
pub fn resample_mask(mask: GrayImage, region: Region, width: u32, height: u32) -> GrayImage {
    if region == Region::whole(mask.dimensions()) && (region.width, region.height) == (width, height) {
        return mask;
    }
    let nearest =
        |at: u32, from: u32, to: u32| ((2 * u64::from(at) + 1) * u64::from(from) / (2 * u64::from(to))) as u32;
    GrayImage::from_fn(width, height, |x, y| {
        let (x, y) = (nearest(x, region.width, width), nearest(y, region.height, height));
        *mask.get_pixel(region.left + x, region.top + y)
    })
}
