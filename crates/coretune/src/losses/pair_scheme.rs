use tch::{Kind, Tensor};

use crate::engine::rows::{have_negatives, others_of_block, rows_of_block, same_class_of_block};
use crate::engine::{EngineError, guard, shape, transfer};

/// Which pairs a contrastive loss compares: the anchors' similarities, their contrast sets and the weights of the pairs.
#[derive(Debug)]
pub struct Contrast {
    /// s_ij = z_i . z_j, `[anchors, others]`.
    pub similarities: Tensor,
    /// Whether j belongs to A_i, bool, same shape.
    pub members: Tensor,
    /// w_ij, same shape; 0 outside of A_i.
    pub weights: Tensor,
}

/// Pair scheme `own` of M5: A_i = {originals j != i} + {i+, i-}; w_ij = 1 for originals of the same class and for i+.
///
/// `projections` holds the 3n rows [originals; hard positives; semi-hard negatives], `[3n, d]`, of length 1. Only the
/// anchor's own generated rows are compared, so the table is `[n, n + 2]` and not `[n, 3n]`. In a batch of one class the
/// generated rows are left out.
pub fn own_pairs(projections: &Tensor, labels: &[i64]) -> Result<Contrast, EngineError> {
    check_own(projections, labels)?;
    guard("pairing the batch", || {
        let (n, with_mixed) = (labels.len() as i64, have_negatives(labels));
        let labels = transfer::integers(labels, projections.device());
        Contrast::own(projections, &labels, with_mixed, (0, n))
    })
}

pub(super) fn check_own(projections: &Tensor, labels: &[i64]) -> Result<(), EngineError> {
    let (_, width) = shape::matrix("projections", projections)?;
    shape::exactly("projections", projections, &[3 * labels.len() as i64, width])?;
    shape::float("projections", projections).map(|_| ())
}

/// Pair scheme `soft` of M5: A_i = all other rows; w_ij = Y_i . Y_j, the overlap of the soft labels.
///
/// `projections` is `[3n, d]`, `soft_targets` `[3n, C]`; the anchors are the first n rows.
pub fn soft_label_pairs(projections: &Tensor, soft_targets: &Tensor) -> Result<Contrast, EngineError> {
    check_soft(projections, soft_targets)?;
    guard("pairing the batch", || Contrast::soft(projections, soft_targets, (0, projections.size()[0] / 3)))
}

pub(super) fn check_soft(projections: &Tensor, soft_targets: &Tensor) -> Result<(), EngineError> {
    let (rows, _) = shape::matrix("projections", projections)?;
    let (_, classes) = shape::matrix("soft targets", soft_targets)?;
    if rows % 3 != 0 {
        let found = projections.size();
        return Err(EngineError::Shape { tensor: "projections", expected: "[3n, d]".into(), found });
    }
    shape::exactly("soft targets", soft_targets, &[rows, classes])?;
    shape::float("projections", projections).map(|_| ())
}

/// Projections of earlier batches with their classes.
#[derive(Debug, Clone, Copy)]
pub struct EarlierRows<'a> {
    /// z, `[K, d]`, of length 1.
    pub projections: &'a Tensor,
    /// Their classes, int64 `[K]`; -1 where there is none yet.
    pub labels: &'a Tensor,
}

impl Contrast {
    /// The same pairs with earlier rows in every A_i, w_ij = 1 for those of the anchor's class, else 0.
    ///
    /// `anchors` are the projections `[n, d]` of the n anchors, `labels` their classes.
    ///
    /// # Errors
    /// [`EngineError::Shape`] for shapes that do not fit.
    pub fn with_earlier(
        self,
        anchors: &Tensor,
        labels: &[i64],
        earlier: EarlierRows<'_>,
    ) -> Result<Contrast, EngineError> {
        let (n, width) = shape::matrix("anchors", anchors)?;
        let (rows, _) = shape::matrix("earlier projections", earlier.projections)?;
        shape::exactly("earlier projections", earlier.projections, &[rows, width])?;
        shape::exactly("classes of earlier projections", earlier.labels, &[rows])?;
        shape::labels(labels, n, i64::MAX)?;
        guard("pairing with earlier rows", || {
            let own = transfer::integers(labels, anchors.device()).unsqueeze(1);
            let same = own.eq_tensor(&earlier.labels.unsqueeze(0)).to_kind(anchors.kind());
            let members = earlier.labels.ge(0).unsqueeze(0).expand([n, rows], false);
            let similarities = anchors.matmul(&earlier.projections.to_kind(anchors.kind()).tr());
            Contrast {
                similarities: Tensor::cat(&[self.similarities, similarities], 1),
                members: Tensor::cat(&[self.members, members], 1),
                weights: Tensor::cat(&[self.weights, same], 1),
            }
        })
    }
}

/// The formulas themselves, shapes unchecked, for a block (first anchor, number of anchors).
impl Contrast {
    /// A_i are the other rows, w_ij = 1 for those of the same class.
    pub(super) fn of_labels(projections: &Tensor, labels: &Tensor, block: (i64, i64)) -> Self {
        let members = others_of_block(block, projections.size()[0], projections.device());
        let weights = same_class_of_block(labels, block).logical_and(&members).to_kind(projections.kind());
        let similarities = rows_of_block(projections, block).matmul(&projections.tr());
        Contrast { similarities, members, weights }
    }

    /// [`own_pairs`]; the anchors have their generated rows if `with_mixed`.
    pub(super) fn own(projections: &Tensor, labels: &Tensor, with_mixed: bool, block: (i64, i64)) -> Self {
        let (kind, device) = (projections.kind(), projections.device());
        let parts = projections.split(projections.size()[0] / 3, 0);
        let anchors = rows_of_block(&parts[0], block);
        let members = others_of_block(block, parts[0].size()[0], device);
        let weights = same_class_of_block(labels, block).logical_and(&members).to_kind(kind);
        let similarities = anchors.matmul(&parts[0].tr());
        if !with_mixed {
            return Contrast { similarities, members, weights };
        }
        let with = |generated: &Tensor| {
            (&anchors * rows_of_block(generated, block)).sum_dim_intlist([1i64].as_slice(), true, kind)
        };
        let column = |value: f64| Tensor::full([block.1, 1], value, (kind, device));
        Contrast {
            similarities: Tensor::cat(&[similarities, with(&parts[1]), with(&parts[2])], 1),
            members: Tensor::cat(&[members, Tensor::ones([block.1, 2], (Kind::Bool, device))], 1),
            weights: Tensor::cat(&[weights, column(1.0), column(0.0)], 1),
        }
    }

    /// [`soft_label_pairs`].
    pub(super) fn soft(projections: &Tensor, soft_targets: &Tensor, block: (i64, i64)) -> Self {
        let members = others_of_block(block, projections.size()[0], projections.device());
        let overlap = rows_of_block(soft_targets, block).matmul(&soft_targets.tr());
        Contrast {
            similarities: rows_of_block(projections, block).matmul(&projections.tr()),
            weights: overlap * members.to_kind(projections.kind()),
            members,
        }
    }
}
