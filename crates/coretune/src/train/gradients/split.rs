//! Parts of a batch that are batches of their own: each has its own pairs and its own loss.

use std::ops::Range;

use tch::Tensor;

use super::backward::{Gradients, add, backward, own_targets};
use crate::data::Batch;
use crate::engine::guard;
use crate::models::ModelError;
use crate::train::DeviceFigures;
use crate::train::accumulation::parts;
use crate::train::step_input::StepInput;

/// The mean of the gradients of all parts, of which each counts by its images.
pub(super) fn split(input: &mut StepInput<'_>, weights: &[&Tensor], part: usize) -> Result<Gradients, ModelError> {
    let Batch { images, labels, .. } = input.batch;
    if input.rows.is_some() {
        return Err(ModelError::Indivisible { method: input.objective.name() });
    }
    let ((seed, step), world) = (input.draw, input.world);
    let parts = parts(labels.len(), part);
    // The parts of all ranks, of which this one has the next in a row.
    let (count, first) = ((parts.len() * world.ranks()) as u64, (parts.len() * world.rank()) as u64);
    let mut gradients: Vec<Tensor> = weights.iter().map(|_| Tensor::new()).collect();
    let mut figures = Vec::new();
    let soft_targets = input.soft_targets.take();
    let own_targets = own_targets(soft_targets.as_ref(), world)?;
    for (number, rows) in parts.iter().enumerate() {
        input.soft_targets = own_targets.as_ref().map(|targets| rows_of(targets, rows));
        // Every part draws its own numbers.
        let draw = (seed, step * count + first + number as u64);
        let loss = input.loss(&rows_of(images, rows), &labels[rows.clone()], None, draw)?;
        figures.push(guard("computing gradients", || {
            let fraction = &loss.total * (rows.len() as f64 / (world.ranks() * labels.len()) as f64);
            add(&mut gradients, backward(&fraction, weights));
            DeviceFigures::gather(&loss)
        })?);
    }
    input.soft_targets = soft_targets;
    let figures = guard("averaging figures", || DeviceFigures::mean(&figures))?;
    Ok((gradients, figures.mean_over(world)?))
}

fn rows_of(tensor: &Tensor, rows: &Range<usize>) -> Tensor {
    tensor.narrow(0, rows.start as i64, rows.len() as i64)
}
