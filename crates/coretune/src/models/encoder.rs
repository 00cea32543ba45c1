//! A backbone with the head of contrastive pre-training: from bytes to the vector that is contrasted.

use tch::{Device, Tensor, no_grad};

use super::heads::ProjectionHead;
use super::layers::Mode;
use super::model::check_images;
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

    /// The device that the weights are on.
    pub fn device(&self) -> Device {
        self.projection.device()
    }

    /// Pooled features f32 `[n, D]` of images u8 `[n, h, w, 3]`.
    pub fn features(&self, images: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        check_images(images)?;
        Ok(engine::guard("computing features", || {
            self.backbone.features(&self.normalisation.apply(images, self.device()), mode)
        })?)
    }

    /// Projections f32 `[n, d]` of images u8 `[n, h, w, 3]`, not normalised.
    pub fn projections(&self, images: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        let features = self.features(images, mode)?;
        Ok(engine::guard("computing projections", || self.projection.forward(&features))?)
    }

    /// Handles of all tensors, under the names that pre-trained models have elsewhere: the backbone's own, and the head
    /// as its last layer, `fc.0` and `fc.2`; all under `prefix`.
    pub fn parameters(&self, prefix: &str) -> Parameters {
        let mut list = Parameters::default();
        for parameter in self.backbone.parameters().iter() {
            let _ = list.add(format!("{prefix}{}", parameter.name), parameter.tensor.shallow_clone(), parameter.role);
        }
        self.projection.list(&format!("{prefix}fc."), &mut list);
        list
    }

    /// Takes over every tensor of another encoder of the same architecture.
    ///
    /// # Errors
    /// [`ModelError::Engine`] when its shapes are others.
    pub fn copy_from(&self, other: &Encoder) -> Result<(), ModelError> {
        let (targets, sources) = (self.parameters(""), other.parameters(""));
        Ok(engine::guard("copying an encoder", || {
            no_grad(|| {
                for (target, source) in targets.iter().zip(sources.iter()) {
                    target.tensor.shallow_clone().copy_(&source.tensor);
                }
            });
        })?)
    }
}
