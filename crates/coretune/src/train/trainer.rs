//! The training loop.

use std::collections::BTreeMap;
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
    /// The epoch that was kept.
    pub best: Best,
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
    /// Waiting for images in this epoch, and how much of it lies before the last logged step.
    waited: Duration,
    waited_before: Duration,
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
        let mut best = Best { epoch: 0, top1: 0.0, loss: f64::INFINITY };
        while progress.epochs < self.plan.epochs && !early {
            self.train_epoch(&mut progress, &mut meter, observer)?;
            best = self.finish_epoch(&mut progress, observer)?;
            early = self.plan.patience.is_some_and(|patience| progress.epochs_without_better >= patience);
        }
        early &= progress.epochs < self.plan.epochs;
        observer(&Event::Trained { took: started.elapsed(), early });
        Ok(Outcome { progress, best, images_per_second: meter.overall_rate(), early })
    }

    fn train_epoch(
        &mut self,
        progress: &mut Progress,
        meter: &mut Meter,
        observer: &mut Observer<'_>,
    ) -> Result<(), TrainError> {
        let steps = self.images.steps_per_epoch()?;
        observer(&Event::EpochStarted { epoch: progress.epochs + 1, epochs: self.plan.epochs, steps });
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
            meter.count(batch.labels.len(), loader.waited());
            // The step is under way: time to read the figures of the one before.
            if let Some(previous) = pending.take() {
                self.report(previous, observer)?;
            }
            let logged = progress.step.is_multiple_of(self.plan.log_every) || progress.step.is_multiple_of(steps);
            let report = self.unread_report(progress, steps, rate, &batch.labels, meter);
            if logged {
                meter.lap();
            }
            pending = Some(Pending { figures, report, logged });
        }
        pending.map_or(Ok(()), |last| self.report(last, observer))
    }

    /// What is known of a step before its figures are read.
    fn unread_report(
        &self,
        progress: &Progress,
        steps_per_epoch: u64,
        rate: f64,
        labels: &[i64],
        meter: &Meter,
    ) -> StepReport {
        let positives = PositiveCounts::of(labels);
        let (images_per_second, data_wait_share) = meter.rates();
        StepReport {
            step: progress.step,
            total_steps: self.plan.epochs * steps_per_epoch,
            epoch: progress.epochs + 1,
            rate,
            loss: f64::NAN,
            figures: BTreeMap::new(),
            positives_per_anchor: positives.per_anchor,
            anchors_without_positives: positives.anchors_without,
            images_per_second,
            data_wait_share,
        }
    }

    /// Reads the figures of a step, logs them, and stops at a loss that is no number.
    fn report(&self, pending: Pending, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        let Pending { figures, report, logged } = pending;
        let (loss, figures) = figures.read()?;
        let report = StepReport { loss, figures, ..report };
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
        if logged {
            self.folder.log(&MetricsRecord::Step(StepRecord::from(&report)))?;
        }
        observer(&Event::Step(report));
        Ok(())
    }

    /// Validates the epoch, keeps it when it is the best, saves the state, and gives the best epoch so far.
    fn finish_epoch(&mut self, progress: &mut Progress, observer: &mut Observer<'_>) -> Result<Best, TrainError> {
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
        let kept = progress.best.unwrap_or(validated);
        let best_so_far = (kept.epoch, kept.top1);
        observer(&Event::Epoch(EpochReport { epoch, step: progress.step, top1, loss, best: better, best_so_far }));
        Ok(kept)
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
        Ok(safetensors_file::write(self.folder.last_checkpoint(), &metadata, &tensors)?)
    }
}

impl Meter {
    fn start() -> Self {
        Meter {
            since: Instant::now(),
            images: 0,
            waited: Duration::ZERO,
            waited_before: Duration::ZERO,
            training: Duration::ZERO,
            images_in_all: 0,
        }
    }

    /// Begins an epoch: the time since the last step went into validation.
    fn restart(&mut self) {
        *self = Meter { training: self.training, images_in_all: self.images_in_all, ..Meter::start() };
    }

    /// A step was made on so many images; `waited` is how long this epoch has waited for images so far.
    fn count(&mut self, images: usize, waited: Duration) {
        self.images += images;
        self.images_in_all += images;
        self.waited = waited;
    }

    /// Images a second and share of waiting since the last logged step.
    fn rates(&self) -> (f64, f64) {
        let elapsed = self.since.elapsed().as_secs_f64().max(1e-9);
        let waited = self.waited.saturating_sub(self.waited_before).as_secs_f64();
        (self.images as f64 / elapsed, waited / elapsed)
    }

    /// A step was logged.
    fn lap(&mut self) {
        let now = Instant::now();
        self.training += now - self.since;
        (self.since, self.images, self.waited_before) = (now, 0, self.waited);
    }

    fn overall_rate(&self) -> f64 {
        self.images_in_all as f64 / self.training.as_secs_f64().max(1e-9)
    }
}
