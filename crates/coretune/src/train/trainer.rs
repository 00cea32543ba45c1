//! The training loop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::events::{Event, Observer, StepReport};
use super::figures::DeviceFigures;
use super::frozen_check::Snapshot;
use super::learner::{EpochEnd, EpochPlace, Learner};
use super::meter::{Meter, Stopwatch};
use super::progress::Progress;
use super::{Saved, Schedule, TrainError, TrainingImages, saved_progress, state};
use tch::{Tensor, no_grad};

use crate::data::{Batch, Loader};
use crate::engine::{Stop, guard};
use crate::models::Role;
use crate::run_folder::{MetricsRecord, RunFolder};
use crate::saved_models::first_not_finite;

/// How long training lasts, and how often it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Passes over the training images.
    pub epochs: u64,
    /// Epochs without a better one before training stops.
    pub patience: Option<u64>,
    /// Steps between lines of `metrics.jsonl`.
    pub log_every: u64,
    /// When the state is saved within an epoch; at its end it always is.
    pub saving: Saving,
}

/// How often the state is saved within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Saving {
    /// After every so many steps.
    pub steps: Option<u64>,
    /// After the step that ends such a stretch of time.
    pub time: Option<Duration>,
}

/// The training loop around a [`Learner`]: how far it has come, on what, and where its state goes.
pub struct Trainer<'a, L> {
    /// What is trained.
    pub learner: L,
    /// The learning rate.
    pub schedule: Schedule,
    /// How far it has come.
    pub progress: Progress,
    /// How long training lasts, and how often it is recorded.
    pub plan: Plan,
    /// The training images.
    pub images: TrainingImages,
    /// Where metrics and checkpoints go.
    pub folder: &'a RunFolder,
    /// Time since the run began.
    pub stopwatch: Stopwatch,
    /// Ends training between two steps.
    pub stop: Stop,
    /// The last step of this process whose figures have been read.
    pub last_report: Option<StepReport>,
    /// The next epoch and its batches, once they are under way.
    upcoming: Option<(u64, Loader)>,
    /// Buffers as they were before the step under way, if other ranks share it: each with its values.
    before_step: Vec<(Tensor, Tensor)>,
}

/// How training ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The epochs and steps made, and the best epoch.
    pub progress: Progress,
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

impl<'a, L: Learner> Trainer<'a, L> {
    /// A run at its first step, whose time begins now.
    pub fn new(
        learner: L,
        images: TrainingImages,
        (schedule, plan): (Schedule, Plan),
        folder: &'a RunFolder,
        stop: Stop,
    ) -> Self {
        let (progress, stopwatch) = (Progress::default(), Stopwatch::start());
        Trainer {
            learner,
            schedule,
            progress,
            plan,
            images,
            folder,
            stopwatch,
            stop,
            last_report: None,
            upcoming: None,
            before_step: Vec::new(),
        }
    }

    /// Resumes from the state in the folder, if any, and trains to the end of the plan; the folder's tables are up to date
    /// however it ends.
    ///
    /// # Errors
    /// Those of [`Trainer::load_state`] and [`Trainer::run`].
    pub fn carry_on(&mut self, observer: &mut Observer<'_>) -> Result<Outcome, TrainError> {
        if self.folder.last_checkpoint().exists() {
            self.load_state(&self.folder.last_checkpoint())?;
        }
        let Progress { step, epochs, .. } = self.progress;
        let spent = self.folder.truncate_metrics(step, epochs)?.map_or(0.0, |record| record.seconds());
        self.stopwatch = Stopwatch::after(Duration::try_from_secs_f64(spent).unwrap_or_default());
        let outcome = self.run(observer).map_err(|error| self.of_ranks(error));
        if outcome.is_err() {
            // The error that ended training is the one to tell.
            drop(self.folder.derive());
        }
        outcome
    }

