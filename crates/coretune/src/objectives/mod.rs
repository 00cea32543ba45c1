//! Fine-tuning objectives: one file per method, from the features of a batch to a loss.

mod core_tuning;
mod cross_entropy;
mod supervised_contrastive;

use tch::Tensor;

use crate::engine::EngineError;
use crate::mining::unit_rows;

pub use core_tuning::{CoreTuning, PairScheme};
pub use cross_entropy::CrossEntropy;
pub use supervised_contrastive::SupervisedContrastive;

/// The heads that an objective may apply to rows of features; a head is any differentiable map of rows.
pub struct Heads<'a> {
    /// G_y: `[rows, D]` to logits `[rows, C]`.
    pub classifier: &'a dyn Fn(&Tensor) -> Tensor,
    /// G_c before normalisation: `[rows, D]` to `[rows, d]`.
    pub projection: &'a dyn Fn(&Tensor) -> Tensor,
}

impl Heads<'_> {
    /// z = G_c(f) / ||G_c(f)||.
    fn project(&self, features: &Tensor) -> Tensor {
        unit_rows(&(self.projection)(features))
    }
}

/// One batch as an objective sees it.
pub struct FeatureBatch<'a> {
    /// f, `[n, D]`, with graph.
    pub features: &'a Tensor,
    /// y, n classes in `0..classes`; on the host, where the loader left them.
    pub labels: &'a [i64],
    /// C.
    pub classes: i64,
    /// Seed of the run and number of the step: what random draws depend on.
    pub draw: (u64, u64),
}

/// A loss with its parts.
#[derive(Debug)]
pub struct ObjectiveLoss {
    /// What is differentiated: a scalar with graph.
    pub total: Tensor,
    /// The terms it is made of, before their weights, and figures of interest: scalars without graph, on the device.
    pub figures: Vec<(&'static str, Tensor)>,
}

/// A fine-tuning method as the trainer knows it.
pub trait Objective: Send {
    /// Name in configurations and reports.
    fn name(&self) -> &'static str;

    /// Whether the method uses the projection head G_c.
    fn uses_projection(&self) -> bool;

    /// The loss of one batch.
    fn loss(&self, batch: &FeatureBatch<'_>, heads: &Heads<'_>) -> Result<ObjectiveLoss, EngineError>;
}

/// Names of figures in [`ObjectiveLoss::figures`].
pub mod figure {
    /// M6, or the mean cross-entropy of methods without mixing.
    pub const CLASSIFICATION: &str = "classification";
    /// M5 before its weight eta.
    pub const CONTRASTIVE: &str = "contrastive";
    /// Mean cosine between anchors and their hardest positives, over anchors that have one.
    pub const HARDEST_POSITIVE_COSINE: &str = "hardest_positive_cosine";
    /// Mean cosine between anchors and their hardest negatives; absent from a batch of one class.
    pub const HARDEST_NEGATIVE_COSINE: &str = "hardest_negative_cosine";
}
