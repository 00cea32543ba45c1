//! What a pre-training run is told to do.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::choices::Optimizer;
use super::error::{ConfigError, refuse_if};
use super::input::Input;
use super::layers::Layers;
use super::run_config::absolute;
use super::sections::{DataSection, ModelSection, PretrainSection, RunSection, TrainSection, find_setting};
use crate::models::{Architecture, Family, Stem};
use crate::objectives::{Objective, PretrainingDefaults, Values};
use crate::settings::Command;
use crate::transforms::{ContrastiveView, default_crop_fraction};

/// What a pre-training run is told to do: sections shared with fine-tuning, of which only the keys that
/// `coretune pretrain` takes count, and its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainConfig {
    /// The network.
    pub model: ModelSection,
    /// The images.
    pub data: DataSection,
    /// The method.
    pub pretrain: PretrainSection,
    /// The optimisation.
    pub train: TrainSection,
    /// The machine and the folder.
    pub run: RunSection,
}

impl Layers {
    /// The configuration of a pre-training run, when every setting is given and all go together.
    ///
    /// # Panics
    /// When the table of settings and [`PretrainConfig`] disagree, which a test excludes.
    pub fn validate_pretraining(&self) -> Result<PretrainConfig, ConfigError> {
        self.refuse_settings_of((Command::Fit, "coretune fit"), Command::Pretrain)?;
        self.check_complete(Command::Pretrain)?;
        let config =
            PretrainConfig::deserialize(self.to_table()).expect("the table of settings has checked every value");
        config.check()?;
        Ok(config)
    }
}

impl PretrainConfig {
    /// Refuses settings that are each in range and do not go together.
    fn check(&self) -> Result<(), ConfigError> {
        self.data.check()?;
        self.train.check()?;
        let (batch, pretrain) = (self.train.batch_size, &self.pretrain);
        let method = pretrain.method();
        let (has_queue, has_groups) = (method.reads("pretrain.queue_size"), method.reads("pretrain.bn_groups"));
        let queue = pretrain.queue_size.unwrap_or(batch);
        refuse_if(has_queue && !queue.is_multiple_of(batch), || ConfigError::Conflict {
            first: "pretrain.queue_size".into(),
            second: "train.batch_size".into(),
            expected: "a queue of whole batches".into(),
            found: format!("{queue} keys, {batch} images a step"),
            hint: "give a --queue-size that is a multiple of --batch-size, or leave it out",
        })?;
        let groups = pretrain.bn_groups.unwrap_or(1);
        refuse_if(has_groups && (!batch.is_multiple_of(groups) || batch < 2 * groups), || ConfigError::Conflict {
            first: "pretrain.bn_groups".into(),
            second: "train.batch_size".into(),
            expected: "groups of equal size, of two images or more".into(),
            found: format!("{groups} groups of {batch} images"),
            hint: "give --bn-groups that divides --batch-size, or leave it out",
        })
    }

    /// Closes what was left to the images and the machine. `smallest_side` is that of the first image, in pixels,
    /// `images` how many there are. The copy returned is the one that is saved.
    pub fn resolve(&self, smallest_side: u32, images: usize) -> (PretrainConfig, Architecture, Input) {
        let architecture = Architecture {
            family: self.model.name.unwrap_or(Family::ResNet18),
            stem: self.model.stem.unwrap_or(if smallest_side <= SMALL { Stem::Small } else { Stem::Imagenet }),
            width: self.model.width.unwrap_or(1.0),
        };
        let usual = Input::usual(&architecture);
        let img_size = self.data.img_size.unwrap_or(usual.img_size);
        let input = Input {
            img_size,
            mean: self.data.mean.unwrap_or(usual.mean),
            std: self.data.std.unwrap_or(usual.std),
            crop_pct: self.data.crop_pct.unwrap_or_else(|| default_crop_fraction(img_size as u32)),
            interpolation: self.data.interpolation,
            ..usual
        };
        let mut resolved = self.clone();
        resolved.model.name = Some(architecture.family);
        resolved.model.stem = Some(architecture.stem);
        resolved.model.width = Some(architecture.width);
        resolved.data.img_size = Some(input.img_size);
        resolved.data.mean = Some(input.mean);
        resolved.data.std = Some(input.std);
        resolved.data.crop_pct = Some(input.crop_pct);
        resolved.data.dir = absolute(&self.data.dir);
        resolved.pretrain.temperature = Some(self.temperature());
        resolved.pretrain.queue_size = Some(self.queue_size(images));
        resolved.pretrain.momentum = Some(self.encoder_momentum(images));
        resolved.pretrain.bn_groups = Some(self.bn_groups());
        resolved.pretrain.least_area = Some(self.least_area());
        resolved.pretrain.jitter = Some(self.jitter());
        resolved.pretrain.blur = Some(self.pretrain.blur.unwrap_or(if img_size <= SMALL.into() { 0.0 } else { 0.5 }));
        resolved.train.warmup_epochs = Some(self.train.warmup());
        resolved.run.output = Some(self.output());
        (resolved, architecture, input)
    }