    /// Reads the state that a run of the same configuration has saved, to resume from it.
    ///
    /// # Errors
    /// [`SavedModelError::NotARunCheckpoint`](crate::saved_models::SavedModelError::NotARunCheckpoint) when the file holds no state of a run; [`TensorMismatch`](crate::saved_models::SavedModelError::TensorMismatch) when its
    /// tensors are not those of this run.
    pub fn load_state(&mut self, path: &Path) -> Result<(), TrainError> {
        self.progress = state::load(path, &mut self.learner)?;
        Ok(())
    }

    /// Writes the state to `last.safetensors`, once its weights are known to be finite and the metrics up to here are on
    /// the disk.
    ///
    /// The running averages of every rank become those of rank 0, which alone writes.
    fn save_state(&self) -> Result<(), TrainError> {
        self.share_buffers()?;
        self.write_state()
    }

    fn write_state(&self) -> Result<(), TrainError> {
        self.check_finite()?;
        if !self.images.world.is_first() {
            return Ok(());
        }
        self.folder.sync_metrics()?;
        state::save(&self.folder.last_checkpoint(), &self.learner, &self.progress)
    }

    /// Gives every rank the running averages of rank 0, and the average of the weights, which contains them too.
    fn share_buffers(&self) -> Result<(), TrainError> {
        let world = self.images.world;
        if world.is_alone() {
            return Ok(());
        }
        let parameters = self.learner.parameters();
        let buffers = parameters.iter().filter(|parameter| parameter.role == Role::Buffer);
        world.broadcast(buffers.map(|buffer| &buffer.tensor))?;
        let state = self.learner.state();
        let averages = state.iter().filter(|(name, _)| name.starts_with("average."));
        Ok(world.broadcast(averages.map(|(_, tensor)| tensor))?)
    }

    /// Remembers what a step that is not finished may change: a rank may be gone before it is.
    fn remember_buffers(&mut self) -> Result<(), TrainError> {
        let world = self.images.world;
        if world.is_alone() || !world.is_first() {
            return Ok(());
        }
        let parameters = self.learner.parameters();
        let buffers = parameters.iter().filter(|parameter| parameter.role == Role::Buffer);
        self.before_step = guard("copying running averages", || {
            buffers.map(|buffer| (buffer.tensor.shallow_clone(), buffer.tensor.copy())).collect()
        })?;
        Ok(())
    }

    /// The error that ends training when the memory was used up by a step on `batch`.
    fn out_of_memory(&mut self, error: TrainError, batch: &Batch) -> TrainError {
        TrainError::OutOfMemory {
            images: batch.indices.len(),
            img_size: batch.images.size()[1],
            fitting: self.fitting(batch),
            divisible: self.learner.is_divisible(),
            saved: self.saved(),
            failure: Box::new(error),
        }
    }

    /// How many images of a batch fit into memory, found by steps on half as many each time; 0 if a single one does not, `None`
    /// if that cannot be tried. The steps change the state of the method, so nothing may be saved after them.
    fn fitting(&mut self, batch: &Batch) -> Option<usize> {
        // Ranks share a step: none can try one alone.
        if !self.images.world.is_alone() {
            return None;
        }
        let images = batch.indices.len();
        for fewer in (1..usize::BITS).map(|halvings| images >> halvings).take_while(|&fewer| fewer > 0) {
            match self.try_step(batch, fewer) {
                Ok(()) => return Some(fewer),
                Err(error) if error.is_out_of_memory() => {}
                Err(_) => return None,
            }
        }
        Some(0)
    }

    /// A step on the first images of a batch, at a learning rate of zero.
    fn try_step(&mut self, batch: &Batch, images: usize) -> Result<(), TrainError> {
        let part = guard("taking a part of a batch", || batch.first(images))?;
        self.learner.step(&part, self.progress.step, 0.0)?.read()?;
        Ok(())
    }

