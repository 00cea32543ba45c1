//! What a run folder has recorded; no model, no images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ReportError;
use crate::run_folder::{EvaluationRecord, MetricsRecord, Provenance, RunFolder, RunKind, StepRecord, Summary, fields};

/// The records of a run.
pub(super) struct Records {
    /// Name in the report.
    pub(super) name: String,
    pub(super) folder: PathBuf,
    /// The resolved configuration as TOML.
    pub(super) config: String,
    pub(super) metrics: Vec<MetricsRecord>,
    /// None when the run has not been run to its end.
    pub(super) summary: Option<Summary>,
    pub(super) provenance: Option<Provenance>,
}

/// A figure over the steps of a run.
pub(super) type Curve = Vec<(f64, f64)>;

impl Records {
    pub(super) fn read(path: &Path) -> Result<Self, ReportError> {
        let folder = RunFolder::open_records(path)?;
        folder.expect(RunKind::FineTuning)?;
        Ok(Records {
            name: last_part(path),
            folder: path.into(),
            config: folder.read_config()?,
            metrics: folder.metrics()?,
            summary: folder.read_summary()?,
            provenance: folder.read_provenance()?,
        })
    }

    /// Every figure of the logged steps, over the step, by name.
    pub(super) fn step_curves(&self) -> BTreeMap<String, Curve> {
        let mut curves = BTreeMap::<String, Curve>::new();
        for record in &self.metrics {
            let MetricsRecord::Step(StepRecord { step, .. }) = record else { continue };
            for (name, value) in fields(record) {
                if let (Some(value), false) = (value.as_f64(), ["step", "epoch", "seconds"].contains(&name.as_str())) {
                    curves.entry(name).or_default().push((*step as f64, value));
                }
            }
        }
        curves
    }

    /// A figure of the evaluations, over the epoch.
    pub(super) fn validation_curve(&self, figure: impl Fn(&EvaluationRecord) -> f64) -> Curve {
        let point = |record: &MetricsRecord| match record {
            MetricsRecord::Evaluation(record) => Some((record.epoch as f64, figure(record))),
            MetricsRecord::Step(_) | MetricsRecord::Probe(_) => None,
        };
        self.metrics.iter().filter_map(point).collect()
    }
}

/// The names of the runs; whole paths where the folders' own names are not distinct.
pub(super) fn distinct_names(records: &[Records]) -> Vec<String> {
    let own: Vec<&str> = records.iter().map(|records| records.name.as_str()).collect();
    let is_own = |index: usize| own.iter().filter(|name| **name == own[index]).count() == 1;
    let name = |(index, records): (usize, &Records)| {
        if is_own(index) { records.name.clone() } else { records.folder.display().to_string() }
    };
    records.iter().enumerate().map(name).collect()
}

fn last_part(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.into());
    whole.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
