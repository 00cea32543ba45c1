//! What a training run tells whoever watches it.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// Share of the time since then that the step waited for images.
    pub data_wait_share: f64,
    /// Time since the run began, over all the processes that it took.
    pub seconds: f64,
}

impl StepReport {
    /// Loss, terms and figures in words: `loss 2.3, classification 0.9, contrastive 1.4`.
    pub(super) fn terms(&self) -> String {
        let figures = self.figures.iter().map(|(name, value)| format!(", {name} {}", short(*value)));
        format!("loss {}{}", short(self.loss), figures.collect::<String>())
    }
}

/// Four digits or so, whatever the size.
fn short(value: f64) -> String {
    if (1e-3..1e5).contains(&value.abs()) { format!("{value:.4}") } else { format!("{value:.3e}") }
}

/// Figures of the validation split at the end of an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochReport {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Steps made so far.
    pub step: u64,
    /// Top-1 accuracy, a fraction.
    pub top1: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Whether no epoch before was better.
    pub best: bool,
    /// The best epoch so far and its top-1.
    pub best_so_far: (u64, f64),
}

/// What the features are worth at the end of an epoch of pre-training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProbeReport {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Top-1 of the nearest neighbours (E7), a fraction; none without labels.
    pub knn_top1: Option<f64>,
    /// Effective rank of the features.
    pub rank: f64,
    /// Width of the features, which the rank cannot exceed.
    pub width: i64,
}

/// Something that happened while training.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An epoch begins; counted from 1.
    EpochStarted {
        /// Which.
        epoch: u64,
        /// Of how many.
        epochs: u64,
        /// Steps in each.
        steps: u64,
    },
    /// A step was made.
    Step(StepReport),
    /// An epoch was trained and validated.
    Epoch(EpochReport),
    /// An epoch of pre-training was looked at.
    Probed(ProbeReport),
    /// A stretch of work outside of training began, such as measuring the frozen checkpoint.
    Stage(&'static str),
    /// A stretch of such work has got this far.
    Progress {
        /// Images done.
        done: usize,
        /// Of how many.
        total: usize,
    },
    /// Training ended.
    Trained {
        /// Time spent in training, validation included.
        took: Duration,
        /// Whether it ended because no epoch was better for long.
        early: bool,
    },
    /// Something the user should know, in a sentence.
    Note(String),
}

/// Receives events; the library itself prints nothing.
pub type Observer<'a> = dyn FnMut(&Event) + 'a;
