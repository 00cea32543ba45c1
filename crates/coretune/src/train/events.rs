//! What a training run reports to its observer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::ranks::Traffic;
use crate::figures::{EpochFigures, FigureSpec, Figures};
use crate::run_folder::{EvaluationRecord, StepRecord};

/// Figures of one step, as soon as they have been read from the device (one step after it was made).
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The step, counted from 1 over the whole run.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Learning rate of the step.
    pub rate: f64,
    /// Total loss (M7).
    pub loss: f64,
    /// Terms and other figures of the objective, by name.
    pub figures: BTreeMap<&'static str, f64>,
    /// Images a second since the last report that was logged.
    pub images_per_second: f64,
    /// Fraction of the time since then that was spent waiting for images.
    pub data_wait_share: f64,
    /// Time since the run began, over all the processes that it took.
    pub seconds: f64,
    /// What this step exchanged with other ranks, if there are any.
    pub exchanged: Option<Traffic>,
}

impl StepReport {
    /// The line of `metrics.jsonl` for this step.
    pub(super) fn record(&self) -> StepRecord {
        StepRecord {
            step: self.step,
            epoch: self.epoch,
            lr: self.rate,
            loss: self.loss,
            figures: self.figures.iter().map(|(name, value)| (*name, *value)).collect(),
            images_per_second: self.images_per_second,
            data_wait_share: self.data_wait_share,
            seconds: self.seconds,
            exchanged_bytes: self.exchanged.map(|traffic| traffic.bytes),
            exchange_seconds: self.exchanged.map(|traffic| traffic.seconds),
        }
    }

    /// Loss, terms and figures as text: `loss 2.3, classification 0.9, contrastive 1.4`.
    pub(super) fn terms(&self) -> String {
        let figures = self.figures.iter().map(|(name, value)| format!(", {name} {}", short(*value)));
        format!("loss {}{}", short(self.loss), figures.collect::<String>())
    }
}

/// Four digits or so, whatever the size.
fn short(value: f64) -> String {
    if (1e-3..1e5).contains(&value.abs()) { format!("{value:.4}") } else { format!("{value:.3e}") }
}

/// Figures of a split at the end of an epoch, or before the first step.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationReport {
    /// The epoch, counted from 1; 0 before the first step.
    pub epoch: u64,
    /// Steps made so far.
    pub step: u64,
    /// Name of the split.
    pub split: String,
    /// What was measured on it.
    pub figures: Figures,
    /// The figures that matter while training goes on, the most important one first, and how to show them.
    pub shown: Vec<FigureSpec>,
    /// The best epoch so far, this one included; `None` in training that selects no epoch.
    pub best: Option<EpochFigures>,
}

impl EvaluationReport {
    /// The report of a record of `metrics.jsonl`.
    pub fn of(record: &EvaluationRecord, shown: Vec<FigureSpec>, best: Option<EpochFigures>) -> Self {
        let EvaluationRecord { epoch, step, split, figures, .. } = record.clone();
        EvaluationReport { epoch, step, split, figures, shown, best }
    }
}

/// Figures of a model that is not being trained, such as the frozen checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The model, in a word.
    pub what: &'static str,
    /// Name of the split.
    pub split: String,
    /// What was measured on it.
    pub figures: Figures,
    /// The figures that matter, and how to show them.
    pub shown: Vec<FigureSpec>,
    /// Time it took.
    pub took: Duration,
}

/// Something that happened while training.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An epoch begins; counted from 1.
    EpochStarted {
        /// The epoch.
        epoch: u64,
        /// Epochs of the run.
        epochs: u64,
        /// Steps of each epoch.
        steps: u64,
    },
    /// A step was made.
    Step(StepReport),
    /// The model was evaluated at the end of an epoch, or before the first step.
    Evaluated(EvaluationReport),
    /// A model that is not being trained was measured.
    Measured(Measurement),
    /// Work other than training began, such as measuring the frozen checkpoint.
    Stage(&'static str),
    /// That work has come this far.
    Progress {
        /// Images done.
        done: usize,
        /// Images in all.
        total: usize,
    },
    /// Training ended.
    Trained {
        /// Time spent in training, validation included.
        took: Duration,
        /// Whether it ended before the planned epochs because no epoch was better for long.
        early: bool,
    },
    /// Something the user should know, in a sentence.
    Note(String),
}

/// Receives events; the library itself prints nothing.
pub type Observer<'a> = dyn FnMut(&Event) + 'a;
