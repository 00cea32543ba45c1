//! `summary.json`: the result of a run. Nesting and names are what readers of the file rely on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The result of a run. Accuracies are fractions.
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
    /// The epoch that was kept.
    pub best: BestSummary,
    /// Figures of the best epoch on the test split; null without one.
    pub test: Option<TestSummary>,
    /// Figures of the frozen checkpoint on the same split; null when it was not measured.
    pub probe: Option<ProbeSummary>,
    /// Temperature fitted on the validation split.
    pub temperature: Option<f64>,
    /// Training images per second, validation left out.
    pub images_per_second: f64,
    /// Time from start to end.
    pub wall_seconds: f64,
    /// Most memory the process ever held.
    pub peak_rss_bytes: u64,
    /// Share of the backbone that came from the checkpoint.
    pub coverage: f64,
    /// Of coretune and of what the figures depend on.
    pub versions: BTreeMap<String, String>,
}

/// The epoch that was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestSummary {
    /// Counted from 1.
    pub epoch: u64,
    /// Top-1 on the validation split.
    pub val_top1: f64,
}

/// Figures on the test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestSummary {
    /// Share of images whose label has the largest logit.
    pub top1: f64,
    /// Share of images whose label is among the five largest logits.
    pub top5: f64,
    /// Expected calibration error (E4).
    pub ece: f64,
    /// The same after temperature scaling.
    pub ece_calibrated: f64,
    /// E3; none where the class centres coincide.
    pub within_between: Option<f64>,
}

/// Figures of the frozen checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeSummary {
    /// Top-1 of the nearest neighbours (E7).
    pub knn_top1: f64,
    /// Top-1 of the linear probe (B10).
    pub linear_top1: f64,
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
    /// Seed of every random draw.
    pub seed: u64,
    /// Epochs trained.
    pub epochs: u64,
    /// Steps made.
    pub steps: u64,
    /// The last look at the features; null where they were never looked at.
    pub probe: Option<super::ProbeRecord>,
    /// Training images per second, looks at the features left out.
    pub images_per_second: f64,
    /// Time from start to end.
    pub wall_seconds: f64,
    /// Most memory the process ever held.
    pub peak_rss_bytes: u64,
    /// Of coretune and of what the figures depend on.
    pub versions: BTreeMap<String, String>,
}
