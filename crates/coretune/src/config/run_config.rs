//! A configuration whose values are all present, typed, in range and consistent.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::choices::{Accumulation, DataCheck, HeadInit, Method, Optimizer, Sampler, Schedule, Select};
use super::error::{ConfigError, Origin};
use super::input::Input;
use super::settings::{Command, SETTINGS, Setting};
use super::typed::Typed;
use super::word::{auto, off};
use crate::data::DatasetOptions;
use crate::engine::Amp;
use crate::models::{Architecture, Family, Stem};
use crate::objectives::PairScheme;
use crate::transforms::{Augmentation, Interpolation, default_crop_fraction};

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointSection {
    /// The file.
    pub path: PathBuf,
    /// The encoder to take where there are several (`query`, `key`, `student`, `teacher`, ...).
    #[serde(with = "auto")]
    pub encoder: Option<String>,
    /// Patterns of backbone tensors that may be missing.
    pub allow_missing: Vec<String>,
}

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSection {
    /// Family of the backbone.
    #[serde(with = "auto")]
    pub name: Option<Family>,
    /// First layers.
    #[serde(with = "auto")]
    pub stem: Option<Stem>,
    /// Factor on the number of channels.
    #[serde(with = "auto")]
    pub width: Option<f64>,
    /// Outputs of the classifier.
    #[serde(with = "auto")]
    pub num_classes: Option<i64>,
    /// First stages kept as they are: 0 none, 1 the stem.
    pub frozen_stages: i64,
    /// Whether batch norm keeps its pre-trained weights and statistics.
    pub freeze_batch_norm: bool,
}

/// The labelled images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSection {
    /// Folder or file.
    pub dir: PathBuf,
    /// Name of the training split; `None`: a usual one.
    #[serde(with = "auto")]
    pub train_split: Option<String>,
    /// Name of the validation split; `None`: the one that is there, or cut from the training split.
    #[serde(with = "auto")]
    pub val_split: Option<String>,
    /// Name of the test split; `None`: a usual one, or no test.
    #[serde(with = "auto")]
    pub test_split: Option<String>,
    /// How closely the data is looked at before it is used.
    pub check: DataCheck,
    /// Whether images that cannot be read are left out.
    pub skip_broken: bool,
    /// Share of the training labels to use, above 0, up to 1.
    pub label_fraction: f64,
    /// Training labels to use of each class; excludes a `label_fraction` below 1.
    #[serde(with = "off")]
    pub per_class: Option<usize>,
    /// Validation images of each class, taken from what the labelled budget leaves.
    #[serde(with = "off")]
    pub val_per_class: Option<usize>,
    /// Height and width of the input, pixels.
    #[serde(with = "auto")]
    pub img_size: Option<i64>,
    /// Mean of red, green, blue.
    #[serde(with = "auto")]
    pub mean: Option<[f64; 3]>,
    /// Standard deviation of red, green, blue.
    #[serde(with = "auto")]
    pub std: Option<[f64; 3]>,
    /// Resampling.
    pub interpolation: Interpolation,
    /// Share of the resized side that evaluation keeps.
    #[serde(with = "auto")]
    pub crop_pct: Option<f64>,
    /// Random transforms in training.
    #[serde(with = "auto")]
    pub augment: Option<Augmentation>,
    /// How batches are drawn.
    pub sampler: Sampler,
    /// P of the balanced sampler.
    #[serde(with = "auto")]
    pub classes_per_batch: Option<usize>,
    /// K of the balanced sampler.
    #[serde(with = "auto")]
    pub images_per_class: Option<usize>,
}

/// The objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodSection {
    /// Which.
    pub name: Method,
    /// Pair scheme (M5).
    pub pairs: PairScheme,
    /// Weight of the contrastive loss (eta, M7).
    pub eta: f64,
    /// Shape of Beta(alpha, alpha), from which mixing coefficients are drawn (M2, M3).
    pub alpha: f64,
    /// Temperature (tau, M4).
    pub temperature: f64,
    /// Exponent of the focal weight (g, M5).
    pub focal: f64,
    /// Whether the focal weight carries no gradient.
    pub detach_focal: bool,
    /// Outputs of the projection head.
    pub contrast_dim: i64,
    /// How the classifier starts.
    pub head_init: HeadInit,
}

