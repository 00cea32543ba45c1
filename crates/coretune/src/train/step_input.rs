//! What a step reads, and the objective's pass over it.

use tch::Tensor;

use super::accumulation::Accumulation;
use super::rows::{RowSource, Rows};
use crate::data::Batch;
use crate::engine::{World, guard};
use crate::models::{Mode, ModelError, Network};
use crate::objectives::{Dense, Heads, Objective, ObjectiveLoss, Pass};

/// What the gradient of a step is computed from.
pub struct StepInput<'a> {
    /// The network that is trained.
    pub network: &'a dyn Network,
    /// What is minimised.
    pub objective: &'a mut dyn Objective,
    /// Images, and labels or masks.
    pub batch: &'a Batch,
    /// Where the rows come from; `None`: each image of the batch is one, with its label.
    pub rows: Option<&'a dyn RowSource>,
    /// Seed of the run and number of the step: what the objective's random draws depend on.
    pub draw: (u64, u64),
    /// How the batch is computed.
    pub accumulation: Accumulation,
    /// Weights `[C]` of the classes in the cross-entropy; `None`: all alike.
    pub class_weights: Option<&'a Tensor>,
    /// Labels `[n, C]` of images that were mixed with each other, those of all processes; `None`: no image was.
    pub soft_targets: Option<Tensor>,
    /// Radius of sharpness-aware minimisation: the gradient is that at the weights moved so far uphill; `None`: at the
    /// weights themselves.
    pub sharpness: Option<f64>,
    /// The processes that share the step.
    pub world: World,
    /// Called at the end of each [`Phase`]; `None`: nobody measures them.
    pub watch: Option<&'a mut dyn FnMut(Phase)>,
}

/// What a step on a whole batch does one after the other. The forward pass is a phase of its own if the rows come from a
/// [`RowSource`]; otherwise it is part of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The features are computed.
    Forward,
    /// The heads, the pairs and the loss are computed.
    Loss,
    /// The gradients are computed.
    Backward,
    /// The weights are updated.
    Update,
}

impl<'a> StepInput<'a> {
    /// A step of one process on a whole batch.
    pub fn new(network: &'a dyn Network, objective: &'a mut dyn Objective, batch: &'a Batch, draw: (u64, u64)) -> Self {
        let (accumulation, world) = (Accumulation::Whole, World::Alone);
        StepInput {
            network,
            objective,
            batch,
            rows: None,
            draw,
            accumulation,
            class_weights: None,
            soft_targets: None,
            sharpness: None,
            world,
            watch: None,
        }
    }

    /// The same step, with weights `[C]` of the classes in the cross-entropy.
    #[must_use]
    pub fn weighted(mut self, class_weights: Option<&'a Tensor>) -> Self {
        self.class_weights = class_weights;
        self
    }

    /// The same step on images that were mixed with each other, with these labels `[n, C]`.
    #[must_use]
    pub fn mixed(mut self, soft_targets: Option<Tensor>) -> Self {
        self.soft_targets = soft_targets;
        self
    }

    /// The same step with sharpness-aware minimisation of this radius.
    #[must_use]
    pub fn sharpness_aware(mut self, radius: Option<f64>) -> Self {
        self.sharpness = radius;
        self
    }

    /// The same step, with its batch computed in another way.
    #[must_use]
    pub fn accumulated(mut self, accumulation: Accumulation) -> Self {
        self.accumulation = accumulation;
        self
    }

    /// The same step, shared by these processes, each of which has a batch of its own.
    #[must_use]
    pub fn shared_by(mut self, world: World) -> Self {
        self.world = world;
        self
    }

    /// The same step on rows of another source.
    #[must_use]
    pub fn with_rows(mut self, rows: &'a dyn RowSource) -> Self {
        self.rows = Some(rows);
        self
    }

    /// The same step, which calls `watch` at the end of each phase.
    #[must_use]
    pub fn watched(mut self, watch: &'a mut dyn FnMut(Phase)) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Shows the batch to the objective before the first step ([`Objective::prepare`]).
    ///
    /// # Errors
    /// [`ModelError`] for images or shapes that do not fit and for exceptions of libtorch.
    pub fn prepare(&mut self) -> Result<(), ModelError> {
        let Batch { images, labels, .. } = self.batch;
        self.with_pass(images, labels, None, self.draw, Objective::prepare)
    }

    /// Reports the end of a phase.
    pub(super) fn ended(&mut self, phase: Phase) {
        if let Some(watch) = &mut self.watch {
            watch(phase);
        }
    }

    /// How the network computes rows in this step.
    pub(super) fn mode(&self) -> Mode {
        if self.objective.network_rests(self.draw.1) { Mode::TrainUntracked } else { Mode::Train }
    }

    /// Images of the batch, in one view.
    pub(super) fn images(&self) -> usize {
        self.batch.indices.len()
    }

    /// The objective on images, or on rows that were computed before.
    pub(super) fn loss(
        &mut self,
        images: &Tensor,
        labels: &[i64],
        rows: Option<&Rows>,
        draw: (u64, u64),
    ) -> Result<ObjectiveLoss, ModelError> {
        let dense = rows.and_then(|rows| rows.dense.as_ref());
        let mut loss = match dense {
            // Without a labelled position nothing can be compared; the cross-entropy is what is left.
            Some(dense) if labels.is_empty() => dense.alone(),
            _ => self.with_pass(images, labels, rows, draw, Objective::loss)?,
        };
        let of_pixels = dense.iter().flat_map(|dense| &dense.figures);
        loss.figures.extend(of_pixels.map(|(name, value)| (*name, value.shallow_clone())));
        Ok(loss)
    }

    /// Makes the objective's pass over images and hands it to `use_pass`.
    pub(super) fn with_pass<R>(
        &mut self,
        images: &Tensor,
        labels: &[i64],
        rows: Option<&Rows>,
        draw: (u64, u64),
        use_pass: impl FnOnce(&mut (dyn Objective + 'a), &Pass<'_>) -> Result<R, ModelError>,
    ) -> Result<R, ModelError> {
        let network = self.network;
        // `Needs` were checked when the learner was made: a head that is missing here is not asked for.
        let heads = Heads {
            classifier: &|rows| network.classifier().map_or_else(Tensor::new, |head| head.forward(rows)),
            projection: &|rows| network.projection().map_or_else(|| rows.shallow_clone(), |head| head.forward(rows)),
        };
        let mut pass = Pass::new(network, heads, images, labels, draw, self.world)
            .in_step(self.draw.1)
            .weighted(self.class_weights)
            .mixed(self.soft_targets.as_ref());
        if self.objective.needs().stage_maps {
            pass = pass.keeping_maps();
        }
        if self.mode() == Mode::TrainUntracked {
            pass = pass.at_rest();
        }
        if let Some(rows) = rows {
            pass = pass.with_features(&rows.features);
        }
        if let Some(dense) = rows.and_then(|rows| rows.dense.as_ref()) {
            pass = pass.with_dense(Dense { cross_entropy: &dense.cross_entropy, images: &dense.images });
        }
        guard("computing the loss", || use_pass(&mut *self.objective, &pass))?
    }
}
