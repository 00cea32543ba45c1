//! `summary.json`: the result of a run. Nesting and names are what readers of the file rely on.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{EvaluationRecord, PseudoLabelSummary};
use crate::engine::ranks::Traffic;
use crate::figures::{EpochFigures, Figures};
use crate::settings::RunKind;

/// The result of a run of one kind, as `summary.json` holds it.
pub trait RunSummary: Serialize + DeserializeOwned {
    /// The kind of run.
    const KIND: RunKind;

    /// Epochs trained.
    fn epochs(&self) -> u64;
}

/// The result of a fine-tuning run. Accuracies are fractions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Fine-tuning method, such as `core-tuning`.
    pub method: String,
    /// Backbone, such as `resnet50`.
    pub model: String,
    /// Where the images came from.
    pub data: String,
    /// Seed of every random draw.
    pub seed: u64,
    /// Epochs trained.
    pub epochs: u64,
    /// Steps made.
    pub steps: u64,
    /// The epoch that was kept, with its figures on the validation split: `val_top1`.
    pub best: EpochFigures,
    /// Figures of that epoch on the test split; null without one.
    pub test: Option<Figures>,
    /// Figures of the frozen checkpoint on the same split; null when it was not measured.
    pub probe: Option<Figures>,
    /// The 95 % interval of the test top-1 over images; left out without a test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top1_interval: Option<[f64; 2]>,
    /// Top-1 above the linear probe's on the same images, with its paired 95 % interval; left out when either was not
    /// measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above_probe: Option<PairedDifference>,
    /// Temperature fitted on the validation split.
    pub temperature: Option<f64>,
    /// Training images per second, validation left out.
    pub images_per_second: f64,
    /// Time from start to end.
    pub wall_seconds: f64,
    /// Most memory the process ever held.
    pub peak_rss_bytes: u64,
    /// Most memory that tensors took on the GPU at one time; left out on the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_device_bytes: Option<u64>,
    /// What rank 0 exchanged with the others, over training and evaluation; left out in a run of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Traffic>,
    /// Fraction of the backbone that came from the checkpoint.
    pub coverage: f64,
    /// The weights of the classes in the cross-entropy, by the class's name; left out when all are alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<BTreeMap<String, f64>>,
    /// What became of the unlabelled images; left out without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pseudo_labels: Option<PseudoLabelSummary>,
    /// Versions of coretune and of the libraries that the figures depend on.
    pub versions: BTreeMap<String, String>,
}

/// The result of a pre-training run. Accuracies are fractions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainSummary {
    /// Pre-training method, such as `moco-v2`.
    pub method: String,
    /// Backbone, such as `resnet18`.
    pub model: String,
    /// Where the images came from.
    pub data: String,
    /// Images trained on.
    pub images: usize,
    /// Name of the checkpoint's file that the encoder started from; left out without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Fraction of the backbone that came from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// Seed of every random draw.
    pub seed: u64,
    /// Epochs trained.
    pub epochs: u64,
    /// Steps made.
    pub steps: u64,
    /// The last evaluation of the features; null if there was none.
    pub probe: Option<EvaluationRecord>,
    /// Training images per second, evaluations left out.
    pub images_per_second: f64,
    /// Time from start to end.
    pub wall_seconds: f64,
    /// Most memory the process ever held.
    pub peak_rss_bytes: u64,
    /// Most memory that tensors took on the GPU at one time; left out on the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_device_bytes: Option<u64>,
    /// What rank 0 exchanged with the others, over training and evaluation; left out in a run of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Traffic>,
    /// Versions of coretune and of the libraries that the figures depend on.
    pub versions: BTreeMap<String, String>,
}

impl RunSummary for Summary {
    const KIND: RunKind = RunKind::FineTuning;

    fn epochs(&self) -> u64 {
        self.epochs
    }
}

/// The result of a run that segments images. Figures are fractions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentationSummary {
    /// `segmentation`.
    pub task: String,
    /// Fine-tuning method, such as `core-tuning`.
    pub method: String,
    /// Backbone, such as `resnet50`.
    pub model: String,
    /// Head, such as `deeplabv3`.
    pub head: String,
    /// Where the images came from.
    pub data: String,
    /// Seed of every random draw.
    pub seed: u64,
    /// Epochs trained.
    pub epochs: u64,
    /// Steps made.
    pub steps: u64,
    /// The epoch that was kept, with its figures on the validation split: `val_mean_iou`.
    pub best: EpochFigures,
    /// Figures of that epoch on the test split; null without one.
    pub test: Option<Figures>,
    /// 95 % interval of the mean IoU over the images that were evaluated last: of the test split, or without one of the
    /// validation split.
    pub mean_iou_interval: Option<[f64; 2]>,
    /// IoU of each class on the same images; null for a class without a labelled pixel.
    pub class_iou: BTreeMap<String, Option<f64>>,
    /// Figures of the linear probe of the frozen checkpoint on the same split; null when it was not measured.
    pub probe: Option<Figures>,
    /// The same of a network with random weights.
    pub probe_of_random_weights: Option<Figures>,
    /// Mean IoU minus that of the probe on the same images.
    pub above_probe: Option<PairedDifference>,
    /// Training images per second, validation left out.
    pub images_per_second: f64,
    /// Time from start to end.
    pub wall_seconds: f64,
    /// Most memory the process ever held.
    pub peak_rss_bytes: u64,
    /// Most memory that tensors took on the GPU at one time; left out on the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_device_bytes: Option<u64>,
    /// What rank 0 exchanged with the others, over training and evaluation; left out in a run of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Traffic>,
    /// Fraction of the backbone that came from the checkpoint.
    pub coverage: f64,
    /// Weight of each class in the cross-entropy of the pixels; null when all are alike.
    #[serde(default)]
    pub class_weights: Option<BTreeMap<String, f64>>,
    /// Versions of coretune and of the libraries that the figures depend on.
    pub versions: BTreeMap<String, String>,
}

/// The difference of a figure of two networks on the same images, with its 95 % interval over the images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// The first minus the second.
    pub difference: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl RunSummary for SegmentationSummary {
    const KIND: RunKind = RunKind::Segmentation;

    fn epochs(&self) -> u64 {
        self.epochs
    }
}

impl RunSummary for PretrainSummary {
    const KIND: RunKind = RunKind::Pretraining;

    fn epochs(&self) -> u64 {
        self.epochs
    }
}
