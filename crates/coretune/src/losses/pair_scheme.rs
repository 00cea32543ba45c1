use tch::{Device, Kind, Tensor};

use crate::engine::rows::{have_negatives, others_of_class};
use crate::engine::{EngineError, guard, shape, transfer};

/// Which pairs a contrastive loss compares: the anchors' similarities, their contrast sets and the weights of the pairs.
#[derive(Debug)]
pub struct Contrast {
    /// s_ij = z_i . z_j, `[anchors, others]`.
    pub similarities: Tensor,
    /// Whether j is outside of A_i, bool, same shape.
    pub outside: Tensor,
    /// w_ij, same shape; 0 outside of A_i.
    pub weights: Tensor,
    /// Whether the anchor itself is all that is outside of A_i.
    pub(super) has_all_others: bool,
    /// What the weights sum to, if that is on the device already.
    pub(super) mass: Option<Mass>,
}

/// Pair scheme `own` of M5: A_i = {originals j != i} + {i+, i-}; w_ij = 1 for originals of the same class and for i+.
///
/// `projections` holds the 3n rows [originals; hard positives; semi-hard negatives], `[3n, d]`, of length 1. Only the
/// anchor's own generated rows are compared, so the table is `[n, n + 2]` and not `[n, 3n]`. In a batch of one class the
/// generated rows are left out.
///
/// # Errors
/// [`EngineError`] for projections that are not three rows of floats for each label.
pub fn own_pairs(projections: &Tensor, labels: &[i64]) -> Result<Contrast, EngineError> {
    check_own(projections, labels)?;
    guard("pairing the batch", || Contrast::own(projections, labels))
}

pub(super) fn check_own(projections: &Tensor, labels: &[i64]) -> Result<(), EngineError> {
    let (_, width) = shape::matrix("projections", projections)?;
    shape::exactly("projections", projections, &[3 * labels.len() as i64, width])?;
    shape::float("projections", projections).map(|_| ())
}

/// Pair scheme `soft` of M5: A_i = all other rows; w_ij = Y_i . Y_j, the overlap of the soft labels.
///
/// `projections` is `[3n, d]`, `soft_targets` `[3n, C]`; the anchors are the first n rows.
///
/// # Errors
/// [`EngineError`] for projections that are not three rows of floats for each anchor, and for another number of soft
/// labels.
pub fn soft_label_pairs(projections: &Tensor, soft_targets: &Tensor) -> Result<Contrast, EngineError> {
    check_soft(projections, soft_targets)?;
    guard("pairing the batch", || Contrast::soft(projections, soft_targets))
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
            let outside = earlier.labels.lt(0).unsqueeze(0).expand([n, rows], false);
            let similarities = anchors.matmul(&earlier.projections.to_kind(anchors.kind()).tr());
            Contrast {
                similarities: Tensor::cat(&[self.similarities, similarities], 1),
                outside: Tensor::cat(&[self.outside, outside], 1),
                weights: Tensor::cat(&[self.weights, same], 1),
                has_all_others: false,
                mass: None,
            }
        })
    }
}

/// The formulas themselves, shapes unchecked. Every anchor is compared with all rows but itself, which is in the column of its
/// own number.
impl Contrast {
    /// A_i are the other rows, w_ij = 1 for those of the same class.
    pub(super) fn of_labels(projections: &Tensor, labels: &[i64]) -> Self {
        let options = (projections.kind(), projections.device());
        let of_rows = transfer::integers(labels, options.1);
        let mut weights = of_rows.unsqueeze(1).eq_tensor(&of_rows.unsqueeze(0)).to_kind(options.0);
        let _ = weights.fill_diagonal_(0.0, false);
        let similarities = projections.matmul(&projections.tr());
        Contrast::with_all_others(similarities, weights, Mass::of_labels(labels, 0.0, options))
    }

    /// [`own_pairs`].
    pub(super) fn own(projections: &Tensor, labels: &[i64]) -> Self {
        let n = labels.len() as i64;
        let parts = projections.split(n, 0);
        if !have_negatives(labels) {
            return Contrast::of_labels(&parts[0], labels);
        }
        let options = (projections.kind(), projections.device());
        let of_rows = transfer::integers(labels, options.1);
        let mut weights = Tensor::zeros([n, n + 2], options);
        weights.narrow(1, 0, n).copy_(&of_rows.unsqueeze(1).eq_tensor(&of_rows.unsqueeze(0)));
        let _ = weights.fill_diagonal_(0.0, false);
        let _ = weights.narrow(1, n, 1).fill_(1.0);
        let with = |generated: &Tensor| (&parts[0] * generated).sum_dim_intlist([1i64].as_slice(), true, options.0);
        let similarities = Tensor::cat(&[parts[0].matmul(&parts[0].tr()), with(&parts[1]), with(&parts[2])], 1);
        Contrast::with_all_others(similarities, weights, Mass::of_labels(labels, 1.0, options))
    }

    /// [`soft_label_pairs`].
    pub(super) fn soft(projections: &Tensor, soft_targets: &Tensor) -> Self {
        let n = projections.size()[0] / 3;
        let similarities = projections.narrow(0, 0, n).matmul(&projections.tr());
        let mut weights = soft_targets.narrow(0, 0, n).matmul(&soft_targets.tr());
        let _ = weights.fill_diagonal_(0.0, false);
        Contrast::with_all_others(similarities, weights, None)
    }

    fn with_all_others(similarities: Tensor, weights: Tensor, mass: Option<Mass>) -> Self {
        let size = similarities.size();
        let outside = Tensor::eye_m(size[0], size[1], (Kind::Bool, similarities.device()));
        Contrast { similarities, outside, weights, has_all_others: true, mass }
    }
}

/// The sums of weights that a mean over anchors is divided by.
#[derive(Debug)]
pub(super) struct Mass {
    /// sum_j w_ij, `[anchors]`; 1 where that is 0.
    pub(super) divisors: Tensor,
    /// Anchors whose weights do not sum to 0, at least 1.
    pub(super) anchors: f64,
}

impl Mass {
    /// Of weights 1 for the other rows of the anchor's class, and `more` for generated rows; `None` if their numbers were not
    /// sent with the labels, since a transfer of their own takes longer than the sums.
    fn of_labels(labels: &[i64], more: f64, options: (Kind, Device)) -> Option<Self> {
        let others = others_of_class(labels);
        let sent = transfer::remembered_numbers(&others, options)?;
        let anchors = others.iter().filter(|&&others| others + more > 0.0).count().max(1) as f64;
        let divisors = if more > 0.0 { sent + more } else { sent.clamp_min(1.0) };
        Some(Mass { divisors, anchors })
    }
}
