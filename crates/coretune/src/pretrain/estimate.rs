//! The memory and time of a pre-training run, estimated from a few steps of it.

use super::{LiveProbe, PretrainTask};
use crate::engine::peak_rss_bytes;
use crate::models::{Backbone, Normalisation};
use crate::objectives::Sizes;
use crate::runs::estimate::{MemoryTrial, seconds_per_image};
use crate::runs::{Estimate, RunError};
use crate::train::Learner;

/// Learning rate of these steps, which are to change no weight.
const RATE: f64 = 0.0;

impl PretrainTask {
    /// Refuses a batch or a queue for which the system does not have the memory, or a batch that needs more than
    /// `run.memory_limit`; call it before a folder is made. The images of a step are contrasted with each other, so they are
    /// not computed in parts.
    ///
    /// # Errors
    /// Those of [`MemoryTrial::check`].
    pub(super) fn check_batch_and_queue(&self) -> Result<(), RunError> {
        let (train, input) = (&self.config.train, &self.input);
        let mut backbone = Backbone::new(&self.architecture, train.seed, self.device)?;
        backbone.set_precision(self.precision);
        let objective = self.config.build_objective();
        let sizes = Sizes { classes: 0, features: backbone.feature_width(), projections: self.config.pretrain.dim };
        let trial = MemoryTrial {
            backbone: &backbone,
            normalisation: Normalisation { mean: input.mean, std: input.std },
            device: self.device,
            img_size: input.img_size,
            needs: objective.needs(),
            kept: objective.kept_rows(&sizes),
        };
        trial.check(train.batch_size, None)?;
        let Some(limit) = self.config.run.memory_limit_bytes() else { return Ok(()) };
        let (batch, img_size) = (train.batch_size, input.img_size);
        match trial.most_within(batch, limit)? {
            largest if largest < batch => Err(RunError::BatchDoesNotFit { batch, largest, step: None, img_size }),
            _ => Ok(()),
        }
    }

    /// Makes a few whole steps, whose weights are dropped, and extrapolates to the run.
    ///
    /// # Errors
    /// Those of the steps.
    pub(super) fn make_few_steps(&self) -> Result<Estimate, RunError> {
        let mut learner = self.learner()?;
        let images = self.training_images()?;
        let mut number = 0;
        let seconds = seconds_per_image(&images, |batch| {
            learner.step(batch, number, RATE)?.read()?;
            number += 1;
            Ok(())
        })?;
        let (epochs, steps) = (self.config.train.epochs as u64, images.steps_per_epoch()?);
        let trained = epochs * steps * self.config.train.effective_batch() as u64;
        let evaluated = self.evaluations() * learner.probe.as_ref().map_or(0, LiveProbe::images) as u64;
        Ok(Estimate {
            parameters: learner.parameters().weight_count(),
            steps: epochs * steps,
            memory_bytes: peak_rss_bytes(),
            seconds: seconds * (trained as f64 + learner.objective.needs().evaluation_fraction() * evaluated as f64),
        })
    }

    /// Evaluations of the features: before the first step, every few epochs, after the last.
    fn evaluations(&self) -> u64 {
        let epochs = self.config.train.epochs as u64;
        self.config.pretrain.probe_epochs.map_or(0, |every| 1 + epochs.div_ceil(every))
    }
}
