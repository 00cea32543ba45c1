//! The tensors of a network and its method together, named as in the files of a run.

use crate::models::{Network, Parameters, Role};
use crate::objectives::Objective;

/// Every weight and buffer of a run, without the optimizer's: the network's, then the method's own state, all of which
/// counts as buffers.
pub fn run_parameters(network: &dyn Network, objective: &dyn Objective) -> Parameters {
    let names = objective.names();
    let mut list = network.tensors(names.network);
    for parameter in objective.state().iter() {
        let name = format!("{}{}", names.state, parameter.name);
        let _ = list.add(name, parameter.tensor.shallow_clone(), Role::Buffer);
    }
    list
}

/// Whether the tensor of this name belongs to the method's own state.
pub(crate) fn is_method_state(objective: &dyn Objective, name: &str) -> bool {
    let own = name.strip_prefix(objective.names().state);
    own.is_some_and(|own| objective.state().get(own).is_some())
}
