//! Trains, evaluates, and writes everything into the run folder.

use super::pixel_records::pixel_records;
use super::{PixelProbe, PixelWeights, Segmentation, SegmentationEvaluator, SegmentationPreparation, SegmentationTask};
use crate::config::HeadInit;
use crate::engine::{peak_device_bytes, peak_rss_bytes};
use crate::evaluate::segmentation::{SegmentationMeasure, mean_iou_interval, paired_mean_iou};
use crate::evaluate::{Measure, figure};
use crate::figures::{EpochFigures, Selection};
use crate::models::{DenseHeadKind, PixelViews, Segmenter};
use crate::objectives::{Objective, Start};
use crate::run_folder::{PairedDifference, RunFolder, SegmentationSummary};
use crate::runs::{RunError, training_plan, versions};
use crate::saved_models::load_segmenter;
use crate::train::{Event, Frozen, Observer, Outcome, Plan, SupervisedTraining, TrainError, Trainer};

/// A finished run.
#[derive(Debug)]
pub struct SegmentationFinished {
    /// What `summary.json` says.
    pub summary: SegmentationSummary,
    /// Name of the split that the final figures are of.
    pub split: &'static str,
    /// Its images.
    pub images: usize,
    /// The pixels of each of them.
    pub measured: SegmentationMeasure,
}

impl SegmentationPreparation {
    /// Measures the frozen checkpoint if the configuration says so, then trains.
    pub(super) fn probe_and_train(
        self,
        folder: &RunFolder,
        observer: &mut Observer<'_>,
    ) -> Result<SegmentationFinished, RunError> {
        let is_measured = self.task.config.run.probe;
        let probe = is_measured.then(|| self.task.probe(&self.network.backbone, observer)).transpose()?;
        if let Some(probe) = &probe {
            observer(&Event::Measured(probe.measurement()));
            let random = probe.random.figures.get(figure::MEAN_IOU.name).unwrap_or_default();
            let (positions, iou) = (probe.checkpoint.positions, 100.0 * random);
            observer(&Event::Note(format!(
                "the probe was fitted to {positions} positions; random weights give a mean IoU of {iou:.1} %"
            )));
        }
        self.train(folder, probe.as_ref(), observer)
    }

    /// Trains as configured, keeps the best epoch, evaluates it, and writes the summary. If the folder holds a saved state,
    /// training resumes from it.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when it was asked to stop: the state is saved, and the same call resumes from it.
    pub fn train(
        self,
        folder: &RunFolder,
        probe: Option<&PixelProbe>,
        observer: &mut Observer<'_>,
    ) -> Result<SegmentationFinished, RunError> {
        let SegmentationPreparation { task, network, objective, .. } = self;
        let mut trainer = task.trainer((network, objective), folder, probe)?;
        let outcome = trainer.carry_on(observer)?;
        let wall_seconds = trainer.stopwatch.seconds();
        // The memory of the optimizer is not needed any more.
        drop(trainer);

        observer(&Event::Stage("evaluation of the best epoch"));
        let (mut best, _) = load_segmenter(&folder.best_checkpoint(), task.device)?;
        best.backbone.set_precision(task.precision);
        let (split, images) = task.splits.evaluation_split();
        let measured = task.evaluator(task.views())?.measure(&best, images)?;
        let summary = task.summary(&outcome, &measured, probe, wall_seconds)?;
        folder.derive()?;
        folder.write_pixels(&pixel_records(split, images, measured.images()))?;
        folder.write_summary(&summary)?;
        Ok(SegmentationFinished { summary, split, images: images.len(), measured })
    }
}

