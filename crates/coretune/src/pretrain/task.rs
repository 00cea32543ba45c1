//! A pre-training run: opened and checked, trained, summed up.

use std::mem;
use std::sync::Arc;

use tch::Device;

use super::LiveProbe;
use super::learner::{PretrainedDescription, Pretraining};
use crate::checkpoints::{LoadReport, Projector};
use crate::config::{DataCheck, Input, PretrainConfig};
use crate::data::check::{Depth, Problem, check};
use crate::data::{DataError, Dataset, DatasetOptions, Omission, ReadColumns, Role, Split};
use crate::engine::ranks::RanksError;
use crate::engine::{EngineError, Precision, Stop, World, peak_device_bytes, peak_rss_bytes};
use crate::evaluate::features::Evaluator;
use crate::models::{Architecture, Backbone, Encoder, Normalisation, ProjectionHead, Role as ParameterRole};
use crate::objectives::Start;
use crate::run_folder::{EvaluationRecord, MetricsRecord, PretrainSummary, RunFolder};
use crate::runs::training_plan::fit_default_batch;
use crate::runs::{Machine, ReadHead, RunError, StartingPoint, training_plan, versions};
use crate::settings::RunKind;
use crate::train::{
    Event, Observer, Optimizer, Sampling, TrainError, TrainedWeight, Trainer, TrainingImages, check_sharing,
    run_parameters,
};
use crate::transforms::Transform;

/// A pre-training run, opened and checked.
pub struct PretrainTask {
    /// The configuration with every value filled in.
    pub config: PretrainConfig,
    /// How an image becomes the input.
    pub input: Input,
    /// The images that are trained on.
    pub images: Split,
    /// The network.
    pub architecture: Architecture,
    /// Where it runs.
    pub device: Device,
    /// Number format of the convolutions.
    pub precision: Precision,
    /// Ends the work between two batches.
    pub stop: Stop,
    /// The processes that share the run.
    pub world: World,
    /// What the user should know before it begins.
    pub notes: Vec<String>,
    /// What of the data is not among the images, by reason.
    pub left_out: Vec<Omission>,
    /// The columns of tables.
    pub columns: Vec<ReadColumns>,
    /// Labelled images that evaluate the features, beside those of training.
    pub(super) evaluated: Option<(Role, Split)>,
    /// Why each image that cannot be read was left out.
    pub(super) skipped: Vec<String>,
    /// The checkpoint that the encoder starts from, if any.
    pub(super) start: Option<StartingPoint>,
}

/// `validation and test`
fn splits_of(dataset: &Dataset) -> String {
    let splits = [Role::Validation, Role::Test].into_iter().filter(|&role| dataset.split(role).is_some());
    splits.map(|role| role.to_string()).collect::<Vec<_>>().join(" and ")
}

impl PretrainTask {
    /// Opens the images that `config` names, checks them, and refuses what cannot work.
    ///
    /// # Errors
    /// What is wrong with the images or the machine; [`TrainError::BatchTooLarge`] when the images do not fill a batch.
    pub(super) fn prepare(
        config: &PretrainConfig,
        (stop, world): (Stop, World),
        observer: &mut Observer<'_>,
    ) -> Result<Self, RunError> {
        let machine = Machine::choose(&config.run)?;
        // Without a probe no other split is read.
        let options = DatasetOptions { train_only: config.pretrain.probe_epochs.is_none(), ..config.data.options() };
        let dataset = Dataset::open_unlabelled(&config.data.dir, &options)?;
        let all = dataset.train.as_ref().ok_or_else(|| DataError::SplitMissing {
            path: dataset.root.clone(),
            split: "train".into(),
            found: splits_of(&dataset),
        })?;
        let images = all.budget(config.data.budget(), config.train.seed)?;
        let mut config = config.clone();
        let smaller_batch = fit_default_batch(&mut config.train, RunKind::Pretraining, images.len());
        let (batch, available) = (config.train.effective_batch(), images.len());
        if available < batch {
            return Err(TrainError::BatchTooLarge { batch, images: available, ranks: world.ranks() }.into());
        }
        let (width, height) = first_size(&images, config.data.check)?;
        let mut start = starting_point(&config, &machine)?;
        let network = start.as_ref().map(|start| (start.architecture, start.input));
        let (mut config, architecture, input) = config.resolve(width.min(height), images.len(), network);
        Backbone::outline(&architecture)?.check_trainable()?;
        config.data.bit_depth_range = Some(dataset.bit_depth());
        machine.record(&mut config.run);
        let Machine { device, precision, mut notes } = machine;
        notes.extend(start.iter_mut().flat_map(|start| mem::take(&mut start.notes)));
        notes.extend(smaller_batch);
        notes.extend(config.warnings());
        let evaluated = evaluation_split(&dataset, &config);
        let Checked { images, evaluated, skipped } =
            checked(images, evaluated, (&config, world), input.img_size as u32, &mut notes, observer)?;
        let (left_out, columns) = (dataset.left_out.omissions(), dataset.columns.clone());
        let task = PretrainTask {
            config,
            input,
            images,
            architecture,
            device,
            precision,
            stop,
            world,
            notes,
            left_out,
            columns,
            evaluated,
            skipped,
            start,
        };
        task.check_ranks()?;
        // Of images that were left out none fills a batch.
        task.training_images()?.steps_per_epoch()?;
        task.probe()?;
        Ok(task)
    }

