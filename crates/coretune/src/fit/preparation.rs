//! Opens images and checkpoint, and refuses what cannot work before anything is computed.

use std::sync::Arc;

use tch::Device;

use super::images::check_images;
use super::splits::{Splits, ValidationSource};
use super::unlabelled::{Candidates, Unlabelled};
use crate::checkpoints::{LoadReport, Projector};
use crate::config::{Accumulation, ClassWeights, DataSection, Input, ProbeRows, ProjectionInit, RunConfig, Sampler};
use crate::data::{Dataset, Description};
use crate::engine::ranks::RanksError;
use crate::engine::{EngineError, Precision, Stop, World};
use crate::evaluate::features::Evaluator;
use crate::models::{Architecture, Backbone, Model, Normalisation, ProjectionHead};
use crate::objectives::{Needs, Objective, Sharing};
use crate::runs::training_plan::fit_default_batch;
use crate::runs::{Job, Machine, Options, ReadHead, RunError, StartingPoint, training_plan};
use crate::saved_models::ModelDescription;
use crate::settings::RunKind;
use crate::train::{Observer, check_sharing};
use crate::transforms::Transform;

/// A fine-tuning run, opened and checked: everything but the weights.
pub struct Task {
    /// The configuration with every value filled in.
    pub config: RunConfig,
    /// How an image becomes the input.
    pub input: Input,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The labelled images.
    pub splits: Splits,
    /// Images without labels that are trained on too, if any.
    pub unlabelled: Option<Unlabelled>,
    /// The network.
    pub architecture: Architecture,
    /// What was loaded, left out, missing.
    pub report: LoadReport,
    /// BLAKE3 of the checkpoint's bytes.
    pub checkpoint_hash: String,
    /// The checkpoint's own projection head, if the run starts from it.
    pub projector: Option<Projector>,
    /// The checkpoint's projection head, if the probe reads it.
    pub probe_head: Option<ProjectionHead>,
    /// Whether the method trains the network; the linear probe does not.
    pub trains: bool,
    /// Where it runs.
    pub device: Device,
    /// Number format of the convolutions.
    pub precision: Precision,
    /// Ends the work between two batches.
    pub stop: Stop,
    /// The processes that share the run.
    pub world: World,
}

/// A fine-tuning run with the weights that it starts from; nothing has been computed yet.
pub struct Preparation {
    /// Everything but the weights.
    pub task: Task,
    /// The backbone with the checkpoint's weights.
    pub backbone: Backbone,
    /// What is minimised; none when the configuration names a method that the program has not brought.
    pub objective: Option<Box<dyn Objective>>,
    /// The data set: splits, classes, images of each.
    pub data: Description,
    /// What the user should know before it begins.
    pub notes: Vec<String>,
    /// Every image that is left out because it cannot be read, with the reason.
    pub skipped: Vec<String>,
}

/// Opens what `config` names, checks the images, and refuses what cannot work.
///
/// # Errors
/// [`RunError`] for what is wrong with the images, the checkpoint, the method or the machine.
pub fn prepare(config: &RunConfig) -> Result<Preparation, RunError> {
    config.prepare(Options::default(), &mut |_| {})
}

