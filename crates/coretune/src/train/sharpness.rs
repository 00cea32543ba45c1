//! Sharpness-aware minimisation (Foret et al., ICLR 2021, arXiv:2010.01412): the gradient of a step is taken where the loss is
//! highest nearby.

use tch::{Kind, Tensor, no_grad};

use super::gradients::gradients;
use super::step_input::StepInput;
use crate::engine::{EngineError, guard};
use crate::models::{ModelError, Network, Role};
use crate::objectives::Objective;

/// The gradients once more, at weights that were moved uphill by `radius` along the first ones. Nothing else remains of the
/// second pass.
pub(super) fn gradients_uphill(
    input: &mut StepInput<'_>,
    weights: &[&Tensor],
    mut first: Vec<Tensor>,
    radius: f64,
) -> Result<Vec<Tensor>, ModelError> {
    let backup = Backup::of(weights, input.network, &*input.objective)?;
    input.world.sum(&mut first)?;
    climb(weights, &first, radius)?;
    input.objective.drop_pending();
    // Also if the second pass fails, the weights must be those of the last step.
    let second = gradients(input, weights);
    backup.restore()?;
    Ok(second?.0)
}

/// Tensors that the second pass of a step must not change (weights, running statistics, the state of the method), each with a
/// copy of its values.
struct Backup(Vec<(Tensor, Tensor)>);

impl Backup {
    /// Copies the weights, the network's buffers and the state of the method.
    fn of(weights: &[&Tensor], network: &dyn Network, objective: &dyn Objective) -> Result<Self, EngineError> {
        let network = network.tensors("");
        let buffers = network.iter().filter(|parameter| parameter.role == Role::Buffer);
        let state = objective.state();
        let tensors = buffers.chain(state.iter()).map(|parameter| &parameter.tensor).chain(weights.iter().copied());
        guard("copying weights", || {
            Backup(tensors.map(|tensor| (tensor.shallow_clone(), tensor.detach().copy())).collect())
        })
    }

    /// Writes the copies back.
    fn restore(self) -> Result<(), EngineError> {
        guard("restoring weights", || {
            no_grad(|| {
                for (mut tensor, value) in self.0 {
                    tensor.copy_(&value);
                }
            });
        })
    }
}

/// Moves the weights by `radius` x gradient / ||gradient||, the norm being that of all gradients together.
fn climb(weights: &[&Tensor], gradients: &[Tensor], radius: f64) -> Result<(), EngineError> {
    guard("moving the weights uphill", || {
        no_grad(|| {
            let defined = || weights.iter().zip(gradients).filter(|(_, gradient)| gradient.defined());
            let norms: Vec<Tensor> = defined().map(|(_, gradient)| gradient.norm().to_kind(Kind::Float)).collect();
            if norms.is_empty() {
                return;
            }
            let factor = radius / (Tensor::stack(&norms, 0).norm() + 1e-12);
            for (weight, gradient) in defined() {
                let _ = weight.shallow_clone().g_add_(&(gradient * &factor));
            }
        });
    })
}
