//! The named recipes: what most runs ask for, written out as steps.

use super::{
    ColorJitter, GaussianBlur, Interpolation, PaddingMode, RandomCrop, RandomGrayscale, RandomHorizontalFlip,
    RandomResizedCrop, RandomRotation, RandomScale, RotationInterpolation, Step, Transform, TransformError,
};
use crate::settings::choice;

choice! {
    /// How training images are varied.
    Augmentation {
        /// Random resized crop and flip, as for `ImageNet`.
        ResizedCropFlip = "resized-crop-flip",
        /// Crop out of a border of 4/32 of the side, reflected, and flip, as for `CIFAR`.
        PadCropFlip = "pad-crop-flip",
        /// Resize to 272/256 of the side, rotate by up to 15 degrees, crop, flip: the published runs of Core-tuning
        /// (METHOD.md section 4).
        CoreTuning = "core-tuning",
        /// What contrastive pre-training does, with the settings of `MoCo` v2: random resized crop, colour jitter,
        /// grayscale, blur, flip; see [`ContrastiveView::MOCO_V2`].
        Contrastive = "contrastive",
        /// None: what evaluation does.
        None = "none",
    }
}

/// How one view of an image is made in contrastive pre-training: the settings in which the published recipes differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContrastiveView {
    /// Smallest share of the image's area that a crop keeps, above 0, up to 1.
    pub least_area: f64,
    /// `SimCLR`'s strength s: the jitter changes brightness, contrast and saturation by up to 0.8 s, the hue by 0.2 s.
    pub jitter_strength: f64,
    /// Probability of the jitter.
    pub jitter: f64,
    /// Probability that the colours go.
    pub grayscale: f64,
    /// Probability of the blur, whose kernel is a tenth of the side.
    pub blur: f64,
}

impl ContrastiveView {
    /// `MoCo` v2: area from 0.2, jitter 0.4, 0.4, 0.4, 0.1 with 0.8, grayscale with 0.2, blur with 0.5.
    pub const MOCO_V2: ContrastiveView =
        ContrastiveView { least_area: 0.2, jitter_strength: 0.5, jitter: 0.8, grayscale: 0.2, blur: 0.5 };

    /// Random resized crop, colour jitter, grayscale, blur, flip, in this order, for square images of side `size`.
    pub fn steps(&self, size: u32, interpolation: Interpolation) -> Vec<Step> {
        let (scale, strength) = ((self.least_area, 1.0), 0.8 * self.jitter_strength);
        let jitter = ColorJitter {
            brightness: strength,
            contrast: strength,
            saturation: strength,
            hue: 0.2 * self.jitter_strength,
            probability: self.jitter,
        };
        // An odd kernel, as large as the blur takes at most.
        let kernel = ((size / 10) | 1).min(255);
        vec![
            Step::RandomResizedCrop(RandomResizedCrop { scale, interpolation, ..RandomResizedCrop::new(size) }),
            Step::ColorJitter(jitter),
            Step::RandomGrayscale(RandomGrayscale { probability: self.grayscale }),
            Step::GaussianBlur(GaussianBlur { kernel, sigma: (0.1, 2.0), probability: self.blur }),
            Step::RandomHorizontalFlip(RandomHorizontalFlip { probability: 0.5 }),
        ]
    }
}

/// How images and their masks are varied together, for dense prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentationAugmentation {
    /// Side of the crop.
    pub crop: u32,
    /// Smallest and largest factor of the random scale; equal to 1 for none.
    pub scale: (f64, f64),
    /// Probability of the flip.
    pub flip: f64,
    /// Largest angle of the rotation in degrees; 0 for none.
    pub rotation: f64,
    /// Strength of the changes of brightness, contrast and saturation, a quarter of it for the hue; 0 for none.
    pub jitter: f64,
    /// Colour of what lies beyond the edges of the image, where the mask is ignored: the mean of the images.
    pub beyond: [u8; 3],
}

impl SegmentationAugmentation {
    /// `DeepLab`'s: scale 0.5 to 2, crop, flip with 0.5; the mean of `ImageNet` beyond the edges.
    pub fn new(crop: u32) -> Self {
        let beyond = [124, 116, 104];
        SegmentationAugmentation { crop, scale: (0.5, 2.0), flip: 0.5, rotation: 0.0, jitter: 0.0, beyond }
    }

    /// Scale, rotation, crop, flip and colour jitter, in this order, without those that do nothing.
    ///
    /// # Errors
    /// [`TransformError::Setting`] when a setting is out of range.
    pub fn transform(&self, interpolation: Interpolation) -> Result<Transform, TransformError> {
        let (least, most) = self.scale;
        let scale = Step::RandomScale(RandomScale { least, most, interpolation });
        let rotation = RandomRotation {
            degrees: self.rotation,
            interpolation: RotationInterpolation::Bilinear,
            fill: self.beyond,
        };
        let crop = RandomCrop { size: self.crop, padding: 0, mode: PaddingMode::Color(self.beyond) };
        let (strength, hue) = (self.jitter, self.jitter / 4.0);
        let jitter =
            ColorJitter { brightness: strength, contrast: strength, saturation: strength, hue, probability: 1.0 };
        let steps = [
            (self.scale != (1.0, 1.0)).then_some(scale),
            (self.rotation != 0.0).then_some(Step::RandomRotation(rotation)),
            Some(Step::RandomCrop(crop)),
            (self.flip != 0.0).then_some(Step::RandomHorizontalFlip(RandomHorizontalFlip { probability: self.flip })),
            (self.jitter != 0.0).then_some(Step::ColorJitter(jitter)),
        ];
        Transform::new(steps.into_iter().flatten().collect())
    }
}

/// The share of the resized side that evaluation keeps when nobody says: 224 of 256, but all of images up to 64 pixels.
pub fn default_crop_fraction(size: u32) -> f64 {
    if size <= 64 { 1.0 } else { 0.875 }
}
