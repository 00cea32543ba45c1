//! `[train]`: the optimisation.

use serde::{Deserialize, Serialize};

use crate::config::automatic;
use crate::config::error::refuse_if;
use crate::config::{Accumulation, ClassWeights, ConfigError, Optimizer, Schedule, Select};
use crate::settings::OnResume::{Fixed, Free};
use crate::settings::{ANY, Kind, Range, RunKind, Setting, auto, off, setting};

/// The optimisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSection {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images that go through the network at a time.
    pub batch_size: usize,
    /// Such batches in a step, on each rank.
    pub grad_accum_steps: usize,
    /// Processes that share a step.
    pub ranks: usize,
    /// Whether batch norm takes its statistics from the batches of all ranks.
    pub sync_bn: bool,
    /// What mining and contrast see of them.
    pub accumulation: Accumulation,
    /// Optimizer.
    pub opt: Optimizer,
    /// Learning rate after warm-up.
    pub lr: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Nesterov momentum.
    pub nesterov: bool,
    /// Weight decay, on all weights.
    pub weight_decay: f64,
    /// How the learning rate falls.
    pub sched: Schedule,
    /// Epochs of linear warm-up, a fraction allowed; `None`: 5 % of the epochs.
    #[serde(with = "auto")]
    pub warmup_epochs: Option<f64>,
    /// Where the cosine ends.
    pub min_lr: f64,
    /// Epochs between steps of the schedule `step`.
    pub step_epochs: f64,
    /// Factor of each step of the schedule `step`.
    pub step_gamma: f64,
    /// Power of the schedule `poly`.
    pub poly_power: f64,
    /// Factor on the learning rate for each layer below the head.
    pub layer_decay: f64,
    /// Factor on the learning rate of classifier and projection head.
    pub head_lr_factor: f64,
    /// Largest norm of the gradient.
    #[serde(with = "off")]
    pub clip_grad: Option<f64>,
    /// Radius of sharpness-aware minimisation.
    #[serde(with = "off")]
    pub sam: Option<f64>,
    /// Share of the label spread over all classes.
    pub label_smoothing: f64,
    /// Weights of the classes in the cross-entropy.
    pub class_weights: ClassWeights,
    /// Decay of the weight average.
    #[serde(with = "off")]
    pub model_ema: Option<f64>,
    /// Whether the average leaves out the weights before the first update.
    pub model_ema_warmup: bool,
    /// Epochs without a better validation figure before training stops.
    #[serde(with = "off")]
    pub early_stopping: Option<usize>,
    /// What makes an epoch the best.
    pub select: Select,
    /// Seed of every random draw.
    pub seed: u64,
    /// Steps between lines of `metrics.jsonl`.
    pub log_every: usize,
}

impl TrainSection {
    /// Epochs of linear warm-up.
    pub fn warmup(&self) -> f64 {
        self.warmup_epochs.unwrap_or_else(|| automatic::warmup_epochs(self.epochs))
    }

    /// Refuses settings that are each in range and do not go together.
    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
        refuse_if(self.warmup_epochs.is_some_and(|warmup| warmup > self.epochs as f64), || ConfigError::Conflict {
            first: "train.warmup_epochs".into(),
            second: "train.epochs".into(),
            expected: format!("a warm-up of at most {} epochs", self.epochs),
            found: format!("{} epochs", self.warmup_epochs.unwrap_or(0.0)),
            hint: "shorten {train.warmup_epochs}, or leave it out for 5 % of the epochs".into(),
        })?;
        refuse_if(self.min_lr > self.lr, || ConfigError::Conflict {
            first: "train.min_lr".into(),
            second: "train.lr".into(),
            expected: format!("min_lr of at most {}", self.lr),
            found: self.min_lr.to_string(),
            hint: "the cosine falls from {train.lr} to {train.min_lr}".into(),
        })?;
        let plain_sgd = self.opt == Optimizer::Sgd && self.momentum == 0.0;
        refuse_if(self.nesterov && plain_sgd, || ConfigError::Conflict {
            first: "train.nesterov".into(),
            second: "train.momentum".into(),
            expected: "a momentum above 0".into(),
            found: "0".into(),
            hint: "add {train.nesterov=false} for SGD without momentum".into(),
        })?;
        refuse_if(self.early_stopping.is_some() && self.select == Select::Last, || ConfigError::Conflict {
            first: "train.early_stopping".into(),
            second: "train.select".into(),
            expected: "val_top1 or val_loss".into(),
            found: "last".into(),
            hint: "early stopping watches the figure that {train.select} names".into(),
        })
    }

    /// Refuses batches of one image, of which nothing can be compared or normalised.
    pub(in crate::config) fn check_several_images(&self) -> Result<(), ConfigError> {
        refuse_if(self.batch_size < 2, || ConfigError::Conflict {
            first: "train.batch_size".into(),
            second: "batch norm".into(),
            expected: "at least 2 images".into(),
            found: self.batch_size.to_string(),
            hint: "give {train.batch_size=2} or more".into(),
        })
    }

    /// Images of a step on one rank.
    pub fn batch_of_rank(&self) -> usize {
        self.batch_size.saturating_mul(self.grad_accum_steps)
    }

    /// Images of a step, over all ranks: what mining and contrast see under exact accumulation.
    pub fn effective_batch(&self) -> usize {
        self.batch_of_rank().saturating_mul(self.ranks)
    }
}

