//! What training a classifier and training a segmentation network share: updates of the weights, and the choice of the best
//! epoch.

use std::path::Path;

use tch::Tensor;

use super::accumulation::Accumulation;
use super::frozen_check::Frozen;
use super::learner::{EpochEnd, EpochPlace};
use super::method_state::is_method_state;
use super::step_input::StepInput;
use super::{Optimizer, Progress, TrainError, WeightAverage};
use crate::data::{Batch, Split};
use crate::engine::World;
use crate::evaluate::finite_figures;
use crate::figures::{EpochFigures, FigureSpec, Figures, Selection};
use crate::models::{Network, Parameters};
use crate::objectives::Objective;

/// Training on labels or masks, without the network: what is minimised and how, and which epoch is kept.
pub struct SupervisedTraining {
    /// What is minimised.
    pub objective: Box<dyn Objective>,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The weights' average, if one is kept: it is what is validated and kept as the best.
    pub average: Option<WeightAverage>,
    /// How a batch that does not fit into memory is computed.
    pub accumulation: Accumulation,
    /// Radius of sharpness-aware minimisation, if any.
    pub sharpness: Option<f64>,
    /// Weights that stay as they are; checked after the first epoch.
    pub frozen: Frozen,
    /// Seed of the random draws of a step.
    pub seed: u64,
    /// The processes that share a step.
    pub world: World,
    /// The images that choose the best epoch.
    pub validation: Split,
    /// What makes an epoch the best.
    pub selection: Selection,
    /// Whether the head is the linear probe at the start: that model is then a candidate for the best epoch, as epoch 0.
    pub starts_from_probe: bool,
}

/// A network that may be the best so far.
pub struct Candidate<'a> {
    /// What is measured of it, the most important figure first.
    pub specs: &'static [FigureSpec],
    /// Measures it on these images.
    pub measure: &'a dyn Fn(&Split) -> Result<Figures, TrainError>,
    /// Writes it to this file.
    pub save: &'a dyn Fn(&Path) -> Result<(), TrainError>,
}

/// Updates of the weights.
impl SupervisedTraining {
    /// The input of step `number`, and the optimizer that makes it.
    pub fn begin_step<'a>(
        &'a mut self,
        network: &'a dyn Network,
        batch: &'a Batch,
        number: u64,
    ) -> (StepInput<'a>, &'a mut Optimizer) {
        let input = StepInput::new(network, &mut *self.objective, batch, (self.seed, number))
            .accumulated(self.accumulation)
            .sharpness_aware(self.sharpness)
            .shared_by(self.world);
        (input, &mut self.optimizer)
    }

    /// Lets the average of the weights, if one is kept, follow the step that was made.
    pub fn end_step(&mut self) {
        if let Some(average) = &mut self.average {
            average.follow();
        }
    }

    /// Every tensor that the next step depends on; `parameters` are those of the network and the method.
    pub fn state(&self, parameters: &Parameters) -> Vec<(String, Tensor)> {
        let tensors = parameters.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.shallow_clone()));
        let average = self.average.iter().flat_map(WeightAverage::state);
        tensors.chain(self.optimizer.state()).chain(average).collect()
    }

    /// The tensors of [`state`](SupervisedTraining::state) were loaded, and so many steps were made.
    pub fn loaded(&mut self, steps: u64) {
        self.optimizer.set_updates(steps);
        if let Some(average) = &mut self.average {
            average.set_updates(steps);
        }
    }

    /// Whether this tensor belongs to the method, or rests in the first part of the run, so that it may stay where it is.
    pub fn is_follower(&self, name: &str) -> bool {
        is_method_state(&*self.objective, name) || self.objective.rests_until(name) > 0
    }
}

/// The choice of the best epoch.
impl SupervisedTraining {
    /// Before the first step: validates the network and keeps it as epoch 0, if its head is the linear probe.
    ///
    /// # Errors
    /// As [`SupervisedTraining::end_epoch`].
    pub fn keep_start(
        &self,
        network: &Candidate<'_>,
        progress: &mut Progress,
        place: EpochPlace<'_>,
    ) -> Result<EpochEnd, TrainError> {
        if !self.starts_from_probe {
            return Ok(EpochEnd::Done(None));
        }
        self.validate_and_keep(0, network, progress, place)
    }

    /// Validates the epoch that was trained to its end, records it in `progress`, and saves the network if it is the best so
    /// far. What is validated and kept is the average of the weights, if one is kept.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when it was asked to stop meanwhile; those of measuring and saving.
    pub fn end_epoch(
        &mut self,
        network: &Candidate<'_>,
        progress: &mut Progress,
        place: EpochPlace<'_>,
    ) -> Result<EpochEnd, TrainError> {
        self.exchange_average();
        let end = self.validate_and_keep(progress.epochs + 1, network, progress, place);
        self.exchange_average();
        end
    }

    fn exchange_average(&mut self) {
        if let Some(average) = &mut self.average {
            average.exchange();
        }
    }

    fn validate_and_keep(
        &self,
        epoch: u64,
        network: &Candidate<'_>,
        progress: &mut Progress,
        place: EpochPlace<'_>,
    ) -> Result<EpochEnd, TrainError> {
        let validated = self.validated(epoch, network, progress, &place.folder.best_checkpoint());
        EpochEnd::of_validation(validated, self.selection.shown(network.specs), progress, place)
    }

    /// The figures of the epoch on the validation split; the best network so far is written to `best`.
    fn validated(
        &self,
        epoch: u64,
        network: &Candidate<'_>,
        progress: &mut Progress,
        best: &Path,
    ) -> Result<EpochFigures, TrainError> {
        let figures = finite_figures((network.measure)(&self.validation)?)?;
        let validated = EpochFigures { epoch, figures };
        if progress.note(validated.clone(), &self.selection) && self.world.is_first() {
            (network.save)(best)?;
        }
        Ok(validated)
    }
}
