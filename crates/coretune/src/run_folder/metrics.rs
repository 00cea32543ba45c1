//! The lines of `metrics.jsonl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

/// A logged step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Counted from 1 over the run.
    pub step: u64,
    /// Counted from 1.
    pub epoch: u64,
    /// Learning rate.
    pub lr: f64,
    /// Total loss.
    pub loss: f64,
    /// Terms and figures of the objective. One that is not finite (the hardest negative of a batch without negatives)
    /// is left out of the file, which has no number for it.
    #[serde(flatten, serialize_with = "finite_figures")]
    pub figures: BTreeMap<String, f64>,
    /// Since the line before.
    pub images_per_second: f64,
    /// Share of that time spent waiting for images.
    pub data_wait_share: f64,
    /// Time since the run began, over all the processes that it took.
    #[serde(default)]
    pub seconds: f64,
}

/// An evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// Steps made.
    pub step: u64,
    /// Counted from 1.
    pub epoch: u64,
    /// Which images.
    pub split: String,
    /// A fraction.
    pub top1: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Time since the run began, over all the processes that it took.
    #[serde(default)]
    pub seconds: f64,
}

/// What the features of an encoder are worth while it is pre-trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// Steps made.
    pub step: u64,
    /// Counted from 1.
    pub epoch: u64,
    /// Which images.
    pub split: String,
    /// Top-1 of the nearest neighbours (E7), a fraction; none without labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knn_top1: Option<f64>,
    /// Mean squared distance of two images of a class (E3); none without labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment: Option<f64>,
    /// E3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uniformity: Option<f64>,
    /// Effective rank of the features.
    pub rank: f64,
    /// Time since the run began, over all the processes that it took.
    pub seconds: f64,
}

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MetricsRecord {
    /// A logged step.
    Step(StepRecord),
    /// An evaluation.
    Evaluation(EvaluationRecord),
    /// A look at the features in pre-training.
    Probe(ProbeRecord),
}

impl MetricsRecord {
    /// Steps made when this was recorded.
    pub fn step(&self) -> u64 {
        match self {
            MetricsRecord::Step(record) => record.step,
            MetricsRecord::Evaluation(record) => record.step,
            MetricsRecord::Probe(record) => record.step,
        }
    }

    /// The epoch, counted from 1.
    fn epoch(&self) -> u64 {
        match self {
            MetricsRecord::Step(record) => record.epoch,
            MetricsRecord::Evaluation(record) => record.epoch,
            MetricsRecord::Probe(record) => record.epoch,
        }
    }

    /// Time since the run began.
    pub fn seconds(&self) -> f64 {
        match self {
            MetricsRecord::Step(record) => record.seconds,
            MetricsRecord::Evaluation(record) => record.seconds,
            MetricsRecord::Probe(record) => record.seconds,
        }
    }

    /// Whether this belongs to a run that has made `steps` steps and looked at `epochs` epochs.
    ///
    /// A state can be saved between the last step of an epoch and its validation, so steps alone do not tell.
    pub(super) fn lies_within(&self, steps: u64, epochs: u64) -> bool {
        match self {
            MetricsRecord::Step(record) => record.step <= steps,
            MetricsRecord::Evaluation(record) => record.epoch <= epochs,
            MetricsRecord::Probe(record) => record.epoch <= epochs,
        }
    }
}

/// The records in the text of a `metrics.jsonl`, without a last line that lacks its end; else what is wrong, and where.
pub(super) fn parse(text: &str) -> Result<Vec<MetricsRecord>, String> {
    let whole_lines = text.rfind('\n').map_or("", |end| &text[..end]);
    let record = |(number, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1));
    whole_lines.lines().enumerate().map(record).collect()
}

/// How often a run writes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recording {
    /// Steps between two records; the last step of an epoch always has one.
    pub log_every: u64,
    /// Epochs between two evaluations or looks at the features; `None`: there are none.
    pub evaluated_every: Option<u64>,
}

/// The first thing that is missing of what a run records that has made `steps` steps and come to the end of `epochs`
/// epochs; in words.
pub(super) fn gap(records: &[MetricsRecord], steps: u64, epochs: u64, recording: Recording) -> Option<String> {
    let Recording { log_every, evaluated_every } = recording;
    let (logged, evaluated): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| matches!(record, MetricsRecord::Step(_)));
    let evaluated: Vec<u64> = evaluated.iter().map(|record| record.epoch()).collect();
    let is_due = |epoch: &u64| evaluated_every.is_some_and(|every| epoch.is_multiple_of(every));
    if let Some(epoch) = (1..=epochs).filter(is_due).find(|epoch| !evaluated.contains(epoch)) {
        return Some(format!("the evaluation of epoch {epoch}"));
    }
    let mut before = 0;
    let within = logged.iter().map(|record| record.step()).filter(|&step| step <= steps);
    for step in within.chain([steps + 1]) {
        let due = before + log_every.max(1);
        if step > due {
            return Some(format!("steps from {due} on, up to {}", step - 1));
        }
        before = step;
    }
    None
}

fn finite_figures<S: Serializer>(figures: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(figures.iter().filter(|(_, value)| value.is_finite()))
}

impl From<&crate::train::StepReport> for StepRecord {
    fn from(report: &crate::train::StepReport) -> Self {
        StepRecord {
            step: report.step,
            epoch: report.epoch,
            lr: report.rate,
            loss: report.loss,
            figures: report.figures.iter().map(|(name, value)| ((*name).to_string(), *value)).collect(),
            images_per_second: report.images_per_second,
            data_wait_share: report.data_wait_share,
            seconds: report.seconds,
        }
    }
}
