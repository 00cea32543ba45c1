//! Opens data and checkpoint, and refuses before anything is computed what cannot work.

use std::path::Path;
use std::sync::Arc;

use tch::Device;

use super::splits::{Splits, ValidationSource};
use crate::checkpoints::{Checkpoint, LoadReport, NamePattern, check_coverage, load_backbone, recognise};
use crate::config::{Accumulation, Input, RunConfig, RunSection};
use crate::data::{Dataset, Description};
use crate::engine::{DeviceChoice, Precision, device_name, threads};
use crate::models::{Architecture, Backbone, Model, Normalisation, ProjectionHead};
use crate::train::{Evaluator, Event, ModelDescription, Observer, Stop, TrainError};
use crate::transforms::Transform;

/// What is to be done, opened and checked: all of a run but the weights.
pub struct Task {
    /// The configuration with every value filled in.
    pub config: RunConfig,
    /// How an image becomes the input.
    pub input: Input,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The images.
    pub splits: Splits,
    /// The network.
    pub architecture: Architecture,
    /// What was loaded, left out, missing.
    pub report: LoadReport,
    /// BLAKE3 of the checkpoint's bytes.
    pub checkpoint_hash: String,
    /// Where it runs.
    pub device: Device,
    /// Number format of the convolutions.
    pub precision: Precision,
    /// Ends the work between two batches.
    pub stop: Stop,
}

/// A task and the weights to start from; nothing has been computed yet.
pub struct Preparation {
    /// What is to be done.
    pub task: Task,
    /// The backbone with the checkpoint's weights.
    pub backbone: Backbone,
    /// What was found in the data.
    pub data: Description,
    /// What the user should know before it begins.
    pub notes: Vec<String>,
    /// Every image that is left out because it cannot be read, with the reason.
    pub skipped: Vec<String>,
}

/// Where and in which precision a command computes.
pub(crate) struct Machine {
    pub(crate) device: Device,
    pub(crate) precision: Precision,
    /// What the user should know about the choice.
    pub(crate) notes: Vec<String>,
}

impl Machine {
    /// Takes the device, the threads and the precision that `run` asks for.
    pub(crate) fn choose(run: &RunSection) -> Result<Self, TrainError> {
        let (device, device_note) = run.device.parse::<DeviceChoice>()?.resolve()?;
        if let Some(count) = run.threads {
            threads::set(count)?;
        }
        let (precision, precision_note) = Precision::resolve(run.amp, device);
        Ok(Machine { device, precision, notes: device_note.into_iter().chain(precision_note).collect() })
    }
}

/// Opens what `config` names, looks at the images, and refuses what cannot work.
pub fn prepare(config: &RunConfig) -> Result<Preparation, TrainError> {
    prepare_watched(config, &mut |_| {})
}

