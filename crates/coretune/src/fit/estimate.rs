//! The memory and time of a fine-tuning run, estimated from a few of its steps.

use std::time::Instant;

use super::{Preparation, Splits};
use crate::data::Batch;
use crate::engine::peak_rss_bytes;
use crate::models::Linear;
use crate::objectives::{Needs, Sizes, Start};
use crate::runs::estimate::{MemoryByImages, MemoryTrial, divide, seconds_per_image};
use crate::runs::{Estimate, RunError, training_plan};
use crate::train::{Accumulation, StepInput, TrainError, TrainingImages, step};

/// Time that a second forward pass adds to a step, whose backward pass takes as long as two forward passes.
const SECOND_FORWARD_FRACTION: f64 = 1.0 / 3.0;

/// Learning rate of these steps, which are to change no weight.
const RATE: f64 = 0.0;

impl Preparation {
    /// Refuses a batch, or a queue of the method, for which the system does not have the memory; to be asked before anything large is computed.
    /// Nothing in the model changes.
    ///
    /// # Errors
    /// Those of [`MemoryTrial::check`].
    pub(super) fn check_batch(&self) -> Result<(), RunError> {
        let train = &self.task.config.train;
        self.memory_trial().check(train.batch_size, Some(train.batch_of_rank()))
    }

    fn memory_trial(&self) -> MemoryTrial<'_> {
        let task = &self.task;
        let mut needs = self.objective.as_ref().map_or(Needs::CLASSIFIER, |objective| objective.needs());
        needs.copies += usize::from(task.config.train.sam.is_some());
        let sizes = Sizes {
            classes: task.classes.len() as i64,
            features: self.backbone.feature_width(),
            projections: task.config.method.contrast_dim,
        };
        MemoryTrial {
            backbone: &self.backbone,
            normalisation: task.normalisation(),
            device: task.device,
            img_size: task.input.img_size,
            needs,
            kept: self.objective.as_ref().and_then(|objective| objective.kept_rows(&sizes)),
        }
    }

    /// As [`Preparation::check_batch`], unless `run.memory_limit` is set: then a batch that needs more memory is computed in
    /// the largest equal parts that need less. The configuration says so from then on, and a resumed run keeps it.
    ///
    /// # Errors
    /// [`RunError::BatchDoesNotFit`] if not even two images fit; [`crate::models::ModelError::Indivisible`] for a method that
    /// cannot be computed in parts.
    pub(super) fn divide_batch(&mut self) -> Result<(), RunError> {
        let Some(limit) = self.task.config.run.memory_limit_bytes() else { return self.check_batch() };
        let largest = self.memory_trial().most_within(self.task.config.train.batch_size, limit)?;
        let (config, img_size) = (&mut self.task.config, self.task.input.img_size);
        let Some(note) = divide(&mut config.train, &config.run, largest, img_size)? else { return Ok(()) };
        if let Some(objective) = &self.objective {
            training_plan::accumulation(&config.train).check(&**objective)?;
        }
        self.notes.push(note);
        Ok(())
    }

    /// Makes steps on a few images, and a whole one only where the memory for it is there; extrapolates to the run.
    pub(super) fn make_few_steps(self) -> Result<Estimate, RunError> {
        let Preparation { task, backbone, objective, .. } = self;
        let (config, seed) = (&task.config, task.config.train.seed);
        let mut objective = objective.ok_or(RunError::NoObjective)?;
        let classes = task.classes.len() as i64;
        let classifier = Linear::classifier(backbone.feature_width(), classes, seed, task.device)?;
        let model = task.model(backbone, classifier, &*objective)?;
        let images = TrainingImages { views: objective.needs().views, ..task.training_images()? };
        let (epochs, steps_per_epoch) = (task.epochs(), task.steps_per_epoch()?);
        let steps = epochs * steps_per_epoch;
        objective.begin(&Start { network: &model, seed, steps, probe: None })?;
        let mut optimizer = training_plan::optimizer(&model, &config.train, &*objective);
        let batch = images.epoch(0, 0)?.next().ok_or(TrainError::BatchTooLarge { batch: 1, images: 0, ranks: 1 })??;
        // Of a step in parts, one part is in memory at a time.
        let at_a_time = config.train.batch_size.min(batch.labels.len());

        let accumulation = training_plan::accumulation(&config.train);
        let weights = task.class_weight_tensor();
        let mut make_step = |batch: &Batch, accumulation| -> Result<(), RunError> {
            // The last step: what a method does in its first phase alone is not what most steps cost.
            let input = StepInput::new(&model, &mut *objective, batch, (seed, steps.saturating_sub(1)))
                .accumulated(accumulation)
                .sharpness_aware(config.train.sam)
                .weighted(weights.as_ref());
            step(input, &mut optimizer, RATE)?.read()?;
            Ok(())
        };
        let mut image_seconds = 0.0;
        let memory = MemoryByImages::measure(at_a_time, |size| {
            let (part, started) = (batch.first(size), Instant::now());
            make_step(&part, Accumulation::Whole)?;
            image_seconds = started.elapsed().as_secs_f64() / size as f64;
            Ok(())
        })?;
        let mut memory_bytes = memory.with(at_a_time);
        if at_a_time <= memory.most_images() {
            image_seconds = seconds_per_image(&images, |batch| make_step(batch, accumulation))?;
            memory_bytes = peak_rss_bytes();
        } else if matches!(accumulation, Accumulation::Exact { .. }) {
            image_seconds *= 1.0 + SECOND_FORWARD_FRACTION;
        }

        let trained = (epochs * steps_per_epoch * batch.labels.len() as u64) as f64;
        let prepared = objective.needs().preparation as u64;
        let evaluated = (prepared + evaluated_images(&task.splits, epochs.max(1), config.run.probe)) as f64;
        Ok(Estimate {
            parameters: model.parameters().weight_count(),
            steps,
            memory_bytes,
            seconds: image_seconds * (trained + objective.needs().evaluation_fraction() * evaluated),
        })
    }
}

/// Images that are evaluated: by the probe (those of training twice, once mirrored), after each epoch, and at the end.
fn evaluated_images(splits: &Splits, epochs: u64, probe: bool) -> u64 {
    let train = splits.train.len() as u64;
    let validation = splits.validation.len() as u64;
    let test = splits.test.as_ref().map_or(0, |test| test.len() as u64);
    let probed = if probe { 2 * train + validation + test } else { 0 };
    probed + epochs * validation + validation + test
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::data::{ImageSource, Split};
    use crate::fit::ValidationSource;

    #[test]
    fn the_probe_reads_training_images_twice_and_every_split_is_evaluated_once_more_at_the_end() {
        let split = |images: usize| {
            let classes: Arc<[String]> = ["a", "b"].map(String::from).into();
            let image = |index: usize| ImageSource::File(Path::new(&format!("{index}.png")).into());
            let labels = (0..images as i64).map(|index| index % 2).collect();
            Split::new((0..images).map(image).collect(), labels, classes).unwrap()
        };
        let (train, validation, test) = (split(100), split(20), Some(split(7)));
        let splits = Splits { train, validation, validation_source: ValidationSource::OwnSplit, test };
        assert_eq!(evaluated_images(&splits, 3, false), 3 * 20 + 20 + 7);
        assert_eq!(evaluated_images(&splits, 3, true), 3 * 20 + 2 * (20 + 7) + 200);
        assert_eq!(evaluated_images(&Splits { test: None, ..splits }, 3, true), 3 * 20 + 2 * 20 + 200);
    }
}
