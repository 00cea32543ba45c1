//! What a finished run measured, read from its folder.

use std::path::Path;

use super::CompareError;
use crate::evaluate::calibration::{Bin, bins, error_of_bins};
use crate::run_folder::{PredictionRecord, RunFolder, RunFolderError, Summary};

/// What a finished run measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    /// Mean negative log-likelihood of the validation images after temperature scaling: what settings are chosen by.
    pub(super) validation_nll: f64,
    /// The split that the other figures are of: `test`, or `validation` without one.
    pub(super) split: &'static str,
    /// Hash of the names and labels of its images, in their order.
    pub(super) images: String,
    /// Image by image, whether the prediction is right.
    pub(super) correct: Vec<bool>,
    /// Mean negative log-likelihood after temperature scaling.
    pub(super) nll: f64,
    /// The bins of confidence after temperature scaling.
    pub(super) bins: Vec<Bin>,
    pub(super) seconds: f64,
    pub(super) memory_bytes: u64,
    /// Version of coretune and of libtorch.
    pub(super) versions: String,
}

impl Measured {
    /// Fraction of images whose prediction is right.
    pub(super) fn top1(&self) -> f64 {
        self.correct.iter().filter(|&&correct| correct).count() as f64 / self.correct.len().max(1) as f64
    }

    /// Expected calibration error after temperature scaling.
    pub(super) fn ece(&self) -> f64 {
        error_of_bins(&self.bins)
    }

    /// What the run in this folder measured; none while it has not finished.
    ///
    /// # Errors
    /// [`RunFolderError`] when a file of the folder cannot be read.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, CompareError> {
        if !RunFolder::holds_run(folder) {
            return Ok(None);
        }
        let folder = RunFolder::open_records(folder)?;
        let Some(summary) = folder.read_summary::<Summary>()? else { return Ok(None) };
        let lacking = |found: &str| RunFolderError::CannotGoOn { path: folder.root().into(), found: found.into() };
        let records = folder.predictions()?.ok_or_else(|| lacking("it has finished without predictions.csv"))?;
        let of = |split: &str| records.iter().filter(|record| record.split == split).collect::<Vec<_>>();
        let (validation, test) = (of("validation"), of("test"));
        if validation.is_empty() {
            return Err(lacking("predictions.csv has no validation images").into());
        }
        let (split, evaluated) = if test.is_empty() { ("validation", &validation) } else { ("test", &test) };
        Ok(Some(Measured {
            validation_nll: mean_nll(&validation),
            split,
            images: names_hash(evaluated),
            correct: evaluated.iter().map(|record| record.is_right()).collect(),
            nll: mean_nll(evaluated),
            bins: bins(evaluated.iter().map(|record| (record.confidence, record.is_right()))),
            seconds: summary.wall_seconds,
            memory_bytes: summary.peak_rss_bytes,
            versions: ["coretune", "libtorch"].map(|name| summary.versions.get(name).map_or("?", |v| v)).join(", "),
        }))
    }
}

fn mean_nll(records: &[&PredictionRecord]) -> f64 {
    records.iter().map(|record| record.nll).sum::<f64>() / records.len() as f64
}

fn names_hash(records: &[&PredictionRecord]) -> String {
    let mut hasher = blake3::Hasher::new();
    for record in records {
        hasher.update(record.image.as_bytes()).update(&record.label.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
