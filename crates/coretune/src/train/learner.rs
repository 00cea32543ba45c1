//! What the training loop does not know: the model, its loss, and what makes an epoch good.

use std::collections::BTreeMap;

use tch::Tensor;

use super::{DeviceFigures, EvaluationReport, Observer, Progress, StepReport, TrainError};
use crate::data::Batch;
use crate::figures::{EpochFigures, FigureSpec};
use crate::models::{Parameters, Role};
use crate::run_folder::{EvaluationRecord, MetricsRecord, RunFolder};

/// Something that is trained: a model with its objective and its optimizer.
///
/// The loop ([`super::Trainer`]) brings batches, the learning rate, saving, stopping and logging; everything else is here.
/// The learner's [`state`](Learner::state) and a [`Progress`] are all that a later process needs to resume.
pub trait Learner {
    /// One update of the weights; `step` counts from 0. Nothing is read back from the device.
    ///
    /// # Errors
    /// [`TrainError`] for shapes that do not fit, exceptions of libtorch, and a rank that is gone.
    fn step(&mut self, batch: &Batch, step: u64, rate: f64) -> Result<DeviceFigures, TrainError>;

    /// Whether a step may be computed in parts of its batch.
    fn is_divisible(&self) -> bool;

    /// Every weight and buffer: checked for NaN before a save, and for changes after the first epoch.
    fn parameters(&self) -> Parameters;

    /// Whether this tensor is to stay as it was.
    fn is_frozen(&self, name: &str, role: Role) -> bool;

    /// Whether this tensor only follows others, or waits for a later part of the run, so that it may stay where it is.
    fn is_follower(&self, _name: &str) -> bool {
        false
    }

    /// Every tensor that the next step depends on, by its name in `last.safetensors`; to load a state they are written
    /// into.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// The tensors of [`state`](Learner::state) were loaded, and so many steps were made.
    fn loaded(&mut self, steps: u64);

    /// What the file says beside the tensors.
    fn metadata(&self, progress: &Progress) -> BTreeMap<String, String>;

    /// A note to the user about the figures of a step, as soon as they are read.
    fn note(&mut self, _report: &StepReport) -> Option<String> {
        None
    }

    /// Before the first step: evaluates the network and keeps it as epoch 0, if it starts with a classifier that was fitted.
    ///
    /// # Errors
    /// As [`Learner::end_epoch`].
    fn keep_start(&mut self, _: &mut Progress, _: EpochPlace<'_>) -> Result<EpochEnd, TrainError> {
        Ok(EpochEnd::Done(None))
    }

    /// Evaluates the epoch that was trained to its end, keeps what is worth keeping, and records the epoch in `progress`.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when it was asked to stop meanwhile: `progress` is unchanged then, and a resumed run
    /// begins with this evaluation.
    fn end_epoch(
        &mut self,
        progress: &mut Progress,
        place: EpochPlace<'_>,
        observer: &mut Observer<'_>,
    ) -> Result<EpochEnd, TrainError>;
}

/// Where and when an epoch ends.
#[derive(Debug, Clone, Copy)]
pub struct EpochPlace<'a> {
    /// Where checkpoints go.
    pub folder: &'a RunFolder,
    /// Epochs of the run.
    pub epochs: u64,
    /// Time since the run began.
    pub seconds: f64,
}

/// What the end of an epoch gave.
#[derive(Debug)]
pub enum EpochEnd {
    /// The epoch is over; `None` when nothing was measured.
    Done(Option<Box<Evaluated>>),
    /// Outputs or figures are not finite, so training has diverged: nothing of this epoch is kept.
    Diverged {
        /// What was found, as text: `the logits of validation hold NaN or infinity`.
        what: String,
    },
}

impl EpochEnd {
    /// The end of an epoch that was validated, or what an error in that means; `shown` are the figures for a line of
    /// progress.
    ///
    /// # Errors
    /// As [`EpochEnd::of_error`].
    pub fn of_validation(
        validated: Result<EpochFigures, TrainError>,
        shown: Vec<FigureSpec>,
        progress: &Progress,
        place: EpochPlace<'_>,
    ) -> Result<Self, TrainError> {
        let EpochFigures { epoch, figures } = match validated {
            Err(error) => return EpochEnd::of_error(error, "validation"),
            Ok(validated) => validated,
        };
        let (step, seconds) = (progress.step, place.seconds);
        let record = EvaluationRecord { step, epoch, split: "validation".into(), figures, seconds };
        let report = EvaluationReport::of(&record, shown, progress.best.clone());
        Ok(EpochEnd::Done(Some(Box::new(Evaluated { record: MetricsRecord::Evaluation(record), report }))))
    }

    /// What an error in the evaluation of `images` means: divergence when values are NaN or infinite, else the error.
    ///
    /// # Errors
    /// The same error, when it is another one.
    pub fn of_error(error: TrainError, images: &str) -> Result<Self, TrainError> {
        match &error {
            TrainError::Evaluate(evaluate) => match evaluate.not_finite(images) {
                Some(what) => Ok(EpochEnd::Diverged { what }),
                None => Err(error),
            },
            _ => Err(error),
        }
    }
}

/// Figures of the end of an epoch.
#[derive(Debug)]
pub struct Evaluated {
    /// A line for `metrics.jsonl`.
    pub record: MetricsRecord,
    /// What the observer gets, once the state is saved.
    pub report: EvaluationReport,
}
