//! What a run folder has recorded; no model, no images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ReportError;
use crate::run_folder::{
    EvaluationRecord, MetricsRecord, PretrainSummary, ProbeRecord, Provenance, RunFolder, RunFolderError, RunKind,
    StepRecord, Summary, fields,
};

/// What a run writes when it has come to its end; tells the kinds of runs apart.
pub(super) trait Ending: Sized {
    const KIND: RunKind;

    fn read(folder: &RunFolder) -> Result<Option<Self>, RunFolderError>;
}

impl Ending for Summary {
    const KIND: RunKind = RunKind::FineTuning;

    fn read(folder: &RunFolder) -> Result<Option<Self>, RunFolderError> {
        folder.read_summary()
    }
}

impl Ending for PretrainSummary {
    const KIND: RunKind = RunKind::Pretraining;

    fn read(folder: &RunFolder) -> Result<Option<Self>, RunFolderError> {
        folder.read_pretrain_summary()
    }
}

/// The records of a run.
pub(super) struct Records<S> {
    /// Name in the report.
    pub(super) name: String,
    pub(super) folder: PathBuf,
    /// The resolved configuration as TOML.
    pub(super) config: String,
    pub(super) metrics: Vec<MetricsRecord>,
    /// None when the run has not been run to its end.
    pub(super) summary: Option<S>,
    pub(super) provenance: Option<Provenance>,
}

/// A figure over the steps of a run.
pub(super) type Curve = Vec<(f64, f64)>;

impl<S: Ending> Records<S> {
    pub(super) fn read(path: &Path) -> Result<Self, ReportError> {
        let folder = RunFolder::open_records(path)?;
        folder.expect(S::KIND)?;
        Ok(Records {
            name: last_part(path),
            folder: path.into(),
            config: folder.read_config()?,
            metrics: folder.metrics()?,
            summary: S::read(&folder)?,
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

    /// A figure of the evaluations, over the epoch.
    pub(super) fn validation_curve(&self, figure: impl Fn(&EvaluationRecord) -> f64) -> Curve {
        let point = |record: &MetricsRecord| match record {
            MetricsRecord::Evaluation(record) => Some((record.epoch as f64, figure(record))),
            MetricsRecord::Step(_) | MetricsRecord::Probe(_) => None,
        };
        self.metrics.iter().filter_map(point).collect()
    }

    /// The looks at the features in pre-training.
    pub(super) fn looks(&self) -> impl Iterator<Item = &ProbeRecord> {
        self.metrics.iter().filter_map(|record| if let MetricsRecord::Probe(look) = record { Some(look) } else { None })
    }

    /// A figure of those, over the epoch, where it was measured.
    pub(super) fn look_curve(&self, figure: impl Fn(&ProbeRecord) -> Option<f64>) -> Curve {
        self.looks().filter_map(|look| Some((look.epoch as f64, figure(look)?))).collect()
    }
}

/// The records of all these runs, each under a name of its own.
pub(super) fn read_all<S: Ending>(folders: &[&Path]) -> Result<Vec<Records<S>>, ReportError> {
    let mut records = folders.iter().map(|folder| Records::read(folder)).collect::<Result<Vec<_>, _>>()?;
    let names = distinct_names(&records);
    for (records, name) in records.iter_mut().zip(names) {
        records.name = name;
    }
    Ok(records)
}

/// The names of the runs; whole paths where the folders' own names are not distinct.
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
