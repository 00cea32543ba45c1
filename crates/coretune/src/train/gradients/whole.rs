//! A batch that goes through the network at once.

use tch::Tensor;

use super::backward::{Gradients, backward, own_targets};
use crate::data::Batch;
use crate::engine::guard;
use crate::models::ModelError;
use crate::train::DeviceFigures;
use crate::train::step_input::{Phase, StepInput};

/// Forward, loss, backward.
pub(super) fn whole(input: &mut StepInput<'_>, weights: &[&Tensor]) -> Result<Gradients, ModelError> {
    let Batch { images, labels, .. } = input.batch;
    // Without a source of rows, the objective computes the features in its own pass.
    let rows = input.rows.map(|source| source.rows(0..input.images(), input.mode())).transpose()?;
    input.ended(Phase::Forward);
    let labels = rows.as_ref().map_or(labels, |rows| &rows.labels);
    let loss = input.loss(images, labels, rows.as_ref(), input.draw)?;
    input.ended(Phase::Loss);
    let (gradients, figures) = guard("computing gradients", || {
        let gradients = backward(&loss.total, weights);
        (gradients, DeviceFigures::gather(&loss))
    })?;
    input.ended(Phase::Backward);
    let figures = match &rows {
        Some(rows) => figures.counting(rows),
        None => figures,
    };
    Ok((gradients, figures))
}

/// The mean over this rank's images, as a part of the mean over those of all ranks.
pub(super) fn own_images(input: &mut StepInput<'_>, weights: &[&Tensor]) -> Result<Gradients, ModelError> {
    let Batch { images, labels, .. } = input.batch;
    let soft_targets = input.soft_targets.take();
    input.soft_targets = own_targets(soft_targets.as_ref(), input.world)?;
    let loss = input.loss(images, labels, None, input.draw)?;
    input.soft_targets = soft_targets;
    let fraction = 1.0 / input.world.ranks() as f64;
    let (gradients, figures) = guard("computing gradients", || {
        let part = &loss.total * fraction;
        (backward(&part, weights), DeviceFigures::gather(&loss))
    })?;
    Ok((gradients, figures.mean_over(input.world)?))
}
