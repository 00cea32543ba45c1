//! Trains, evaluates, and writes everything into the run folder.

use std::sync::Arc;

use super::evaluation::{Evaluation, evaluate_outputs};
use super::frozen::FrozenFigures;
use super::predictions::prediction_records;
use super::summary::{Measured, summary};
use super::{Preparation, Task};
use crate::config::HeadInit;
use crate::evaluate::bootstrap::{Comparison, paired_comparison};
use crate::evaluate::calibration::fit_temperature;
use crate::evaluate::{ClassificationMeasure, figure};
use crate::figures::Selection;
use crate::models::{Backbone, Linear, Model};
use crate::objectives::{Objective, Start};
use crate::run_folder::{RunFolder, Summary};
use crate::runs::{RunError, training_plan};
use crate::saved_models::load_model;
use crate::train::{
    Event, FineTuning, Frozen, Observer, Plan, Sampling, SupervisedTraining, TrainError, Trainer, TrainingImages,
};
use crate::transforms::{AutoAugment, MixImages, RandAugment, RandomErasing, Step, TrivialAugment};

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    /// What `summary.json` says.
    pub summary: Summary,
    /// Figures on the test split, if there is one.
    pub test: Option<Evaluation>,
    /// Fine-tuned model against linear probe, image by image on the evaluation split; if the probe was measured.
    pub against_probe: Option<Comparison>,
}

impl Preparation {
    /// Measures the frozen checkpoint if the configuration says so, then trains.
    pub(super) fn probe_and_train(self, folder: &RunFolder, observer: &mut Observer<'_>) -> Result<Finished, RunError> {
        if !self.task.config.run.probe {
            return self.train(folder, None, observer);
        }
        let frozen = self.task.probe(&self.backbone, observer)?;
        observer(&Event::Measured(frozen.measurement()));
        self.train(folder, Some(&frozen), observer)
    }

    /// Trains as configured, keeps the best epoch, evaluates it, and writes the summary.
    ///
    /// The run folder exists and holds `config.toml` already. If it holds a saved state, training resumes from it.
    /// `frozen` are the figures of the frozen checkpoint, if it was measured.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`](crate::train::TrainError::Interrupted) when it was asked to stop ([`Task::stop`]): the
    /// state is saved, and the same call resumes from it.
    pub fn train(
        self,
        folder: &RunFolder,
        frozen: Option<&FrozenFigures>,
        observer: &mut Observer<'_>,
    ) -> Result<Finished, RunError> {
        let Preparation { mut task, mut backbone, objective, .. } = self;
        let objective = objective.ok_or(RunError::NoObjective)?;
        if let Some(unlabelled) = &mut task.unlabelled {
            unlabelled.drop_graph();
            folder.write_pseudo_labels(&unlabelled.records())?;
        }
        // Not earlier: in the trial of memory every rank makes passes of its own.
        if task.config.train.sync_bn {
            backbone.synchronise_batch_norm(task.world);
        }
        let mut trainer = task.trainer((backbone, objective), folder, frozen)?;
        prepare_method(&mut trainer, observer)?;
        let outcome = trainer.carry_on(observer)?;
        let stopwatch = trainer.stopwatch;
        // The memory of the optimizer is not needed any more.
        drop(trainer);

        observer(&Event::Stage("evaluation of the best epoch"));
        let (mut best, _) = load_model(&folder.best_checkpoint(), task.device)?;
        best.backbone.set_precision(task.precision);
        let (evaluator, views) = (task.evaluator()?, task.config.data.tta);
        let validation = evaluator.outputs_of_views(&best, views, &task.splits.validation, &mut |_, _| {})?;
        let temperature = fit_temperature(&validation.logits, &validation.labels)?;
        let mut progress = |done, total| observer(&Event::Progress { done, total });
        let mut predictions = prediction_records("validation", &task.splits.validation, &validation, temperature)?;
        let outputs = match &task.splits.test {
            Some(test) => {
                let outputs = evaluator.outputs_of_views(&best, views, test, &mut progress)?;
                predictions.extend(prediction_records("test", test, &outputs, temperature)?);
                outputs
            }
            None => validation,
        };
        let seed = task.config.train.seed;
        let compare = |frozen: &FrozenFigures| -> Result<Comparison, RunError> {
            Ok(paired_comparison(&outputs.correct()?, &frozen.linear_correct, seed)?)
        };
        let against_probe = frozen.map(compare).transpose()?;
        let has_test = task.splits.test.is_some();
        let test = has_test.then(|| evaluate_outputs(&outputs, Some(temperature), seed)).transpose()?;
        let measured = Measured {
            best: outcome.progress.best.as_ref().ok_or(TrainError::NoEpoch)?,
            outcome: &outcome,
            frozen,
            test: test.as_ref(),
            against_probe: against_probe.as_ref(),
            temperature,
            wall_seconds: stopwatch.seconds(),
        };
        let summary = summary(&task, &measured);
        folder.derive()?;
        folder.write_predictions(&predictions)?;
        folder.write_summary(&summary)?;
        Ok(Finished { summary, test, against_probe })
    }
}

/// Shows the training images to a method that needs them before the first step of a new run.
fn prepare_method(trainer: &mut Trainer<'_, FineTuning>, observer: &mut Observer<'_>) -> Result<(), RunError> {
    if trainer.learner.training.objective.needs().preparation > 0 && !trainer.folder.last_checkpoint().exists() {
        observer(&Event::Stage("training images before the first step"));
        trainer.learner.prepare_objective(&trainer.images, &trainer.stop)?;
    }
    Ok(())
}

