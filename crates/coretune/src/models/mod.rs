//! Backbones, heads, and the named tensors they are made of.

mod architecture;
mod backbone;
mod blocks;
mod builder;
mod encoder;
mod error;
mod heads;
mod initial;
mod layers;
pub(crate) mod mobilenet;
mod model;
mod network;
mod normalisation;
mod operations;
mod parameters;
pub(crate) mod resnet;

pub use architecture::{Architecture, Family, Stem};
pub use backbone::Backbone;
pub use encoder::Encoder;
pub use error::ModelError;
pub use heads::{Linear, ProjectionHead};
pub use layers::Mode;
pub(crate) use layers::{BatchNorm, Convolution};
pub use model::Model;
pub use network::Network;
pub use normalisation::Normalisation;
pub(crate) use operations::Operations;
pub use parameters::{Parameter, Parameters, Role};
