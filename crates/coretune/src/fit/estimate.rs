//! What a run will take, from a few steps of it.

use std::time::Instant;

use serde::Serialize;

use super::{Preparation, settings};
use crate::data::Batch;
use crate::engine::{available_memory_bytes, peak_rss_bytes};
use crate::models::Linear;
use crate::train::{TrainError, step};

/// What a run will take, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Weights of backbone and heads.
    pub parameters: usize,
    /// Steps of training.
    pub steps: u64,
    /// Memory of this process in training, bytes: measured where a whole step was made, else drawn out from steps on a
    /// few images. The host's, also where a GPU computes.
    pub memory_bytes: u64,
    /// Time of training, validation and test, and of the probe, seconds.
    pub seconds: f64,
}

/// Images of the small steps from which the memory of a whole one is drawn out; the first only warms up.
const SMALL: [usize; 3] = [2, 4, 8];

/// What an image costs in evaluation relative to training, where a backward pass follows the forward one.
const EVALUATION_SHARE: f64 = 1.0 / 3.0;

/// Learning rate of these steps: nothing is to be learned.
const RATE: f64 = 0.0;

impl Preparation {
    /// Makes steps on a few images, and a whole one only where the memory for it is there; draws them out over the run.
    pub fn estimate(self) -> Result<Estimate, TrainError> {
        let Preparation { task, backbone, .. } = self;
        let (config, seed) = (&task.config, task.config.train.seed);
        let objective = settings::objective(&config.method, config.train.label_smoothing);
        let classes = task.classes.len() as i64;
        let classifier = Linear::classifier(backbone.feature_width(), classes, seed, task.device)?;
        let model = task.model(backbone, classifier, &*objective)?;
        let mut optimizer = settings::optimizer(&model, &config.train);
        let images = task.training_images()?;
        let steps_per_epoch = images.steps_per_epoch()?;
        let batch = images.epoch(0, 0)?.next().ok_or(TrainError::BatchTooLarge { batch: 1, images: 0 })??;
        let whole = batch.labels.len();

        let mut seconds_of_step = |size: usize| -> Result<f64, TrainError> {
            let (part, started) = (first_images(&batch, size), Instant::now());
            step(&model, &*objective, &mut optimizer, &part, (seed, 0), RATE)?.read()?;
            Ok(started.elapsed().as_secs_f64())
        };
        let mut memory = peak_rss_bytes();
        let (mut per_image, mut last_size, mut image_seconds) = (0, 0, 0.0);
        for size in SMALL.map(|size| size.min(whole)) {
            image_seconds = seconds_of_step(size)? / size as f64;
            let grown = peak_rss_bytes() - memory;
            per_image = grown / (size - last_size).max(1) as u64;
            (memory, last_size) = (memory + grown, size);
        }
        memory += per_image * (whole - last_size) as u64;
        if memory < peak_rss_bytes() + available_memory_bytes() {
            image_seconds = seconds_of_step(whole)?.min(seconds_of_step(whole)?) / whole as f64;
            memory = peak_rss_bytes();
        }

        let epochs = config.train.epochs as u64;
        let trained = (epochs * steps_per_epoch * whole as u64) as f64;
        let validated = epochs as f64 * task.splits.validation.len() as f64;
        let tested = task.splits.test.as_ref().map_or(0.0, |test| test.len() as f64);
        // Test images are looked at by the probe and by the fine-tuned model.
        let evaluated = validated + 2.0 * tested;
        Ok(Estimate {
            parameters: model.parameters().weight_count(),
            steps: epochs * steps_per_epoch,
            memory_bytes: memory,
            seconds: image_seconds * (trained + EVALUATION_SHARE * evaluated),
        })
    }
}

/// The first `size` images of a batch.
fn first_images(batch: &Batch, size: usize) -> Batch {
    Batch {
        images: batch.images.narrow(0, 0, size as i64),
        labels: batch.labels[..size].to_vec(),
        indices: batch.indices[..size].to_vec(),
    }
}
