//! The lines of `metrics.jsonl`.

use serde::{Deserialize, Serialize};

use crate::figures::Figures;

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
    /// is left out of the file: JSON has no number for it.
    #[serde(flatten, serialize_with = "Figures::serialize_finite")]
    pub figures: Figures,
    /// Images per second since the line before.
    pub images_per_second: f64,
    /// Fraction of that time spent waiting for images.
    pub data_wait_share: f64,
    /// Time since the run began, over all the processes that it took.
    #[serde(default)]
    pub seconds: f64,
    /// Bytes that this step's exchanges with other ranks resulted in; left out in a run of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanged_bytes: Option<u64>,
    /// Time that rank 0 waited for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange_seconds: Option<f64>,
}

/// Figures of a split at the end of an epoch, or before the first step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// Steps made.
    pub step: u64,
    /// Counted from 1; 0 before the first step.
    pub epoch: u64,
    /// Name of the split.
    pub split: String,
    /// What was measured, by name. Figures without a finite value are left out of the file.
    #[serde(flatten, serialize_with = "Figures::serialize_finite")]
    pub figures: Figures,
    /// Time since the run began, over all the processes that it took.
    #[serde(default)]
    pub seconds: f64,
}

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MetricsRecord {
    /// A logged step.
    Step(StepRecord),
    /// An evaluation of the model that is trained.
    Evaluation(EvaluationRecord),
    /// An evaluation of the features of an encoder in pre-training.
    Probe(EvaluationRecord),
}

impl MetricsRecord {
    /// Steps made when this was recorded.
    pub fn step(&self) -> u64 {
        match self {
            MetricsRecord::Step(record) => record.step,
            MetricsRecord::Evaluation(record) | MetricsRecord::Probe(record) => record.step,
        }
    }

    /// The figures of an evaluation; `None` for a step.
    pub(super) fn evaluation(&self) -> Option<&Figures> {
        match self {
            MetricsRecord::Step(_) => None,
            MetricsRecord::Evaluation(record) | MetricsRecord::Probe(record) => Some(&record.figures),
        }
    }

    /// The epoch, counted from 1.
    fn epoch(&self) -> u64 {
        match self {
            MetricsRecord::Step(record) => record.epoch,
            MetricsRecord::Evaluation(record) | MetricsRecord::Probe(record) => record.epoch,
        }
    }

    /// Time since the run began.
    pub fn seconds(&self) -> f64 {
        match self {
            MetricsRecord::Step(record) => record.seconds,
            MetricsRecord::Evaluation(record) | MetricsRecord::Probe(record) => record.seconds,
        }
    }

    /// Whether this belongs to a run that has made `steps` steps and evaluated `epochs` epochs.
    ///
    /// A state can be saved between the last step of an epoch and its evaluation, so steps alone do not decide.
    pub(super) fn lies_within(&self, steps: u64, epochs: u64) -> bool {
        match self {
            MetricsRecord::Step(record) => record.step <= steps,
            MetricsRecord::Evaluation(record) | MetricsRecord::Probe(record) => record.epoch <= epochs,
        }
    }
}

/// The records in the text of a `metrics.jsonl`, without an unfinished last line.
///
/// # Errors
/// What is wrong, and in which line.
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
    /// Epochs between two evaluations; `None` when there are none.
    pub evaluated_every: Option<u64>,
}

/// What is missing first, as text, of the records of a run that has made `steps` steps and finished `epochs` epochs.
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
            return Some(format!("the records of steps {due} to {}", step - 1));
        }
        before = step;
    }
    None
}