/// The settings of the section, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("train.epochs", Kind::Whole(1, ANY), "passes over the training images")
        .default("25")
        .default_in_segmentation("50")
        .default_in_pretraining("200")
        .read_by(RunKind::ALL),
    setting("train.batch_size", Kind::Whole(1, ANY), "images in the network at once, on each rank")
        .default("64")
        .default_in_segmentation("8")
        .default_in_pretraining("256")
        .on_resume(Fixed)
        .read_by(RunKind::ALL),
    setting(
        "train.grad_accum_steps",
        Kind::Whole(1, ANY),
        "batches in a step, whose gradient is that of all their images",
    )
    .default("1")
    .on_resume(Fixed)
    .read_by(RunKind::ALL)
    .also_called(&["accumulate_step", "gradient_accumulation_steps"]),
    setting(
        "train.ranks",
        Kind::Whole(1, 65_536),
        "processes that share a step: started here, or those of torchrun or srun",
    )
    .default("1")
    .on_resume(Free)
    .read_by(RunKind::ALL),
    setting("train.sync_bn", Kind::Switch, "batch norm over the batches of all ranks")
        .default("false")
        .read_by(RunKind::ALL),
    setting(
        "train.accumulation",
        Kind::Choice(Accumulation::names),
        "pairs of a step in parts; exact: across all parts; split: within each part",
    )
    .default(Accumulation::Exact.name()),
    setting("train.opt", Kind::Choice(Optimizer::names), "optimizer")
        .default(Optimizer::Sgd.name())
        .on_resume(Fixed)
        .read_by(RunKind::ALL),
    setting("train.lr", Kind::Number(Range::Above(0.0)), "learning rate, not scaled by the batch")
        .default("0.03")
        .default_in_segmentation("0.01")
        .default_in_pretraining("0.06")
        .read_by(RunKind::ALL)
        .also_called(&["learning_rate"]),
    setting("train.momentum", Kind::Number(Range::FromBelow(0.0, 1.0)), "momentum of sgd and lars")
        .default("0.9")
        .read_by(RunKind::ALL),
    setting("train.nesterov", Kind::Switch, "Nesterov momentum in sgd")
        .default("true")
        .default_in_pretraining("false")
        .read_by(RunKind::ALL),
    setting("train.weight_decay", Kind::Number(Range::From(0.0)), "weight decay; with lars not on biases and norms")
        .default("1e-4")
        .default_in_pretraining("5e-4")
        .read_by(RunKind::ALL),
    setting("train.sched", Kind::Choice(Schedule::names), "schedule of lr")
        .default(Schedule::Cosine.name())
        .default_in_segmentation(Schedule::Poly.name())
        .read_by(RunKind::ALL),
    setting("train.warmup_epochs", Kind::Number(Range::From(0.0)), "epochs of linear warm-up")
        .auto(automatic::warmup_epochs_text)
        .read_by(RunKind::ALL),
    setting("train.min_lr", Kind::Number(Range::From(0.0)), "lr at the end of the cosine")
        .default("0.0")
        .read_by(RunKind::ALL),
    setting("train.step_epochs", Kind::Number(Range::Above(0.0)), "epochs between steps of sched step")
        .default("10.0")
        .read_by(RunKind::ALL)
        .also_called(&["decay_epochs", "lr_step_size"]),
    setting("train.step_gamma", Kind::Number(Range::AboveUpTo(0.0, 1.0)), "factor of each step of sched step")
        .default("0.1")
        .read_by(RunKind::ALL)
        .also_called(&["decay_rate", "lr_gamma"]),
    setting("train.poly_power", Kind::Number(Range::Above(0.0)), "power of sched poly")
        .default("0.9")
        .read_by(RunKind::ALL),
    setting("train.layer_decay", Kind::Number(Range::AboveUpTo(0.0, 1.0)), "factor on lr per layer below the head")
        .default("1.0"),
    setting("train.head_lr_factor", Kind::Number(Range::Above(0.0)), "factor on lr of classifier and projection head")
        .default("1.0"),
    setting("train.clip_grad", Kind::Number(Range::Above(0.0)), "largest norm of the gradient")
        .off()
        .read_by(RunKind::ALL),
    setting(
        "train.sam",
        Kind::Number(Range::Above(0.0)),
        "sharpness-aware minimisation with this radius, such as 0.05; a step takes twice as long",
    )
    .off(),
    setting(
        "train.label_smoothing",
        Kind::Number(Range::FromBelow(0.0, 1.0)),
        "fraction of the label spread over all classes",
    )
    .default("0.0"),
    setting(
        "train.class_weights",
        Kind::Choice(ClassWeights::names),
        "weights of the classes in the cross-entropy; balanced: inverse to their images or pixels",
    )
    .default(ClassWeights::Off.name()),
    setting("train.model_ema", Kind::Number(Range::FromBelow(0.0, 1.0)), "average the weights with this decay")
        .off()
        .on_resume(Fixed),
    setting(
        "train.model_ema_warmup",
        Kind::Switch,
        "bias-corrected average: without the weights before the first step",
    )
    .default("false")
    .on_resume(Fixed),
    setting("train.early_stopping", Kind::Whole(1, ANY), "epochs without a better validation before stopping").off(),
    setting("train.select", Kind::Choice(Select::names), "what makes an epoch the best")
        .default(Select::ValTop1.name())
        .default_in_segmentation(Select::ValMeanIou.name()),
    setting("train.seed", Kind::Whole(0, ANY), "seed of every random draw").default("0").read_by(RunKind::ALL),
    setting("train.log_every", Kind::Whole(1, ANY), "steps between lines of metrics.jsonl")
        .default("10")
        .on_resume(Free)
        .read_by(RunKind::ALL),
];
