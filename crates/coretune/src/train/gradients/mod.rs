//! The gradient of a step: forward, loss and backward over the whole batch, over its parts, or shared by several ranks.

mod backward;
mod exact;
mod maps;
mod split;
mod whole;

use tch::Tensor;

use super::accumulation::{Accumulation, check_sharing};
use super::figures::DeviceFigures;
use super::step_input::StepInput;
use crate::models::ModelError;
use crate::objectives::Sharing;

/// The gradient of a batch's loss with respect to each of `weights` (undefined where the loss does not depend on it), and
/// the figures of the loss.
///
/// # Errors
/// [`ModelError::Indivisible`] for a method that cannot be computed in such parts; [`ModelError`] for images or shapes that
/// do not fit and for exceptions of libtorch.
pub fn gradients(input: &mut StepInput<'_>, weights: &[&Tensor]) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    input.accumulation.check(input.objective)?;
    if !input.world.is_alone() {
        return of_ranks(input, weights);
    }
    match input.accumulation {
        Accumulation::Whole => whole::whole(input, weights),
        Accumulation::Exact { part } => exact::exact(input, weights, part),
        Accumulation::Split { part } => split::split(input, weights, part),
    }
}

/// This rank's gradients: those of all ranks add up to the gradient of the global batch.
fn of_ranks(input: &mut StepInput<'_>, weights: &[&Tensor]) -> Result<(Vec<Tensor>, DeviceFigures), ModelError> {
    check_sharing(input.world, input.objective, input.accumulation)?;
    match (input.objective.needs().shared_as(), input.accumulation) {
        (_, Accumulation::Split { part }) => split::split(input, weights, part),
        (Sharing::Images, _) => whole::own_images(input, weights),
        (Sharing::RowsAndMaps, _) => maps::rows_and_maps(input, weights),
        (_, Accumulation::Exact { part }) => exact::exact(input, weights, part),
        _ => exact::exact(input, weights, input.images()),
    }
}
