//! The memory and time of a run that segments images, estimated from a few of its steps.

use tch::{Device, Kind, Tensor};

use super::SegmentationPreparation;
use crate::data::Batch;
use crate::engine::{available_memory_bytes, guard, peak_rss_bytes};
use crate::models::{Mode, Network};
use crate::runs::estimate::{MemoryByImages, divide, kept_bytes, seconds_per_image};
use crate::runs::{Estimate, RunError, training_plan};
use crate::train::Learner;

/// Learning rate of these steps, which are to change no weight.
const RATE: f64 = 0.0;

/// Fewest images of a pass: batch norm cannot take statistics from one.
const FEWEST: usize = 2;

impl SegmentationPreparation {
    /// Refuses a batch for which the system does not have the memory. Nothing in the network changes.
    ///
    /// # Errors
    /// [`RunError::BatchDoesNotFit`] with the largest batch that would fit.
    pub(super) fn check_batch(&self) -> Result<(), RunError> {
        let train = &self.task.config.train;
        if self.task.device != Device::Cpu || available_memory_bytes() == 0 {
            return Ok(());
        }
        let batch = train.batch_size;
        let memory = MemoryByImages::measure(batch, |images| self.pass(images.max(FEWEST)))?;
        let largest = memory.most_images();
        if batch <= largest {
            return Ok(());
        }
        let (step, img_size) = (Some(train.batch_of_rank()), self.task.input.img_size);
        Err(RunError::BatchDoesNotFit { batch, largest, step, img_size })
    }

    /// As [`SegmentationPreparation::check_batch`], unless `run.memory_limit` is set: then a batch that needs more memory is
    /// computed in the largest equal parts that need less.
    ///
    /// # Errors
    /// [`RunError::BatchDoesNotFit`] if not even two images fit.
    pub(super) fn divide_batch(&mut self) -> Result<(), RunError> {
        let Some(limit) = self.task.config.run.memory_limit_bytes() else { return self.check_batch() };
        let batch = self.task.config.train.batch_size;
        let limit = limit.saturating_sub(kept_bytes(self.network.tensors("").weight_count()));
        let memory = MemoryByImages::measure_within(batch, limit, |images| self.pass(images.max(FEWEST)))?;
        let (config, img_size) = (&mut self.task.config, self.task.input.img_size);
        let note = divide(&mut config.train, &config.run, memory.most_within(limit).min(batch), img_size)?;
        training_plan::accumulation(&config.train).check(&*self.objective)?;
        self.notes.extend(note);
        Ok(())
    }

    /// Forward and backward pass over black images.
    fn pass(&self, images: usize) -> Result<(), RunError> {
        let size = self.task.input.img_size;
        let pixels = Tensor::zeros([images as i64, size, size, 3], (Kind::Uint8, self.task.device));
        let output = self.network.forward(&pixels, Mode::TrainUntracked, None, true)?;
        let logits = crate::models::upsample(&output.logits, [size, size])?;
        Ok(guard("measuring the memory of a step", || {
            let loss = logits.log_softmax(1, Kind::Float).sum(Kind::Float);
            let parameters = self.network.tensors("");
            let weights = parameters.iter().map(|entry| &entry.tensor).filter(|weight| weight.requires_grad());
            drop(Tensor::run_backward(&[&loss], &weights.collect::<Vec<_>>(), false, false));
        })?)
    }

    /// Makes a few whole steps, whose weights are dropped, and extrapolates to the run.
    pub(super) fn make_few_steps(self) -> Result<Estimate, RunError> {
        let SegmentationPreparation { task, network, objective, .. } = self;
        let images = task.training_images()?;
        let epochs = task.epochs();
        let steps = epochs * task.steps_per_epoch()?;
        let mut learner = task.learner(network, objective, None)?;
        let parameters = learner.parameters().weight_count();
        let image_seconds = seconds_per_image(&images, |batch: &Batch| {
            // The last step: in the first ones the backbone may rest.
            learner.step(batch, steps.saturating_sub(1), RATE)?.read()?;
            Ok(())
        })?;
        let memory_bytes = peak_rss_bytes();
        let trained = (steps * images.sampling.batch_size() as u64) as f64;
        let evaluated = task.evaluated_pixels(epochs)? / (task.input.img_size as f64).powi(2);
        // A backward pass takes as long as two forward passes.
        Ok(Estimate { parameters, steps, memory_bytes, seconds: image_seconds * (trained + evaluated / 3.0) })
    }
}

impl super::SegmentationTask {
    /// Pixels that are evaluated after each epoch and at the end, if all images of a split have the size of its first.
    fn evaluated_pixels(&self, epochs: u64) -> Result<f64, RunError> {
        let pixels = |split: &crate::data::Split| -> Result<f64, RunError> {
            let first = split.load(0)?;
            Ok(f64::from(first.width()) * f64::from(first.height()) * split.len() as f64)
        };
        let validation = pixels(&self.splits.validation)?;
        let test = self.splits.test.as_ref().map_or(Ok(validation), pixels)?;
        Ok(epochs as f64 * validation + test * self.views().cost())
    }
}