/// As [`prepare`], with what the caller brings; `observer` sees how far the check of the images has come.
pub(super) fn prepare_with(
    config: &RunConfig,
    options: Options,
    observer: &mut Observer<'_>,
) -> Result<Preparation, RunError> {
    let machine = Machine::choose(&config.run)?;
    let (dataset, unknown) = Dataset::open_known(&config.data.dir, &config.data.options())?;
    check_class_count(&dataset, config)?;
    check_usable(&dataset, &config.data, config.train.seed)?;
    let objective = options.objective.or_else(|| config.method.build(config.train.label_smoothing));
    let needs = objective.as_ref().map_or(Needs::CLASSIFIER, |objective| objective.needs());
    check_needs(needs, config)?;
    let own_head = OwnHead::wanted(needs, config);
    let network = (&config.model, config.train.seed);
    let start = StartingPoint::load(&config.checkpoint, network, own_head.read(), &machine)?;

    let (mut config, input) = config.resolve(&start.architecture, &start.input, dataset.classes.len() as i64);
    config.data.bit_depth_range = Some(dataset.bit_depth());
    machine.record(&mut config.run);
    let (projector, probe_head) = own_head.of_checkpoint(start.projector, machine.device)?;
    if let Some(projector) = &projector {
        config.method.contrast_dim = projector.outputs();
    }
    let (seed, world) = (config.train.seed, options.world);
    let (splits, report) = check_images(&dataset, &unknown, &config.data, seed, Some(input.img_size), world, observer)?;
    let smaller_batch = fit_batch(&mut config, needs, splits.train.len());
    let notes = [
        machine.notes,
        start.notes,
        report.warnings().map(ToString::to_string).collect(),
        without_effect(&config, &splits),
        smaller_batch.into_iter().chain(unused_projection(&config, needs)).collect(),
    ]
    .concat();
    let candidates = Candidates::find(&dataset, &splits, &config.data, world, observer)?;
    let mut task = Task {
        config,
        input,
        classes: dataset.classes.to_vec(),
        splits,
        unlabelled: None,
        architecture: start.architecture,
        report: start.report,
        checkpoint_hash: start.hash,
        projector,
        probe_head,
        trains: needs.steps,
        device: machine.device,
        precision: machine.precision,
        stop: options.stop,
        world: options.world,
    };
    if let Some(objective) = &objective {
        task.check_division(&**objective)?;
    }
    let mut backbone = start.backbone;
    if let Some(candidates) = candidates {
        task.unlabelled = Some(task.label_candidates(&backbone, candidates, observer)?);
    }
    backbone.set_activation_checkpointing(task.config.run.activation_checkpointing);
    Ok(Preparation { task, backbone, objective, data: dataset.describe(), notes, skipped: report.unreadable })
}

/// Refuses a method with settings that it cannot work with, as far as no image is needed to know.
pub(crate) fn check_method(objective: &dyn Objective, config: &RunConfig) -> Result<(), RunError> {
    check_needs(objective.needs(), config)?;
    Ok(training_plan::accumulation(&config.train).check(objective)?)
}

/// Refuses settings without which the method cannot work, or with which it cannot.
fn check_needs(needs: Needs, config: &RunConfig) -> Result<(), RunError> {
    if needs.probe && !config.run.probe {
        return Err(RunError::MethodNeedsProbe { method: config.method.word().into() });
    }
    let mixes = config.data.mixup > 0.0 || config.data.cutmix > 0.0;
    if mixes && !needs.soft_targets {
        return Err(RunError::MethodNeedsClasses { method: config.method.word().into() });
    }
    Ok(())
}

/// What a run does with the checkpoint's own projection head.
#[derive(Clone, Copy)]
struct OwnHead {
    /// Training starts from it.
    is_trained: bool,
    /// The frozen checkpoint is measured behind it.
    is_probed: bool,
}

impl OwnHead {
    fn wanted(needs: Needs, config: &RunConfig) -> Self {
        let measures_checkpoint = config.run.probe || config.data.unlabelled.is_some();
        OwnHead {
            is_trained: needs.projection && config.method.projection == ProjectionInit::Checkpoint,
            is_probed: measures_checkpoint && config.run.probe_rows == ProbeRows::Projector,
        }
    }

    fn read(self) -> ReadHead {
        if self.is_trained || self.is_probed { ReadHead::Required } else { ReadHead::No }
    }

    /// The head that training starts from, and the one that the checkpoint is measured behind.
    fn of_checkpoint(
        self,
        projector: Option<Projector>,
        device: Device,
    ) -> Result<(Option<Projector>, Option<ProjectionHead>), RunError> {
        let probed = projector.as_ref().filter(|_| self.is_probed);
        let probed = probed.map(|projector| projector.head(device)).transpose()?;
        Ok((projector.filter(|_| self.is_trained), probed))
    }
}

/// Reduces the default batch to so many training images, where they are fewer, and says so.
fn fit_batch(config: &mut RunConfig, needs: Needs, images: usize) -> Option<String> {
    match config.data.sampler {
        Sampler::Shuffle if needs.steps && config.data.unlabelled.is_none() => {
            fit_default_batch(&mut config.train, RunKind::FineTuning, images)
        }
        _ => None,
    }
}

/// A note if a projection head was asked for and the method has none.
fn unused_projection(config: &RunConfig, needs: Needs) -> Option<String> {
    (config.method.projection == ProjectionInit::Checkpoint && !needs.projection)
        .then(|| format!("method.projection is not used: {} has no projection head", config.method.word()))
}

/// Refuses a batch of the balanced sampler that the ranks cannot share alike.
fn check_shares(world: World, images: usize) -> Result<(), EngineError> {
    let ranks = world.ranks();
    if images.is_multiple_of(ranks) {
        return Ok(());
    }
    let what =
        format!("a balanced batch of {images} images, of which each of {ranks} ranks would have another number,");
    Err(RanksError::Undealt { what }.into())
}

