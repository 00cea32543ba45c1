//! Backbones, heads, and the named tensors they are made of.

mod parameters;

pub use parameters::{Parameter, Parameters, Role};
