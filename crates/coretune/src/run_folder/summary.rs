//! `summary.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The result of a run. Accuracies are fractions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The method.
    pub method: String,
    /// The backbone.
    pub model: String,
    /// The data.
    pub data: String,
    /// The seed.
    pub seed: u64,
    /// Epochs trained.
    pub epochs: u64,
    /// Steps made.
    pub steps: u64,
    /// The epoch that was kept.
    pub best: BestSummary,
    /// The test split.
    pub test: Option<TestSummary>,
    /// The frozen checkpoint.
    pub probe: Option<ProbeSummary>,
    /// Temperature fitted on the validation split.
    pub temperature: Option<f64>,
    /// Speed.
    pub images_per_second: f64,
    /// Time.
    pub wall_seconds: f64,
    /// Memory.
    pub peak_rss_bytes: u64,
    /// Share of the backbone that came from the checkpoint.
    pub coverage: f64,
    /// Versions.
    pub versions: BTreeMap<String, String>,
}

/// The epoch that was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestSummary {
    /// Counted from 1.
    pub epoch: u64,
    /// On validation.
    pub val_top1: f64,
}

/// Figures on the test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestSummary {
    /// Top-1.
    pub top1: f64,
    /// Top-5.
    pub top5: f64,
    /// E4.
    pub ece: f64,
    /// E4 after temperature scaling.
    pub ece_calibrated: f64,
    /// E3.
    pub within_between: f64,
}

/// Figures of the frozen checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeSummary {
    /// kNN.
    pub knn_top1: f64,
    /// Linear probe.
    pub linear_top1: f64,
}