    /// The error that ends training, where ranks share it and one is gone or this one has failed, which it tells the others: rank 0
    /// saves the last finished step.
    fn of_ranks(&mut self, error: TrainError) -> TrainError {
        let world = self.images.world;
        if matches!(error, TrainError::NonFinite { .. } | TrainError::FrozenMoved { .. }) {
            return error;
        }
        let is_own = world.failure().is_none() && !matches!(error, TrainError::Interrupted { .. });
        if is_own {
            world.leave(&error.in_short());
        }
        let Some(failure) = world.failure() else { return error };
        let restored = guard("restoring running averages", || {
            for (buffer, values) in self.before_step.drain(..) {
                no_grad(|| buffer.shallow_clone().copy_(&values));
            }
        });
        let is_ahead = |saved: &Option<Saved>| saved.as_ref().is_none_or(|saved| saved.step < self.progress.step);
        let mut saved = self.saved();
        if world.is_first() && restored.is_ok() && self.progress.step > 0 && is_ahead(&saved) {
            // A state that cannot be saved leaves the one before.
            drop(self.write_state());
            saved = self.saved();
        }
        TrainError::RanksLost { failure: Box::new(failure), saved, cause: is_own.then(|| Box::new(error)) }
    }

    /// The state as it was last saved, where it was.
    fn saved(&self) -> Option<Saved> {
        let path = self.last_good_checkpoint()?;
        let step = saved_progress(&path).ok()?.step;
        Some(Saved { path, step })
    }

    /// Refuses weights that are NaN or infinite: a saved state can always be resumed.
    fn check_finite(&self) -> Result<(), TrainError> {
        match first_not_finite(&self.learner.parameters())? {
            None => Ok(()),
            Some(tensor) => Err(self.diverged(format!("{tensor} holds NaN or infinity"))),
        }
    }

    /// Trains on to the end of the plan, saving the state at the end of every epoch and as often as the plan says.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when it was asked to stop: the state is saved, and [`Trainer::load_state`]
    /// resumes from it.
    pub fn run(&mut self, observer: &mut Observer<'_>) -> Result<Outcome, TrainError> {
        let started = Instant::now();
        let mut meter = Meter::start();
        if self.plan.epochs == 0 && self.progress.best.is_none() {
            // Nothing is trained: the network is evaluated and saved as it starts.
            self.finish_epoch(observer)?;
        } else if self.progress.step == 0 {
            self.keep_start(observer)?;
        }
        if self.progress.epochs == 0 {
            self.watch_first_epoch(&mut meter, observer)?;
        }
        while self.progress.epochs < self.plan.epochs && !self.has_lost_patience() {
            self.train_epoch(&mut meter, observer)?;
            self.finish_epoch(observer)?;
        }
        // What rank 0 has written is there for all.
        self.images.world.meet()?;
        let early = self.progress.epochs < self.plan.epochs;
        observer(&Event::Trained { took: started.elapsed(), early });
        let images_per_second = meter.overall_rate().map_or_else(|| self.logged_rate(), Ok)?;
        Ok(Outcome { progress: self.progress.clone(), images_per_second, early })
    }

    /// Images per second as logged last, for a process that resumes after the last step; 0 if no step was logged.
    fn logged_rate(&self) -> Result<f64, TrainError> {
        let records = self.folder.metrics()?;
        let of_step = |record: &MetricsRecord| match record {
            MetricsRecord::Step(step) => Some(step.images_per_second),
            MetricsRecord::Evaluation(_) | MetricsRecord::Probe(_) => None,
        };
        Ok(records.iter().rev().find_map(of_step).unwrap_or(0.0))
    }

