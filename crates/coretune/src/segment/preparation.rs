//! Opens images, masks and checkpoint, and refuses what cannot work before anything is computed.

use std::sync::Arc;

use image::RgbImage;
use tch::Device;

use crate::checkpoints::LoadReport;
use crate::config::{ClassWeights, HeadInit, Input, SegmentationConfig};
use crate::data::{DataError, Dataset, Description, MaskLegend, Split};
use crate::engine::{Precision, Stop, World};
use crate::evaluate::figure;
use crate::figures::Selection;
use crate::fit::class_weights::balanced;
use crate::fit::{Splits, check_images};
use crate::models::{
    Architecture, Backbone, DenseHeadKind, Network, Normalisation, ProjectionHead, Segmenter, SegmenterHeads,
};
use crate::objectives::{Needs, Objective};
use crate::runs::training_plan::fit_default_batch;
use crate::runs::{Machine, Options, ReadHead, RunError, StartingPoint, freeze, training_plan};
use crate::saved_models::SegmenterDescription;
use crate::settings::RunKind;
use crate::train::{Accumulation, Observer, Sampling, TrainingImages, check_sharing};

/// Width of the hidden layer of the projection head on rows of a map.
const HIDDEN: i64 = 256;

/// A run that segments images, opened and checked: everything but the weights.
pub struct SegmentationTask {
    /// The configuration with every value filled in.
    pub config: SegmentationConfig,
    /// How an image becomes the input.
    pub input: Input,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The images and masks.
    pub splits: Splits,
    /// The backbone.
    pub architecture: Architecture,
    /// What was loaded, left out, missing.
    pub report: LoadReport,
    /// BLAKE3 of the checkpoint's bytes.
    pub checkpoint_hash: String,
    /// Whether the method makes steps; if not, the network is the probe.
    pub trains: bool,
    /// Weight of each class in the cross-entropy of the pixels, in the order of the classes; `None` when all are alike.
    pub class_weights: Option<Vec<f64>>,
    /// The smaller side of the first training image, pixels.
    pub smaller_side: u32,
    /// Where it runs.
    pub device: Device,
    /// Number format of the convolutions.
    pub precision: Precision,
    /// Ends the work between two batches.
    pub stop: Stop,
    /// The processes that share the run.
    pub world: World,
}

/// A run that segments images, with the network that it starts from; nothing has been computed yet.
pub struct SegmentationPreparation {
    /// Everything but the weights.
    pub task: SegmentationTask,
    /// The backbone with the checkpoint's weights, and heads drawn by the seed.
    pub network: Segmenter,
    /// What is minimised.
    pub objective: Box<dyn Objective>,
    /// The data set: splits and classes.
    pub data: Description,
    /// What the user should know before it begins.
    pub notes: Vec<String>,
    /// Every image that is left out because it cannot be read, with the reason.
    pub skipped: Vec<String>,
}

