//! The training loop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::events::{EpochReport, Event, Observer, StepReport};
use super::figures::{DeviceFigures, PositiveCounts};
use super::meter::{Meter, Stopwatch};
use super::movement::Snapshot;
use super::progress::{Best, Progress};
use super::saved_model::{ModelDescription, save_model};
use super::{
    Accumulation, Evaluator, Frozen, Optimizer, Saved, Schedule, Stop, TrainError, TrainingImages, WeightAverage, step,
};
use crate::config::Select;
use crate::data::{Batch, Split};
use crate::evaluate::EvaluateError;
use crate::evaluate::calibration::negative_log_likelihood;
use crate::models::Model;
use crate::objectives::Objective;
use crate::run_folder::{EvaluationRecord, MetricsRecord, RunFolder, StepRecord};

/// What decides how long training goes on and which epoch is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Passes over the training images.
    pub epochs: u64,
    /// What makes an epoch the best.
    pub select: Select,
    /// Epochs without a better one before training stops.
    pub patience: Option<u64>,
    /// Steps between lines of `metrics.jsonl`.
    pub log_every: u64,
    /// When the state is saved within an epoch; at its end it always is.
    pub saving: Saving,
    /// What is not to be trained; that it was not is looked at after the first epoch.
    pub frozen: Frozen,
    /// How a batch is taken apart where it does not fit into memory.
    pub accumulation: Accumulation,
    /// Seed of the objective's random draws.
    pub seed: u64,
}

/// How often the state is saved within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Saving {
    /// After every so many steps.
    pub steps: Option<u64>,
    /// After the step that ends such a stretch of time.
    pub time: Option<Duration>,
}

/// A model being trained: with its optimizer, its average and how far they have come.
pub struct Trainer<'a> {
    /// The model.
    pub model: Model,
    /// What is minimised.
    pub objective: Box<dyn Objective>,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub schedule: Schedule,
    /// The weights' average, where one is kept: it is what is validated and kept as the best.
    pub average: Option<WeightAverage>,
    /// How far all of these have come.
    pub progress: Progress,
    /// How long, and which epoch is kept.
    pub plan: Plan,
    /// The training images.
    pub images: TrainingImages,
    /// The images that choose the best epoch.
    pub validation: Split,
    /// Evaluates a split.
    pub evaluator: Evaluator,
    /// What a file needs to say beside the weights.
    pub description: ModelDescription,
    /// Where metrics and checkpoints go.
    pub folder: &'a RunFolder,
    /// Time since the run began.
    pub stopwatch: Stopwatch,
    /// Ends training between two steps.
    pub stop: Stop,
    /// The last step of this process whose figures have been read.
    pub last_report: Option<StepReport>,
}

/// How training ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How far it came.
    pub progress: Progress,
    /// The epoch that was kept.
    pub best: Best,
    /// Images a second in the training of this process, validation left out.
    pub images_per_second: f64,
    /// Whether it ended early for want of a better epoch.
    pub early: bool,
}

/// Figures of a step that have not been read yet.
struct Pending {
    figures: DeviceFigures,
    report: StepReport,
    logged: bool,
}