impl SegmentationTask {
    /// The trainer of this task at its first step.
    fn trainer<'a>(
        &self,
        (network, objective): (Segmenter, Box<dyn Objective>),
        folder: &'a RunFolder,
        probe: Option<&PixelProbe>,
    ) -> Result<Trainer<'a, Segmentation>, RunError> {
        let images = self.training_images()?;
        let schedule = training_plan::schedule(&self.config.train, self.steps_per_epoch()?);
        let plan = Plan { epochs: self.epochs(), ..training_plan::plan(&self.config.train, &self.config.run) };
        let learner = self.learner(network, objective, probe)?;
        Ok(Trainer::new(learner, images, (schedule, plan), folder, self.stop.clone()))
    }

    /// The network before its first step, with all that its steps need.
    pub(super) fn learner(
        &self,
        mut network: Segmenter,
        mut objective: Box<dyn Objective>,
        probe: Option<&PixelProbe>,
    ) -> Result<Segmentation, RunError> {
        let (train, model) = (&self.config.train, &self.config.model);
        // Not earlier: in the trial of memory every rank makes passes of its own.
        if train.sync_bn {
            network.synchronise_batch_norm(self.world);
        }
        self.start_head(&network, probe)?;
        objective.needs().check(&network)?;
        let steps = self.epochs() * self.steps_per_epoch()?;
        objective.begin(&Start { network: &network, seed: train.seed, steps, probe: None })?;
        let head_alone = self.steps_of_head_alone()?;
        let training = SupervisedTraining {
            optimizer: training_plan::optimizer(&network, train, &*objective)
                .resting(|name| if name.starts_with("backbone.") { head_alone } else { 0 }),
            average: training_plan::average(&network, train),
            accumulation: self.accumulation(),
            sharpness: train.sam,
            frozen: Frozen { stages: model.frozen_stages as usize, batch_norm: model.freeze_batch_norm },
            seed: train.seed,
            world: self.world,
            validation: self.splits.validation.clone(),
            selection: Selection::from_word(train.select.name(), &figure::OF_SEGMENTATION)?,
            starts_from_probe: self.config.method.head_init == HeadInit::LinearProbe
                && self.config.segmentation.head == DenseHeadKind::Linear,
            objective,
        };
        Ok(Segmentation {
            description: self.description(&network),
            head_alone,
            per_class: self.config.segmentation.pixels_per_class,
            class_weights: self.class_weights.clone().map(|weights| PixelWeights::new(weights, self.device)),
            label_smoothing: train.label_smoothing,
            evaluator: self.evaluator(self.views().of_image())?,
            unlabelled_reported: false,
            training,
            network,
        })
    }

    /// A linear head starts from the probe, if the configuration says so (B11); every other one as the seed draws it.
    fn start_head(&self, network: &Segmenter, probe: Option<&PixelProbe>) -> Result<(), RunError> {
        let is_linear = self.config.segmentation.head == DenseHeadKind::Linear;
        match (self.config.method.head_init, probe) {
            (HeadInit::LinearProbe, Some(probe)) if is_linear => {
                let start = probe.checkpoint.probe.classifier(self.device)?;
                Ok(network.head.classifier().copy_values(&start)?)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn evaluator(&self, views: PixelViews) -> Result<SegmentationEvaluator, RunError> {
        SegmentationEvaluator::new(views, self.config.workers(), (self.stop.clone(), self.world))
    }

    /// How images are evaluated at the end; the validation of an epoch takes the image alone ([`PixelViews::of_image`]).
    pub(super) fn views(&self) -> PixelViews {
        self.config.views()
    }

    fn summary(
        &self,
        outcome: &Outcome,
        measured: &SegmentationMeasure,
        probe: Option<&PixelProbe>,
        wall_seconds: f64,
    ) -> Result<SegmentationSummary, RunError> {
        let (config, seed) = (&self.config, self.config.train.seed);
        let best = outcome.progress.best.as_ref().ok_or(TrainError::NoEpoch)?;
        let interval = mean_iou_interval(measured.images(), seed)?;
        let against = |probe: &PixelProbe| -> Result<PairedDifference, RunError> {
            let (difference, interval) = paired_mean_iou(measured.images(), &probe.checkpoint.images, seed)?;
            Ok(PairedDifference { difference, low: interval.low, high: interval.high })
        };
        let of_classes = measured.confusion().of_classes();
        let has_test = self.splits.test.is_some();
        Ok(SegmentationSummary {
            task: "segmentation".into(),
            method: config.method.word().into(),
            model: self.architecture.family.to_string(),
            head: config.segmentation.head.name().into(),
            data: config.data.dir.display().to_string(),
            seed,
            epochs: outcome.progress.epochs,
            steps: outcome.progress.step,
            best: EpochFigures { epoch: best.epoch, figures: best.figures.of_validation() },
            test: has_test.then(|| measured.figures()),
            mean_iou_interval: Some([interval.low, interval.high]),
            class_iou: self.classes.iter().cloned().zip(of_classes.iter().map(|class| class.iou())).collect(),
            probe: probe.map(|probe| probe.checkpoint.figures.clone()),
            probe_of_random_weights: probe.map(|probe| probe.random.figures.clone()),
            above_probe: probe.map(against).transpose()?,
            images_per_second: outcome.images_per_second,
            wall_seconds,
            peak_rss_bytes: peak_rss_bytes(),
            peak_device_bytes: peak_device_bytes(self.device),
            exchange: self.world.traffic(),
            coverage: self.report.coverage,
            class_weights: self
                .class_weights
                .clone()
                .map(|weights| self.classes.iter().cloned().zip(weights).collect()),
            versions: versions(),
        })
    }
}
