//! What this machine gives: the time of a training step and where it goes, the batch and the number of reading threads that
//! suit it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tch::{Cuda, Device, Kind, Tensor};

use crate::data::{Batch, DataError, Dataset, DatasetOptions, LeftOut, Loader, LoaderOptions, Split, sampler};
use crate::engine::{Precision, cpu_type, device_name, guard, threads, transfer, versions};
use crate::models::{Architecture, Backbone, Linear, Model, Normalisation, ProjectionHead};
use crate::objectives::Objective;
use crate::train::{ImageRows, LayerRates, Optimizer, Phase, Rule, StepInput, TrainError, step};
use crate::transforms::{Augmentation, Interpolation, Transform};

/// What is measured.
pub struct Request {
    /// The network, with random weights.
    pub architecture: Architecture,
    /// Height and width of the images, pixels.
    pub img_size: i64,
    /// Classes.
    pub classes: i64,
    /// Images of a step; `None`: more and more, until they are no faster.
    pub batch: Option<usize>,
    /// Makes the method, which must read features alone.
    pub objective: fn() -> Box<dyn Objective>,
    /// Where it is computed.
    pub device: Device,
    /// Number format of the convolutions.
    pub precision: Precision,
    /// Steps that are timed for each batch.
    pub steps: usize,
    /// Images to read; `None`: reading is not measured.
    pub images: Option<PathBuf>,
    /// Threads that read them.
    pub workers: usize,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The device.
    pub device: String,
    /// Type of the processor.
    pub processor: String,
    /// Number format of the convolutions.
    pub precision: Precision,
    /// Threads of the computation.
    pub threads: usize,
    /// Version of libtorch.
    pub libtorch: String,
    /// Name of the network.
    pub model: String,
    /// Factor on its channels.
    pub width: f64,
    /// Height and width of the images, pixels.
    pub img_size: i64,
    /// The method.
    pub objective: &'static str,
    /// Each batch that was tried.
    pub batches: Vec<Timing>,
    /// The smallest batch within 3 % of the fastest.
    pub best_batch: usize,
    /// The batch at which the search for a larger one ended, if that batch failed.
    pub failed: Option<FailedBatch>,
    /// What reading the images gave.
    pub reading: Option<Reading>,
}

/// A batch that could not be computed, for want of memory as a rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailedBatch {
    /// Images of a step.
    pub batch: usize,
    /// What went wrong, a sentence.
    pub error: String,
}

/// The time of steps of one size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timing {
    /// Images of a step.
    pub batch: usize,
    /// Median time of a step.
    pub seconds_per_step: f64,
    /// Images a second.
    pub images_per_second: f64,
    /// Where the time goes, with the device waited for after each phase.
    pub phases: Phases,
    /// Copies from the host to the device in a step.
    pub transfers: u64,
    /// Calls into libtorch's dispatcher in a step, views included.
    pub calls: u64,
}

/// Median seconds of each phase of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "see Phase")]
pub struct Phases {
    pub copy: f64,
    pub forward: f64,
    pub loss: f64,
    pub backward: f64,
    pub update: f64,
}

/// What reading images gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reading {
    /// Images a second that one thread reads, decodes and augments while nothing else is computed.
    pub images_per_second_of_a_thread: f64,
    /// Threads that keep up with the best batch.
    pub enough_workers: usize,
    /// Threads of the measurement below.
    pub workers: usize,
    /// Fraction of the time of training that was spent waiting for images.
    pub waiting: f64,
}

/// Batches that are tried if none is given.
const FIRST_BATCH: usize = 8;
/// A batch is better only if it is faster by this factor.
const FASTER: f64 = 1.03;
/// After this long no larger batch is tried.
const ENOUGH: Duration = Duration::from_mins(1);

/// Measures steps of training, and reading if there are images.
///
/// # Errors
/// [`TrainError`] for images that cannot be read and for exceptions of libtorch, such as too little memory for the first
/// batch.
pub fn measure(request: &Request) -> Result<Report, TrainError> {
    let mut training = Training::new(request)?;
    let (batches, failed) = match request.batch {
        Some(batch) => (vec![training.time(batch, request.steps)?], None),
        None => training.time_larger_and_larger(request.steps)?,
    };
    let best = best(&batches);
    let reading = request.images.as_ref().map(|_| read(request, &mut training, &best)).transpose()?;
    Ok(Report {
        device: device_name(request.device),
        processor: cpu_type(),
        precision: request.precision,
        threads: threads::get(),
        libtorch: versions().libtorch.clone(),
        model: request.architecture.family.name().into(),
        width: request.architecture.width,
        img_size: request.img_size,
        objective: training.objective.name(),
        best_batch: best.batch,
        failed,
        batches,
        reading,
    })
}

