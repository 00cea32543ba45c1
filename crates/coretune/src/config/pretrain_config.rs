//! The configuration of a pre-training run.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Table;

use super::automatic::{self, Input};
use super::choices::Optimizer;
use super::configuration::{Configuration, Regrouping};
use super::error::{ConfigError, refuse_if};
use super::layers::Layers;
use super::sections::{
    DataSection, ModelSection, PretrainCheckpointSection, PretrainSection, RunSection, TrainSection,
};
use crate::data::absolute_roots;
use crate::files::absolute;
use crate::models::Architecture;
use crate::objectives::{Objective, PretrainingDefaults, Values, moco};
use crate::settings::RunKind;
use crate::transforms::ContrastiveView;

/// The configuration of a pre-training run: sections shared with fine-tuning, of which it reads only the keys whose
/// settings say so, and its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainConfig {
    /// Where the weights come from, if not from chance.
    pub checkpoint: PretrainCheckpointSection,
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
    /// # Errors
    /// [`ConfigError::Missing`] for a setting without value, [`ConfigError::OtherRun`] for one of another kind of run, and
    /// [`ConfigError::Conflict`] for settings that exclude each other.
    ///
    /// # Panics
    /// When the table of settings and [`PretrainConfig`] disagree, which a test excludes.
    pub fn validate_pretraining(&self) -> Result<PretrainConfig, ConfigError> {
        self.check_keys(RunKind::Pretraining)?;
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
        self.run.check(&self.train)?;
        self.train.check_several_images()?;
        let (batch, pretrain) = (self.train.effective_batch(), &self.pretrain);
        let method = pretrain.method();
        let (has_queue, has_groups) = (method.reads("pretrain.queue_size"), method.reads("pretrain.bn_groups"));
        let queue = pretrain.queue_size.unwrap_or(batch);
        refuse_if(has_queue && !queue.is_multiple_of(batch), || ConfigError::Conflict {
            first: "pretrain.queue_size".into(),
            second: "train.batch_size".into(),
            expected: "a queue of whole batches".into(),
            found: format!("{queue} keys, {batch} images a step"),
            hint: "give a {pretrain.queue_size} that is a multiple of {train.batch_size}, or leave it out".into(),
        })?;
        refuse_if(has_groups && self.train.sync_bn, || ConfigError::Conflict {
            first: "train.sync_bn".into(),
            second: "pretrain.method".into(),
            expected: "batch norm within groups, between which keys are shuffled".into(),
            found: "batch norm over the whole batch".into(),
            hint: "leave out {train.sync_bn}".into(),
        })?;
        let groups = pretrain.bn_groups.unwrap_or(1);
        refuse_if(has_groups && (!batch.is_multiple_of(groups) || batch < 2 * groups), || ConfigError::Conflict {
            first: "pretrain.bn_groups".into(),
            second: "train.batch_size".into(),
            expected: "groups of equal size, of two images or more".into(),
            found: format!("{groups} groups of {batch} images"),
            hint: "give {pretrain.bn_groups} that divides {train.batch_size}, or leave it out".into(),
        })
    }

    /// Decides what is still `auto`. `smaller_side` is that of the first image, in pixels, `images` the number of
    /// images, `start` the network and the input of the checkpoint, if there is one. The copy returned is the one that is
    /// saved.
    pub fn resolve(
        &self,
        smaller_side: u32,
        images: usize,
        start: Option<(Architecture, Input)>,
    ) -> (PretrainConfig, Architecture, Input) {
        let (architecture, usual) = start.unwrap_or_else(|| self.new_network(smaller_side));
        let img_size = self.data.img_size.unwrap_or(usual.img_size);
        let input = Input {
            img_size,
            mean: self.data.mean.unwrap_or(usual.mean),
            std: self.data.std.unwrap_or(usual.std),
            crop_pct: self.data.crop_pct.unwrap_or_else(|| self.data.resize_mode.crop_fraction(img_size as u32)),
            interpolation: self.data.interpolation,
            resize_mode: self.data.resize_mode,
            ..usual
        };
        let mut resolved = self.clone();
        resolved.checkpoint.path = self.checkpoint.path.as_deref().map(absolute);
        resolved.model.name = Some(architecture.family);
        resolved.model.stem = Some(architecture.stem);
        resolved.model.width = Some(architecture.width);
        resolved.data.img_size = Some(input.img_size);
        resolved.data.mean = Some(input.mean);
        resolved.data.std = Some(input.std);
        resolved.data.crop_pct = Some(input.crop_pct);
        resolved.data.dir = absolute_roots(&self.data.dir);
        resolved.pretrain.temperature = Some(self.temperature());
        resolved.pretrain.queue_size = Some(self.queue_size(images));
        resolved.pretrain.momentum = Some(self.encoder_momentum(images));
        resolved.pretrain.bn_groups = Some(self.bn_groups());
        resolved.pretrain.least_area = Some(self.least_area());
        resolved.pretrain.jitter = Some(self.jitter());
        resolved.pretrain.blur = Some(self.pretrain.blur.unwrap_or_else(|| automatic::blur(img_size)));
        resolved.train.warmup_epochs = Some(self.train.warmup());
        resolved.run.output = Some(self.output());
        (resolved, architecture, input)
    }

    /// A network of random weights for images of this side, and its usual input.
    fn new_network(&self, smaller_side: u32) -> (Architecture, Input) {
        let architecture = Architecture {
            family: self.model.name.unwrap_or(automatic::FAMILY),
            stem: self.model.stem.unwrap_or_else(|| automatic::stem(smaller_side)),
            width: self.model.width.unwrap_or(automatic::WIDTH),
        };
        (architecture, Input::usual(&architecture))
    }

    /// Makes the objective of a resolved configuration.
    ///
    /// # Panics
    /// When a setting is still `auto`.
    pub fn build_objective(&self) -> Box<dyn Objective> {
        let section = Table::try_from(&self.pretrain).expect("strings and numbers have a spelling in TOML");
        (self.pretrain.method().build)(&Values { section: &section, label_smoothing: 0.0 })
    }

    /// How a view is made of an image of side `img_size`; [`PretrainConfig::resolve`] decides what is `auto`.
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

    /// tau, as given or automatic.
    pub fn temperature(&self) -> f64 {
        self.pretrain.temperature.unwrap_or_else(|| self.usual().temperature)
    }

    /// Keys of earlier batches, as given or automatic.
    pub fn queue_size(&self, images: usize) -> usize {
        self.pretrain.queue_size.unwrap_or_else(|| moco::queue_size(images, self.train.effective_batch()))
    }

    /// m, as given or automatic.
    pub fn encoder_momentum(&self, images: usize) -> f64 {
        let steps = self.train.epochs.saturating_mul(images / self.train.effective_batch());
        self.pretrain.momentum.unwrap_or_else(|| moco::momentum(steps))
    }

    /// Groups of the batch that batch norm sees one at a time, as given or automatic.
    pub fn bn_groups(&self) -> usize {
        self.pretrain.bn_groups.unwrap_or_else(|| moco::bn_groups(self.train.effective_batch(), self.train.ranks))
    }

    /// Smallest fraction of an image's area that a view shows, as given or automatic.
    pub fn least_area(&self) -> f64 {
        self.pretrain.least_area.unwrap_or_else(|| self.usual().least_area)
    }

    /// Strength of the colour jitter, as given or automatic.
    pub fn jitter(&self) -> f64 {
        self.pretrain.jitter.unwrap_or_else(|| self.usual().jitter)
    }

    /// Warnings about settings of a resolved configuration that are valid but probably unintended.
    pub fn warnings(&self) -> Vec<String> {
        let batch = self.train.effective_batch();
        let warnings = [
            (
                self.pretrain.method().reads("pretrain.bn_groups") && self.bn_groups() == 1,
                format!(
                    "batch norm sees the whole batch of {batch}, queries with their keys, which gives the positives away: \
                     take a train.batch_size that divides into groups, or set pretrain.bn_groups"
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
        warnings.into_iter().filter(|(applies, _)| *applies).map(|(_, warning)| warning).collect()
    }
}

impl Configuration for PretrainConfig {
    const KIND: RunKind = RunKind::Pretraining;

    fn of(layers: &Layers) -> Result<Self, ConfigError> {
        layers.validate_pretraining()
    }

    fn method_name(&self) -> &str {
        &self.pretrain.method
    }

    fn checkpoint_path(&self) -> Option<&Path> {
        self.checkpoint.path.as_deref()
    }

    /// Groups of the batch stay as they are, however many of them a rank computes.
    fn regrouping(&self) -> Regrouping {
        if self.pretrain.method().reads("pretrain.bn_groups") {
            return Regrouping::BatchSize;
        }
        Regrouping::of(&self.train, self.build_objective().needs().can_be_divided(), false)
    }

    fn data(&self) -> &DataSection {
        &self.data
    }

    fn train(&self) -> &TrainSection {
        &self.train
    }

    fn run(&self) -> &RunSection {
        &self.run
    }

    fn train_mut(&mut self) -> &mut TrainSection {
        &mut self.train
    }

    fn run_mut(&mut self) -> &mut RunSection {
        &mut self.run
    }
}

/// Learning rate of `SimCLR`'s runs with LARS.
fn lars_rate(batch: usize) -> f64 {
    0.3 * batch as f64 / 256.0
}
