//! Named tensors of a model, in a fixed order.

use std::collections::HashMap;

use tch::{Tensor, no_grad};

/// Whether a tensor is trained or merely kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Trained by the optimizer.
    Weight,
    /// Part of the state, not of the gradient: running statistics of batch norm.
    Buffer,
}

/// One named tensor.
#[derive(Debug)]
pub struct Parameter {
    /// Name as torchvision spells it, such as `layer1.0.conv1.weight`.
    pub name: String,
    /// The tensor itself; layers hold shallow clones of it, so writing into it changes the layer.
    pub tensor: Tensor,
    /// Trained or kept.
    pub role: Role,
}

/// The tensors of a model in the order in which its constructor made them.
#[derive(Debug, Default)]
pub struct Parameters {
    entries: Vec<Parameter>,
    position: HashMap<String, usize>,
}

impl Parameters {
    /// Adds `tensor` under `name` and returns the handle that the layer keeps.
    ///
    /// # Panics
    /// When the name is taken: a model with two tensors of one name is a mistake of its constructor.
    pub fn add(&mut self, name: String, tensor: Tensor, role: Role) -> Tensor {
        let handle = tensor.shallow_clone();
        let previous = self.position.insert(name.clone(), self.entries.len());
        assert!(previous.is_none(), "two parameters are named {name}");
        self.entries.push(Parameter { name, tensor, role });
        handle
    }

    /// Appends the entries of another list, each in the role that `role` gives to its own.
    ///
    /// # Panics
    /// When a name is taken.
    pub fn extend(&mut self, others: Parameters, role: impl Fn(Role) -> Role) {
        for Parameter { name, tensor, role: own } in others.entries {
            let _ = self.add(name, tensor, role(own));
        }
    }

    /// Appends handles of the entries of another list, each name after `prefix`.
    ///
    /// # Panics
    /// When a name is taken.
    pub fn extend_under(&mut self, prefix: &str, others: &Parameters) {
        for Parameter { name, tensor, role } in &others.entries {
            let _ = self.add(format!("{prefix}{name}"), tensor.shallow_clone(), *role);
        }
    }

    /// Copies the values of another list with the same names, in the same order, into this one's tensors.
    ///
    /// # Panics
    /// On an exception of libtorch, such as for other shapes: call inside [`crate::engine::guard`].
    pub fn copy_from(&self, others: &Parameters) {
        no_grad(|| {
            for (target, source) in self.entries.iter().zip(&others.entries) {
                target.tensor.shallow_clone().copy_(&source.tensor);
            }
        });
    }

    /// All entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Parameter> {
        self.entries.iter()
    }

    /// The entry of this name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.position.get(name).map(|&index| &self.entries[index])
    }

    /// The place of the entry of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.position.get(name).copied()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of scalars in weights (not buffers).
    pub fn weight_count(&self) -> usize {
        self.entries.iter().filter(|p| p.role == Role::Weight).map(|p| p.tensor.numel()).sum()
    }
}
