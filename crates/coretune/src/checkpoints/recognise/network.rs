//! The network that a checkpoint holds: what it consists of, and whether it fits another.

use std::cell::RefCell;
use std::rc::Rc;

use super::recognised::Recognised;
use crate::checkpoints::architecture::Shapes;
use crate::checkpoints::{Checkpoint, CheckpointError};
use crate::engine::EngineError;
use crate::models::{Architecture, Backbone, ModelError};

/// What a checkpoint of a network must hold.
pub(super) struct Network {
    pub(super) shapes: Shapes,
    pub(super) features: i64,
}

impl Network {
    pub(super) fn of(architecture: &Architecture) -> Result<Network, EngineError> {
        let backbone = outline(architecture)?;
        let shapes = backbone.parameters().iter().map(|entry| (entry.name.clone(), entry.tensor.size())).collect();
        Ok(Network { shapes, features: backbone.feature_width() })
    }
}

/// The network's names and shapes; a file can imply a network far larger than itself.
pub(in crate::checkpoints) fn outline(architecture: &Architecture) -> Result<Backbone, EngineError> {
    Backbone::outline(architecture).map_err(|error| match error {
        ModelError::Engine(error) => error,
        other => EngineError::Value {
            name: "architecture of the checkpoint",
            expected: "a network that can be built".into(),
            found: other.to_string(),
        },
    })
}

/// The networks met so far: a file mostly holds one network several times.
#[derive(Default)]
pub(super) struct Networks(RefCell<Vec<(Architecture, Rc<Network>)>>);

impl Networks {
    pub(super) fn get(&self, architecture: &Architecture) -> Result<Rc<Network>, CheckpointError> {
        if let Some((_, network)) = self.0.borrow().iter().find(|(known, _)| known == architecture) {
            return Ok(Rc::clone(network));
        }
        let network = Rc::new(Network::of(architecture)?);
        self.0.borrow_mut().push((*architecture, Rc::clone(&network)));
        Ok(network)
    }
}

impl Recognised {
    /// Fails unless every tensor of the backbone has its place in `model`; the error names the first that has not.
    ///
    /// # Errors
    /// [`CheckpointError::DoesNotFit`], with the first tensor that has no place or another shape.
    pub fn check_fits(&self, checkpoint: &Checkpoint, model: &Architecture) -> Result<(), CheckpointError> {
        let (expected, found) = (Network::of(model)?.shapes, Network::of(&self.architecture)?.shapes);
        let differs = |name: &&String| expected.get(*name) != found.get(*name);
        // A tensor that both have in another shape says more than one that only the file has.
        let shared = self.backbone.keys().filter(|name| expected.contains_key(*name)).find(differs);
        let Some(name) = shared.or_else(|| self.backbone.keys().find(differs)) else { return Ok(()) };
        let describe = |architecture: &Architecture, shapes: &Shapes| match shapes.get(name) {
            Some(shape) => format!("{}: {name} {shape:?}", architecture.family),
            None => format!("{}: no {name}", architecture.family),
        };
        Err(CheckpointError::DoesNotFit {
            path: checkpoint.path().into(),
            expected: describe(model, &expected),
            found: describe(&self.architecture, &found),
        })
    }
}
