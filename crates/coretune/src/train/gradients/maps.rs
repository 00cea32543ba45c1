//! A batch of several ranks for a method that compares rows of all ranks and reads the feature maps of its own images.

use tch::Tensor;

use super::backward::{Gradients, add, backward};
use super::exact::gradients_of_rows;
use crate::data::Batch;
use crate::engine::guard;
use crate::models::ModelError;
use crate::train::step_input::StepInput;
use crate::train::{DeviceFigures, Rows};

/// The loss of the rows of all ranks, and beside it what the method adds for the maps of this rank's images, as a part of the
/// mean over those of all ranks. The images go through the network once.
pub(super) fn rows_and_maps(input: &mut StepInput<'_>, weights: &[&Tensor]) -> Result<Gradients, ModelError> {
    let (Batch { images, labels, .. }, world) = (input.batch, input.world);
    let (features, of_maps) = input.with_pass(images, labels, None, input.draw, |objective, pass| {
        Ok((pass.features()?.shallow_clone(), objective.loss_of_maps(pass)?))
    })?;
    let rows = || Rows { features: features.shallow_clone(), labels: labels.clone(), dense: None };
    let (mut gradients, of_leaves, figures) = gradients_of_rows(input, weights, rows())?;
    let part = guard("adding the part of the maps", || {
        let of_rows = rows().replayed(&of_leaves, (0, labels.len() as i64), 1);
        of_rows + &of_maps.total / world.ranks() as f64
    })?;
    if part.requires_grad() {
        guard("computing gradients", || add(&mut gradients, backward(&part, weights)))?;
    }
    let of_maps = guard("collecting figures", || DeviceFigures::gather(&of_maps))?.mean_over(world)?;
    Ok((gradients, guard("adding figures", || figures.plus(&of_maps))?))
}
