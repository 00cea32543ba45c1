//! What `MoCo` and `SimCLR` have in common.

use tch::Tensor;

use crate::losses::InstanceDiscrimination;
use crate::mining::unit_rows;
use crate::models::{Encoder, ModelError, Parameters};
use crate::objectives::ObjectiveLoss;

/// Names of figures in the loss of a method.
pub mod figure {
    /// Share of the anchors whose other view is nearest.
    pub const ACCURACY: &str = "accuracy";
    /// Mean cosine of an image's two views; alignment is 2 - 2 of it.
    pub const POSITIVE_COSINE: &str = "positive_cosine";
    /// Mean standard deviation of the normalised projections over a batch, times the root of their width: 1 where they
    /// are spread evenly over the sphere, 0 where they have collapsed to a point (Chen & He, CVPR 2021, section 4.1).
    pub const SPREAD: &str = "spread";
}

/// A method of contrastive pre-training on two views of each image.
pub trait Method {
    /// The encoder that gradients train, and that is kept.
    fn encoder(&self) -> &Encoder;

    /// The loss of one batch; `views` are u8 `[2 n, h, w, 3]`, the first views of n images, then their second ones.
    /// `step` counts from 0.
    fn loss(&mut self, views: &Tensor, step: u64) -> Result<ObjectiveLoss, ModelError>;

    /// The weights have been updated with the gradient of the last loss.
    fn updated(&mut self) -> Result<(), ModelError>;

    /// All weights and running figures of the method by the names that its published files use.
    fn parameters(&self) -> Parameters;

    /// Whether no gradient trains the tensor of this name.
    fn is_follower(&self, _name: &str) -> bool {
        false
    }

    /// What else the next step depends on, under such names.
    fn counters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}

/// The loss with the figures that every method logs; `projections` are rows of the encoder that gradients train.
///
/// # Panics
/// On an exception of libtorch: call inside [`crate::engine::guard`].
pub(super) fn with_figures(discrimination: InstanceDiscrimination, projections: &Tensor) -> ObjectiveLoss {
    let InstanceDiscrimination { loss, accuracy, positive_cosine } = discrimination;
    let figures = vec![
        (figure::ACCURACY, accuracy),
        (figure::POSITIVE_COSINE, positive_cosine),
        (figure::SPREAD, spread(projections)),
    ];
    ObjectiveLoss { total: loss, figures }
}

/// [`figure::SPREAD`] of rows `[n, d]`, which need not be normalised: a scalar.
///
/// # Panics
/// On an exception of libtorch: call inside [`crate::engine::guard`].
pub fn spread(projections: &Tensor) -> Tensor {
    let width = projections.size()[1] as f64;
    let unit = unit_rows(&projections.detach());
    unit.std_dim([0i64].as_slice(), false, false).mean(None) * width.sqrt()
}
