//! What a network that is trained offers to a method, whatever its heads.

use tch::{Device, Kind, Tensor};

use super::heads::{Linear, ProjectionHead};
use super::layers::Mode;
use super::parameters::Parameters;
use super::{Backbone, ModelError, Normalisation};
use crate::engine;

/// A network that is trained: a backbone with heads. [`super::Model`] has a classifier, [`super::Encoder`] only the
/// head of contrastive pre-training.
pub trait Network {
    /// G_e.
    fn backbone(&self) -> &Backbone;

    /// What is done to pixels first.
    fn normalisation(&self) -> &Normalisation;

    /// G_y, if the network classifies.
    fn classifier(&self) -> Option<&Linear>;

    /// G_c, if the network is trained by contrast.
    fn projection(&self) -> Option<&ProjectionHead>;

    /// Handles of all tensors, each name after `prefix`.
    fn tensors(&self, prefix: &str) -> Parameters;

    /// The device that the weights are on.
    fn device(&self) -> Device {
        self.backbone().device()
    }

    /// Pooled features f32 `[n, D]` of images u8 `[n, h, w, 3]`.
    ///
    /// # Errors
    /// [`ModelError::Images`] for another shape, [`ModelError::Engine`] for exceptions of libtorch.
    fn features(&self, images: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        check_images(images)?;
        Ok(engine::guard("computing features", || {
            self.backbone().features(&self.normalisation().apply(images, self.device()), mode)
        })?)
    }

    /// Feature maps `[n, channels, h', w']` of images u8 `[n, h, w, 3]` after each stage, the stem's first, in the
    /// number format of the convolutions.
    ///
    /// # Errors
    /// As [`Network::features`].
    fn stage_maps(&self, images: &Tensor, mode: Mode) -> Result<Vec<Tensor>, ModelError> {
        check_images(images)?;
        Ok(engine::guard("computing feature maps", || {
            self.backbone().stage_maps(&self.normalisation().apply(images, self.device()), mode)
        })?)
    }
}

/// Refuses anything but a batch of images u8 `[n, h, w, 3]`.
pub(super) fn check_images(images: &Tensor) -> Result<(), ModelError> {
    match (images.size().as_slice(), images.kind()) {
        (&[n, h, w, 3], Kind::Uint8) if n > 0 && h > 0 && w > 0 => Ok(()),
        (found, kind) => Err(ModelError::Images { found: found.to_vec(), kind: format!("{kind:?}") }),
    }
}