    /// The splits that are read, with what each is for.
    pub(super) fn splits(&self) -> impl Iterator<Item = (Role, &Split)> {
        std::iter::once((Role::Train, &self.images)).chain(self.evaluated.iter().map(|(role, split)| (*role, split)))
    }

    /// Refuses parts of a batch for a method that needs all of it, and ranks that cannot share a step.
    pub(super) fn check_ranks(&self) -> Result<(), RunError> {
        let (ranks, pretrain) = (self.world.ranks(), &self.config.pretrain);
        let objective = self.config.build_objective();
        let accumulation = training_plan::accumulation(&self.config.train);
        accumulation.check(&*objective)?;
        check_sharing(self.world, &*objective, accumulation)?;
        let groups = pretrain.bn_groups.unwrap_or(ranks);
        if pretrain.method().reads("pretrain.bn_groups") && !groups.is_multiple_of(ranks) {
            let what = format!("pretrain.bn_groups = {groups}");
            return Err(EngineError::from(RanksError::Undealt { what }).into());
        }
        Ok(())
    }

    /// What was loaded of the checkpoint that the encoder starts from, left out, missing; none without one.
    pub fn report(&self) -> Option<&LoadReport> {
        self.start.as_ref().map(|start| &start.report)
    }

    /// Whether the projection head starts from the checkpoint's own.
    pub fn starts_from_head(&self) -> bool {
        self.projector().is_some()
    }

    fn projector(&self) -> Option<&Projector> {
        self.start.as_ref()?.projector.as_ref()
    }

    /// Trains to the end, evaluating the features before the first step, and writes the summary. If the folder
    /// holds a saved state, training resumes from it.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when it was asked to stop ([`PretrainTask::stop`]): the state is saved, and the same
    /// call resumes from it.
    pub(super) fn train(&self, folder: &RunFolder, observer: &mut Observer<'_>) -> Result<PretrainSummary, RunError> {
        let mut trainer = self.trainer(folder)?;
        let is_new = folder.metrics()?.is_empty() && !folder.last_checkpoint().exists();
        if is_new && let Some(probe) = &trainer.learner.probe {
            let weights =
                if self.start.is_some() { "features of the checkpoint" } else { "features of random weights" };
            observer(&Event::Stage(weights));
            let mut record = trainer.learner.evaluate(probe, 0, 0, 0.0)?;
            record.seconds = trainer.stopwatch.seconds();
            observer(&Event::Evaluated(trainer.learner.report(&record)));
            folder.log(&MetricsRecord::Probe(record))?;
        }
        let outcome = trainer.carry_on(observer)?;
        let summary = PretrainSummary {
            method: self.config.pretrain.method.clone(),
            model: self.architecture.family.to_string(),
            data: self.config.data.dir.display().to_string(),
            images: self.images.len(),
            checkpoint: self.report().map(|report| report.file.clone()),
            coverage: self.report().map(|report| report.coverage),
            seed: self.config.train.seed,
            epochs: outcome.progress.epochs,
            steps: outcome.progress.step,
            probe: last_probe(folder)?,
            images_per_second: outcome.images_per_second,
            wall_seconds: trainer.stopwatch.seconds(),
            peak_rss_bytes: peak_rss_bytes(),
            peak_device_bytes: peak_device_bytes(self.device),
            exchange: self.world.traffic(),
            versions: versions(),
        };
        folder.derive()?;
        folder.write_summary(&summary)?;
        Ok(summary)
    }

