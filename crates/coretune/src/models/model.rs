//! Backbone, heads and normalisation together: from bytes to logits.

use tch::{Device, Kind, Tensor};

use super::heads::{Linear, ProjectionHead};
use super::layers::Mode;
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

    /// The device that the weights are on.
    pub fn device(&self) -> Device {
        self.classifier.weight.device()
    }

    /// Handles of all tensors: those of the backbone under `backbone.`, then `classifier.`, then `projection.`.
    pub fn parameters(&self) -> Parameters {
        let mut list = Parameters::default();
        for parameter in self.backbone.parameters().iter() {
            let _ = list.add(format!("backbone.{}", parameter.name), parameter.tensor.shallow_clone(), parameter.role);
        }
        self.classifier.list("classifier.", &mut list);
        if let Some(projection) = &self.projection {
            projection.list("projection.", &mut list);
        }
        list
    }

    /// Pooled features f32 `[n, D]` of images u8 `[n, h, w, 3]`.
    pub fn features(&self, images: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        check_images(images)?;
        Ok(engine::guard("computing features", || {
            let pixels = self.normalisation.apply(images, self.device());
            self.backbone.features(&pixels, mode)
        })?)
    }

    /// Logits f32 `[n, classes]` of images u8 `[n, h, w, 3]`.
    pub fn logits(&self, images: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        let features = self.features(images, mode)?;
        Ok(engine::guard("computing logits", || self.classifier.forward(&features))?)
    }
}

/// Refuses what is no batch of images u8 `[n, h, w, 3]`.
pub(super) fn check_images(images: &Tensor) -> Result<(), ModelError> {
    match (images.size().as_slice(), images.kind()) {
        (&[n, h, w, 3], Kind::Uint8) if n > 0 && h > 0 && w > 0 => Ok(()),
        (found, kind) => Err(ModelError::Images { found: found.to_vec(), kind: format!("{kind:?}") }),
    }
}
