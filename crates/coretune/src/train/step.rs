//! One step of training, as the algorithm box of the paper has it.

use tch::Tensor;

use super::Optimizer;
use super::figures::DeviceFigures;
use crate::data::Batch;
use crate::engine::{EngineError, guard};
use crate::models::{Mode, Model, ModelError};
use crate::objectives::{FeatureBatch, Heads, Objective, ObjectiveLoss};

/// Forward, loss, backward, update. Nothing is read back from the device: the figures stay there.
///
/// `draw` is (seed, step), what the random numbers of the objective depend on; `rate` the learning rate.
pub fn step(
    model: &Model,
    objective: &dyn Objective,
    optimizer: &mut Optimizer,
    batch: &Batch,
    draw: (u64, u64),
    rate: f64,
) -> Result<DeviceFigures, ModelError> {
    let features = model.features(&batch.images, Mode::Train)?;
    let loss = loss(model, objective, &features, &batch.labels, draw)?;
    guard("updating the weights", || {
        let gradients = Tensor::run_backward(&[&loss.total], &optimizer.weights(), false, false);
        optimizer.update(rate, gradients);
        DeviceFigures::gather(&loss)
    })
    .map_err(ModelError::from)
}

/// The objective on the features of a batch; it sees the heads of the model and nothing else of it.
fn loss(
    model: &Model,
    objective: &dyn Objective,
    features: &Tensor,
    labels: &[i64],
    draw: (u64, u64),
) -> Result<ObjectiveLoss, EngineError> {
    let classes = model.classifier.outputs();
    let heads = Heads {
        classifier: &|rows| model.classifier.forward(rows),
        projection: &|rows| match &model.projection {
            Some(head) => head.forward(rows),
            None => rows.shallow_clone(),
        },
    };
    guard("computing the loss", || objective.loss(&FeatureBatch { features, labels, classes, draw }, &heads))?
}
