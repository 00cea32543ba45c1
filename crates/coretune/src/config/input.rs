use crate::models::Architecture;
use crate::transforms::{Augmentation, Interpolation};

/// How an image becomes the input of the model: every value that a configuration may leave to the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    /// Height and width, pixels.
    pub img_size: i64,
    /// Mean of red, green, blue, of pixels in [0, 1].
    pub mean: [f64; 3],
    /// Standard deviation of red, green, blue, of pixels in [0, 1].
    pub std: [f64; 3],
    /// Share of the resized side that evaluation keeps in its centre crop.
    pub crop_pct: f64,
    /// Resampling.
    pub interpolation: Interpolation,
    /// Random transforms in training.
    pub augment: Augmentation,
}

impl Input {
    /// What checkpoints of this architecture were most likely trained on: CIFAR's 32 pixels where the first layers are
    /// made for small images, else the 224 of `ImageNet`.
    pub fn usual(architecture: &Architecture) -> Self {
        if architecture.is_small() { Self::CIFAR } else { Self::IMAGENET }
    }

    const IMAGENET: Input = Input {
        img_size: 224,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
        crop_pct: 0.875,
        interpolation: Interpolation::Bilinear,
        augment: Augmentation::ResizedCropFlip,
    };

    const CIFAR: Input = Input {
        img_size: 32,
        mean: [0.4914, 0.4822, 0.4465],
        std: [0.2023, 0.1994, 0.2010],
        crop_pct: 1.0,
        interpolation: Interpolation::Bilinear,
        augment: Augmentation::PadCropFlip,
    };
}
