//! `[segmentation]`: the network for pixels, and how images become its crops.

use serde::{Deserialize, Serialize};

use crate::config::automatic;
use crate::models::{DenseHeadKind, PixelViews, TestViews, Window};
use crate::settings::OnResume::Fixed;
use crate::settings::{Kind, Range, RunKind, Setting, auto, off, setting};
use crate::transforms::SegmentationAugmentation;

/// The network for pixels, and how images become its crops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentationSection {
    /// What lies between the backbone's last map and the logits.
    pub head: DenseHeadKind,
    /// Pixels between two positions of the last map, at most: 8, 16 or 32.
    pub output_stride: i64,
    /// Whether an FCN head reads the map before the last stage in training.
    pub auxiliary: bool,
    /// Probability with which the heads set a value to zero in training.
    pub dropout: f64,
    /// Height and width of a training crop, pixels.
    #[serde(with = "auto")]
    pub crop: Option<i64>,
    /// Smallest factor of the random scale.
    pub least_scale: f64,
    /// Largest factor of the random scale.
    pub most_scale: f64,
    /// Largest angle of the random rotation, degrees.
    pub rotation: f64,
    /// Strength of the colour jitter.
    pub jitter: f64,
    /// Positions of each class and image that become rows of the method.
    pub pixels_per_class: usize,
    /// Side of the windows that cover each evaluated image, pixels.
    #[serde(with = "off")]
    pub window: Option<i64>,
    /// Fraction of a window that the next one covers again.
    pub window_overlap: f64,
    /// Factors of the sizes at which an image is evaluated.
    pub scales: Vec<f64>,
}

impl SegmentationSection {
    /// Height and width of a crop, where the smaller side of the first training image has so many pixels.
    pub fn crop_of(&self, smaller_side: u32) -> i64 {
        self.crop.unwrap_or_else(|| automatic::crop(smaller_side))
    }

    /// How images are evaluated, with their mirror images if `mirror` says so.
    pub fn views(&self, mirror: TestViews) -> PixelViews {
        let window = self.window.map(|size| Window { size, overlap: self.window_overlap });
        PixelViews { mirror, scales: self.scales.clone(), window }
    }

    /// How training images and their masks are varied; `mean` is that of red, green and blue.
    pub fn augmentation(&self, crop: i64, mean: [f64; 3]) -> SegmentationAugmentation {
        SegmentationAugmentation {
            scale: (self.least_scale, self.most_scale),
            rotation: self.rotation,
            jitter: self.jitter,
            beyond: mean.map(|mean| (255.0 * mean).round() as u8),
            ..SegmentationAugmentation::new(crop as u32)
        }
    }
}

const SEGMENTATION: &[RunKind] = &[RunKind::Segmentation];

/// The settings of the section, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("segmentation.head", Kind::Choice(DenseHeadKind::names), "head on the last map")
        .default(DenseHeadKind::DeepLabV3.name())
        .on_resume(Fixed)
        .read_by(SEGMENTATION),
    setting("segmentation.output_stride", Kind::Whole(8, 32), "pixels between positions of the last map: 8, 16, 32")
        .default("16")
        .on_resume(Fixed)
        .read_by(SEGMENTATION),
    setting("segmentation.auxiliary", Kind::Switch, "a second head on the map before the last stage, in training")
        .default("false")
        .on_resume(Fixed)
        .read_by(SEGMENTATION),
    setting("segmentation.dropout", Kind::Number(Range::FromBelow(0.0, 1.0)), "dropout in the heads")
        .default("0.0")
        .read_by(SEGMENTATION),
    setting("segmentation.crop", Kind::Whole(16, 4096), "height and width of a training crop, pixels")
        .auto(automatic::crop_text)
        .read_by(SEGMENTATION),
    setting("segmentation.least_scale", Kind::Number(Range::Between(0.1, 10.0)), "smallest factor of the random scale")
        .default("0.5")
        .read_by(SEGMENTATION),
    setting("segmentation.most_scale", Kind::Number(Range::Between(0.1, 10.0)), "largest factor of the random scale")
        .default("2.0")
        .read_by(SEGMENTATION),
    setting(
        "segmentation.rotation",
        Kind::Number(Range::Between(0.0, 180.0)),
        "largest angle of the rotation, degrees",
    )
    .default("0.0")
    .read_by(SEGMENTATION),
    setting("segmentation.jitter", Kind::Number(Range::Between(0.0, 1.0)), "strength of the colour jitter")
        .default("0.0")
        .read_by(SEGMENTATION),
    setting(
        "segmentation.pixels_per_class",
        Kind::Whole(1, 4096),
        "positions of each class and image that the method compares",
    )
    .default("16")
    .read_by(SEGMENTATION),
    setting("segmentation.window", Kind::Whole(16, 8192), "side of the windows that evaluation averages, pixels")
        .off()
        .read_by(SEGMENTATION),
    setting(
        "segmentation.window_overlap",
        Kind::Number(Range::Between(0.0, 0.9)),
        "fraction of a window that the next one covers again",
    )
    .default("0.5")
    .read_by(SEGMENTATION),
    setting(
        "segmentation.scales",
        Kind::Numbers(Range::Between(0.1, 4.0)),
        "sizes at which evaluation averages, times the image's own",
    )
    .default("1.0")
    .read_by(SEGMENTATION),
];
