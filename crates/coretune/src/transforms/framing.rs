//! How an image of any shape becomes the square input of a network, in training and in evaluation.

use super::{
    Augmentation, CenterCrop, ContrastiveView, Interpolation, Letterbox, PaddingMode, RandomCrop, RandomHorizontalFlip,
    RandomResizedCrop, RandomRotation, Resize, ResizeTo, RotationInterpolation, Step, Transform, TransformError,
    default_crop_fraction,
};
use crate::settings::choice;

/// Factor on the side of a square that random crops of a squashed or letterboxed image are taken from.
const RANDOM_CROPS_SIDE: u32 = 2;
/// The side that the published runs of Core-tuning resize to and the side that they crop.
const PADDED_SIDE: (u64, u64) = (272, 256);

choice! {
    /// What happens to the sides of an image that is not square.
    #[derive(Default)]
    ResizeMode {
        /// The shorter side is resized to that of the square; what is left of the longer one is cut off.
        #[default]
        Crop = "crop",
        /// Both sides are resized to that of the square; the proportions are lost.
        Squash = "squash",
        /// The longer side is resized to that of the square; the rest is filled with the mean colour.
        Letterbox = "letterbox",
    }
}

impl ResizeMode {
    /// The fraction of the resized side that evaluation keeps when nobody says: [`default_crop_fraction`] where the image
    /// is cut anyway, else all of it.
    pub fn crop_fraction(self, size: u32) -> f64 {
        if self == ResizeMode::Crop { default_crop_fraction(size) } else { 1.0 }
    }
}

/// How an image of any shape becomes a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// Side of the square, pixels.
    pub size: u32,
    /// What happens to an image that is not square.
    pub mode: ResizeMode,
    /// Colour beside an image in [`ResizeMode::Letterbox`].
    pub fill: [u8; 3],
    /// Filter.
    pub interpolation: Interpolation,
}

/// The colour of this mean of pixels in [0, 1].
pub fn mean_color(mean: [f64; 3]) -> [u8; 3] {
    mean.map(|value| (255.0 * value).round().clamp(0.0, 255.0) as u8)
}

impl Framing {
    /// The shorter side becomes that of the square, and the longer one is cut.
    pub fn crop(size: u32, interpolation: Interpolation) -> Self {
        Framing { size, mode: ResizeMode::Crop, fill: [0; 3], interpolation }
    }

    /// The image whose shorter side, or both of whose sides, are `side`.
    fn resized(&self, side: u32) -> Step {
        let Framing { fill, interpolation, .. } = *self;
        match self.mode {
            ResizeMode::Crop => Step::Resize(Resize { to: ResizeTo::ShorterSide(side), interpolation }),
            ResizeMode::Squash => {
                Step::Resize(Resize { to: ResizeTo::Exact { width: side, height: side }, interpolation })
            }
            ResizeMode::Letterbox => Step::Letterbox(Letterbox { size: side, fill, interpolation }),
        }
    }

    /// What comes before a crop of random size and place, which is cut from the image itself in [`ResizeMode::Crop`]: a
    /// square large enough that small crops keep their detail.
    fn before_random_crop(&self) -> Option<Step> {
        (self.mode != ResizeMode::Crop).then(|| self.resized(self.size.saturating_mul(RANDOM_CROPS_SIDE)))
    }

    /// Resizes to floor(`size` / `crop_fraction`) as the mode says, and cuts the middle `size` x `size`; with Pillow's
    /// arithmetic, so that other programs can prepare images for a trained model in the same way.
    ///
    /// An image that has the wanted size already passes each of the two untouched and uncopied.
    ///
    /// # Errors
    /// [`TransformError::Setting`] when the size or `crop_fraction` is out of range.
    pub fn evaluate(&self, crop_fraction: f64) -> Result<Transform, TransformError> {
        let [resize, crop] = self.resized_and_cut(crop_fraction)?;
        let resize = if let Step::Resize(resize) = resize { Step::PillowResize(resize) } else { resize };
        Transform::new(vec![resize, crop])
    }