impl Task {
    /// The trainer of this task at its first step.
    pub(super) fn trainer<'a>(
        &self,
        start: (Backbone, Box<dyn Objective>),
        folder: &'a RunFolder,
        frozen: Option<&FrozenFigures>,
    ) -> Result<Trainer<'a, FineTuning>, RunError> {
        let images = TrainingImages { views: start.1.needs().views, ..self.training_images()? };
        let schedule = training_plan::schedule(&self.config.train, self.steps_per_epoch()?);
        let plan = Plan { epochs: self.epochs(), ..training_plan::plan(&self.config.train, &self.config.run) };
        Ok(Trainer::new(self.learner(start, frozen)?, images, (schedule, plan), folder, self.stop.clone()))
    }

    /// The model before its first step, with all that its steps need.
    fn learner(
        &self,
        (backbone, mut objective): (Backbone, Box<dyn Objective>),
        frozen: Option<&FrozenFigures>,
    ) -> Result<FineTuning, RunError> {
        let (train, network) = (&self.config.train, &self.config.model);
        let classifier = self.classifier(backbone.feature_width(), frozen)?;
        let model = self.model(backbone, classifier, &*objective)?;
        objective.needs().check(&model)?;
        let steps = self.epochs() * self.steps_per_epoch()?;
        let probe = frozen.map(|frozen| frozen.probe.classifier(self.device)).transpose()?;
        objective.begin(&Start { network: &model, seed: train.seed, steps, probe: probe.as_ref() })?;
        let training = SupervisedTraining {
            optimizer: training_plan::optimizer(&model, train, &*objective),
            average: training_plan::average(&model, train),
            accumulation: training_plan::accumulation(train),
            sharpness: train.sam,
            frozen: Frozen { stages: network.frozen_stages as usize, batch_norm: network.freeze_batch_norm },
            seed: train.seed,
            world: self.world,
            validation: self.splits.validation.clone(),
            selection: Selection::from_word(train.select.name(), &figure::OF_CLASSIFICATION)?,
            starts_from_probe: self.config.method.head_init == HeadInit::LinearProbe,
            objective,
        };
        Ok(FineTuning {
            description: self.description(&model),
            class_weights: self.class_weight_tensor(),
            mix: self.mix()?,
            measure: Box::new(|| Box::new(ClassificationMeasure::default())),
            evaluator: self.evaluator()?,
            test_views: self.config.data.tta,
            training,
            model,
        })
    }

    /// Backbone and heads together; the projection head is there for the methods that use it.
    pub(super) fn model(
        &self,
        backbone: Backbone,
        classifier: Linear,
        objective: &dyn Objective,
    ) -> Result<Model, RunError> {
        let width = backbone.feature_width();
        let projection = objective.needs().projection.then(|| self.projection(width)).transpose()?;
        Ok(Model::new(backbone, classifier, projection, self.normalisation())?)
    }

    /// Passes over the training images; 0 for a method that trains nothing.
    pub fn epochs(&self) -> u64 {
        if self.trains { self.config.train.epochs as u64 } else { 0 }
    }

    /// Steps that an epoch has; refuses a batch that the training images do not fill. 0 for a method that trains nothing.
    ///
    /// # Errors
    /// As [`TrainingImages::steps_per_epoch`], and for augmentations whose settings are out of range.
    pub fn steps_per_epoch(&self) -> Result<u64, RunError> {
        if self.trains { Ok(self.training_images()?.steps_per_epoch()?) } else { Ok(0) }
    }

    /// What is done to a training image after crop and flip.
    fn more_steps(&self) -> Vec<Step> {
        let data = &self.config.data;
        let (operations, magnitude) = (data.rand_augment_ops, data.rand_augment_magnitude);
        let operation = match data.auto_augment {
            AutoAugment::None => None,
            AutoAugment::Trivial => Some(Step::TrivialAugment(TrivialAugment {})),
            AutoAugment::Rand => Some(Step::RandAugment(RandAugment { operations, magnitude })),
        };
        let fill = self.input.mean.map(|mean| (255.0 * mean).round() as u8);
        let erasing = RandomErasing { probability: data.random_erasing, fill };
        let erasing = (data.random_erasing > 0.0).then_some(Step::RandomErasing(erasing));
        operation.into_iter().chain(erasing).collect()
    }

    /// How the images of a batch are mixed with each other. The partner of an image is the one before it, or in batches
    /// ordered by class the one of the class before.
    fn mix(&self) -> Result<MixImages, RunError> {
        let shift = match training_plan::sampling(&self.config) {
            Sampling::Shuffle { .. } => 1,
            Sampling::Balanced { images_per_class, .. } => images_per_class as i64,
        };
        let mix = MixImages { mixup: self.config.data.mixup, cutmix: self.config.data.cutmix, shift };
        mix.check()?;
        Ok(mix)
    }

    pub(super) fn training_images(&self) -> Result<TrainingImages, RunError> {
        let transform = self.input.framing().train(self.input.augment)?;
        let transform = transform.followed_by(self.more_steps())?;
        Ok(TrainingImages {
            split: self.config.run.cached(self.training_split(), self.world.local_ranks()),
            sampling: training_plan::sampling(&self.config),
            transform: Arc::new(transform),
            views: 1,
            workers: self.config.workers(),
            page_locked: self.device.is_cuda(),
            seed: self.config.train.seed,
            world: self.world,
        })
    }
}
