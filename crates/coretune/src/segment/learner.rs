//! A segmentation network being trained.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use tch::Tensor;

use super::evaluation::SegmentationEvaluator;
use super::pixel_rows::{PixelRows, PixelWeights};
use crate::data::{Batch, Split};
use crate::engine::EngineError;
use crate::evaluate::{Measure, figure};
use crate::figures::Figures;
use crate::losses::labelled_pixels;
use crate::models::{Parameters, Role, Segmenter};
use crate::saved_models::{SegmenterDescription, save_segmenter};
use crate::train::{
    Candidate, DeviceFigures, EpochEnd, EpochPlace, Learner, Observer, Progress, StepReport, SupervisedTraining,
    TrainError, run_parameters, step,
};

/// A segmentation network with its training: trained on masks, validated each epoch, kept where it is the best.
pub struct Segmentation {
    /// The network.
    pub network: Segmenter,
    /// Updates of its weights, and the choice of the best epoch.
    pub training: SupervisedTraining,
    /// So many first steps train the heads alone, on the backbone as it is (LP-FT, B11).
    pub head_alone: u64,
    /// K: the most positions of a class in an image that become rows.
    pub per_class: usize,
    /// Weight of each class in the cross-entropy of the pixels, if they are weighted.
    pub class_weights: Option<PixelWeights>,
    /// Label smoothing of the cross-entropy of the pixels.
    pub label_smoothing: f64,
    /// Evaluates a split.
    pub evaluator: SegmentationEvaluator,
    /// What a file needs to say beside the weights.
    pub description: SegmenterDescription,
    /// Whether a step without labelled pixels was reported already.
    pub unlabelled_reported: bool,
}

/// Name of the figure: labelled pixels of a step, a fraction.
const LABELLED: &str = "labelled_fraction";

impl Learner for Segmentation {
    fn step(&mut self, batch: &Batch, number: u64, rate: f64) -> Result<DeviceFigures, TrainError> {
        if self.head_alone > 0 {
            self.network.backbone.set_resting(number < self.head_alone);
        }
        let masks = batch.masks.as_ref().expect("the loader of images with masks makes the batches");
        // Of all processes: the parts of the cross-entropy add up to the mean over all labelled pixels.
        let world = self.training.world;
        let labelled = world.total(labelled_pixels(masks)? as f64)? as usize;
        let pixels = world.ranks() * masks.numel();
        let of_step = |weights: &PixelWeights| {
            Ok::<_, EngineError>((weights.tensor.shallow_clone(), world.total(weights.of(masks)?)?))
        };
        let weights = self.class_weights.as_ref().map(of_step).transpose()?;
        let rows = PixelRows {
            network: &self.network,
            batch,
            masks,
            labelled,
            draw: (self.training.seed, number),
            per_class: self.per_class,
            label_smoothing: self.label_smoothing,
            weights,
            sampled: RefCell::default(),
        };
        let (input, optimizer) = self.training.begin_step(&self.network, batch, number);
        let figures = step(input.with_rows(&rows), optimizer, rate)?;
        self.training.end_step();
        // After the update no process may wait for another one: if that one is gone, the state of the last finished step is
        // saved, and the weights are those of the next.
        Ok(figures.with(LABELLED, labelled as f64 / pixels.max(1) as f64))
    }

    fn is_divisible(&self) -> bool {
        true
    }

    fn parameters(&self) -> Parameters {
        run_parameters(&self.network, &*self.training.objective)
    }

    fn is_frozen(&self, name: &str, role: Role) -> bool {
        let is_of_head = name.starts_with("classifier.") || name.starts_with("aux_classifier.");
        self.training.frozen.holds(name, role, &self.network.backbone)
            || (is_of_head && self.training.frozen.batch_norm && role == Role::Buffer)
    }

    fn is_follower(&self, name: &str) -> bool {
        self.training.is_follower(name) || (self.head_alone > 0 && name.starts_with("backbone."))
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.training.state(&self.parameters())
    }

    fn loaded(&mut self, steps: u64) {
        self.training.loaded(steps);
    }

    fn metadata(&self, progress: &Progress) -> BTreeMap<String, String> {
        self.description.metadata(progress)
    }

    fn note(&mut self, report: &StepReport) -> Option<String> {
        let is_unlabelled = report.figures.get(LABELLED).is_some_and(|fraction| *fraction == 0.0);
        if !is_unlabelled || self.unlabelled_reported {
            return None;
        }
        self.unlabelled_reported = true;
        let step = report.step;
        Some(format!("step {step} has no labelled pixel: its loss is 0; further such steps are not reported"))
    }

    fn keep_start(&mut self, progress: &mut Progress, place: EpochPlace<'_>) -> Result<EpochEnd, TrainError> {
        self.as_candidate(|training, network| training.keep_start(network, progress, place))
    }

    fn end_epoch(
        &mut self,
        progress: &mut Progress,
        place: EpochPlace<'_>,
        _: &mut Observer<'_>,
    ) -> Result<EpochEnd, TrainError> {
        self.as_candidate(|training, network| training.end_epoch(network, progress, place))
    }
}

impl Segmentation {
    /// Hands the network to the choice of the best epoch.
    fn as_candidate<R>(&mut self, choose: impl FnOnce(&mut SupervisedTraining, &Candidate<'_>) -> R) -> R {
        let Segmentation { network, training, evaluator, description, .. } = self;
        let measure =
            |images: &Split| -> Result<Figures, TrainError> { Ok(evaluator.measure(network, images)?.figures()) };
        let save = |path: &Path| -> Result<(), TrainError> { Ok(save_segmenter(path, network, description)?) };
        choose(training, &Candidate { specs: &figure::OF_SEGMENTATION, measure: &measure, save: &save })
    }
}