impl SegmentationPreparation {
    /// Opens what `config` names, checks images and masks, and refuses what cannot work.
    ///
    /// # Errors
    /// What is wrong with the images, the masks, the checkpoint, the method or the machine.
    pub(super) fn prepare(
        config: &SegmentationConfig,
        options: Options,
        observer: &mut Observer<'_>,
    ) -> Result<Self, RunError> {
        let machine = Machine::choose(&config.run)?;
        let (dataset, unknown) = Dataset::open_known(&config.data.dir, &config.data.options())?;
        check_masks(&dataset, config)?;
        let built = options.objective.or_else(|| config.method.build(config.train.label_smoothing));
        let objective = built.ok_or(RunError::NoObjective)?;
        check_method(&*objective)?;
        Selection::from_word(config.train.select.name(), &figure::OF_SEGMENTATION)?;
        let from = (&config.model, config.train.seed);
        let start = StartingPoint::load(&config.checkpoint, from, ReadHead::No, &machine)?;

        let first = first_readable(&Splits::choose(&dataset, &config.data, config.train.seed)?.train)?;
        let smaller_side = first.width().min(first.height());
        let of_data = (dataset.classes.len() as i64, smaller_side);
        let (mut config, input) = config.resolve(&start.architecture, &start.input, of_data);
        machine.record(&mut config.run);
        config.data.bit_depth_range = Some(dataset.bit_depth());
        let accumulation = training_plan::accumulation(&config.train);
        accumulation.check(&*objective)?;
        check_sharing(options.world, &*objective, accumulation)?;
        let seed = config.train.seed;
        let (splits, report) = check_images(&dataset, &unknown, &config.data, seed, None, options.world, observer)?;
        let smaller_batch = fit_default_batch(&mut config.train, RunKind::Segmentation, splits.train.len());
        let class_weights = options.world.by_first(|| class_weights(config.train.class_weights, &splits.train))?;
        let findings = report.findings.iter().map(ToString::to_string).collect();
        let sam = config.train.sam.map(|_| training_plan::TWICE_AS_LONG.to_string());
        let notes = [machine.notes, start.notes, findings, sam.into_iter().chain(smaller_batch).collect()].concat();
        let task = SegmentationTask {
            config,
            input,
            classes: dataset.classes.to_vec(),
            splits,
            architecture: start.architecture,
            report: start.report,
            checkpoint_hash: start.hash,
            trains: objective.needs().steps,
            class_weights,
            smaller_side,
            device: machine.device,
            precision: machine.precision,
            stop: options.stop,
            world: options.world,
        };
        let network = task.network(&start.backbone, objective.needs())?;
        let (data, skipped) = (dataset.describe(), report.unreadable);
        Ok(SegmentationPreparation { task, network, objective, data, notes, skipped })
    }
}

/// The first image that can be read; the check of the images reports the others.
fn first_readable(split: &Split) -> Result<RgbImage, DataError> {
    (1..split.len()).fold(split.load(0), |found, index| found.or_else(|error| split.load(index).map_err(|_| error)))
}

/// Weights of the classes from the pixels of the training masks, if they are asked for.
fn class_weights(given: ClassWeights, train: &Split) -> Result<Option<Vec<f64>>, DataError> {
    match (given, train.masks()) {
        (ClassWeights::Balanced, Some(masks)) => Ok(Some(balanced(masks.class_pixels()?.into_iter()))),
        _ => Ok(None),
    }
}

/// Refuses images without masks, and another number of classes than the user expects.
fn check_masks(dataset: &Dataset, config: &SegmentationConfig) -> Result<(), RunError> {
    let path = config.data.dir.clone();
    if !dataset.has_masks() {
        return Err(RunError::NoMasks { path });
    }
    match config.model.num_classes {
        Some(expected) if expected != dataset.classes.len() as i64 => {
            Err(RunError::ClassCount { path, expected, found: dataset.classes.len() })
        }
        _ => Ok(()),
    }
}

/// Refuses a method that reads more than rows and labels.
pub(crate) fn check_method(objective: &dyn Objective) -> Result<(), RunError> {
    let needs = objective.needs();
    let reads = [
        (needs.stage_maps, "the maps of each stage"),
        (needs.views > 1, "several views of each image"),
        (needs.preparation > 0, "whole images before the first step"),
        (needs.probe, "the linear probe of whole images"),
        (!needs.can_be_divided(), "whole images"),
    ];
    match reads.iter().find(|(reads, _)| *reads) {
        Some((_, what)) => Err(RunError::NotForPixels { method: objective.name(), reads: what }),
        None => Ok(()),
    }
}

impl SegmentationTask {
    /// The network with the weights of `start` in its backbone, and heads drawn by the seed.
    pub(super) fn network(&self, start: &Backbone, needs: Needs) -> Result<Segmenter, RunError> {
        let (section, seed) = (&self.config.segmentation, self.config.train.seed);
        let kind = section.head;
        let network = self.network_with(start, kind, section.auxiliary)?;
        if !needs.projection {
            return Ok(network);
        }
        let (width, outputs) = (network.embedding_width(), self.config.method.contrast_dim);
        Ok(network.with_projection(ProjectionHead::with_hidden(width, HIDDEN, outputs, seed, self.device)?)?)
    }

