//! Backbones, heads, and the named tensors they are made of.

mod architecture;
mod backbone;
mod error;
mod heads;
mod initial;
mod layers;
mod mobilenet;
mod model;
mod normalisation;
mod parameters;
mod resnet;

pub use architecture::{Architecture, Family, Stem, UnknownFamily};
pub use backbone::Backbone;
pub use error::ModelError;
pub use heads::{Linear, ProjectionHead};
pub use layers::Mode;
pub use model::Model;
pub use normalisation::Normalisation;
pub use parameters::{Parameter, Parameters, Role};
