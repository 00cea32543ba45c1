//! The memory and time of a pre-training run, estimated from a few steps of it.

use super::{LiveProbe, PretrainTask};
use crate::config::Input;
use crate::engine::peak_rss_bytes;
use crate::models::{Backbone, Normalisation};
use crate::objectives::{Objective, Sizes};
use crate::runs::estimate::{MemoryTrial, divide, seconds_per_image};
use crate::runs::{Estimate, RunError};
use crate::train::Learner;

/// Learning rate of these steps, which are to change no weight.
const RATE: f64 = 0.0;

impl PretrainTask {
    /// Refuses a batch or a queue for which the system does not have the memory; call it before a folder is made.
    ///
    /// # Errors
    /// Those of [`MemoryTrial::check`].
    pub(super) fn check_batch_and_queue(&self) -> Result<(), RunError> {
        let objective = self.config.build_objective();
        let step = objective.needs().divisible.then(|| self.config.train.batch_of_rank());
        self.memory_trial(&self.backbone_for_trial()?, &*objective).check(self.config.train.batch_size, step)
    }

    /// As [`PretrainTask::check_batch_and_queue`], unless `run.memory_limit` is set: then a batch that needs more memory is
    /// computed in the largest equal parts that need less, if the method can be. The configuration says so from then on, and a
    /// resumed run keeps it.
    ///
    /// # Errors
    /// [`RunError::BatchDoesNotFit`] if not even two images fit, and [`RunError::Undivided`] for a method that needs all images of
    /// a step at once.
    pub(super) fn divide_batch(&mut self) -> Result<(), RunError> {
        let Some(limit) = self.config.run.memory_limit_bytes() else { return self.check_batch_and_queue() };
        let objective = self.config.build_objective();
        let (batch, img_size) = (self.config.train.batch_size, self.input.img_size);
        let backbone = self.backbone_for_trial()?;
        let trial = self.memory_trial(&backbone, &*objective);
        trial.check_queue()?;
        let largest = trial.most_within(batch, limit)?;
        if largest < batch && !objective.needs().divisible {
            return Err(RunError::Undivided { method: objective.name(), batch, largest, img_size });
        }
        let note = divide(&mut self.config.train, &self.config.run, largest, img_size)?;
        self.check_ranks()?;
        self.notes.extend(note);
        Ok(())
    }

    fn backbone_for_trial(&self) -> Result<Backbone, RunError> {
        let mut backbone = Backbone::new(&self.architecture, self.config.train.seed, self.device)?;
        backbone.set_precision(self.precision);
        backbone.set_activation_checkpointing(self.config.run.activation_checkpointing);
        Ok(backbone)
    }

    fn memory_trial<'a>(&self, backbone: &'a Backbone, objective: &dyn Objective) -> MemoryTrial<'a> {
        let Input { mean, std, img_size, .. } = self.input;
        let sizes = Sizes { classes: 0, features: backbone.feature_width(), projections: self.config.pretrain.dim };
        MemoryTrial {
            backbone,
            normalisation: Normalisation { mean, std },
            device: self.device,
            img_size,
            needs: objective.needs(),
            kept: objective.kept_rows(&sizes),
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
