//! A segmentation network being trained.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tch::Tensor;

use super::evaluation::SegmentationEvaluator;
use super::pixel_rows::{PixelRows, PixelWeights};
use crate::data::{Batch, Split};
use crate::engine::{EngineError, World};
use crate::evaluate::{Measure, figure, finite_figures};
use crate::figures::{EpochFigures, Figures, Selection};
use crate::losses::labelled_pixels;
use crate::models::{Parameters, Role, Segmenter};
use crate::objectives::Objective;
use crate::run_folder::RunFolder;
use crate::train::{
    Accumulation, DeviceFigures, EpochEnd, EpochPlace, Frozen, Learner, Observer, Optimizer, Progress,
    SegmenterDescription, StepInput, StepReport, TrainError, WeightAverage, is_method_state, run_parameters,
    save_segmenter, step,
};

/// A segmentation network with its objective: trained on masks, validated each epoch, kept where it is the best.
pub struct Segmentation {
    /// The network.
    pub network: Segmenter,
    /// What is minimised.
    pub objective: Box<dyn Objective>,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The weights' average, where one is kept: it is what is validated and kept as the best.
    pub average: Option<WeightAverage>,
    /// How a batch is taken apart where it does not fit into memory.
    pub accumulation: Accumulation,
    /// What is not to be trained.
    pub frozen: Frozen,
    /// So many first steps train the heads alone, on the backbone as it is (LP-FT, B11).
    pub head_alone: u64,
    /// What makes an epoch the best.
    pub selection: Selection,
    /// Seed of the random draws of a step.
    pub seed: u64,
    /// K: the most positions of a class in an image that become rows.
    pub per_class: usize,
    /// Weight of each class in the cross-entropy of the pixels, if they are weighted.
    pub class_weights: Option<PixelWeights>,
    /// Label smoothing of the cross-entropy of the pixels.
    pub label_smoothing: f64,
    /// Radius of sharpness-aware minimisation, if it is used.
    pub sharpness: Option<f64>,
    /// The images that choose the best epoch.
    pub validation: Split,
    /// Evaluates a split.
    pub evaluator: SegmentationEvaluator,
    /// The processes that share a step.
    pub world: World,
    /// What a file needs to say beside the weights.
    pub description: SegmenterDescription,
    /// Whether the whole head is the linear probe at the start: that model is then a candidate for the best epoch, as epoch 0.
    pub starts_from_probe: bool,
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
        let labelled = self.world.total(labelled_pixels(masks)? as f64)? as usize;
        let pixels = self.world.ranks() * masks.numel();
        let draw = (self.seed, number);
        let of_step = |weights: &PixelWeights| {
            Ok::<_, EngineError>((weights.tensor.shallow_clone(), self.world.total(weights.of(masks)?)?))
        };
        let weights = self.class_weights.as_ref().map(of_step).transpose()?;
        let rows = PixelRows {
            network: &self.network,
            batch,
            masks,
            labelled,
            draw,
            per_class: self.per_class,
            label_smoothing: self.label_smoothing,
            weights,
            sampled: RefCell::default(),
        };
        let input = StepInput::new(&self.network, &mut *self.objective, batch, draw)
            .with_rows(&rows)
            .accumulated(self.accumulation)
            .sharpness_aware(self.sharpness)
            .shared_by(self.world);
        let figures = step(input, &mut self.optimizer, rate)?;
        if let Some(average) = &mut self.average {
            average.follow();
        }
        // After the update no process may wait for another one: if that one is gone, the state of the last finished step is
        // saved, and the weights are those of the next.
        Ok(figures.with(LABELLED, labelled as f64 / pixels.max(1) as f64))
    }

    fn is_divisible(&self) -> bool {
        true
    }

    fn parameters(&self) -> Parameters {
        run_parameters(&self.network, &*self.objective)
    }

    fn is_frozen(&self, name: &str, role: Role) -> bool {
        let is_of_head = name.starts_with("classifier.") || name.starts_with("aux_classifier.");
        self.frozen.holds(name, role, &self.network.backbone)
            || (is_of_head && self.frozen.batch_norm && role == Role::Buffer)
    }

    fn is_follower(&self, name: &str) -> bool {
        is_method_state(&*self.objective, name)
            || self.objective.rests_until(name) > 0
            || (self.head_alone > 0 && name.starts_with("backbone."))
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let parameters = self.parameters();
        let tensors = parameters.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.shallow_clone()));
        let averages = self.average.iter().flat_map(WeightAverage::state);
        tensors.chain(self.optimizer.state()).chain(averages).collect()
    }

    fn loaded(&mut self, steps: u64) {
        self.optimizer.set_updates(steps);
        if let Some(average) = &mut self.average {
            average.set_updates(steps);
        }
    }

    fn metadata(&self, progress: &Progress) -> BTreeMap<String, String> {
        self.description.metadata(Some(progress))
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
        if !self.starts_from_probe {
            return Ok(EpochEnd::Done(None));
        }
        let validated = self.validate_and_keep(0, progress, place.folder);
        EpochEnd::of_validation(validated, self.selection.shown(&figure::OF_SEGMENTATION), progress, place)
    }

    fn end_epoch(
        &mut self,
        progress: &mut Progress,
        place: EpochPlace<'_>,
        _: &mut Observer<'_>,
    ) -> Result<EpochEnd, TrainError> {
        // What is validated and kept is the average, if one is kept.
        self.exchange_average();
        let validated = self.validate_and_keep(progress.epochs + 1, progress, place.folder);
        self.exchange_average();
        let shown = self.selection.shown(&figure::OF_SEGMENTATION);
        EpochEnd::of_validation(validated, shown, progress, place)
    }
}

impl Segmentation {
    fn exchange_average(&mut self) {
        if let Some(average) = &mut self.average {
            average.exchange();
        }
    }

    /// The figures of the epoch on the validation split; the best epoch so far is saved.
    fn validate_and_keep(
        &self,
        epoch: u64,
        progress: &mut Progress,
        folder: &RunFolder,
    ) -> Result<EpochFigures, TrainError> {
        let validated = EpochFigures { epoch, figures: self.validate()? };
        if progress.note(validated.clone(), &self.selection) && self.world.is_first() {
            save_segmenter(&folder.best_checkpoint(), &self.network, &self.description)?;
        }
        Ok(validated)
    }

    fn validate(&self) -> Result<Figures, TrainError> {
        let figures = self.evaluator.measure(&self.network, &self.validation)?.figures();
        Ok(finite_figures(figures)?)
    }
}
