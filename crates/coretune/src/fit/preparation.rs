//! Opens data and checkpoint, and refuses before anything is computed what cannot work.

use std::path::PathBuf;
use std::sync::Arc;

use tch::Device;

use super::splits::Splits;
use crate::checkpoints::{Checkpoint, LoadReport, load_backbone, recognise};
use crate::config::{Input, RunConfig};
use crate::data::Dataset;
use crate::engine::{DeviceChoice, Precision, threads};
use crate::models::{Architecture, Backbone, Normalisation};
use crate::train::{Evaluator, ModelDescription, TrainError};
use crate::transforms::Transform;

/// Everything that a run needs, opened and checked; nothing has been computed yet.
pub struct Preparation {
    /// The configuration with every value filled in.
    pub config: RunConfig,
    /// How an image becomes the input.
    pub input: Input,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The images.
    pub splits: Splits,
    /// The backbone with the checkpoint's weights.
    pub backbone: Backbone,
    /// What was loaded, left out, missing.
    pub report: LoadReport,
    /// BLAKE3 of the checkpoint's bytes.
    pub checkpoint_hash: String,
    /// Where it runs.
    pub device: Device,
    /// Number format of the convolutions.
    pub precision: Precision,
    /// What the user should know before it begins.
    pub notes: Vec<String>,
}

/// What a run will need, roughly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Weights of backbone and heads.
    pub parameters: usize,
    /// Steps of training.
    pub steps: u64,
    /// Memory for weights, optimizer, activations of a batch, bytes.
    pub memory_bytes: u64,
    /// Time of training, seconds, from a measured step.
    pub seconds: f64,
}

/// Opens what `config` names. `architecture_of` the checkpoint is overridden where the configuration says so.
pub fn prepare(config: &RunConfig) -> Result<Preparation, TrainError> {
    let device = config.run.device.parse::<DeviceChoice>()?.resolve()?;
    if let Some(count) = config.run.threads {
        threads::set(count)?;
    }
    let (precision, warning) = Precision::resolve(config.run.amp, device);
    let mut notes: Vec<String> = warning.into_iter().collect();

    let dataset = Dataset::open(&config.data.dir, &config.data.split_names())?;
    let splits = Splits::choose(&dataset, &config.data, config.train.seed)?;

    let checkpoint = Checkpoint::open(&config.checkpoint.path)?;
    let recognised = recognise(&checkpoint, config.checkpoint.encoder.as_deref())?;
    let architecture = chosen_architecture(config, recognised.architecture);
    let mut backbone = Backbone::new(&architecture, config.train.seed, device)?;
    backbone.set_precision(precision);
    let report = load_backbone(&checkpoint, &recognised, backbone.parameters(), &config.checkpoint.allow_missing)?;

    let (config, input) = config.resolve(&architecture, dataset.classes.len() as i64);
    notes.extend(dataset.notes());
    Ok(Preparation {
        checkpoint_hash: file_hash(&config.checkpoint.path)?,
        classes: dataset.classes.to_vec(),
        config,
        input,
        splits,
        backbone,
        report,
        device,
        precision,
        notes,
    })
}

/// The checkpoint's own architecture, with what the configuration says instead.
fn chosen_architecture(config: &RunConfig, found: Architecture) -> Architecture {
    Architecture {
        family: config.model.name.unwrap_or(found.family),
        stem: config.model.stem.unwrap_or(found.stem),
        width: config.model.width.unwrap_or(found.width),
    }
}

fn file_hash(path: &PathBuf) -> Result<String, TrainError> {
    let mut hasher = blake3::Hasher::new();
    let read = std::fs::File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ()));
    read.map_err(|source| TrainError::Read { path: path.clone(), source })?;
    Ok(hasher.finalize().to_hex().to_string())
}

impl Preparation {
    /// How images are evaluated.
    pub fn evaluator(&self) -> Result<Evaluator, TrainError> {
        Ok(Evaluator {
            transform: Arc::new(self.evaluation_transform()?),
            batch_size: self.config.evaluation_batch(),
            workers: self.config.workers(),
        })
    }

    pub(super) fn evaluation_transform(&self) -> Result<Transform, TrainError> {
        let size = self.input.img_size as u32;
        Ok(Transform::evaluate(size, self.input.crop_pct, self.input.interpolation)?)
    }

    /// Normalisation of the model.
    pub fn normalisation(&self) -> Normalisation {
        Normalisation { mean: self.input.mean, std: self.input.std }
    }

    /// What a checkpoint of this run says beside its weights.
    pub(super) fn description(&self, classifier_bias: bool, projection_width: Option<i64>) -> ModelDescription {
        ModelDescription {
            architecture: *self.backbone.architecture(),
            classes: self.classes.clone(),
            mean: self.input.mean,
            std: self.input.std,
            img_size: self.input.img_size,
            crop_pct: self.input.crop_pct,
            interpolation: self.input.interpolation,
            classifier_bias,
            projection_width,
        }
    }
}
