use tch::Tensor;

use crate::engine::rows::off_diagonal;
use crate::engine::{EngineError, guard, shape};

/// Two soft labels count as equal when no entry differs by this much (METHOD section 6).
const SAME_LABEL: f64 = 1e-6;

/// R3, the contrastive loss of the published script: all m rows are anchors, their positives the other rows with an equal
/// soft label; each anchor's sum of (1 - p) log p is divided by m, the total by the number of anchors with a positive.
///
/// `projections` is `[m, d]` with rows of length 1, `soft_targets` `[m, C]`.
///
/// # Errors
/// [`EngineError`] for tensors of other shapes or types, and a temperature that is not above 0.
pub fn reference_contrastive(
    projections: &Tensor,
    soft_targets: &Tensor,
    temperature: f64,
) -> Result<Tensor, EngineError> {
    let (m, _) = shape::matrix("projections", projections)?;
    let (_, classes) = shape::matrix("soft targets", soft_targets)?;
    shape::exactly("soft targets", soft_targets, &[m, classes])?;
    shape::float("projections", projections)?;
    shape::positive("temperature", temperature)?;
    guard("computing the reference contrastive loss", || of_equal_labels(projections, soft_targets, temperature))
}

/// [`reference_contrastive`], its shapes unchecked.
fn of_equal_labels(projections: &Tensor, soft_targets: &Tensor, temperature: f64) -> Tensor {
    let (m, kind) = (projections.size()[0], projections.kind());
    let others = off_diagonal(m, projections.device());
    let distance = (soft_targets.unsqueeze(1) - soft_targets.unsqueeze(0)).abs().amax([2i64].as_slice(), false);
    let positives = distance.lt(SAME_LABEL).logical_and(&others);
    let logits = (projections.matmul(&projections.tr()) / temperature).masked_fill(&others.logical_not(), -1e30);
    let log_p = logits.log_softmax(1, kind).masked_fill(&positives.logical_not(), 0.0);
    let terms: Tensor = -log_p.expm1() * &log_p;
    let anchors_with_positive = positives.any_dim(1, false).to_kind(kind).sum(kind).clamp_min(1.0);
    -terms.sum(kind) / m as f64 / anchors_with_positive
}
