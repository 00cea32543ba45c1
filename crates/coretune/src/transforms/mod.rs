//! What happens to an image between decoding and the batch: geometry and colour, on 8-bit RGB.
//!
//! ```text
//! Transform (steps with their settings) --draw(size, stream)--> [Drawn] (plain numbers) --apply(image)--> RgbImage
//! ```
//!
//! A mask follows its image: [`Drawn::apply_to_mask`] moves its pixels alike, by the nearest, and what lies beyond the edges
//! is [`IGNORED`].
//!
//! One file per step. Random steps draw from the [`Stream`] they are handed, so that a sample's augmentation is a
//! function of (seed, epoch, index); [`Drawn`] says what they drew. Results equal torchvision's on Pillow images
//! (fixtures in `tests/transforms`), resampling within one grey level.
//!
//! Normalisation is not here: the model normalises (see the architecture page), so that a batch stays u8 until then and
//! attacks and exports work in pixel space.
//!
//! [`Stream`]: crate::random::Stream

mod affine;
mod auto_augment;
mod center_crop;
mod color_jitter;
mod drawn;
mod error;
mod framing;
mod gaussian_blur;
mod grayscale;
mod horizontal_flip;
mod ignored;
mod image_mix;
mod letterbox;
mod limits;
mod pillow_resample;
mod random_crop;
mod random_erasing;
mod random_resized_crop;
mod random_scale;
mod recipe;
mod region;
mod resize;
mod rotation;
mod step;
mod tone;
mod window;

pub use affine::Affine;
pub use auto_augment::{AutoAugment, RandAugment, TrivialAugment};
pub use center_crop::CenterCrop;
pub use color_jitter::{ColorChange, ColorJitter, adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation};
pub use drawn::Drawn;
pub use error::TransformError;
pub use framing::{Framing, ResizeMode, mean_color};
pub use gaussian_blur::{GaussianBlur, gaussian_blur};
pub use grayscale::{RandomGrayscale, grayscale, luma};
pub use horizontal_flip::{RandomHorizontalFlip, horizontal_flip};
pub use ignored::IGNORED;
pub use image_mix::{ImageMix, MixImages};
pub use letterbox::Letterbox;
pub use limits::SIDE_LIMIT;
pub use pillow_resample::resample_as_pillow;
pub use random_crop::RandomCrop;
pub use random_erasing::{RandomErasing, Rectangle};
pub use random_resized_crop::RandomResizedCrop;
pub use random_scale::RandomScale;
pub use recipe::{Augmentation, ContrastiveView, SegmentationAugmentation, default_crop_fraction};
pub use region::Region;
pub use resize::{Interpolation, Resize, ResizeTo, resample, resample_from, resample_mask};
pub use rotation::{RandomRotation, RotationInterpolation, rotate, rotate_mask};
pub use step::{Step, Transform};
pub use tone::{Tone, adjust_sharpness};
pub use window::{PaddingMode, Window};