    /// The same for frozen features: in [`ResizeMode::Crop`] and [`ResizeMode::Squash`] with the faster arithmetic of
    /// training, which may differ by one grey level.
    ///
    /// # Errors
    /// As [`Framing::evaluate`].
    pub fn probe(&self, crop_fraction: f64) -> Result<Transform, TransformError> {
        Transform::new(self.resized_and_cut(crop_fraction)?.into())
    }

    fn resized_and_cut(&self, crop_fraction: f64) -> Result<[Step; 2], TransformError> {
        let larger = Self::resized_side(self.size, crop_fraction)?;
        Ok([self.resized(larger), Step::CenterCrop(CenterCrop::square(self.size))])
    }

    /// floor(`size` / `crop_fraction`), the side that evaluation resizes to.
    ///
    /// # Errors
    /// [`TransformError::Setting`] when `crop_fraction` is out of range.
    pub fn resized_side(size: u32, crop_fraction: f64) -> Result<u32, TransformError> {
        if !(crop_fraction > 0.0 && crop_fraction <= 1.0) {
            let found = crop_fraction.to_string();
            let (step, name) = (CenterCrop::NAME, "crop fraction");
            return Err(TransformError::Setting { step, name, expected: "above 0, at most 1", found });
        }
        // The small addend keeps 224 / 0.875 from falling below 256 by rounding.
        Ok((f64::from(size) / crop_fraction + 1e-6).floor() as u32)
    }

    /// The recipe of `augmentation`.
    ///
    /// # Errors
    /// [`TransformError::Setting`] when the size is 0 or above [`super::SIDE_LIMIT`].
    pub fn train(&self, augmentation: Augmentation) -> Result<Transform, TransformError> {
        let Framing { size, interpolation, .. } = *self;
        let flip = Step::RandomHorizontalFlip(RandomHorizontalFlip { probability: 0.5 });
        let crop = |padding| Step::RandomCrop(RandomCrop { size, padding, mode: PaddingMode::Reflect });
        Transform::new(match augmentation {
            Augmentation::ResizedCropFlip => {
                let crop = RandomResizedCrop { interpolation, ..RandomResizedCrop::new(size) };
                self.before_random_crop().into_iter().chain([Step::RandomResizedCrop(crop), flip]).collect()
            }
            Augmentation::PadCropFlip => vec![self.resized(size), crop(size.div_ceil(8)), flip],
            Augmentation::CoreTuning => {
                let rotation =
                    RandomRotation { degrees: 15.0, interpolation: RotationInterpolation::Nearest, fill: [0; 3] };
                let (numerator, denominator) = PADDED_SIDE;
                let larger = (u64::from(size) * numerator).div_ceil(denominator).min(u64::from(u32::MAX)) as u32;
                vec![self.resized(larger), Step::RandomRotation(rotation), crop(0), flip]
            }
            Augmentation::Contrastive => self.view(&ContrastiveView::MOCO_V2),
            Augmentation::None => self.resized_and_cut(1.0)?.into(),
        })
    }

    /// One view of an image in contrastive pre-training.
    pub fn view(&self, view: &ContrastiveView) -> Vec<Step> {
        self.before_random_crop().into_iter().chain(view.steps(self.size, self.interpolation)).collect()
    }
}

impl Transform {
    /// The recipe of `augmentation` for square images of side `size`, the longer side cut ([`Framing::train`]).
    ///
    /// # Errors
    /// As [`Framing::train`].
    pub fn train(augmentation: Augmentation, size: u32, interpolation: Interpolation) -> Result<Self, TransformError> {
        Framing::crop(size, interpolation).train(augmentation)
    }

    /// Resizes the shorter side to floor(`size` / `crop_fraction`) and cuts the middle `size` x `size`
    /// ([`Framing::evaluate`]).
    ///
    /// # Errors
    /// As [`Framing::evaluate`].
    pub fn evaluate(size: u32, crop_fraction: f64, interpolation: Interpolation) -> Result<Self, TransformError> {
        Framing::crop(size, interpolation).evaluate(crop_fraction)
    }
}
