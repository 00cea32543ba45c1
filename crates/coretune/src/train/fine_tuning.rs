//! A classifier being fine-tuned.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, Tensor};

use super::figures::{DeviceFigures, PositiveCounts};
use super::learner::{EpochEnd, EpochPlace, Learner};
use super::progress::Progress;
use super::supervised::{Candidate, SupervisedTraining};
use super::{Accumulation, Observer, StepInput, TrainError, TrainingImages, run_parameters, step};
use crate::data::{Batch, Split};
use crate::engine::{Stop, guard};
use crate::evaluate::NewMeasure;
use crate::evaluate::features::Evaluator;
use crate::figures::Figures;
use crate::losses::one_hot;
use crate::models::{Mode, Model, Network, Parameters, Role, TestViews};
use crate::random::{Purpose, stream};
use crate::saved_models::{ModelDescription, save_model};
use crate::transforms::MixImages;

/// A classifier with its training: trained on labels, validated each epoch, kept where it is the best.
pub struct FineTuning {
    /// The model.
    pub model: Model,
    /// Updates of its weights, and the choice of the best epoch.
    pub training: SupervisedTraining,
    /// Weights `[C]` of the classes in the cross-entropy; `None`: all alike.
    pub class_weights: Option<Tensor>,
    /// How the images of a batch are mixed with each other, if at all.
    pub mix: MixImages,
    /// What is measured on the validation images.
    pub measure: NewMeasure,
    /// Evaluates a split.
    pub evaluator: Evaluator,
    /// Views of a validation image whose features are averaged.
    pub test_views: TestViews,
    /// What a file needs to say beside the weights.
    pub description: ModelDescription,
}

impl Learner for FineTuning {
    fn step(&mut self, batch: &Batch, number: u64, rate: f64) -> Result<DeviceFigures, TrainError> {
        let labels = self.training.world.gather_labels(&batch.labels)?;
        let positives = match self.training.accumulation {
            Accumulation::Split { part } => PositiveCounts::of_parts(&labels, part),
            Accumulation::Whole | Accumulation::Exact { .. } => PositiveCounts::of(&labels),
        };
        let mixed = self.mixed(batch, number)?;
        let (batch, soft_targets) = match &mixed {
            Some((batch, targets)) => (batch, Some(targets.shallow_clone())),
            None => (batch, None),
        };
        let (input, optimizer) = self.training.begin_step(&self.model, batch, number);
        let input = input.weighted(self.class_weights.as_ref()).mixed(soft_targets);
        let figures = step(input, optimizer, rate)?;
        self.training.end_step();
        Ok(figures
            .with("positives_per_anchor", positives.per_anchor)
            .with("anchors_without_positives", positives.anchors_without as f64))
    }

    fn is_divisible(&self) -> bool {
        let needs = self.training.objective.needs();
        needs.can_be_divided() && needs.views == 1
    }

    fn parameters(&self) -> Parameters {
        run_parameters(&self.model, &*self.training.objective)
    }

    fn is_frozen(&self, name: &str, role: Role) -> bool {
        let in_backbone = name.strip_prefix("backbone.");
        let of_head = name.starts_with("projection.") && role == Role::Buffer;
        of_head
            || self.training.frozen.holds(name, role, &self.model.backbone)
            || in_backbone.is_some_and(|name| self.model.backbone.is_frozen(name))
    }

    fn is_follower(&self, name: &str) -> bool {
        self.training.is_follower(name)
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

    fn keep_start(&mut self, progress: &mut Progress, place: EpochPlace<'_>) -> Result<EpochEnd, TrainError> {
        self.as_candidate(|training, model| training.keep_start(model, progress, place))
    }

    fn end_epoch(
        &mut self,
        progress: &mut Progress,
        place: EpochPlace<'_>,
        _: &mut Observer<'_>,
    ) -> Result<EpochEnd, TrainError> {
        self.as_candidate(|training, model| training.end_epoch(model, progress, place))
    }
}

impl FineTuning {
    /// Hands the model to the choice of the best epoch.
    fn as_candidate<R>(&mut self, choose: impl FnOnce(&mut SupervisedTraining, &Candidate<'_>) -> R) -> R {
        let FineTuning { model, training, measure: new_measure, evaluator, test_views, description, .. } = self;
        let measure = |images: &Split| -> Result<Figures, TrainError> {
            let mut measure = new_measure();
            evaluator.measure(images, &mut *measure, &mut |images| {
                let features = test_views.features(images, |images| model.features(images, Mode::Evaluate))?;
                Ok(guard("computing logits", || model.classifier.forward(&features.to_kind(Kind::Float)))?)
            })?;
            Ok(measure.figures())
        };
        let save = |path: &Path| -> Result<(), TrainError> { Ok(save_model(path, model, description)?) };
        choose(training, &Candidate { specs: new_measure().specs(), measure: &measure, save: &save })
    }

    /// Shows the method as many of the training images as it needs before the first step.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when it was asked to stop meanwhile, errors of images and of libtorch.
    pub fn prepare_objective(&mut self, images: &TrainingImages, stop: &Stop) -> Result<(), TrainError> {
        let wanted = self.training.objective.needs().preparation;
        let (mut seen, mut epoch) = (0, 0);
        while seen < wanted {
            for batch in &mut images.epoch(epoch, 0)? {
                let batch = batch?;
                if self.training.world.agree(stop.is_requested())? {
                    return Err(TrainError::Interrupted { saved: None });
                }
                let draw = (self.training.seed, 0);
                let input = StepInput::new(&self.model, &mut *self.training.objective, &batch, draw);
                input.shared_by(self.training.world).prepare()?;
                seen += batch.labels.len() * self.training.world.ranks();
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
        let Some(mix) = self.mix.draw(size, &mut stream(self.training.seed, Purpose::ImageMix, 0, step)) else {
            return Ok(None);
        };
        let partners = self.training.world.rows_before(&batch.images, self.mix.shift)?;
        let images = mix.images(&batch.images, &partners)?;
        let like = &self.model.classifier.weight.detach();
        let labels = self.training.world.gather_labels(&batch.labels)?;
        let targets = one_hot(&labels, self.model.classifier.outputs(), like)?;
        let targets = mix.targets(&targets, self.mix.shift, size)?;
        let (labels, indices) = (batch.labels.clone(), batch.indices.clone());
        Ok(Some((Batch { images, labels, masks: None, indices }, targets)))
    }
}