/// [`prepare`], telling how far the look at the images has come.
pub fn prepare_watched(config: &RunConfig, observer: &mut Observer<'_>) -> Result<Preparation, TrainError> {
    let Machine { device, precision, mut notes } = Machine::choose(&config.run)?;
    let (dataset, unknown) = Dataset::open_known(&config.data.dir, &config.data.options())?;
    check_classes(&Splits::choose(&dataset, &config.data, config.train.seed)?, config)?;

    let checkpoint = Checkpoint::open(&config.checkpoint.path)?;
    if checkpoint.path() != config.checkpoint.path {
        let (run, file) = (config.checkpoint.path.display(), checkpoint.path().display());
        notes.push(format!("{run} is a run folder: the model of its best epoch is taken, {file}"));
    }
    let recognised = recognise(&checkpoint, config.checkpoint.encoder.as_deref())?;
    let architecture = chosen_architecture(config, recognised.architecture);
    recognised.check_fits(&checkpoint, &architecture)?;
    let patterns =
        config.checkpoint.allow_missing.iter().map(|text| NamePattern::from(text.as_str())).collect::<Vec<_>>();
    check_coverage(&checkpoint, &recognised, &architecture, &patterns)?;
    let mut backbone = Backbone::new(&architecture, config.train.seed, device)?;
    backbone.set_precision(precision);
    let loaded = load_backbone(&checkpoint, &recognised, backbone.parameters(), &patterns)?;
    backbone.freeze_stages(config.model.frozen_stages as usize)?;
    if config.model.freeze_batch_norm {
        backbone.freeze_batch_norm();
    }

    let (mut config, input) = config.resolve(&architecture, dataset.classes.len() as i64);
    observer(&Event::Stage("check of the images"));
    let mut progress = |done, total| observer(&Event::Progress { done, total });
    let (seed, img_size) = (config.train.seed, Some(input.img_size as u32));
    let (splits, mut report) = Splits::choose_and_look(&dataset, &config.data, seed, img_size, &mut progress)?;
    report.add_unknown(&unknown);
    Splits::refuse_unfit(&report, &config.data)?;
    notes.extend(report.findings.iter().map(ToString::to_string));
    config.run.device = device_name(device);
    config.run.amp = precision.into();
    config.run.threads = Some(threads::get());
    let task = Task {
        checkpoint_hash: file_hash(checkpoint.path())?,
        classes: dataset.classes.to_vec(),
        config,
        input,
        splits,
        architecture,
        report: loaded,
        device,
        precision,
        stop: Stop::default(),
    };
    if task.config.data.val_per_class.is_some() && task.splits.validation_source == ValidationSource::OwnSplit {
        notes.push("--val-per-class is not used: the data has a validation split of its own".into());
    }
    if task.config.train.accumulation == Accumulation::Split && task.config.train.grad_accum_steps == 1 {
        notes.push(
            "--accumulation split changes nothing: a step is one batch, unless --grad-accum-steps says more".into(),
        );
    }
    Ok(Preparation { task, backbone, data: dataset.describe(), notes, skipped: report.unreadable })
}

/// Refuses training images of one class, and a number of classes other than the user expects.
fn check_classes(splits: &Splits, config: &RunConfig) -> Result<(), TrainError> {
    let train = &splits.train;
    let used: Vec<usize> = (0..train.classes().len()).filter(|&class| train.class_counts()[class] > 0).collect();
    if let [only] = used[..] {
        return Err(TrainError::OneClass { class: train.classes()[only].clone(), images: train.len() });
    }
    match config.model.num_classes {
        Some(expected) if expected != train.classes().len() as i64 => {
            Err(TrainError::ClassCount { path: config.data.dir.clone(), expected, found: train.classes().len() })
        }
        _ => Ok(()),
    }
}

/// The checkpoint's own architecture, with what the configuration says instead.
fn chosen_architecture(config: &RunConfig, found: Architecture) -> Architecture {
    Architecture {
        family: config.model.name.unwrap_or(found.family),
        stem: config.model.stem.unwrap_or(found.stem),
        width: config.model.width.unwrap_or(found.width),
    }
}

fn file_hash(path: &Path) -> Result<String, TrainError> {
    let mut hasher = blake3::Hasher::new();
    let read = std::fs::File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ()));
    read.map_err(|source| TrainError::Read { path: path.into(), source })?;
    Ok(hasher.finalize().to_hex().to_string())
}

impl Task {
    /// How images are evaluated.
    pub(super) fn evaluator(&self) -> Result<Evaluator, TrainError> {
        Ok(Evaluator {
            transform: Arc::new(self.evaluation_transform()?),
            batch_size: self.config.evaluation_batch(),
            workers: self.config.workers(),
            stop: self.stop.clone(),
        })
    }

    /// What is done to an image that is evaluated.
    pub(super) fn evaluation_transform(&self) -> Result<Transform, TrainError> {
        let size = self.input.img_size as u32;
        Ok(Transform::evaluate(size, self.input.crop_pct, self.input.interpolation)?)
    }

    /// Normalisation of the model.
    pub(super) fn normalisation(&self) -> Normalisation {
        Normalisation { mean: self.input.mean, std: self.input.std }
    }

    /// What a checkpoint of this run says beside its weights.
    pub(super) fn description(&self, model: &Model) -> ModelDescription {
        ModelDescription {
            architecture: self.architecture,
            classes: self.classes.clone(),
            mean: self.input.mean,
            std: self.input.std,
            img_size: self.input.img_size,
            crop_pct: self.input.crop_pct,
            interpolation: self.input.interpolation,
            classifier_bias: model.classifier.bias.is_some(),
            projection_width: model.projection.as_ref().map(ProjectionHead::outputs),
        }
    }
}
