//! Trains, evaluates, and leaves everything in the run folder.

use std::sync::Arc;

use super::evaluation::{Evaluation, evaluate_outputs};
use super::frozen::FrozenFigures;
use super::settings;
use super::summary::{Measured, summary};
use super::{Preparation, Task};
use crate::config::HeadInit;
use crate::engine::World;
use crate::evaluate::bootstrap::{Comparison, paired_comparison};
use crate::evaluate::calibration::fit_temperature;
use crate::evaluate::{ClassificationMeasure, figure};
use crate::figures::Selection;
use crate::models::{Backbone, Linear, Model, ProjectionHead};
use crate::objectives::{Objective, Start};
use crate::run_folder::{RunFolder, Summary};
use crate::train::{
    Event, FineTuning, Frozen, Observer, TrainError, Trainer, TrainingImages, WeightAverage, load_model,
};
use crate::transforms::Transform;

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    /// What `summary.json` says.
    pub summary: Summary,
    /// Figures on the test split, where there is one.
    pub test: Option<Evaluation>,
    /// Fine-tuned model against linear probe, image by image on the evaluation split; if the probe was measured.
    pub against_probe: Option<Comparison>,
}

impl Preparation {
    /// Trains as configured, keeps the best epoch, evaluates it, and writes the summary.
    ///
    /// The run folder exists and holds `config.toml` already. Where it holds a saved state, training goes on from it.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when it was asked to stop ([`Task::stop`]): with the state saved, the same call goes
    /// on from there.
    pub fn run(
        self,
        folder: &RunFolder,
        frozen: Option<&FrozenFigures>,
        observer: &mut Observer<'_>,
    ) -> Result<Finished, TrainError> {
        let Preparation { task, backbone, .. } = self;
        let mut trainer = task.trainer(backbone, folder, frozen)?;
        let outcome = trainer.carry_on(observer)?;
        let stopwatch = trainer.stopwatch;
        // The memory of the optimizer is not needed any more.
        drop(trainer);

        observer(&Event::Stage("evaluation of the best epoch"));
        let (mut best, _) = load_model(&folder.best_checkpoint(), task.device)?;
        best.backbone.set_precision(task.precision);
        let evaluator = task.evaluator()?;
        let validation = evaluator.outputs(&best, &task.splits.validation, &mut |_, _| {})?;
        let temperature = fit_temperature(&validation.logits, &validation.labels)?;
        let mut progress = |done, total| observer(&Event::Progress { done, total });
        let outputs = match &task.splits.test {
            Some(test) => evaluator.outputs(&best, test, &mut progress)?,
            None => validation,
        };
        let seed = task.config.train.seed;
        let compare = |frozen: &FrozenFigures| -> Result<Comparison, TrainError> {
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
            temperature,
            wall_seconds: stopwatch.seconds(),
        };
        let summary = summary(&task, &measured);
        folder.derive()?;
        folder.write_summary(&summary)?;
        Ok(Finished { summary, test, against_probe })
    }
}

impl Task {
    /// The trainer of this task at its first step.
    pub(super) fn trainer<'a>(
        &self,
        backbone: Backbone,
        folder: &'a RunFolder,
        frozen: Option<&FrozenFigures>,
    ) -> Result<Trainer<'a, FineTuning>, TrainError> {
        let images = self.training_images()?;
        let schedule = settings::schedule(&self.config.train, images.steps_per_epoch()?);
        let plan = settings::plan(&self.config.train, &self.config.run);
        Ok(Trainer::new(self.learner(backbone, frozen)?, images, (schedule, plan), folder, self.stop.clone()))
    }

    /// The model before its first step, with all that its steps need.
    fn learner(&self, backbone: Backbone, frozen: Option<&FrozenFigures>) -> Result<FineTuning, TrainError> {
        let (train, network) = (&self.config.train, &self.config.model);
        let mut objective = self.objective()?;
        let classifier = self.classifier(backbone.feature_width(), frozen)?;
        let model = self.model(backbone, classifier, &*objective)?;
        objective.needs().check(&model)?;
        objective.begin(&Start { network: &model, seed: train.seed })?;
        Ok(FineTuning {
            description: self.description(&model),
            optimizer: settings::optimizer(&model, train),
            average: train.model_ema.map(|decay| WeightAverage::new(&model, decay)),
            accumulation: settings::accumulation(train),
            frozen: Frozen { stages: network.frozen_stages as usize, batch_norm: network.freeze_batch_norm },
            measure: Box::new(|| Box::new(ClassificationMeasure::default())),
            selection: Selection::from_word(train.select.name(), &figure::OF_CLASSIFICATION)?,
            seed: train.seed,
            validation: self.splits.validation.clone(),
            evaluator: self.evaluator()?,
            world: World::Alone,
            model,
            objective,
        })
    }

    /// The objective that the configuration names.
    ///
    /// # Errors
    /// [`TrainError::NoObjective`] when it names one that only the program that began the run can bring.
    pub(super) fn objective(&self) -> Result<Box<dyn Objective>, TrainError> {
        self.config.method.build(self.config.train.label_smoothing).ok_or(TrainError::NoObjective)
    }

    /// Backbone and heads together; the projection head is there for the methods that use it.
    pub(super) fn model(
        &self,
        backbone: Backbone,
        classifier: Linear,
        objective: &dyn Objective,
    ) -> Result<Model, TrainError> {
        let (width, outputs) = (backbone.feature_width(), self.config.method.contrast_dim);
        let projection = objective
            .needs()
            .projection
            .then(|| ProjectionHead::new(width, outputs, self.config.train.seed, self.device))
            .transpose()?;
        Ok(Model::new(backbone, classifier, projection, self.normalisation())?)
    }

    /// G_y at the start: random without bias, or the linear probe (B11).
    fn classifier(&self, width: i64, frozen: Option<&FrozenFigures>) -> Result<Linear, TrainError> {
        let (classes, seed) = (self.classes.len() as i64, self.config.train.seed);
        match (self.config.method.head_init, frozen) {
            (HeadInit::Random, _) => Ok(Linear::classifier(width, classes, seed, self.device)?),
            (HeadInit::LinearProbe, Some(FrozenFigures { probe, .. })) => {
                Ok(Linear::from_values(&probe.weight, Some(&probe.bias), self.device)?)
            }
            (HeadInit::LinearProbe, None) => Err(TrainError::NoProbe),
        }
    }

    /// Steps that an epoch has; refuses a batch that the training images do not fill.
    pub fn steps_per_epoch(&self) -> Result<u64, TrainError> {
        self.training_images()?.steps_per_epoch()
    }

    pub(super) fn training_images(&self) -> Result<TrainingImages, TrainError> {
        let transform = Transform::train(self.input.augment, self.input.img_size as u32, self.input.interpolation)?;
        Ok(TrainingImages {
            split: self.splits.train.clone(),
            sampling: settings::sampling(&self.config),
            transform: Arc::new(transform),
            views: 1,
            workers: self.config.workers(),
            seed: self.config.train.seed,
            world: World::Alone,
        })
    }
}