    /// Makes the objective of a resolved configuration.
    ///
    /// # Panics
    /// When a setting is still `auto`.
    pub fn build_objective(&self) -> Box<dyn Objective> {
        let section = Table::try_from(&self.pretrain).expect("strings and numbers have a spelling in TOML");
        (self.pretrain.method().build)(&Values { section: &section, label_smoothing: 0.0 })
    }

    /// How a view is made of an image of side `img_size`; see [`PretrainConfig::resolve`] for what was left open.
    pub fn view(&self) -> ContrastiveView {
        let PretrainSection { grayscale, blur, .. } = self.pretrain;
        ContrastiveView {
            least_area: self.least_area(),
            jitter_strength: self.jitter(),
            grayscale,
            blur: blur.unwrap_or(0.0),
            ..ContrastiveView::MOCO_V2
        }
    }

    fn usual(&self) -> PretrainingDefaults {
        self.pretrain.method().pretraining.expect("every method of pre-training has defaults")
    }

    /// tau.
    pub fn temperature(&self) -> f64 {
        self.pretrain.temperature.unwrap_or_else(|| self.usual().temperature)
    }

    /// Keys of earlier batches: many, but so few that an image is rarely its own negative.
    pub fn queue_size(&self, images: usize) -> usize {
        const SHARE: usize = 8;
        const MOST: usize = 65_536;
        let batch = self.train.batch_size;
        self.pretrain.queue_size.unwrap_or_else(|| ((images / SHARE).min(MOST) / batch).max(1) * batch)
    }

    /// m: the shorter the run, the faster the key encoder has to follow.
    pub fn encoder_momentum(&self, images: usize) -> f64 {
        const LONG: usize = 100_000;
        let steps = self.train.epochs.saturating_mul(images / self.train.batch_size);
        self.pretrain.momentum.unwrap_or(if steps >= LONG { 0.999 } else { 0.99 })
    }

    /// Groups of at most 32 images, as on each device of the published runs, and two or more of them, between which keys
    /// can be shuffled; of the whole batch where it cannot be parted so.
    pub fn bn_groups(&self) -> usize {
        const IMAGES: usize = 32;
        let batch = self.train.batch_size;
        let usual = || (2..=batch / 2).find(|groups| batch.is_multiple_of(*groups) && batch / groups <= IMAGES);
        self.pretrain.bn_groups.or_else(usual).unwrap_or(1)
    }

    /// Smallest share of an image's area that a view shows.
    pub fn least_area(&self) -> f64 {
        self.pretrain.least_area.unwrap_or_else(|| self.usual().least_area)
    }

    /// Strength of the colour jitter.
    pub fn jitter(&self) -> f64 {
        self.pretrain.jitter.unwrap_or_else(|| self.usual().jitter)
    }

    /// What of a resolved configuration can be computed and is hardly meant, in words.
    pub fn doubts(&self) -> Vec<String> {
        let batch = self.train.batch_size;
        let doubts = [
            (
                self.pretrain.method().reads("pretrain.bn_groups") && self.bn_groups() == 1,
                format!(
                    "batch norm sees the whole batch of {batch}, queries with their keys, which gives the positives away: \
                     take a --batch-size that parts into groups, or --bn-groups"
                ),
            ),
            (
                self.train.opt == Optimizer::Lars && self.train.lr < 0.5 * lars_rate(batch),
                format!(
                    "lr {} is low for LARS: published is 0.3 x batch / 256, here {:.2}",
                    self.train.lr,
                    lars_rate(batch)
                ),
            ),
        ];
        doubts.into_iter().filter(|(applies, _)| *applies).map(|(_, doubt)| doubt).collect()
    }

    /// The output as given, or `runs/DATA-METHOD-SEED`.
    fn output(&self) -> PathBuf {
        self.run.output_or(&self.data.dir, &self.pretrain.method, self.train.seed)
    }

    /// The folder of the run: the output, and the experiment in it.
    pub fn folder(&self) -> PathBuf {
        let output = self.output();
        self.run.experiment.as_ref().map_or_else(|| output.clone(), |experiment| output.join(experiment))
    }

    /// The settings that `coretune pretrain` takes, as sections of keys.
    ///
    /// # Panics
    /// Never: every value has a spelling in TOML.
    pub fn to_table(&self) -> Table {
        let mut table = Table::try_from(self).expect("strings, numbers and lists have a spelling in TOML");
        for (section, keys) in &mut table {
            if let Value::Table(keys) = keys {
                keys.retain(|name, _| {
                    find_setting(&format!("{section}.{name}"))
                        .is_some_and(|setting| setting.is_taken_by(Command::Pretrain))
                });
            }
        }
        table
    }

    /// The configuration as a file that [`Layers::file`] reads back to the same value.
    ///
    /// # Panics
    /// Never: every value has a spelling in TOML.
    pub fn to_toml(&self) -> String {
        let body = toml::to_string(&self.to_table()).expect("strings, numbers and lists have a spelling in TOML");
        format!("# Every setting of the run; coretune pretrain --config with this file repeats it.\n\n{body}")
    }
}

/// Learning rate of `SimCLR`'s runs with LARS.
fn lars_rate(batch: usize) -> f64 {
    0.3 * batch as f64 / 256.0
}

/// Longest side of images for which the small stem is made, pixels.
const SMALL: u32 = 64;
