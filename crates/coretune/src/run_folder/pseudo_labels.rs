//! `pseudo_labels.csv`: the label that each unlabelled image was given, and what became of all of them in figures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A line of `pseudo_labels.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PseudoLabelRecord {
    /// The image: its file, or its place in the file that holds it.
    pub image: String,
    /// Name of the class that it was given.
    pub class: String,
    /// 1 when all of its score is of that class, 0 when every class has the same.
    pub certainty: f64,
    /// Whether the run trains on it.
    pub kept: bool,
}

/// The unlabelled images of a run, in `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PseudoLabelSummary {
    /// The runs whose models have labelled the images; left out when label propagation has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
    /// Unlabelled images that were given labels.
    pub unlabelled: usize,
    /// Images left out before, by reason: `test`, `validation` and `labelled` have the bytes of such an image, `repeated` those of
    /// an earlier one, `unreadable` cannot be read.
    pub left_out: BTreeMap<String, usize>,
    /// Images that no path of neighbours connects to a labelled one.
    pub without_label: usize,
    /// Images that the run trains on.
    pub kept: usize,
    /// The least certainty among these.
    pub least_certainty: f64,
    /// Images that the run trains on, by their pseudo-label.
    pub classes: BTreeMap<String, usize>,
    /// Fraction of all pseudo-labels that are right; null if the true labels are unknown.
    pub accuracy: Option<f64>,
    /// The same of the images that the run trains on.
    pub kept_accuracy: Option<f64>,
}
