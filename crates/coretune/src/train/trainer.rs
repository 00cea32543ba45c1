//! The training loop.

use std::time::{Duration, Instant};

use super::events::{EpochReport, Event, Observer, StepReport};
use super::figures::{DeviceFigures, PositiveCounts};
use super::progress::{Best, Progress};
use super::saved_model::{ModelDescription, metadata, save_model, tensors_of};
use super::{Evaluator, Optimizer, Schedule, TrainError, TrainingImages, WeightAverage, step};
use crate::checkpoints::safetensors_file;
use crate::config::Select;
use crate::data::Split;
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
    /// Seed of the objective's random draws.
    pub seed: u64,
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
}

/// How training ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How far it came.
    pub progress: Progress,
    /// Images a second in training, validation left out.
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

/// Time and images since the last logged step, and over the whole run.
struct Meter {
    since: Instant,
    images: usize,
    waited: Duration,
    training: Duration,
    images_in_all: usize,
}

impl Trainer<'_> {
    /// Trains to the end of the plan, saving `last` after every epoch and `best` whenever there is a better one.
    pub fn run(&mut self, observer: &mut Observer<'_>) -> Result<Outcome, TrainError> {
        let started = Instant::now();
        let mut progress = Progress::default();
        let mut meter = Meter::start();
        let mut early = false;
        while progress.epochs < self.plan.epochs && !early {
            self.train_epoch(&mut progress, &mut meter, observer)?;
            self.finish_epoch(&mut progress, observer)?;
            early = self.plan.patience.is_some_and(|patience| progress.epochs_without_better >= patience);
        }
        early &= progress.epochs < self.plan.epochs;
        observer(&Event::Trained { took: started.elapsed(), early });
        Ok(Outcome { progress, images_per_second: meter.overall_rate(), early })
    }

    fn train_epoch(
        &mut self,
        progress: &mut Progress,
        meter: &mut Meter,
        observer: &mut Observer<'_>,
    ) -> Result<(), TrainError> {
        let steps = self.images.steps_per_epoch()?;
        let epoch = progress.epochs + 1;
        observer(&Event::EpochStarted { epoch, epochs: self.plan.epochs, steps });
        let mut loader = self.images.epoch(progress.epochs, (progress.step % steps) as usize)?;
        meter.restart();
        let mut pending: Option<Pending> = None;
        while let Some(batch) = loader.next() {
            let batch = batch?;
            let rate = self.schedule.rate(progress.step);
            let draw = (self.plan.seed, progress.step);
            let figures = step(&self.model, &*self.objective, &mut self.optimizer, &batch, draw, rate)?;
            if let Some(average) = &mut self.average {
                average.follow();
            }
            progress.step += 1;
            meter.count(batch.labels.len());
            if let Some(previous) = pending.take() {
                self.report(previous, observer)?;
            }
            let logged = progress.step.is_multiple_of(self.plan.log_every) || progress.step.is_multiple_of(steps);
            let (images_per_second, data_wait_share) = meter.rates(loader.waited());
            if logged {
                meter.lap(loader.waited());
            }
            let positives = PositiveCounts::of(&batch.labels);
            let report = StepReport {
                step: progress.step,
                total_steps: self.plan.epochs * steps,
                epoch,
                rate,
                loss: f64::NAN,
                figures: std::collections::BTreeMap::new(),
                positives_per_anchor: positives.per_anchor,
                anchors_without_positives: positives.anchors_without,
                images_per_second,
                data_wait_share,
            };
            pending = Some(Pending { figures, report, logged });
        }
        pending.map_or(Ok(()), |last| self.report(last, observer))
    }

    /// Reads the figures of a step, logs them, and stops at a loss that is no number.
    fn report(&self, pending: Pending, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        let (loss, figures) = pending.figures.read()?;
        let report = StepReport { loss, figures, ..pending.report };
        if !loss.is_finite() {
            let terms = report.figures.iter().map(|(name, value)| format!("{name} {value}"));
            return Err(TrainError::NonFinite {
                step: report.step,
                epoch: report.epoch,
                loss,
                terms: terms.collect::<Vec<_>>().join(", "),
                last_good: Some(self.folder.last_checkpoint()).filter(|path| path.exists()),
            });
        }
        if pending.logged {
            self.folder.log(&MetricsRecord::Step(StepRecord::from(&report)))?;
        }
        observer(&Event::Step(report));
        Ok(())
    }

    /// Validates the epoch, keeps it when it is the best, and saves the state.
    fn finish_epoch(&mut self, progress: &mut Progress, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        let epoch = progress.epochs + 1;
        // What is validated and kept is the average, where there is one.
        if let Some(average) = &mut self.average {
            average.exchange();
        }
        let validated = self.validate(epoch)?;
        let better = progress.note(validated, self.plan.select);
        if better {
            save_model(&self.folder.best_checkpoint(), &self.model, &self.description)?;
        }
        if let Some(average) = &mut self.average {
            average.exchange();
        }
        let Best { top1, loss, .. } = validated;
        let record = EvaluationRecord { step: progress.step, epoch, split: "validation".into(), top1, loss };
        self.folder.log(&MetricsRecord::Evaluation(record))?;
        self.save_state(progress)?;
        let best_so_far = progress.best.map_or((epoch, top1), |best| (best.epoch, best.top1));
        observer(&Event::Epoch(EpochReport { epoch, step: progress.step, top1, loss, best: better, best_so_far }));
        Ok(())
    }

    fn validate(&self, epoch: u64) -> Result<Best, TrainError> {
        let outputs = self.evaluator.outputs(&self.model, &self.validation, &mut |_, _| {})?;
        let loss = negative_log_likelihood(&outputs.logits, &outputs.labels, 1.0)?;
        Ok(Best { epoch, top1: outputs.top1()?, loss })
    }

    /// Writes everything that a later process needs to go on: weights, optimizer, average, progress.
    fn save_state(&self, progress: &Progress) -> Result<(), TrainError> {
        let mut tensors = tensors_of(&self.model.parameters());
        tensors.extend(self.optimizer.state());
        tensors.extend(self.average.iter().flat_map(WeightAverage::state));
        let metadata = metadata(&self.description, Some(progress));
        Ok(safetensors_file::write(&self.folder.last_checkpoint(), &metadata, &tensors)?)
    }
}

impl Meter {
    fn start() -> Self {
        Meter { since: Instant::now(), images: 0, waited: Duration::ZERO, training: Duration::ZERO, images_in_all: 0 }
    }

    /// Begins an epoch: the time since the last step went into validation.
    fn restart(&mut self) {
        (self.since, self.images, self.waited) = (Instant::now(), 0, Duration::ZERO);
    }

    fn count(&mut self, images: usize) {
        self.images += images;
        self.images_in_all += images;
    }

    /// Images a second and share of waiting since the last lap; `waited` counts from the start of the epoch.
    fn rates(&self, waited: Duration) -> (f64, f64) {
        let elapsed = self.since.elapsed().as_secs_f64().max(1e-9);
        (self.images as f64 / elapsed, waited.saturating_sub(self.waited).as_secs_f64() / elapsed)
    }

    fn lap(&mut self, waited: Duration) {
        let now = Instant::now();
        self.training += now - self.since;
        (self.since, self.images, self.waited) = (now, 0, waited);
    }

    fn overall_rate(&self) -> f64 {
        self.images_in_all as f64 / self.training.as_secs_f64().max(1e-9)
    }
}