/// The optimisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSection {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images that go through the network at a time.
    pub batch_size: usize,
    /// Such batches in a step.
    pub grad_accum_steps: usize,
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
    /// Factor on the learning rate for each layer below the head.
    pub layer_decay: f64,
    /// Factor on the learning rate of classifier and projection head.
    pub head_lr_factor: f64,
    /// Largest norm of the gradient.
    #[serde(with = "off")]
    pub clip_grad: Option<f64>,
    /// Share of the label spread over all classes.
    pub label_smoothing: f64,
    /// Decay of the weight average.
    #[serde(with = "off")]
    pub model_ema: Option<f64>,
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

/// The machine and the folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSection {
    /// Whether kNN and linear probe of the frozen checkpoint are measured first.
    pub probe: bool,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Precision.
    pub amp: Amp,
    /// Threads of the computation.
    #[serde(with = "auto")]
    pub threads: Option<usize>,
    /// Threads that read images.
    #[serde(with = "auto")]
    pub workers: Option<usize>,
    /// Steps between saved states within an epoch.
    #[serde(with = "off")]
    pub save_steps: Option<usize>,
    /// Minutes between saved states within an epoch.
    #[serde(with = "off")]
    pub save_minutes: Option<f64>,
    /// Run folder.
    #[serde(with = "auto")]
    pub output: Option<PathBuf>,
    /// Subfolder of the output.
    #[serde(with = "off")]
    pub experiment: Option<String>,
}

/// What a run is told to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// Where the weights come from.
    pub checkpoint: CheckpointSection,
    /// The network.
    pub model: ModelSection,
    /// The labelled images.
    pub data: DataSection,
    /// The objective.
    pub method: MethodSection,
    /// The optimisation.
    pub train: TrainSection,
    /// The machine and the folder.
    pub run: RunSection,
}

impl Typed {
    /// The configuration, when every setting is given and all go together.
    ///
    /// # Panics
    /// When the table of settings and [`RunConfig`] disagree, which a test excludes.
    pub fn validate(&self) -> Result<RunConfig, ConfigError> {
        self.refuse_settings_of((Command::Pretrain, "coretune pretrain"), Command::Fit)?;
        self.check_complete(Command::Fit)?;
        let config = RunConfig::deserialize(self.to_table()).expect("the table of settings has checked every value");
        config.check()?;
        Ok(config)
    }

    /// Refuses what was typed and only `other` takes, a command whose name in words is given; its own default is no matter.
    pub(super) fn refuse_settings_of(
        &self,
        other: (Command, &'static str),
        command: Command,
    ) -> Result<(), ConfigError> {
        let is_foreign = |setting: &&Setting| setting.is_taken_by(other.0) && !setting.is_taken_by(command);
        let defaults = Typed::defaults_of(command);
        for setting in SETTINGS.iter().filter(is_foreign) {
            if let Some(origin) = self.origin(setting.key).filter(|origin| **origin != Origin::Default)
                && self.get(setting.key) != defaults.get(setting.key)
            {
                return Err(ConfigError::OtherCommand { origin: origin.clone(), key: setting.key, command: other.1 });
            }
        }
        Ok(())
    }

    /// Refuses where a setting is missing that `command` takes.
    pub(super) fn check_complete(&self, command: Command) -> Result<(), ConfigError> {
        let taken = SETTINGS.iter().filter(|setting| setting.is_taken_by(command));
        match taken.into_iter().find(|setting| self.get(setting.key).is_none()) {
            None => Ok(()),
            Some(setting) => {
                Err(ConfigError::Missing { key: setting.key, flag: setting.flag, expected: setting.expected() })
            }
        }
    }
}

impl RunSection {
    /// The output as given, or `runs/DATA-METHOD-SEED`.
    pub(super) fn output_or(&self, data: &Path, method: &str, seed: u64) -> PathBuf {
        self.output.clone().unwrap_or_else(|| {
            let data = data.file_stem().map_or("data".into(), |name| name.to_string_lossy());
            Path::new("runs").join(format!("{data}-{method}-{seed}"))
        })
    }

    /// Threads that read images: as given, or one for every two cores, 4 at most.
    pub fn reading_threads(&self) -> usize {
        const MOST: usize = 4;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.workers.unwrap_or((cores / 2).clamp(1, MOST))
    }
}

impl TrainSection {
    /// Epochs of linear warm-up.
    pub fn warmup(&self) -> f64 {
        const SHARE: f64 = 0.05;
        self.warmup_epochs.unwrap_or(SHARE * self.epochs as f64)
    }

