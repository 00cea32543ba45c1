//! A backbone with the head of contrastive pre-training: from bytes to the vector that is contrasted.

use tch::{Device, Tensor};

use super::heads::{Linear, ProjectionHead};
use super::layers::Mode;
use super::network::Network;
use super::parameters::Parameters;
use super::{Backbone, ModelError, Normalisation};
use crate::engine;

/// An encoder `f` of `MoCo` or `g(f(.))` of `SimCLR`: the backbone, then an MLP of two layers.
#[derive(Debug)]
pub struct Encoder {
    /// What is kept after pre-training.
    pub backbone: Backbone,
    /// Linear(D, D) - ReLU - Linear(D, d); dropped after pre-training.
    pub projection: ProjectionHead,
    /// What is done to pixels first.
    pub normalisation: Normalisation,
}

impl Encoder {
    /// Puts the parts together.
    ///
    /// # Errors
    /// [`ModelError::FeatureWidth`] when the head does not read what the backbone gives.
    pub fn new(
        backbone: Backbone,
        projection: ProjectionHead,
        normalisation: Normalisation,
    ) -> Result<Self, ModelError> {
        let (expected, found) = (backbone.feature_width(), projection.inputs());
        if found != expected {
            return Err(ModelError::FeatureWidth { layer: "projection head", expected, found });
        }
        Ok(Encoder { backbone, projection, normalisation })
    }

    /// Projections f32 `[n, d]` of images u8 `[n, h, w, 3]`, not normalised.
    ///
    /// # Errors
    /// [`ModelError::Images`] for images of another shape or type; [`ModelError::Engine`] for an exception of libtorch.
    pub fn projections(&self, images: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        let features = self.features(images, mode)?;
        Ok(engine::guard("computing projections", || self.projection.forward(&features))?)
    }

    /// A copy of the backbone and projection head of a network, whose tensors get no gradient: a momentum encoder
    /// before its first step.
    ///
    /// # Errors
    /// [`ModelError::MissingHead`] for a network without a projection head.
    pub fn frozen_copy(network: &dyn Network) -> Result<Self, ModelError> {
        let projection = network.projection().ok_or(ModelError::MissingHead { layer: "projection head" })?;
        Encoder::new(network.backbone().frozen_copy()?, projection.frozen_copy()?, *network.normalisation())
    }
}

impl Network for Encoder {
    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn normalisation(&self) -> &Normalisation {
        &self.normalisation
    }

    fn classifier(&self) -> Option<&Linear> {
        None
    }

    fn projection(&self) -> Option<&ProjectionHead> {
        Some(&self.projection)
    }

    /// Named as pre-trained models are elsewhere: the backbone's own names, and the head as its last layer, `fc.0` and
    /// `fc.2`.
    fn tensors(&self, prefix: &str) -> Parameters {
        let mut list = Parameters::default();
        list.extend_under(prefix, self.backbone.parameters());
        self.projection.list(&format!("{prefix}fc."), &mut list);
        list
    }

    fn device(&self) -> Device {
        self.projection.device()
    }
}