    /// The trainer of this task at its first step.
    fn trainer<'a>(&self, folder: &'a RunFolder) -> Result<Trainer<'a, Pretraining>, RunError> {
        let train = &self.config.train;
        let images = self.training_images()?;
        let (schedule, plan) =
            (training_plan::schedule(train, images.steps_per_epoch()?), training_plan::plan(train, &self.config.run));
        Ok(Trainer::new(self.learner()?, images, (schedule, plan), folder, self.stop.clone()))
    }

    pub(super) fn learner(&self) -> Result<Pretraining, RunError> {
        let (train, input) = (&self.config.train, &self.input);
        let encoder = self.encoder()?;
        let mut objective = self.config.build_objective();
        objective.needs().check(&encoder)?;
        let steps = train.epochs as u64 * self.training_images()?.steps_per_epoch()?;
        objective.begin(&Start { network: &encoder, seed: train.seed, steps, probe: None })?;
        let parameters = run_parameters(&encoder, &*objective);
        let trained = parameters.iter().filter(|parameter| parameter.role == ParameterRole::Weight).map(|parameter| {
            TrainedWeight { name: parameter.name.clone(), weight: parameter.tensor.shallow_clone(), rate_factor: 1.0 }
        });
        Ok(Pretraining {
            optimizer: Optimizer::over(trained, training_plan::rule(train), train.weight_decay, train.clip_grad)
                .pulled(objective.pulls()),
            probe: self.probe()?,
            description: PretrainedDescription {
                method: objective.name().into(),
                architecture: self.architecture,
                mean: input.mean,
                std: input.std,
                img_size: input.img_size,
                resize_mode: input.resize_mode,
            },
            collapse_reported: false,
            accumulation: training_plan::accumulation(train),
            seed: train.seed,
            world: self.world,
            encoder,
            objective,
        })
    }

    /// How the features are evaluated meanwhile, if they are.
    fn probe(&self) -> Result<Option<LiveProbe>, RunError> {
        let pretrain = &self.config.pretrain;
        let Some(every) = pretrain.probe_epochs else { return Ok(None) };
        let (images, seed) = ((&self.images, self.evaluated.as_ref()), self.config.train.seed);
        match LiveProbe::new(images, pretrain.probe_images, seed, self.evaluator()?, every) {
            Ok(probe) => Ok(Some(probe)),
            Err(DataError::NothingToValidate { images }) => Err(RunError::NothingToProbe { images }),
            Err(error) => Err(error.into()),
        }
    }

    /// The encoder before its first step: of random weights, or of those of the checkpoint.
    fn encoder(&self) -> Result<Encoder, RunError> {
        let mut backbone = Backbone::new(&self.architecture, self.config.train.seed, self.device)?;
        backbone.check_trainable()?;
        backbone.set_precision(self.precision);
        backbone.set_activation_checkpointing(self.config.run.activation_checkpointing);
        if let Some(start) = &self.start {
            backbone.copy_from(&start.backbone)?;
        }
        if self.config.train.sync_bn {
            backbone.synchronise_batch_norm(self.world);
        }
        let head = self.head(backbone.feature_width())?;
        let Input { mean, std, .. } = self.input;
        Ok(Encoder::new(backbone, head, Normalisation { mean, std })?)
    }

    /// The projection head before the first step, over features of this width.
    fn head(&self, features: i64) -> Result<ProjectionHead, RunError> {
        let head = match self.projector() {
            None => {
                let (outputs, seed) = (self.config.pretrain.dim, self.config.train.seed);
                ProjectionHead::new(features, outputs, seed, self.device)?
            }
            Some(projector) => projector.head(self.device)?,
        };
        Ok(head)
    }

    pub(super) fn training_images(&self) -> Result<TrainingImages, RunError> {
        let view = self.input.framing().view(&self.config.view());
        Ok(TrainingImages {
            split: self.config.run.cached(&self.images, self.world.local_ranks()),
            sampling: Sampling::Shuffle { batch_size: self.config.train.effective_batch() },
            transform: Arc::new(Transform::new(view)?),
            views: 2,
            workers: self.config.run.reading_threads(),
            page_locked: self.device.is_cuda(),
            seed: self.config.train.seed,
            world: self.world,
        })
    }

    fn evaluator(&self) -> Result<Evaluator, RunError> {
        const BATCH: usize = 128;
        Ok(Evaluator {
            transform: Arc::new(self.input.framing().evaluate(self.input.crop_pct)?),
            batch_size: self.config.train.batch_size.min(BATCH),
            workers: self.config.run.reading_threads(),
            stop: self.stop.clone(),
            world: self.world,
        })
    }
}

