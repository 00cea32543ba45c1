//! Backward passes, and sums of what they give.

use tch::Tensor;

use crate::engine::{EngineError, World, guard};
use crate::train::DeviceFigures;

/// The gradient with respect to each weight, undefined where the loss does not depend on it, and the figures of the loss.
pub(super) type Gradients = (Vec<Tensor>, DeviceFigures);

/// The gradient of `loss` with respect to each of `weights`; an exception of libtorch panics, so call it inside [`guard`].
pub(super) fn backward(loss: &Tensor, weights: &[&Tensor]) -> Vec<Tensor> {
    Tensor::run_backward(&[loss], weights, false, false)
}

/// Adds gradients to those so far, of which any may be undefined; an exception of libtorch panics, so call it inside
/// [`guard`].
pub(super) fn add(sums: &mut [Tensor], gradients: Vec<Tensor>) {
    for (sum, gradient) in sums.iter_mut().zip(gradients) {
        match (sum.defined(), gradient.defined()) {
            (_, false) => {}
            (false, true) => *sum = gradient,
            (true, true) => drop(sum.g_add_(&gradient)),
        }
    }
}

/// Of the mixed labels of all ranks those of this one's images.
pub(super) fn own_targets(all: Option<&Tensor>, world: World) -> Result<Option<Tensor>, EngineError> {
    all.map(|all| guard("choosing labels", || world.own_rows(all, 1))).transpose()
}
