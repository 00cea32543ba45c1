//! One step of training, as the algorithm box of the paper has it.

use tch::Tensor;

use super::figures::DeviceFigures;
use super::gradients::gradients;
use super::optimizer::Optimizer;
use super::sharpness::gradients_uphill;
use super::step_input::{Phase, StepInput};
use crate::engine::guard;
use crate::models::ModelError;

/// Forward, pairs, loss, backward, update. Nothing is read back from the device: the figures stay there.
///
/// # Errors
/// [`ModelError`] for images or shapes that do not fit and for exceptions of libtorch.
pub fn step(mut input: StepInput<'_>, optimizer: &mut Optimizer, rate: f64) -> Result<DeviceFigures, ModelError> {
    input.objective.before_step(input.network, input.draw)?;
    let weights = optimizer.weights();
    let trainable: Vec<&Tensor> = weights.iter().copied().filter(|weight| weight.requires_grad()).collect();
    let (mut of_trainable, figures) = gradients(&mut input, &trainable)?;
    if let Some(radius) = input.sharpness {
        of_trainable = gradients_uphill(&mut input, &trainable, of_trainable, radius)?;
    }
    let mut of_weights = with_resting(&weights, of_trainable);
    input.world.sum(&mut of_weights)?;
    guard("updating the weights", || optimizer.update(rate, of_weights))?;
    input.objective.updated()?;
    input.ended(Phase::Update);
    Ok(figures)
}

/// The gradient of each weight; a weight that rests for a part of the run has none.
fn with_resting(weights: &[&Tensor], of_trainable: Vec<Tensor>) -> Vec<Tensor> {
    let mut of_trainable = of_trainable.into_iter();
    let of_weight =
        |weight: &&Tensor| weight.requires_grad().then(|| of_trainable.next()).flatten().unwrap_or_else(Tensor::new);
    weights.iter().map(of_weight).collect()
}