/// The smallest batch whose speed is within [`FASTER`] of the highest.
fn best(batches: &[Timing]) -> Timing {
    let highest = batches.iter().map(|timing| timing.images_per_second).fold(0.0, f64::max);
    let near = |timing: &&Timing| timing.images_per_second * FASTER >= highest;
    batches.iter().find(near).cloned().unwrap_or_else(|| batches[0].clone())
}

/// A network in training.
struct Training {
    model: Model,
    objective: Box<dyn Objective>,
    optimizer: Optimizer,
    img_size: i64,
    classes: i64,
    device: Device,
}

impl Training {
    fn new(request: &Request) -> Result<Self, TrainError> {
        let &Request { architecture, img_size, classes, device, precision, .. } = request;
        let objective = (request.objective)();
        let mut backbone = Backbone::new(&architecture, 0, device)?;
        backbone.set_precision(precision);
        let width = backbone.feature_width();
        let classifier = Linear::classifier(width, classes, 0, device)?;
        let projection =
            objective.needs().projection.then(|| ProjectionHead::new(width, ProjectionHead::WIDTH, 0, device));
        let model = Model::new(backbone, classifier, projection.transpose()?, Normalisation::IMAGENET)?;
        let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
        let optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 1e-4, None);
        Ok(Training { model, objective, optimizer, img_size, classes, device })
    }

    /// From [`FIRST_BATCH`] on twice as many images, until two more sizes are no faster, one fails or time is up.
    fn time_larger_and_larger(&mut self, steps: usize) -> Result<(Vec<Timing>, Option<FailedBatch>), TrainError> {
        let (started, mut batches) = (Instant::now(), vec![self.time(FIRST_BATCH, steps)?]);
        let (mut highest, mut no_faster) = (batches[0].images_per_second, 0);
        while no_faster < 2 && started.elapsed() < ENOUGH {
            let batch = 2 * batches[batches.len() - 1].batch;
            let timing = match self.time(batch, steps) {
                Ok(timing) => timing,
                Err(error) => return Ok((batches, Some(FailedBatch { batch, error: error.to_string() }))),
            };
            no_faster = if timing.images_per_second > highest * FASTER { 0 } else { no_faster + 1 };
            highest = highest.max(timing.images_per_second);
            batches.push(timing);
        }
        Ok((batches, None))
    }

    fn time(&mut self, images: usize, steps: usize) -> Result<Timing, TrainError> {
        const WARM_UP: usize = 2;
        let batch = self.random_batch(images)?;
        for _ in 0..WARM_UP {
            self.step(&batch)?;
        }
        let mut seconds = Vec::with_capacity(steps);
        for _ in 0..steps.max(1) {
            let started = Instant::now();
            self.step(&batch)?;
            self.wait();
            seconds.push(started.elapsed().as_secs_f64());
        }
        let seconds_per_step = median(&mut seconds);
        let before = transfer::count();
        let (made, calls) = coretune_native::dispatcher_calls(|| self.step(&batch)).map_err(|error| {
            crate::engine::EngineError::Torch { doing: "counting calls", message: error.to_string() }
        })?;
        made?;
        let transfers = transfer::count() - before;
        Ok(Timing {
            batch: images,
            seconds_per_step,
            images_per_second: images as f64 / seconds_per_step,
            phases: self.phases(&batch, steps)?,
            transfers,
            calls: calls.values().sum(),
        })
    }

    fn random_batch(&self, images: usize) -> Result<Batch, TrainError> {
        let shape = [images as i64, self.img_size, self.img_size, 3];
        let pixels = guard("making random images", || {
            let pixels = Tensor::randint(256, shape, (Kind::Uint8, Device::Cpu));
            // As the loader of a run has them.
            if self.device.is_cuda() { transfer::in_page_locked_memory(&pixels) } else { pixels }
        })?;
        let labels = (0..images as i64).map(|image| image % self.classes).collect();
        Ok(Batch { images: pixels, labels, masks: None, indices: (0..images).collect() })
    }

    fn input<'a>(model: &'a Model, objective: &'a mut dyn Objective, batch: &'a Batch, updates: u64) -> StepInput<'a> {
        StepInput::new(model, objective, batch, (0, updates))
    }

    fn step(&mut self, batch: &Batch) -> Result<(), TrainError> {
        let updates = self.optimizer.updates();
        let input = Self::input(&self.model, self.objective.as_mut(), batch, updates);
        step(input, &mut self.optimizer, 0.01)?;
        Ok(())
    }

    fn phases(&mut self, batch: &Batch, steps: usize) -> Result<Phases, TrainError> {
        let (mut copy, mut of_phase) = (Vec::new(), <[Vec<f64>; 4]>::default());
        for _ in 0..steps.max(1) {
            let (device, mut since) = (self.device, Instant::now());
            let mut lap = || {
                wait_for(device);
                let started = std::mem::replace(&mut since, Instant::now());
                (since - started).as_secs_f64()
            };
            let images = guard("sending images", || transfer::to_device(&batch.images, device))?;
            let (labels, indices) = (batch.labels.clone(), batch.indices.clone());
            let on_device = Batch { images, labels, masks: None, indices };
            copy.push(lap());
            let rows = ImageRows { network: &self.model, batch: &on_device };
            let mut watch = |phase: Phase| of_phase[phase as usize].push(lap());
            let updates = self.optimizer.updates();
            let input = Self::input(&self.model, self.objective.as_mut(), &on_device, updates);
            step(input.with_rows(&rows).watched(&mut watch), &mut self.optimizer, 0.01)?;
        }
        let [forward, loss, backward, update] = of_phase.each_mut().map(|seconds| median(seconds));
        Ok(Phases { copy: median(&mut copy), forward, loss, backward, update })
    }

    fn wait(&self) {
        wait_for(self.device);
    }
}

