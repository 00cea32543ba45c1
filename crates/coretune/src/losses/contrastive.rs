//! The losses of contrastive pre-training, on rows that need not be normalised.

use tch::{Kind, Tensor};

use crate::engine::rows::{cosines, unit_rows};
use crate::engine::{EngineError, guard, shape};

/// A contrastive loss and what its logits say about the encoder.
#[derive(Debug)]
pub struct InstanceDiscrimination {
    /// The mean over anchors: a scalar with graph.
    pub loss: Tensor,
    /// Fraction of the anchors whose own other view is nearest: a scalar without graph.
    pub accuracy: Tensor,
    /// Mean cosine of the two views: a scalar without graph.
    pub positive_cosine: Tensor,
}

/// InfoNCE against a queue, as `MoCo` has it (He et al., CVPR 2020, arXiv:1911.05722, equation 1):
/// `-log exp(q·k / tau) / (exp(q·k / tau) + sum_j exp(q·queue_j / tau))`, mean over rows.
///
/// `queries` and `keys` are `[n, d]`, the two views of n images, and normalised here; keys get no gradient. `queue` is
/// `[d, K]`, normalised keys of earlier batches.
///
/// # Errors
/// [`EngineError::Shape`] for shapes that do not fit, [`EngineError::Value`] for a temperature that is not positive.
pub fn info_nce(
    queries: &Tensor,
    keys: &Tensor,
    queue: &Tensor,
    temperature: f64,
) -> Result<InstanceDiscrimination, EngineError> {
    let (rows, width) = shape::matrix("queries", queries)?;
    shape::exactly("keys", keys, &[rows, width])?;
    let (_, queued) = shape::matrix("queue", queue)?;
    shape::exactly("queue", queue, &[width, queued])?;
    shape::positive("temperature", temperature)?;
    guard("computing the loss", || info_nce_of(queries, keys, queue, temperature))
}

/// [`info_nce`], its shapes unchecked.
fn info_nce_of(queries: &Tensor, keys: &Tensor, queue: &Tensor, temperature: f64) -> InstanceDiscrimination {
    let (queries, keys) = (unit_rows(queries), unit_rows(&keys.detach()));
    let positive = (&queries * &keys).sum_dim_intlist([1i64].as_slice(), true, None);
    let logits = Tensor::cat(&[&positive, &queries.matmul(&queue.detach())], 1) / temperature;
    let first = Tensor::zeros(logits.size()[0], (Kind::Int64, logits.device()));
    discrimination(&logits, &first, &positive)
}

/// NT-Xent, as `SimCLR` has it (Chen et al., ICML 2020, arXiv:2002.05709, equation 1): every row's positive is its other
/// view, its negatives are all other rows of the batch; mean over the 2n rows.
///
/// `projections` is `[2 n, d]`: the first views of n images, then their second views; normalised here.
///
/// # Errors
/// [`EngineError::Shape`] for an odd number of rows or none, [`EngineError::Value`] for a temperature that is not positive.
pub fn nt_xent(projections: &Tensor, temperature: f64) -> Result<InstanceDiscrimination, EngineError> {
    let (rows, width) = shape::matrix("projections", projections)?;
    if rows == 0 || rows % 2 == 1 {
        let expected = format!("[2 n, {width}], two views of each image");
        return Err(EngineError::Shape { tensor: "projections", expected, found: projections.size() });
    }
    shape::positive("temperature", temperature)?;
    guard("computing the loss", || nt_xent_of(projections, temperature))
}

/// [`nt_xent`], its shape unchecked.
fn nt_xent_of(projections: &Tensor, temperature: f64) -> InstanceDiscrimination {
    let (rows, device) = (projections.size()[0], projections.device());
    let cosines = cosines(projections);
    let other_view = (Tensor::arange(rows, (Kind::Int64, device)) + rows / 2).remainder(rows);
    let oneself = Tensor::eye(rows, (Kind::Bool, device));
    let logits = (&cosines / temperature).masked_fill(&oneself, f64::NEG_INFINITY);
    let positive = cosines.detach().gather(1, &other_view.unsqueeze(1), false);
    discrimination(&logits, &other_view, &positive)
}

/// Cross-entropy of `logits` `[n, m]` with the positive's column as the class.
fn discrimination(logits: &Tensor, positive_column: &Tensor, positive_cosine: &Tensor) -> InstanceDiscrimination {
    let (column, detached) = (positive_column.unsqueeze(1), logits.detach());
    let (positive, others) =
        (detached.gather(1, &column, false), detached.scatter_value(1, &column, f64::NEG_INFINITY));
    // A tie does not count: an encoder that gives one vector for all images would otherwise be right each time.
    let nearest = others.amax([1i64].as_slice(), true).lt_tensor(&positive);
    InstanceDiscrimination {
        loss: -logits.log_softmax(1, logits.kind()).gather(1, &column, false).mean(None),
        accuracy: nearest.to_kind(Kind::Float).mean(None),
        positive_cosine: positive_cosine.detach().mean(None),
    }
}
