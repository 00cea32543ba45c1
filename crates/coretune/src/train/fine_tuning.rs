//! A classifier being fine-tuned.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::figures::{DeviceFigures, PositiveCounts};
use super::learner::{EpochEnd, EpochPlace, Learner};
use super::progress::Progress;
use super::saved_model::{ModelDescription, metadata, save_model, tensors_of};
use super::{
    Accumulation, Frozen, Observer, Optimizer, StepInput, TrainError, TrainingImages, WeightAverage, is_method_state,
    run_parameters, step,
};
use crate::data::{Batch, Split};
use crate::engine::{Stop, World, guard};
use crate::evaluate::features::Evaluator;
use crate::evaluate::{NewMeasure, finite_figures};
use crate::figures::{EpochFigures, Figures, Selection};
use crate::losses::one_hot;
use crate::models::{Mode, Model, Network, Parameters, Role, TestViews};
use crate::objectives::Objective;
use crate::random::{Purpose, stream};
use crate::run_folder::RunFolder;
use crate::transforms::MixImages;

/// A model with its fine-tuning objective: trained on labels, validated each epoch, kept where it is the best.
pub struct FineTuning {
    /// The model.
    pub model: Model,
    /// What is minimised.
    pub objective: Box<dyn Objective>,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The weights' average, where one is kept: it is what is validated and kept as the best.
    pub average: Option<WeightAverage>,
    /// How a batch is taken apart where it does not fit into memory.
    pub accumulation: Accumulation,
    /// Weights `[C]` of the classes in the cross-entropy; `None`: all alike.
    pub class_weights: Option<Tensor>,
    /// Radius of sharpness-aware minimisation, if any.
    pub sharpness: Option<f64>,
    /// How the images of a batch are mixed with each other, if at all.
    pub mix: MixImages,
    /// Weights that stay as they are; checked after the first epoch.
    pub frozen: Frozen,
    /// What is measured on the validation images.
    pub measure: NewMeasure,
    /// What makes an epoch the best.
    pub selection: Selection,
    /// Seed of the objective's random draws.
    pub seed: u64,
    /// The images that choose the best epoch.
    pub validation: Split,
    /// Evaluates a split.
    pub evaluator: Evaluator,
    /// Views of a validation image whose features are averaged.
    pub test_views: TestViews,
    /// The processes that share a step.
    pub world: World,
    /// Whether the classifier is the linear probe at the start: that model is then a candidate for the best epoch, as epoch 0.
    pub starts_from_probe: bool,
    /// What a file needs to say beside the weights.
    pub description: ModelDescription,
}

impl Learner for FineTuning {
    fn step(&mut self, batch: &Batch, number: u64, rate: f64) -> Result<DeviceFigures, TrainError> {
        let labels = self.world.gather_labels(&batch.labels)?;
        let positives = match self.accumulation {
            Accumulation::Split { part } => PositiveCounts::of_parts(&labels, part),
            Accumulation::Whole | Accumulation::Exact { .. } => PositiveCounts::of(&labels),
        };
        let mixed = self.mixed(batch, number)?;
        let (batch, soft_targets) = match &mixed {
            Some((batch, targets)) => (batch, Some(targets.shallow_clone())),
            None => (batch, None),
        };
        let input = StepInput::new(&self.model, &mut *self.objective, batch, (self.seed, number))
            .accumulated(self.accumulation)
            .weighted(self.class_weights.as_ref())
            .mixed(soft_targets)
            .sharpness_aware(self.sharpness)
            .shared_by(self.world);
        let figures = step(input, &mut self.optimizer, rate)?;
        if let Some(average) = &mut self.average {
            average.follow();
        }
        Ok(figures
            .with("positives_per_anchor", positives.per_anchor)
            .with("anchors_without_positives", positives.anchors_without as f64))
    }

    fn is_divisible(&self) -> bool {
        let needs = self.objective.needs();
        needs.can_be_divided() && needs.views == 1
    }

    fn parameters(&self) -> Parameters {
        run_parameters(&self.model, &*self.objective)
    }