/// The checkpoint that the configuration names, if any; with its projection head if that gives projections of the
/// width asked for.
fn starting_point(config: &PretrainConfig, machine: &Machine) -> Result<Option<StartingPoint>, RunError> {
    let Some(checkpoint) = config.checkpoint.given() else { return Ok(None) };
    let network = (&config.model, config.train.seed);
    let mut start = StartingPoint::load(&checkpoint, network, ReadHead::IfAny, machine)?;
    let (asked, found) = (config.pretrain.dim, start.projector.as_ref().map(Projector::outputs));
    if let Some(found) = found.filter(|found| *found != asked) {
        start.projector = None;
        start.notes.push(format!(
            "the projection head starts from random weights: that of the checkpoint has {found} outputs, pretrain.dim is \
             {asked}"
        ));
    }
    Ok(Some(start))
}

/// The images that evaluate the features: those for test, else for validation.
fn evaluation_split(dataset: &Dataset, config: &PretrainConfig) -> Option<(Role, Split)> {
    config.pretrain.probe_epochs?;
    let splits = [(Role::Test, &dataset.test), (Role::Validation, &dataset.validation)];
    splits.into_iter().find_map(|(role, split)| split.clone().map(|split| (role, split)))
}

/// Width and height of the first image; of the first that can be read if a check reports the others.
fn first_size(images: &Split, check: DataCheck) -> Result<(u32, u32), DataError> {
    let readable = || (1..images.len()).find_map(|at| images.load(at).ok());
    let is_checked = check != DataCheck::Off;
    let first = images.load(0).or_else(|error| is_checked.then(readable).flatten().ok_or(error))?;
    Ok(first.dimensions())
}

/// What is left of the images after their check.
struct Checked {
    images: Split,
    evaluated: Option<(Role, Split)>,
    skipped: Vec<String>,
}

/// The images without unreadable ones, if the configuration skips them; else unreadable images stop the run. Of several processes
/// rank 0 checks.
fn checked(
    images: Split,
    evaluated: Option<(Role, Split)>,
    (config, world): (&PretrainConfig, World),
    img_size: u32,
    notes: &mut Vec<String>,
    observer: &mut Observer<'_>,
) -> Result<Checked, RunError> {
    let depth = match config.data.check {
        DataCheck::Full => Depth::Full,
        DataCheck::Quick => Depth::Quick,
        DataCheck::Off => return Ok(Checked { images, evaluated, skipped: Vec::new() }),
    };
    observer(&Event::Stage("check of the images"));
    let mut progress = |done, total| observer(&Event::Progress { done, total });
    let splits: Vec<(Role, &Split)> =
        std::iter::once((Role::Train, &images)).chain(evaluated.iter().map(|(role, split)| (*role, split))).collect();
    // Nothing that is found of classes matters here.
    let of_images = |problem: Problem| matches!(problem, Problem::Unreadable | Problem::Small);
    let (broken, skipped): (Vec<Vec<usize>>, Vec<String>) = world.by_first(|| {
        let report = check(&splits, depth, Some(img_size), config.data.skip_broken, &mut progress);
        let stops: Vec<String> =
            report.stops().filter(|finding| of_images(finding.problem)).map(ToString::to_string).collect();
        if !stops.is_empty() {
            return Err(DataError::Unfit {
                path: config.data.dir.clone(),
                findings: stops,
                broken_only: true,
                of_masks: false,
            });
        }
        notes.extend(report.findings.iter().filter(|finding| of_images(finding.problem)).map(ToString::to_string));
        Ok((report.broken, report.unreadable))
    })?;
    let without = |split: Split, at: usize| match broken.get(at) {
        Some(broken) if !broken.is_empty() => split.without(broken),
        _ => Ok(split),
    };
    let evaluated = evaluated.map(|(role, split)| Ok::<_, DataError>((role, without(split, 1)?))).transpose()?;
    Ok(Checked { images: without(images, 0)?, evaluated, skipped })
}

fn last_probe(folder: &RunFolder) -> Result<Option<EvaluationRecord>, RunError> {
    let mut records = folder.metrics()?;
    records.retain(|record| matches!(record, MetricsRecord::Probe(_)));
    Ok(records.pop().and_then(|record| if let MetricsRecord::Probe(record) = record { Some(record) } else { None }))
}
