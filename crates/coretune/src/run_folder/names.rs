//! The names of the files in a run folder.

use std::path::Path;

pub(super) const CHECKPOINTS: &str = "checkpoints";
pub(super) const CHANGES: &str = "changes.jsonl";
pub(super) const CONFIG: &str = "config.toml";
pub(super) const LOCK: &str = ".lock";
pub(super) const LOG: &str = "log.txt";
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const PIXELS: &str = "pixels.csv";
pub(super) const PREDICTIONS: &str = "predictions.csv";
pub(super) const PSEUDO_LABELS: &str = "pseudo_labels.csv";
pub(super) const PROVENANCE: &str = "provenance.json";
pub(super) const SKIPPED: &str = "skipped.txt";
pub(super) const SUMMARY: &str = "summary.json";
pub(super) const TABLE: &str = "metrics.csv";
/// `TensorBoard` looks for `tfevents` in the name.
pub(super) const EVENTS: &str = "events.out.tfevents.coretune";

/// Whether a run was begun in this folder.
pub(super) fn holds_run(root: &Path) -> bool {
    root.join(CONFIG).is_file()
}
