//! What a run folder has recorded, without model or images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::ReportError;
use crate::run_folder::{EvaluationRecord, MetricsRecord, Provenance, RunFolder, RunSummary, StepRecord, fields};

/// The records of a run.
pub(super) struct Records<S> {
    /// Name in the report.
    pub(super) name: String,
    pub(super) folder: PathBuf,
    /// The resolved configuration as TOML.
    pub(super) config: String,
    pub(super) metrics: Vec<MetricsRecord>,
    /// `None` when the run has not finished.
    pub(super) summary: Option<S>,
    pub(super) provenance: Option<Provenance>,
}

/// A figure over the steps of a run.
pub(super) type Curve = Vec<(f64, f64)>;

impl<S: RunSummary> Records<S> {
    pub(super) fn read(path: &Path) -> Result<Self, ReportError> {
        let folder = RunFolder::open_records(path)?;
        folder.expect(S::KIND)?;
        Ok(Records {
            name: last_part(path),
            folder: path.into(),
            config: folder.read_config()?,
            metrics: folder.metrics()?,
            summary: folder.read_summary()?,
            provenance: folder.read_provenance()?,
        })
    }
}

impl<S> Records<S> {
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

    /// A figure of the evaluations, in either kind of run, over the epoch.
    pub(super) fn epoch_curve(&self, figure: &str) -> Curve {
        self.evaluations().filter_map(|record| Some((record.epoch as f64, record.figures.get(figure)?))).collect()
    }

    /// The evaluations, from the first to the last.
    pub(super) fn evaluations(&self) -> impl Iterator<Item = &EvaluationRecord> {
        self.metrics.iter().filter_map(|record| match record {
            MetricsRecord::Step(_) => None,
            MetricsRecord::Evaluation(record) | MetricsRecord::Probe(record) => Some(record),
        })
    }

    /// The names of all figures of the evaluations.
    pub(super) fn evaluated_figures(&self) -> BTreeSet<&str> {
        self.evaluations().flat_map(|record| record.figures.names()).collect()
    }
}

/// The records of all these runs, each with a distinct name.
pub(super) fn read_all<S: RunSummary>(folders: &[&Path]) -> Result<Vec<Records<S>>, ReportError> {
    let mut records = folders.iter().map(|folder| Records::read(folder)).collect::<Result<Vec<_>, _>>()?;
    let names = distinct_names(&records);
    for (records, name) in records.iter_mut().zip(names) {
        records.name = name;
    }
    Ok(records)
}

/// The names of the runs: those of their folders, or whole paths if these are not distinct.
fn distinct_names<S>(records: &[Records<S>]) -> Vec<String> {
    let own: Vec<&str> = records.iter().map(|records| records.name.as_str()).collect();
    let is_own = |index: usize| own.iter().filter(|name| **name == own[index]).count() == 1;
    let name = |(index, records): (usize, &Records<S>)| {
        if is_own(index) { records.name.clone() } else { records.folder.display().to_string() }
    };
    records.iter().enumerate().map(name).collect()
}

fn last_part(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.into());
    whole.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
