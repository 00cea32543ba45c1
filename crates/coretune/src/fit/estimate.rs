//! What a run will take, from a few steps of it.

use std::time::Instant;

use serde::Serialize;

use super::{Preparation, settings};
use crate::engine::peak_rss_bytes;
use crate::models::Linear;
use crate::train::{TrainError, step};

/// What a run will take, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Weights of backbone and heads.
    pub parameters: usize,
    /// Steps of training.
    pub steps: u64,
    /// Largest memory of this process after the steps that were made, bytes; the host's, also where a GPU computes.
    pub memory_bytes: u64,
    /// Time of training and of validation after each epoch, seconds.
    pub seconds: f64,
}

/// Steps that are made: the first ones are slower, as memory is set up, and are not timed.
const UNTIMED: usize = 1;
const TIMED: usize = 2;

/// What an image costs in evaluation relative to training, where a backward pass follows the forward one.
const EVALUATION_SHARE: f64 = 1.0 / 3.0;

/// Learning rate of these steps: nothing is to be learned.
const RATE: f64 = 0.0;

impl Preparation {
    /// Makes a few steps on real batches and draws them out over the run.
    pub fn estimate(self) -> Result<Estimate, TrainError> {
        let Preparation { task, backbone, .. } = self;
        let (config, seed) = (&task.config, task.config.train.seed);
        let objective = settings::objective(&config.method, config.train.label_smoothing);
        let classes = task.classes.len() as i64;
        let classifier = Linear::classifier(backbone.feature_width(), classes, seed, task.device)?;
        let model = task.model(backbone, classifier, &*objective)?;
        let mut optimizer = settings::optimizer(&model, &config.train);
        let images = task.training_images()?;

        let mut seconds = Vec::new();
        for (index, batch) in images.epoch(0, 0)?.take(UNTIMED + TIMED).enumerate() {
            let (batch, started) = (batch?, Instant::now());
            step(&model, &*objective, &mut optimizer, &batch, (seed, index as u64), RATE)?.read()?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        // A run of a single step has nothing but its first one to go by.
        let timed = if seconds.len() > UNTIMED { &seconds[UNTIMED..] } else { &seconds };
        let step_seconds = timed.iter().sum::<f64>() / timed.len().max(1) as f64;
        let steps_per_epoch = images.steps_per_epoch()?;
        let image_seconds = step_seconds / config.train.batch_size as f64;
        let validation = task.splits.validation.len() as f64 * image_seconds * EVALUATION_SHARE;
        let epochs = config.train.epochs as u64;
        Ok(Estimate {
            parameters: model.parameters().weight_count(),
            steps: epochs * steps_per_epoch,
            memory_bytes: peak_rss_bytes(),
            seconds: epochs as f64 * (steps_per_epoch as f64 * step_seconds + validation),
        })
    }
}
