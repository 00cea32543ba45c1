//! Backbone, heads and normalisation together: from bytes to logits.

use tch::{Device, Tensor};

use super::heads::{Linear, ProjectionHead};
use super::layers::Mode;
use super::network::Network;
use super::parameters::Parameters;
use super::{Backbone, ModelError, Normalisation};
use crate::engine;

/// The model `G_y(G_e(x))` with, while it is trained by contrast, its projection head `G_c`.
#[derive(Debug)]
pub struct Model {
    /// `G_e`.
    pub backbone: Backbone,
    /// `G_y`.
    pub classifier: Linear,
    /// `G_c`; dropped at deployment.
    pub projection: Option<ProjectionHead>,
    /// What is done to pixels first.
    pub normalisation: Normalisation,
}

impl Model {
    /// Puts the parts together; the heads must read as many features as the backbone gives.
    ///
    /// # Errors
    /// [`ModelError::FeatureWidth`] for a head that reads another number.
    pub fn new(
        backbone: Backbone,
        classifier: Linear,
        projection: Option<ProjectionHead>,
        normalisation: Normalisation,
    ) -> Result<Self, ModelError> {
        let expected = backbone.feature_width();
        let heads = [
            ("classifier", Some(classifier.inputs())),
            ("projection head", projection.as_ref().map(ProjectionHead::inputs)),
        ];
        for (layer, found) in heads {
            if let Some(found) = found.filter(|&found| found != expected) {
                return Err(ModelError::FeatureWidth { layer, expected, found });
            }
        }
        Ok(Model { backbone, classifier, projection, normalisation })
    }

    /// Handles of all tensors: those of the backbone under `backbone.`, then `classifier.`, then `projection.`.
    pub fn parameters(&self) -> Parameters {
        self.tensors("")
    }

    /// Logits f32 `[n, classes]` of images u8 `[n, h, w, 3]`.
    ///
    /// # Errors
    /// [`ModelError::Images`] for images of another shape or type; [`ModelError::Engine`] for an exception of libtorch.
    pub fn logits(&self, images: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        let features = self.features(images, mode)?;
        Ok(engine::guard("computing logits", || self.classifier.forward(&features))?)
    }
}

impl Network for Model {
    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn normalisation(&self) -> &Normalisation {
        &self.normalisation
    }

    fn classifier(&self) -> Option<&Linear> {
        Some(&self.classifier)
    }

    fn projection(&self) -> Option<&ProjectionHead> {
        self.projection.as_ref()
    }

    fn tensors(&self, prefix: &str) -> Parameters {
        let mut list = Parameters::default();
        list.extend_under(&format!("{prefix}backbone."), self.backbone.parameters());
        self.classifier.list(&format!("{prefix}classifier."), &mut list);
        if let Some(projection) = &self.projection {
            projection.list(&format!("{prefix}projection."), &mut list);
        }
        list
    }

    fn device(&self) -> Device {
        self.classifier.weight.device()
    }
}
