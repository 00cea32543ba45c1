//! One step of training, as the algorithm box of the paper has it.

use std::ops::Range;

use tch::{Kind, Tensor, no_grad};

use super::Optimizer;
use super::figures::DeviceFigures;
use crate::data::Batch;
use crate::engine::{EngineError, guard};
use crate::models::{Mode, Model, ModelError};
use crate::objectives::{FeatureBatch, Heads, Objective, ObjectiveLoss};

/// How a batch is taken apart where it does not fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accumulation {
    /// Not at all.
    Whole,
    /// Parts of so many images go through the network one at a time; mining and contrast see the whole batch, and the
    /// gradient is that of the whole batch. The forward pass is made twice. Batch norm takes its statistics from each
    /// part, unless it is frozen.
    Exact {
        /// Images of a part.
        part: usize,
    },
    /// Each part is a batch of its own, with its own pairs and its own loss; gradients are averaged. What the published
    /// script does.
    Split {
        /// Images of a part.
        part: usize,
    },
}

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
    accumulation: Accumulation,
) -> Result<DeviceFigures, ModelError> {
    let (gradients, figures) = gradients(model, objective, &optimizer.weights(), batch, draw, accumulation)?;
    guard("updating the weights", || optimizer.update(rate, gradients))?;
    Ok(figures)
}

/// The gradient of a batch's loss with respect to each of `weights` (undefined where the loss does not depend on it), and
/// the figures of the loss.
pub fn gradients(
    model: &Model,
    objective: &dyn Objective,
    weights: &[&Tensor],
    batch: &Batch,
    draw: (u64, u64),
    accumulation: Accumulation,
) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    match accumulation {
        Accumulation::Whole => whole(model, objective, weights, batch, draw),
        Accumulation::Exact { part } => exact(model, objective, weights, batch, draw, part),
        Accumulation::Split { part } => split(model, objective, weights, batch, draw, part),
    }
}

fn whole(
    model: &Model,
    objective: &dyn Objective,
    weights: &[&Tensor],
    batch: &Batch,
    draw: (u64, u64),
) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    let features = model.features(&batch.images, Mode::Train)?;
    let loss = loss(model, objective, &features, &batch.labels, draw)?;
    Ok(guard("computing gradients", || {
        let gradients = Tensor::run_backward(&[&loss.total], weights, false, false);
        (gradients, DeviceFigures::gather(&loss))
    })?)
}

/// Features first, without graph; then the gradient of the loss with respect to them; then the network again, part by
/// part, with that gradient.
fn exact(
    model: &Model,
    objective: &dyn Objective,
    weights: &[&Tensor],
    batch: &Batch,
    draw: (u64, u64),
    part: usize,
) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    let parts = parts(batch.labels.len(), part);
    let of_parts: Vec<Tensor> = parts
        .iter()
        .map(|rows| no_grad(|| model.features(&images(batch, rows), Mode::Rehearse)))
        .collect::<Result<_, _>>()?;
    let features = guard("joining features", || Tensor::cat(&of_parts, 0).set_requires_grad(true))?;
    let loss = loss(model, objective, &features, &batch.labels, draw)?;
    let inputs: Vec<&Tensor> = weights.iter().copied().chain([&features]).collect();
    // Of the weights, only the heads' lie between the features and the loss.
    let (mut gradients, figures) = guard("computing the gradient of the features", || {
        let gradients = Tensor::run_backward(&[&loss.total], &inputs, false, false);
        (gradients, DeviceFigures::gather(&loss))
    })?;
    let of_features = gradients.pop().unwrap_or_else(Tensor::new);
    for rows in &parts {
        let again = model.features(&images(batch, rows), Mode::Train)?;
        if !again.requires_grad() {
            // The whole network is frozen: the heads alone learn, and theirs are there.
            break;
        }
        guard("computing gradients", || {
            let wanted = of_features.narrow(0, rows.start as i64, rows.len() as i64);
            let replayed = (again * wanted).sum(Kind::Float);
            add(&mut gradients, Tensor::run_backward(&[&replayed], weights, false, false));
        })?;
    }
    Ok((gradients, figures))
}

fn split(
    model: &Model,
    objective: &dyn Objective,
    weights: &[&Tensor],
    batch: &Batch,
    (seed, step): (u64, u64),
    part: usize,
) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    let parts = parts(batch.labels.len(), part);
    let count = parts.len() as u64;
    let mut gradients: Vec<Tensor> = weights.iter().map(|_| Tensor::new()).collect();
    let mut figures = Vec::new();
    for (number, rows) in parts.iter().enumerate() {
        let features = model.features(&images(batch, rows), Mode::Train)?;
        // Every part draws its own numbers.
        let draw = (seed, step * count + number as u64);
        let loss = loss(model, objective, &features, &batch.labels[rows.clone()], draw)?;
        figures.push(guard("computing gradients", || {
            let share = &loss.total * (rows.len() as f64 / batch.labels.len() as f64);
            add(&mut gradients, Tensor::run_backward(&[&share], weights, false, false));
            DeviceFigures::gather(&loss)
        })?);
    }
    Ok((gradients, guard("averaging figures", || DeviceFigures::mean(&figures))?))
}

/// The rows of each part; the last may be short.
fn parts(rows: usize, part: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(part.max(1)).map(|start| start..(start + part.max(1)).min(rows)).collect()
}

fn images(batch: &Batch, rows: &Range<usize>) -> Tensor {
    batch.images.narrow(0, rows.start as i64, rows.len() as i64)
}

/// Adds gradients to those so far, of which any may be undefined.
fn add(sums: &mut [Tensor], gradients: Vec<Tensor>) {
    for (sum, gradient) in sums.iter_mut().zip(gradients) {
        match (sum.defined(), gradient.defined()) {
            (_, false) => {}
            (false, true) => *sum = gradient,
            (true, true) => drop(sum.g_add_(&gradient)),
        }
    }
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
