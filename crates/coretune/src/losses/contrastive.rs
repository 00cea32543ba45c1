//! The losses of contrastive pre-training, on rows that need not be normalised.

use tch::{Kind, Tensor};

use super::row_blocks::{BlockMean, BlockSums, mean_over_blocks};
use crate::engine::rows::{others_of_block, rows_of_block, unit_rows};
use crate::engine::{EngineError, PairTable, guard, shape};

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
/// `[d, K]`, normalised keys of earlier batches. Above [`PairTable::LARGEST_WHOLE`] pairs the table is computed in blocks.
///
/// # Errors
/// [`EngineError::Shape`] for shapes that do not fit, [`EngineError::Value`] for a temperature that is not positive.
pub fn info_nce(
    queries: &Tensor,
    keys: &Tensor,
    queue: &Tensor,
    temperature: f64,
) -> Result<InstanceDiscrimination, EngineError> {
    let columns = queue.size().last().copied().unwrap_or_default() + 1;
    let table = PairTable::of_size(queries.size().first().copied().unwrap_or_default(), columns);
    info_nce_by(table, (queries, keys), queue, temperature)
}

/// [`info_nce`] of (queries, keys) with its table computed as given.
///
/// # Errors
/// As [`info_nce`].
pub fn info_nce_by(
    table: PairTable,
    (queries, keys): (&Tensor, &Tensor),
    queue: &Tensor,
    temperature: f64,
) -> Result<InstanceDiscrimination, EngineError> {
    let (rows, width) = shape::matrix("queries", queries)?;
    shape::exactly("keys", keys, &[rows, width])?;
    let (_, queued) = shape::matrix("queue", queue)?;
    shape::exactly("queue", queue, &[width, queued])?;
    shape::positive("temperature", temperature)?;
    guard("computing the loss", || {
        let (queries, keys, queue) = (unit_rows(queries), unit_rows(&keys.detach()), queue.detach());
        mean_by(table, &queries, |queries, block| {
            let queries = rows_of_block(queries, block);
            let own = &queries * rows_of_block(&keys, block);
            let positive = own.sum_dim_intlist([1i64].as_slice(), true, None);
            let logits = Tensor::cat(&[&positive, &queries.matmul(&queue)], 1) / temperature;
            let first_column = Tensor::zeros(block.1, (Kind::Int64, logits.device()));
            discrimination(&logits, &first_column, &positive)
        })
    })
}

/// NT-Xent, as `SimCLR` has it (Chen et al., ICML 2020, arXiv:2002.05709, equation 1): every row's positive is its other
/// view, its negatives are all other rows of the batch; mean over the 2n rows.
///
/// `projections` is `[2 n, d]`: the first views of n images, then their second views; normalised here. Above
/// [`PairTable::LARGEST_WHOLE`] pairs the table is computed in blocks.
///
/// # Errors
/// [`EngineError::Shape`] for an odd number of rows or none, [`EngineError::Value`] for a temperature that is not positive.
pub fn nt_xent(projections: &Tensor, temperature: f64) -> Result<InstanceDiscrimination, EngineError> {
    let rows = projections.size().first().copied().unwrap_or_default();
    nt_xent_by(PairTable::of_size(rows, rows), projections, temperature)
}

/// [`nt_xent`] with its table computed as given.
///
/// # Errors
/// As [`nt_xent`].
pub fn nt_xent_by(
    table: PairTable,
    projections: &Tensor,
    temperature: f64,
) -> Result<InstanceDiscrimination, EngineError> {
    let (rows, width) = shape::matrix("projections", projections)?;
    if rows == 0 || rows % 2 == 1 {
        let expected = format!("[2 n, {width}], two views of each image");
        return Err(EngineError::Shape { tensor: "projections", expected, found: projections.size() });
    }
    shape::positive("temperature", temperature)?;
    guard("computing the loss", || {
        let other_view = (Tensor::arange(rows, (Kind::Int64, projections.device())) + rows / 2).remainder(rows);
        mean_by(table, &unit_rows(projections), |unit, block| {
            let other_view = rows_of_block(&other_view, block);
            let cosines = rows_of_block(unit, block).matmul(&unit.tr());
            let oneself = others_of_block(block, rows, unit.device()).logical_not();
            let logits = (&cosines / temperature).masked_fill(&oneself, f64::NEG_INFINITY);
            let positive = cosines.detach().gather(1, &other_view.unsqueeze(1), false);
            discrimination(&logits, &other_view, &positive)
        })
    })
}

/// The means over the anchors, one for each of `rows`, of what `of_block` computes for (first anchor, number of anchors).
fn mean_by(
    table: PairTable,
    rows: &Tensor,
    of_block: impl Fn(&Tensor, (i64, i64)) -> InstanceDiscrimination,
) -> InstanceDiscrimination {
    let anchors = rows.size()[0];
    if table == PairTable::Whole {
        return of_block(rows, (0, anchors));
    }
    let sums = |rows: &[Tensor], block: (i64, i64)| {
        let InstanceDiscrimination { loss, accuracy, positive_cosine } = of_block(&rows[0], block);
        let count = block.1 as f64;
        BlockSums {
            anchors: Tensor::full([0i64; 0], count, (loss.kind(), loss.device())),
            loss: loss * count,
            figures: vec![accuracy * count, positive_cosine * count],
        }
    };
    let BlockMean { loss, figures } = mean_over_blocks(&[rows], (table, anchors, 2), sums);
    let mean = |figure: usize| figures.get(figure).map_or_else(|| loss.detach(), |sum| sum / anchors.max(1) as f64);
    InstanceDiscrimination { accuracy: mean(0), positive_cosine: mean(1), loss }
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