/// Settings that were given and change nothing, or more than they are meant to, a sentence each.
fn without_effect(config: &RunConfig, splits: &Splits) -> Vec<String> {
    let validation = config.data.val_per_class.is_some() && splits.validation_source == ValidationSource::OwnSplit;
    let accumulation = config.train.accumulation == Accumulation::Split && config.train.grad_accum_steps == 1;
    let warmup = config.train.model_ema_warmup && config.train.model_ema.is_none();
    let notes = [
        (config.train.sam.is_some(), training_plan::TWICE_AS_LONG),
        (warmup, "train.model_ema_warmup is not used: no average of the weights is kept (train.model_ema)"),
        (validation, "data.val_per_class is not used: the data has a validation split of its own"),
        (
            accumulation,
            "train.accumulation = split changes nothing: a step is one batch while train.grad_accum_steps is 1",
        ),
        (
            config.train.class_weights == ClassWeights::Balanced && config.data.sampler == Sampler::Balanced,
            "train.class_weights and data.sampler both balance the classes: rare classes count twice",
        ),
    ];
    notes.into_iter().filter(|(applies, _)| *applies).map(|(_, note)| note.to_string()).collect()
}

/// Refuses data that no run can be made from, as far as its labels say: without training images, without validation
/// images, or with training images of one class only.
///
/// # Errors
/// The sentence that a run would be refused with.
pub fn check_usable(dataset: &Dataset, data: &DataSection, seed: u64) -> Result<(), RunError> {
    let train = Splits::choose(dataset, data, seed)?.train;
    if train.masks().is_some() {
        return Ok(());
    }
    let used: Vec<usize> = (0..train.classes().len()).filter(|&class| train.class_counts()[class] > 0).collect();
    if let [only] = used[..] {
        return Err(RunError::OneClass { class: train.classes()[only].clone(), images: train.len() });
    }
    Ok(())
}

/// Refuses a number of classes other than the user expects.
fn check_class_count(dataset: &Dataset, config: &RunConfig) -> Result<(), RunError> {
    if dataset.has_masks() {
        return Err(RunError::HasMasks { path: config.data.dir.clone() });
    }
    match config.model.num_classes {
        Some(expected) if expected != dataset.classes.len() as i64 => {
            Err(RunError::ClassCount { path: config.data.dir.clone(), expected, found: dataset.classes.len() })
        }
        _ => Ok(()),
    }
}

impl Task {
    /// Refuses a method whose batch cannot be divided as the configuration says: into parts, or among ranks.
    fn check_division(&self, objective: &dyn Objective) -> Result<(), RunError> {
        let accumulation = training_plan::accumulation(&self.config.train);
        accumulation.check(objective)?;
        check_shares(self.world, training_plan::sampling(&self.config).batch_size())?;
        check_sharing(self.world, objective, accumulation)?;
        let is_weighted = self.config.train.class_weights != ClassWeights::Off;
        if !self.world.is_alone() && is_weighted && objective.needs().shared_as() == Sharing::Images {
            let what = format!("train.class_weights with the method {}", objective.name());
            return Err(EngineError::from(RanksError::Undealt { what }).into());
        }
        Ok(())
    }

    /// How images are evaluated.
    pub(super) fn evaluator(&self) -> Result<Evaluator, RunError> {
        Ok(Evaluator {
            transform: Arc::new(self.evaluation_transform()?),
            batch_size: self.config.evaluation_batch(),
            workers: self.config.workers(),
            stop: self.stop.clone(),
            world: self.world,
        })
    }

    /// How images are evaluated through the frozen checkpoint.
    pub(super) fn probing_evaluator(&self) -> Result<Evaluator, RunError> {
        let transform = self.input.framing().probe(self.input.crop_pct)?;
        Ok(Evaluator { transform: Arc::new(transform), ..self.evaluator()? })
    }

    /// What is done to an image that is evaluated.
    pub(super) fn evaluation_transform(&self) -> Result<Transform, RunError> {
        Ok(self.input.framing().evaluate(self.input.crop_pct)?)
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
            bit_depth_range: self.config.data.bit_depth_range.filter(|range| !range.is_full()),
            resize_mode: self.input.resize_mode,
            classifier_bias: model.classifier.bias.is_some(),
            projection_width: model.projection.as_ref().map(ProjectionHead::outputs),
            projection_layers: model.projection.as_ref().filter(|head| !head.is_plain()).map(ProjectionHead::forms),
        }
    }
}