    fn is_frozen(&self, name: &str, role: Role) -> bool {
        let in_backbone = name.strip_prefix("backbone.");
        let of_head = name.starts_with("projection.") && role == Role::Buffer;
        of_head
            || self.frozen.holds(name, role, &self.model.backbone)
            || in_backbone.is_some_and(|name| self.model.backbone.is_frozen(name))
    }

    fn is_follower(&self, name: &str) -> bool {
        is_method_state(&*self.objective, name) || self.objective.rests_until(name) > 0
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut tensors = tensors_of(&self.parameters());
        tensors.extend(self.optimizer.state());
        tensors.extend(self.average.iter().flat_map(WeightAverage::state));
        tensors
    }

    fn loaded(&mut self, steps: u64) {
        self.optimizer.set_updates(steps);
        if let Some(average) = &mut self.average {
            average.set_updates(steps);
        }
    }

    fn metadata(&self, progress: &Progress) -> BTreeMap<String, String> {
        metadata(&self.description, Some(progress))
    }

    fn keep_start(&mut self, progress: &mut Progress, place: EpochPlace<'_>) -> Result<EpochEnd, TrainError> {
        if !self.starts_from_probe {
            return Ok(EpochEnd::Done(None));
        }
        let validated = self.validate_and_keep(0, progress, place.folder);
        EpochEnd::of_validation(validated, self.selection.shown((self.measure)().specs()), progress, place)
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
        let shown = self.selection.shown((self.measure)().specs());
        EpochEnd::of_validation(validated, shown, progress, place)
    }
}

impl FineTuning {
    /// Shows the method as many of the training images as it needs before the first step.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when it was asked to stop meanwhile, errors of images and of libtorch.
    pub fn prepare_objective(&mut self, images: &TrainingImages, stop: &Stop) -> Result<(), TrainError> {
        let wanted = self.objective.needs().preparation;
        let (mut seen, mut epoch) = (0, 0);
        while seen < wanted {
            for batch in &mut images.epoch(epoch, 0)? {
                let batch = batch?;
                if self.world.agree(stop.is_requested())? {
                    return Err(TrainError::Interrupted { saved: None });
                }
                let draw = (self.seed, 0);
                let input = StepInput::new(&self.model, &mut *self.objective, &batch, draw);
                StepInput { world: self.world, ..input }.prepare()?;
                seen += batch.labels.len() * self.world.ranks();
                if seen >= wanted {
                    break;
                }
            }
            epoch += 1;
        }
        Ok(())
    }

    /// The batch with its images mixed with those of all processes, and the labels `[n, C]` of all; none if that is off.
    fn mixed(&self, batch: &Batch, step: u64) -> Result<Option<(Batch, Tensor)>, TrainError> {
        let [_, height, width, _] = batch.images.size()[..] else { return Ok(None) };
        let size = (width, height);
        let Some(mix) = self.mix.draw(size, &mut stream(self.seed, Purpose::ImageMix, 0, step)) else {
            return Ok(None);
        };
        let partners = self.world.rows_before(&batch.images, self.mix.shift)?;
        let images = mix.images(&batch.images, &partners)?;
        let like = &self.model.classifier.weight.detach();
        let labels = self.world.gather_labels(&batch.labels)?;
        let targets = one_hot(&labels, self.model.classifier.outputs(), like)?;
        let targets = mix.targets(&targets, self.mix.shift, size)?;
        let (labels, indices) = (batch.labels.clone(), batch.indices.clone());
        Ok(Some((Batch { images, labels, masks: None, indices }, targets)))
    }

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
            save_model(&folder.best_checkpoint(), &self.model, &self.description)?;
        }
        Ok(validated)
    }

    fn validate(&self) -> Result<Figures, TrainError> {
        let model = &self.model;
        let mut measure = (self.measure)();
        self.evaluator.measure(&self.validation, &mut *measure, &mut |images| {
            let features = self.test_views.features(images, |images| model.features(images, Mode::Evaluate))?;
            Ok(guard("computing logits", || model.classifier.forward(&features.to_kind(Kind::Float)))?)
        })?;
        let figures = measure.figures();
        Ok(finite_figures(figures)?)
    }
}