    /// Refuses settings that are each in range and do not go together.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        refuse_if(self.warmup_epochs.is_some_and(|warmup| warmup > self.epochs as f64), || ConfigError::Conflict {
            first: "train.warmup_epochs".into(),
            second: "train.epochs".into(),
            expected: format!("a warm-up of at most {} epochs", self.epochs),
            found: format!("{} epochs", self.warmup_epochs.unwrap_or(0.0)),
            hint: "shorten --warmup-epochs, or leave it out for 5 % of the epochs",
        })?;
        refuse_if(self.min_lr > self.lr, || ConfigError::Conflict {
            first: "train.min_lr".into(),
            second: "train.lr".into(),
            expected: format!("min_lr of at most {}", self.lr),
            found: self.min_lr.to_string(),
            hint: "the cosine falls from --lr to --min-lr",
        })?;
        let plain_sgd = self.opt == Optimizer::Sgd && self.momentum == 0.0;
        refuse_if(self.nesterov && plain_sgd, || ConfigError::Conflict {
            first: "train.nesterov".into(),
            second: "train.momentum".into(),
            expected: "a momentum above 0".into(),
            found: "0".into(),
            hint: "add --no-nesterov for SGD without momentum",
        })?;
        refuse_if(self.early_stopping.is_some() && self.select == Select::Last, || ConfigError::Conflict {
            first: "train.early_stopping".into(),
            second: "train.select".into(),
            expected: "val_top1 or val_loss".into(),
            found: "last".into(),
            hint: "early stopping watches the figure that --select names",
        })
    }

    /// Images of a step: what mining and contrast see under exact accumulation.
    pub fn effective_batch(&self) -> usize {
        self.batch_size.saturating_mul(self.grad_accum_steps)
    }
}

impl DataSection {
    /// Refuses settings that are each in range and do not go together.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        refuse_if(self.per_class.is_some() && self.label_fraction < 1.0, || ConfigError::Conflict {
            first: "data.per_class".into(),
            second: "data.label_fraction".into(),
            expected: "one of the two".into(),
            found: format!("per_class {}, label_fraction {}", self.per_class.unwrap_or(0), self.label_fraction),
            hint: "give --per-class or --label-fraction, not both",
        })?;
        refuse_if(self.skip_broken && self.check == DataCheck::Off, || ConfigError::Conflict {
            first: "data.skip_broken".into(),
            second: "data.check".into(),
            expected: "full or quick, which find what is to be left out".into(),
            found: "off".into(),
            hint: "leave out --data-check off, or --skip-broken",
        })
    }

    /// Names of the splits, for opening the data.
    pub fn options(&self) -> DatasetOptions {
        DatasetOptions {
            train_split: self.train_split.clone(),
            val_split: self.val_split.clone(),
            test_split: self.test_split.clone(),
        }
    }
}

impl RunConfig {
    /// Refuses settings that are each in range and do not go together.
    fn check(&self) -> Result<(), ConfigError> {
        self.data.check()?;
        self.check_sampler()?;
        self.train.check()?;
        refuse_if(self.method.head_init == HeadInit::LinearProbe && !self.run.probe, || ConfigError::Conflict {
            first: "method.head_init".into(),
            second: "run.probe".into(),
            expected: "the probe, from which the classifier starts".into(),
            found: "probe = false".into(),
            hint: "leave out --no-probe, or give --head-init random",
        })
    }

    /// A batch of the balanced sampler is no larger than the one that was asked for.
    fn check_sampler(&self) -> Result<(), ConfigError> {
        let batch = self.train.effective_batch();
        let (classes, images) = self.balanced_batch(usize::MAX);
        let fits = images >= 1 && classes.checked_mul(images).is_some_and(|balanced| balanced <= batch);
        refuse_if(self.data.sampler == Sampler::Balanced && !fits, || ConfigError::Conflict {
            first: "data.sampler".into(),
            second: "train.batch_size".into(),
            expected: "classes_per_batch x images_per_class of at most the images of a step, of 2 classes or more"
                .into(),
            found: format!("{classes} x {images}, {batch} images a step"),
            hint: "give a larger --batch-size, or leave out --classes-per-batch or --images-per-class",
        })
    }