    /// Runs the first epoch, or what is left of it, then checks which tensors changed.
    fn watch_first_epoch(&mut self, meter: &mut Meter, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        let (start, first_step) = (Snapshot::of(&self.learner.parameters())?, self.progress.step);
        self.train_epoch(meter, observer)?;
        let frozen = |name: &str, role| self.learner.is_frozen(name, role);
        start.check_frozen(&self.learner.parameters(), &frozen)?;
        if self.progress.step > first_step {
            let may_stay = |name: &str, role| frozen(name, role) || self.learner.is_follower(name);
            start.report_unchanged(&self.learner.parameters(), &may_stay, observer)?;
        }
        drop(start);
        // The evaluation begins with the running averages of rank 0.
        self.share_buffers()?;
        let trained = Snapshot::of(&self.learner.parameters())?;
        self.finish_epoch(observer)?;
        trained.check_validation(&self.learner.parameters())
    }

    fn has_lost_patience(&self) -> bool {
        self.plan.patience.is_some_and(|patience| self.progress.epochs_without_better >= patience)
    }

    /// The steps of the epoch that have not been made yet.
    fn train_epoch(&mut self, meter: &mut Meter, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        let (epoch, steps) = (self.progress.epochs, self.images.steps_per_epoch()?);
        observer(&Event::EpochStarted { epoch: epoch + 1, epochs: self.plan.epochs, steps });
        let last_step = (epoch + 1) * steps;
        let mut loader = self.begin_epoch(epoch, self.steps_of_epoch(epoch, steps)?)?;
        meter.begin_epoch();
        let mut saved = Instant::now();
        let mut pending: Option<Pending> = None;
        let world = self.images.world;
        while self.progress.step < last_step {
            world.at_step(self.progress.step + 1);
            let Some(batch) = loader.next() else { break };
            let batch = batch?;
            self.prepare_next_epoch(&loader, epoch)?;
            let rate = self.schedule.rate(self.progress.step);
            self.remember_buffers()?;
            let before = world.traffic();
            let figures = match self.learner.step(&batch, self.progress.step, rate) {
                Err(error) if error.is_out_of_memory() => return Err(self.out_of_memory(error, &batch)),
                figures => figures?,
            };
            let exchanged = world.traffic().zip(before).map(|(now, before)| now.since(before));
            self.progress.step += 1;
            self.before_step.clear();
            meter.count(batch.indices.len() * world.ranks(), loader.waited());
            // The step is under way: time to read the figures of the one before.
            self.report(pending.take(), observer)?;
            let logged = self.progress.step.is_multiple_of(self.plan.log_every) || self.progress.step == last_step;
            let report = StepReport { exchanged, ..self.unread_report(steps, rate, meter) };
            if logged {
                meter.end_lap();
            }
            pending = Some(Pending { figures, report, logged });
            let is_time = self.progress.step < last_step && self.is_time_to_save(saved);
            let (stops, saves) = world.agree_on_both(self.stop.is_requested(), is_time)?;
            if stops {
                self.report(pending.take(), observer)?;
                return Err(self.interrupted()?);
            }
            if saves {
                self.report(pending.take(), observer)?;
                self.save_state()?;
                saved = Instant::now();
            }
        }
        self.report(pending, observer)
    }

    /// The batches of an epoch without the first `skip`: those that are under way already, if any.
    fn begin_epoch(&mut self, epoch: u64, skip: usize) -> Result<Loader, TrainError> {
        match self.upcoming.take() {
            Some((number, loader)) if number == epoch && skip == 0 => Ok(loader),
            _ => self.images.epoch(epoch, skip),
        }
    }

    /// Has the first batches of the next epoch made as soon as threads have nothing left to do for this one.
    fn prepare_next_epoch(&mut self, loader: &Loader, epoch: u64) -> Result<(), TrainError> {
        let next = epoch + 1;
        if self.upcoming.is_none() && next < self.plan.epochs && loader.is_running_out() {
            self.upcoming = Some((next, self.images.epoch(next, 0)?));
        }
        Ok(())
    }