    /// A network with this head, and the weights of `start` in its backbone.
    pub(super) fn network_with(
        &self,
        start: &Backbone,
        kind: DenseHeadKind,
        auxiliary: bool,
    ) -> Result<Segmenter, RunError> {
        let (model, seed) = (&self.config.model, self.config.train.seed);
        let mut backbone = Backbone::dilated(&self.architecture, self.config.output_stride(), seed, self.device)?;
        backbone.check_trainable()?;
        backbone.set_precision(self.precision);
        backbone.set_activation_checkpointing(self.config.run.activation_checkpointing);
        backbone.copy_from(start)?;
        freeze(&mut backbone, model)?;
        let (classes, dropout) = (self.classes.len() as i64, self.config.segmentation.dropout);
        let heads = SegmenterHeads { kind, classes, auxiliary, dropout };
        let mut network = Segmenter::new(backbone, &heads, self.normalisation(), seed)?;
        if model.freeze_batch_norm {
            network.freeze_batch_norm();
        }
        Ok(network)
    }

    /// Normalisation of the network.
    pub(super) fn normalisation(&self) -> Normalisation {
        Normalisation { mean: self.input.mean, std: self.input.std }
    }

    /// Passes over the training images; 0 for a method that trains nothing.
    pub fn epochs(&self) -> u64 {
        if self.trains { self.config.train.epochs as u64 } else { 0 }
    }

    /// Steps that an epoch has; refuses a batch that the training images do not fill. 0 for a method that trains nothing.
    ///
    /// # Errors
    /// [`crate::train::TrainError::BatchTooLarge`].
    pub fn steps_per_epoch(&self) -> Result<u64, RunError> {
        if self.trains { Ok(self.training_images()?.steps_per_epoch()?) } else { Ok(0) }
    }

    /// Steps that train the heads alone: a fifth of the run, where the head does not start from the probe.
    pub(super) fn steps_of_head_alone(&self) -> Result<u64, RunError> {
        const FRACTION: f64 = 0.2;
        let config = &self.config;
        let is_asked = config.method.head_init == HeadInit::LinearProbe;
        if !is_asked || config.segmentation.head == DenseHeadKind::Linear {
            return Ok(0);
        }
        let steps = self.epochs() * self.steps_per_epoch()?;
        Ok((FRACTION * steps as f64).round() as u64)
    }

    pub(super) fn training_images(&self) -> Result<TrainingImages, RunError> {
        let (section, config) = (&self.config.segmentation, &self.config);
        let augmentation = section.augmentation(self.input.img_size, self.input.mean);
        Ok(TrainingImages {
            split: self.config.run.cached(&self.splits.train, self.world.local_ranks()),
            sampling: Sampling::Shuffle { batch_size: config.train.effective_batch() },
            transform: Arc::new(augmentation.transform(self.input.interpolation)?),
            views: 1,
            workers: config.workers(),
            page_locked: self.device.is_cuda(),
            seed: config.train.seed,
            world: self.world,
        })
    }

    /// How the batch of a step is computed.
    pub(super) fn accumulation(&self) -> Accumulation {
        training_plan::accumulation(&self.config.train)
    }

    /// How the training masks store the classes, if that is not the usual way.
    fn mask_legend(&self) -> Option<MaskLegend> {
        let legend = self.splits.train.masks().and_then(|masks| masks.coding().legend());
        legend.filter(|legend| *legend != MaskLegend::usual(self.classes.len()))
    }

    /// What a checkpoint of this run says beside its weights.
    pub(super) fn description(&self, network: &Segmenter) -> SegmenterDescription {
        SegmenterDescription {
            architecture: self.architecture,
            output_stride: self.config.segmentation.output_stride,
            head: network.head.kind(),
            auxiliary: network.auxiliary.is_some(),
            classes: self.classes.clone(),
            mean: self.input.mean,
            std: self.input.std,
            img_size: self.input.img_size,
            bit_depth_range: self.config.data.bit_depth_range.filter(|range| !range.is_full()),
            mask_legend: self.mask_legend(),
            projection: network.projection().map(|head| [HIDDEN, head.outputs()]),
        }
    }
}