    /// Closes what was left to the checkpoint and the data, and says how an image becomes the input: as given, and where
    /// nothing is given as in `usual`, that of the checkpoint.
    ///
    /// The copy returned is the one that is saved: given back as a file it repeats the run, whatever the defaults of a
    /// later version are.
    pub fn resolve(&self, architecture: &Architecture, usual: &Input, num_classes: i64) -> (RunConfig, Input) {
        let data = &self.data;
        let img_size = data.img_size.unwrap_or(usual.img_size);
        let input = Input {
            img_size,
            mean: data.mean.unwrap_or(usual.mean),
            std: data.std.unwrap_or(usual.std),
            crop_pct: data.crop_pct.unwrap_or_else(|| default_crop_fraction(img_size as u32)),
            interpolation: data.interpolation,
            augment: data.augment.unwrap_or(usual.augment),
        };
        let mut resolved = self.clone();
        resolved.model = ModelSection {
            name: Some(architecture.family),
            stem: Some(architecture.stem),
            width: Some(architecture.width),
            num_classes: Some(num_classes),
            ..self.model.clone()
        };
        resolved.data.img_size = Some(input.img_size);
        resolved.data.mean = Some(input.mean);
        resolved.data.std = Some(input.std);
        resolved.data.crop_pct = Some(input.crop_pct);
        resolved.data.augment = Some(input.augment);
        if data.sampler == Sampler::Balanced {
            let (classes, images) = self.balanced_batch(usize::try_from(num_classes).unwrap_or(usize::MAX));
            resolved.data.classes_per_batch = Some(classes);
            resolved.data.images_per_class = Some(images);
        }
        resolved.train.warmup_epochs = Some(self.train.warmup());
        resolved.run.output = Some(self.output());
        // A run is evaluated and repeated from other folders than the one it was started in.
        resolved.data.dir = absolute(&self.data.dir);
        resolved.checkpoint.path = absolute(&self.checkpoint.path);
        (resolved, input)
    }

    /// Images in a batch that is only evaluated: it keeps no activations for a gradient, so four times as many as in a
    /// training step fit, of which up to 128 are of use.
    pub fn evaluation_batch(&self) -> usize {
        const USEFUL: usize = 128;
        let batch = self.train.batch_size;
        (4 * batch).min(USEFUL).max(batch)
    }

    /// Threads that read images.
    pub fn workers(&self) -> usize {
        self.run.reading_threads()
    }

    /// P and K of the balanced sampler over so many classes.
    ///
    /// P as given, or as many classes as fill a step with K images each (four, where K is not given), at most
    /// `num_classes`; K as given, or as many images of each as the step then has room for. P x K may be less than the
    /// images of a step, never more.
    pub fn balanced_batch(&self, num_classes: usize) -> (usize, usize) {
        const USUAL_IMAGES: usize = 4;
        let (data, batch) = (&self.data, self.train.effective_batch());
        let fill = batch / data.images_per_class.unwrap_or(USUAL_IMAGES);
        let classes = data.classes_per_batch.unwrap_or(fill.clamp(2, num_classes.max(2)));
        (classes, data.images_per_class.unwrap_or(batch / classes))
    }

    /// The output as given, or `runs/DATA-METHOD-SEED`.
    fn output(&self) -> PathBuf {
        self.run.output_or(&self.data.dir, self.method.name.name(), self.train.seed)
    }

    /// The folder of the run: the output, and the experiment in it.
    pub fn folder(&self) -> PathBuf {
        let output = self.output();
        self.run.experiment.as_ref().map_or_else(|| output.clone(), |experiment| output.join(experiment))
    }

    /// The settings as sections of keys.
    ///
    /// # Panics
    /// Never: every value has a spelling in TOML.
    pub fn to_table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("strings, numbers and lists have a spelling in TOML")
    }

    /// The configuration as a file that [`Typed::file`] reads back to the same value.
    ///
    /// # Panics
    /// Never: every value has a spelling in TOML.
    pub fn to_toml(&self) -> String {
        let body = toml::to_string(self).expect("strings, numbers and lists have a spelling in TOML");
        format!("# Every setting of the run; coretune fit --config with this file repeats it.\n\n{body}")
    }
}

/// The path from the root; as it stands where the system does not tell the current folder.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

pub(super) fn refuse_if(wrong: bool, error: impl FnOnce() -> ConfigError) -> Result<(), ConfigError> {
    if wrong { Err(error()) } else { Ok(()) }
}