/// Waits until the device has done all that it was given.
fn wait_for(device: Device) {
    if let Device::Cuda(number) = device {
        Cuda::synchronize(number as i64);
    }
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    f64::midpoint(seconds[(seconds.len() - 1) / 2], seconds[seconds.len() / 2])
}

/// Reads the training images with one thread, then trains on them.
fn read(request: &Request, training: &mut Training, best: &Timing) -> Result<Reading, TrainError> {
    let folder = request.images.clone().unwrap_or_default();
    let size = request.img_size as u32;
    let augmentation = if size <= 64 { Augmentation::PadCropFlip } else { Augmentation::ResizedCropFlip };
    let transform = Transform::train(augmentation, size, Interpolation::Bilinear)
        .map_err(|source| DataError::Transform { image: folder.display().to_string(), source })?;
    let none = || DataError::NoImages { path: folder.clone(), left_out: LeftOut::default() };
    let split = Dataset::open(&folder, &DatasetOptions::default())?.train.ok_or_else(none)?;
    let epochs = Epochs { split, transform: Arc::new(transform), page_locked: request.device.is_cuda() };
    let images_per_second_of_a_thread = epochs.images_per_second()?;
    let enough = best.images_per_second / images_per_second_of_a_thread;
    let waiting = epochs.waiting(training, best.batch, request)?;
    Ok(Reading {
        images_per_second_of_a_thread,
        enough_workers: (enough * FASTER).ceil().max(1.0) as usize,
        workers: request.workers,
        waiting,
    })
}

/// Passes over images.
struct Epochs {
    split: Split,
    transform: Arc<Transform>,
    page_locked: bool,
}

impl Epochs {
    fn loader(&self, epoch: u64, batch: usize, workers: usize) -> Result<Loader, DataError> {
        let batches = sampler::shuffle(self.split.len(), batch.min(self.split.len()), 0, epoch, true)?;
        let options = LoaderOptions { epoch, workers, page_locked: self.page_locked, ..LoaderOptions::default() };
        Loader::new(self.split.clone(), self.transform.clone(), batches, options)
    }

    /// Of one thread, over a pass or [`Self::LONGEST`], after a first batch.
    fn images_per_second(&self) -> Result<f64, DataError> {
        const BATCH: usize = 32;
        let mut loader = self.loader(0, BATCH, 1)?;
        loader.next().transpose()?;
        let (started, mut images) = (Instant::now(), 0);
        for batch in loader {
            images += batch?.indices.len();
            if started.elapsed() > Self::LONGEST {
                break;
            }
        }
        Ok(images as f64 / started.elapsed().as_secs_f64().max(1e-9))
    }

    /// Longest time of a measurement.
    const LONGEST: Duration = Duration::from_secs(5);

    /// Fraction of the time of training, the first batch left out, that is spent waiting for images.
    fn waiting(&self, training: &mut Training, batch: usize, request: &Request) -> Result<f64, TrainError> {
        let mut loader = self.loader(1, batch, request.workers)?;
        loader.next().transpose()?;
        let (started, before) = (Instant::now(), loader.waited());
        for _ in 0..request.steps.max(1) {
            let Some(batch) = loader.next().transpose()? else { break };
            let labels = batch.labels.iter().map(|label| label % training.classes).collect();
            training.step(&Batch { labels, ..batch })?;
        }
        training.wait();
        let waited = loader.waited().saturating_sub(before).as_secs_f64();
        Ok(waited / started.elapsed().as_secs_f64().max(1e-9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_batch_is_the_smallest_that_is_as_fast_as_any() {
        let timing = |(batch, images_per_second)| Timing {
            batch,
            seconds_per_step: 1.0,
            images_per_second,
            phases: Phases::default(),
            transfers: 2,
            calls: 1,
        };
        let batches = [(8, 100.0), (16, 150.0), (32, 198.0), (64, 200.0), (128, 190.0)].map(timing);
        assert_eq!(best(&batches).batch, 32);
        assert_eq!(best(&batches[..1]).batch, 8);
    }
}
