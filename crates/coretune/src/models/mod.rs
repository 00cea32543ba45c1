//! Backbones, heads, and the named tensors they are made of.

mod architecture;
mod parameters;

pub use architecture::{Architecture, Family, Stem, UnknownFamily};
pub use parameters::{Parameter, Parameters, Role};
