//! A configuration whose values are all present, typed, in range and consistent.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::automatic::{self, Input};
use super::choices::{HeadInit, ProbeRows, Sampler};
use super::configuration::{Configuration, Regrouping};
use super::error::{ConfigError, refuse_if};
use super::layers::Layers;
use super::sections::{
    CheckpointSection, DataSection, MethodSection, ModelSection, RunSection, TrainSection, UnlabelledFrom,
};
use crate::data::absolute_roots;
use crate::files::absolute;
use crate::models::Architecture;
use crate::objectives::Regulariser;
use crate::settings::RunKind;

/// The configuration of a fine-tuning run.
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

impl Layers {
    /// The configuration, when every setting is given and all go together.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] for a setting without value, [`ConfigError::OtherRun`] for one of another kind of run, and
    /// [`ConfigError::Conflict`] for settings that exclude each other.
    ///
    /// # Panics
    /// When the table of settings and [`RunConfig`] disagree, which a test excludes.
    pub fn validate(&self) -> Result<RunConfig, ConfigError> {
        self.check_keys(RunKind::FineTuning)?;
        let layers = self.clone().with_defaults_of_method();
        let mut config =
            RunConfig::deserialize(layers.to_table()).expect("the table of settings has checked every value");
        config.method.keep_own_values();
        config.check()?;
        Ok(config)
    }
}

impl RunConfig {
    /// Refuses settings that are each in range and do not go together.
    fn check(&self) -> Result<(), ConfigError> {
        self.data.check()?;
        self.model.check()?;
        self.check_sampler()?;
        self.train.check()?;
        self.run.check(&self.train)?;
        self.train.check_several_images()?;
        self.method.check_requirements(&self.to_table())?;
        self.method.check_regulariser()?;
        let starts_from_probe = self.method.head_init == HeadInit::LinearProbe
            || self.method.build(0.0).is_some_and(|objective| objective.needs().probe);
        refuse_if(starts_from_probe && self.run.probe_rows != ProbeRows::Features, || ConfigError::Conflict {
            first: "run.probe_rows".into(),
            second: "method.head_init".into(),
            expected: "features, which the classifier reads".into(),
            found: self.run.probe_rows.to_string(),
            hint: "leave out {run.probe_rows}, or give {method.head_init=random}".into(),
        })?;
        refuse_if(self.method.head_init == HeadInit::LinearProbe && !self.run.probe, || ConfigError::Conflict {
            first: "method.head_init".into(),
            second: "run.probe".into(),
            expected: "the probe, from which the classifier starts".into(),
            found: "probe = false".into(),
            hint: "leave out {run.probe=false}, or give {method.head_init=random}".into(),
        })
    }

    /// A batch of the balanced sampler is at most as large as the batch asked for.
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
            hint: "give a larger {train.batch_size}, or leave out {data.classes_per_batch} or {data.images_per_class}"
                .into(),
        })
    }

    /// Decides what is still `auto`, and gives how an image becomes the input: as given, or else as in `usual`, the input
    /// of the checkpoint.
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
            crop_pct: data.crop_pct.unwrap_or_else(|| data.resize_mode.crop_fraction(img_size as u32)),
            interpolation: data.interpolation,
            resize_mode: data.resize_mode,
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
        if self.method.regulariser != Regulariser::None {
            let usual = self.method.regulariser.usual_weight();
            resolved.method.regulariser_weight = Some(self.method.regulariser_weight.unwrap_or(usual));
        }
        resolved.run.output = Some(self.output());
        // A run is evaluated and repeated from other folders than the one it was started in.
        resolved.data.dir = absolute_roots(&self.data.dir);
        resolved.data.unlabelled = match self.data.unlabelled_from() {
            Some(UnlabelledFrom::Path(path)) => Some(absolute_roots(path)),
            Some(UnlabelledFrom::Rest) | None => self.data.unlabelled.clone(),
        };
        resolved.data.pseudo_labels_from = self.data.pseudo_labels_from.iter().map(|run| absolute(run)).collect();
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

    /// P and K of the balanced sampler over so many classes, as given or automatic.
    pub fn balanced_batch(&self, num_classes: usize) -> (usize, usize) {
        let DataSection { classes_per_batch, images_per_class, .. } = self.data;
        automatic::balanced_batch(classes_per_batch, images_per_class, self.train.effective_batch(), num_classes)
    }
}

impl Configuration for RunConfig {
    const KIND: RunKind = RunKind::FineTuning;

    fn of(layers: &Layers) -> Result<Self, ConfigError> {
        layers.validate()
    }

    fn method_name(&self) -> &str {
        self.method.word()
    }

    fn checkpoint_path(&self) -> Option<&Path> {
        Some(&self.checkpoint.path)
    }

    fn regrouping(&self) -> Regrouping {
        let is_divisible = self.method.build(0.0).is_none_or(|objective| objective.needs().can_be_divided());
        Regrouping::of(&self.train, is_divisible, self.model.freeze_batch_norm)
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