    /// Steps of this epoch, which has `steps`, that have been made already.
    fn steps_of_epoch(&self, epoch: u64, steps: u64) -> Result<usize, TrainError> {
        let (step, first) = (self.progress.step, epoch * steps);
        match step.checked_sub(first).filter(|&made| made <= steps) {
            Some(made) => Ok(made as usize),
            None => Err(TrainError::OtherEpochLength { step, epoch: epoch + 1, first: first + 1, last: first + steps }),
        }
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
    fn unread_report(&self, steps_per_epoch: u64, rate: f64, meter: &Meter) -> StepReport {
        let (images_per_second, data_wait_share) = meter.rates();
        StepReport {
            step: self.progress.step,
            total_steps: self.plan.epochs * steps_per_epoch,
            epoch: self.progress.epochs + 1,
            rate,
            loss: f64::NAN,
            figures: BTreeMap::new(),
            images_per_second,
            data_wait_share,
            seconds: self.stopwatch.seconds(),
            exchanged: None,
        }
    }

    /// Reads the figures of a step, logs them, and stops at a loss that is NaN or infinite.
    fn report(&mut self, pending: Option<Pending>, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        let Some(Pending { figures, report, logged }) = pending else { return Ok(()) };
        let (loss, figures) = figures.read()?;
        let report = StepReport { loss, figures, ..report };
        self.last_report = Some(report.clone());
        if !loss.is_finite() {
            return Err(self.diverged(format!("the loss is {loss}")));
        }
        if logged {
            self.folder.log(&MetricsRecord::Step(report.record()))?;
        }
        let note = self.learner.note(&report);
        observer(&Event::Step(report));
        if let Some(note) = note {
            observer(&Event::Note(note));
        }
        Ok(())
    }

    /// The error that ends training when `what` is NaN or infinite, with the terms of the last step.
    fn diverged(&self, what: String) -> TrainError {
        TrainError::NonFinite {
            what,
            step: self.last_report.as_ref().map_or(self.progress.step, |report| report.step),
            epoch: self.progress.epochs + 1,
            terms: self
                .last_report
                .as_ref()
                .map_or_else(|| "no step since the last saved state".into(), StepReport::terms),
            last_good: self.last_good_checkpoint(),
        }
    }

    /// Lets the learner evaluate what it starts from. It is not logged, and a run that is resumed before its first saved
    /// state does it again.
    fn keep_start(&mut self, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        let place = EpochPlace { folder: self.folder, epochs: self.plan.epochs, seconds: self.stopwatch.seconds() };
        match self.learner.keep_start(&mut self.progress, place)? {
            EpochEnd::Done(evaluated) => {
                if let Some(evaluated) = evaluated {
                    observer(&Event::Evaluated(evaluated.report));
                }
                Ok(())
            }
            EpochEnd::Diverged { what } => Err(self.diverged(what)),
        }
    }

    /// Lets the learner evaluate the epoch, and saves the state.
    fn finish_epoch(&mut self, observer: &mut Observer<'_>) -> Result<(), TrainError> {
        self.check_finite()?;
        self.share_buffers()?;
        let place = EpochPlace { folder: self.folder, epochs: self.plan.epochs, seconds: self.stopwatch.seconds() };
        let evaluated = match self.learner.end_epoch(&mut self.progress, place, observer) {
            Err(TrainError::Interrupted { .. }) => return Err(self.interrupted()?),
            Err(error) => return Err(error),
            Ok(EpochEnd::Diverged { what }) => return Err(self.diverged(what)),
            Ok(EpochEnd::Done(evaluated)) => evaluated,
        };
        if let Some(evaluated) = &evaluated {
            self.folder.log(&evaluated.record)?;
        }
        self.save_state()?;
        if let Some(evaluated) = evaluated {
            observer(&Event::Evaluated(evaluated.report));
        }
        Ok(())
    }

    /// The state as it was last saved, where it was.
    fn last_good_checkpoint(&self) -> Option<PathBuf> {
        Some(self.folder.last_checkpoint()).filter(|path| path.exists())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tch::{Device, Kind};

    use super::*;
    use crate::data::{ImageSource, RawImage, RawLayout, Split};
    use crate::engine::World;
    use crate::models::Parameters;
    use crate::objectives::ObjectiveLoss;
    use crate::settings::Hint;
    use crate::train::Sampling;
    use crate::transforms::Transform;

    /// Learns nothing, in memory for so many images.
    struct Room {
        images: usize,
    }

    impl Learner for Room {
        fn step(&mut self, batch: &Batch, _: u64, _: f64) -> Result<DeviceFigures, TrainError> {
            let images = batch.indices.len();
            Ok(guard("computing features", || {
                assert!(images <= self.images, "CUDA out of memory. Tried to allocate {images}.00 GiB.");
                let total = Tensor::zeros([], (Kind::Float, Device::Cpu));
                DeviceFigures::gather(&ObjectiveLoss { total, figures: Vec::new() })
            })?)
        }

        fn is_divisible(&self) -> bool {
            true
        }

        fn parameters(&self) -> Parameters {
            Parameters::default()
        }

        fn is_frozen(&self, _: &str, _: Role) -> bool {
            false
        }

        fn state(&self) -> Vec<(String, Tensor)> {
            Vec::new()
        }

        fn loaded(&mut self, _: u64) {}

        fn metadata(&self, _: &Progress) -> BTreeMap<String, String> {
            BTreeMap::new()
        }

        fn end_epoch(
            &mut self,
            progress: &mut Progress,
            _: EpochPlace<'_>,
            _: &mut Observer<'_>,
        ) -> Result<EpochEnd, TrainError> {
            progress.epochs += 1;
            Ok(EpochEnd::Done(None))
        }
    }

    /// Twelve images of 2 x 2 pixels in one batch.
    fn images() -> TrainingImages {
        let image = |row| {
            let raw = RawImage::new(vec![0; 12].into(), (2, 2), RawLayout::Interleaved, Path::new("raw").into(), row);
            ImageSource::Raw(raw.unwrap())
        };
        let classes: Arc<[String]> = ["a".to_string()].into();
        TrainingImages {
            split: Split::new((0..12).map(image).collect(), vec![0; 12], classes).unwrap(),
            sampling: Sampling::Shuffle { batch_size: 12 },
            transform: Arc::new(Transform::new(Vec::new()).unwrap()),
            views: 1,
            workers: 1,
            page_locked: false,
            seed: 0,
            world: World::Alone,
        }
    }

    /// The error of training in memory for `room` images, and its hint.
    fn ending_with(room: usize) -> (String, Option<String>) {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&parent.path().join("run")).unwrap();
        let schedule = Schedule { base: 0.1, warmup_steps: 0, total_steps: 1, decay: super::super::Decay::Constant };
        let plan = Plan { epochs: 1, patience: None, log_every: 1, saving: Saving::default() };
        let (learner, stop) = (Room { images: room }, Stop::default());
        let mut trainer = Trainer::new(learner, images(), (schedule, plan), &folder, stop);
        let error = trainer.run(&mut |_| {}).unwrap_err();
        assert!(!error.is_refusal(), "exit status 1: {error}");
        (error.to_string(), error.hint().as_ref().map(Hint::to_string))
    }

    #[test]
    fn a_step_for_which_memory_is_used_up_ends_with_the_batch_that_fits() {
        let (error, hint) = ending_with(4);
        assert!(error.contains("12 images of 2 x 2 pixels") && error.contains("CUDA out of memory"), "{error}");
        assert!(error.contains("no state was saved before"), "{error}");
        let hint = hint.unwrap();
        assert!(hint.contains("train.batch_size = 3 train.grad_accum_steps = 4"), "{hint}");
        let (_, hint) = ending_with(0);
        assert!(hint.unwrap().contains("not even two of them"));
    }
}
