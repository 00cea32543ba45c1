//! Sharpness-aware minimisation (Foret et al., ICLR 2021, arXiv:2010.01412): the gradient of a step is taken where the loss is
//! highest nearby.

use tch::{Kind, Tensor, no_grad};

use crate::engine::{EngineError, guard};
use crate::models::{Network, Role};
use crate::objectives::Objective;

/// Values that the second pass of a step must not change: weights, running statistics, the state of the method.
pub(super) struct Held(Vec<(Tensor, Tensor)>);

impl Held {
    /// Copies of what these weights, the network's buffers and the method hold now.
    pub(super) fn of(
        weights: &[&Tensor],
        network: &dyn Network,
        objective: &dyn Objective,
    ) -> Result<Self, EngineError> {
        let network = network.tensors("");
        let buffers = network.iter().filter(|parameter| parameter.role == Role::Buffer);
        let state = objective.state();
        let tensors = buffers.chain(state.iter()).map(|parameter| &parameter.tensor).chain(weights.iter().copied());
        guard("copying weights", || {
            Held(tensors.map(|tensor| (tensor.shallow_clone(), tensor.detach().copy())).collect())
        })
    }

    /// Puts them back.
    pub(super) fn restore(self) -> Result<(), EngineError> {
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
pub(super) fn climb(weights: &[&Tensor], gradients: &[Tensor], radius: f64) -> Result<(), EngineError> {
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