impl Trainer<'_> {
    /// Trains on to the end of the plan, saving `last` at the end of every epoch and as often as the plan says, and
    /// `best` whenever there is a better one.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when it was asked to stop: the state is saved, and [`Trainer::load_state`] goes on
    /// from it.
    ///
    /// # Panics
    /// On a plan of no epoch.
    pub fn run(&mut self, observer: &mut Observer<'_>) -> Result<Outcome, TrainError> {
        let started = Instant::now();
        let mut meter = Meter::start();
        if self.progress.epochs == 0 {
            self.watch_first_epoch(&mut meter, observer)?;
        }
        while self.progress.epochs < self.plan.epochs && !self.has_lost_patience() {
            self.train_epoch(&mut meter, observer)?;
            self.finish_epoch(observer)?;
        }
        let early = self.progress.epochs < self.plan.epochs;
        observer(&Event::Trained { took: started.elapsed(), early });
        let progress = self.progress.clone();
        let best = progress.best.expect("a plan has an epoch or more, and the first is the best so far");
        Ok(Outcome { progress, best, images_per_second: meter.overall_rate(), early })
    }

    /// The first epoch, or what is left of it, with a look at what moved.
    fn watch_first_epoch(&mut self, meter: &mut Meter, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        let (start, first_step) = (Snapshot::of(&self.model)?, self.progress.step);
        self.train_epoch(meter, observer)?;
        start.check_frozen(&self.model, self.plan.frozen)?;
        if self.progress.step > first_step {
            start.tell_idle(&self.model, self.plan.frozen, observer)?;
        }
        drop(start);
        let trained = Snapshot::of(&self.model)?;
        self.finish_epoch(observer)?;
        trained.check_validation(&self.model)
    }

    fn has_lost_patience(&self) -> bool {
        self.plan.patience.is_some_and(|patience| self.progress.epochs_without_better >= patience)
    }

    /// The steps of the epoch that have not been made yet.
    fn train_epoch(&mut self, meter: &mut Meter, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        let (epoch, steps) = (self.progress.epochs, self.images.steps_per_epoch()?);
        observer(&Event::EpochStarted { epoch: epoch + 1, epochs: self.plan.epochs, steps });
        let last_step = (epoch + 1) * steps;
        let mut loader = self.images.epoch(epoch, (self.progress.step - epoch * steps) as usize)?;
        meter.begin_epoch();
        let mut saved = Instant::now();
        let mut pending: Option<Pending> = None;
        while let Some(batch) = loader.next() {
            let batch = batch?;
            let rate = self.schedule.rate(self.progress.step);
            let figures = self.make_step(&batch, rate)?;
            meter.count(batch.labels.len(), loader.waited());
            // The step is under way: time to read the figures of the one before.
            self.report(pending.take(), observer)?;
            let logged = self.progress.step.is_multiple_of(self.plan.log_every) || self.progress.step == last_step;
            let report = self.unread_report(steps, rate, &batch.labels, meter);
            if logged {
                meter.end_lap();
            }
            pending = Some(Pending { figures, report, logged });
            if self.stop.is_requested() {
                self.report(pending.take(), observer)?;
                return Err(self.interrupted()?);
            }
            if self.progress.step < last_step && self.is_time_to_save(saved) {
                self.report(pending.take(), observer)?;
                self.save_state()?;
                saved = Instant::now();
            }
        }
        self.report(pending, observer)
    }

    /// One update of the weights and of their average.
    fn make_step(&mut self, batch: &Batch, rate: f64) -> Result<DeviceFigures, TrainError> {
        let (model, objective, accumulation) = (&self.model, &*self.objective, self.plan.accumulation);
        let draw = (self.plan.seed, self.progress.step);
        let figures = step(model, objective, &mut self.optimizer, batch, draw, rate, accumulation)?;
        if let Some(average) = &mut self.average {
            average.follow();
        }
        self.progress.step += 1;
        Ok(figures)
    }

    fn is_time_to_save(&self, saved: Instant) -> bool {
        let Saving { steps, time } = self.plan.saving;
        steps.is_some_and(|steps| self.progress.step.is_multiple_of(steps))
            || time.is_some_and(|time| saved.elapsed() >= time)
    }

    /// Saves the state, and says so in the error that ends training.
    fn interrupted(&self) -> Result<TrainError, TrainError> {
        self.save_state()?;
        let saved = Saved { path: self.folder.last_checkpoint(), step: self.progress.step };
        Ok(TrainError::Interrupted { saved: Some(saved) })
    }

    /// What is known of a step before its figures are read.
    fn unread_report(&self, steps_per_epoch: u64, rate: f64, labels: &[i64], meter: &Meter) -> StepReport {
        let positives = PositiveCounts::of(labels);
        let (images_per_second, data_wait_share) = meter.rates();
        StepReport {
            step: self.progress.step,
            total_steps: self.plan.epochs * steps_per_epoch,
            epoch: self.progress.epochs + 1,
            rate,
            loss: f64::NAN,
            figures: BTreeMap::new(),
            positives_per_anchor: positives.per_anchor,
            anchors_without_positives: positives.anchors_without,
            images_per_second,
            data_wait_share,
            seconds: self.stopwatch.seconds(),
        }
    }

    /// Reads the figures of a step, logs them, and stops at a loss that is no number.
    fn report(&mut self, pending: Option<Pending>, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        let Some(Pending { figures, report, logged }) = pending else { return Ok(()) };
        let (loss, figures) = figures.read()?;
        let report = StepReport { loss, figures, ..report };
        self.last_report = Some(report.clone());
        if !loss.is_finite() {
            return Err(self.diverged(format!("the loss is {loss}")));
        }
        if logged {
            self.folder.log(&MetricsRecord::Step(StepRecord::from(&report)))?;
        }
        observer(&Event::Step(report));
        Ok(())
    }

    /// The error that ends training when `what` is no number any more, with the terms of the last step.
    pub(super) fn diverged(&self, what: String) -> TrainError {
        TrainError::NonFinite {
            what,
            step: self.last_report.as_ref().map_or(self.progress.step, |report| report.step),
            epoch: self.progress.epochs + 1,
            terms: self.last_report.as_ref().map_or_else(|| "no step was made since".into(), StepReport::terms),
            last_good: self.last_good_checkpoint(),
        }
    }

    /// Validates the epoch, keeps it when it is the best, and saves the state.
    fn finish_epoch(&mut self, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        self.check_finite()?;
        // What is validated and kept is the average, where there is one.
        self.exchange_average();
        let validated = self.validate_and_keep();
        self.exchange_average();
        let (epoch, best) = match validated {
            Err(TrainError::Interrupted { .. }) => return Err(self.interrupted()?),
            Err(TrainError::Evaluate(EvaluateError::NotFinite { tensor, .. })) => {
                return Err(self.diverged(format!("the {tensor} of validation hold NaN or infinity")));
            }
            validated => validated?,
        };
        let Best { epoch, top1, loss } = epoch;
        let (step, seconds) = (self.progress.step, self.stopwatch.seconds());
        let record = EvaluationRecord { step, epoch, split: "validation".into(), top1, loss, seconds };
        self.folder.log(&MetricsRecord::Evaluation(record))?;
        self.save_state()?;
        let best_so_far = self.progress.best.map_or((epoch, top1), |best| (best.epoch, best.top1));
        observer(&Event::Epoch(EpochReport { epoch, step, top1, loss, best, best_so_far }));
        Ok(())
    }

    fn exchange_average(&mut self) {
        if let Some(average) = &mut self.average {
            average.exchange();
        }
    }

    /// The figures of the epoch on the validation split, and whether it is the best so far; if so it is kept.
    fn validate_and_keep(&mut self) -> Result<(Best, bool), TrainError> {
        let outputs = self.evaluator.outputs(&self.model, &self.validation, &mut |_, _| {})?;
        let loss = negative_log_likelihood(&outputs.logits, &outputs.labels, 1.0)?;
        let validated = Best { epoch: self.progress.epochs + 1, top1: outputs.top1()?, loss };
        let best = self.progress.note(validated, self.plan.select);
        if best {
            save_model(&self.folder.best_checkpoint(), &self.model, &self.description)?;
        }
        Ok((validated, best))
    }

    /// The state as it was last saved, where it was.
    fn last_good_checkpoint(&self) -> Option<PathBuf> {
        Some(self.folder.last_checkpoint()).filter(|path| path.exists())
    }
}
