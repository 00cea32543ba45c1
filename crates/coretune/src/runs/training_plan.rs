//! The values that training works with, from a configuration: optimizer, schedule, sampling, plan.

use std::time::Duration;

use crate::config::{self, RunConfig, RunSection, TrainSection, find_setting};
use crate::models::Network;
use crate::objectives::Objective;
use crate::settings::RunKind;
use crate::train::{Accumulation, Decay, LayerRates, Optimizer, Plan, Rule, Sampling, Saving, Schedule, WeightAverage};

/// As in `SimCLR`.
const LARS_TRUST: f64 = 1e-3;

/// What a user should know of sharpness-aware minimisation.
pub(crate) const TWICE_AS_LONG: &str = "train.sam computes two gradients in a step, which takes twice as long";

/// The rule by which weights are updated.
pub(crate) fn rule(train: &TrainSection) -> Rule {
    match train.opt {
        config::Optimizer::Sgd => Rule::Sgd { momentum: train.momentum, nesterov: train.nesterov },
        config::Optimizer::Adamw => Rule::AdamW,
        config::Optimizer::Lars => Rule::Lars { momentum: train.momentum, trust: LARS_TRUST },
    }
}

/// The optimizer over a model's weights, with the pulls of a method that has begun.
pub(crate) fn optimizer(model: &dyn Network, train: &TrainSection, objective: &dyn Objective) -> Optimizer {
    let rule = rule(train);
    let rates = LayerRates { layer_decay: train.layer_decay, head_factor: train.head_lr_factor };
    Optimizer::new(model, rule, rates, train.weight_decay, train.clip_grad)
        .pulled(objective.pulls())
        .resting(|name| objective.rests_until(name))
}

/// The average of the weights, if one is kept.
pub(crate) fn average(model: &dyn Network, train: &TrainSection) -> Option<WeightAverage> {
    let average = WeightAverage::new(model, train.model_ema?);
    Some(if train.model_ema_warmup { average.bias_corrected() } else { average })
}

/// The learning rate over a run whose epochs have `steps` steps.
pub(crate) fn schedule(train: &TrainSection, steps: u64) -> Schedule {
    let in_steps = |epochs: f64| (epochs * steps as f64).round() as u64;
    Schedule {
        base: train.lr,
        warmup_steps: in_steps(train.warmup()),
        total_steps: train.epochs as u64 * steps,
        decay: match train.sched {
            config::Schedule::Cosine => Decay::Cosine { least: train.min_lr },
            config::Schedule::Step => Decay::Step { every: in_steps(train.step_epochs), factor: train.step_gamma },
            config::Schedule::Poly => Decay::Poly { power: train.poly_power },
            config::Schedule::Constant => Decay::Constant,
        },
    }
}

/// How batches are drawn.
pub(crate) fn sampling(config: &RunConfig) -> Sampling {
    match config.data.sampler {
        config::Sampler::Shuffle => Sampling::Shuffle { batch_size: config.train.effective_batch() },
        config::Sampler::Balanced => {
            let (classes_per_batch, images_per_class) = config.balanced_batch(usize::MAX);
            Sampling::Balanced { classes_per_batch, images_per_class }
        }
    }
}

/// Reduces the default batch to the training images, where they are fewer, and says so. A batch of another size was given,
/// and is refused if the images do not fill it.
pub(crate) fn fit_default_batch(train: &mut TrainSection, kind: RunKind, images: usize) -> Option<String> {
    let default = find_setting("train.batch_size").and_then(|setting| setting.default_for(kind));
    let is_default = default.is_some_and(|default| default == train.batch_size.to_string());
    let is_plain = train.ranks == 1 && train.grad_accum_steps == 1;
    if !is_default || !is_plain || images < 2 || images >= train.batch_size {
        return None;
    }
    train.batch_size = match kind {
        // Queues and groups of batch norm divide powers of two.
        RunKind::Pretraining => 1 << images.ilog2(),
        RunKind::FineTuning | RunKind::Segmentation => images,
    };
    let (batch, default) = (train.batch_size, default.unwrap_or_default());
    Some(format!("a batch has {batch} images, not {default}: there are {images} training images"))
}

/// How long training lasts, and how often it is recorded.
pub(crate) fn plan(train: &TrainSection, run: &RunSection) -> Plan {
    Plan {
        epochs: train.epochs as u64,
        patience: train.early_stopping.map(|epochs| epochs as u64),
        log_every: train.log_every as u64,
        saving: Saving {
            steps: run.save_steps.map(|steps| steps as u64),
            time: run.save_minutes.and_then(|minutes| Duration::try_from_secs_f64(60.0 * minutes).ok()),
        },
    }
}

/// How a step's batch is computed in parts.
pub(crate) fn accumulation(train: &TrainSection) -> Accumulation {
    let part = train.batch_size;
    match (train.grad_accum_steps, train.accumulation) {
        (1, _) => Accumulation::Whole,
        (_, config::Accumulation::Exact) => Accumulation::Exact { part },
        (_, config::Accumulation::Split) => Accumulation::Split { part },
    }
}
