use tch::{Kind, Tensor};

use crate::engine::rows::{have_negatives, off_diagonal, same_class};
use crate::engine::{EngineError, guard, rows, shape};

/// For each anchor of a batch the rows that are hardest for it.
#[derive(Debug)]
pub struct HardestPairs {
    /// hp(i), int64 `[n]`: the least similar row of the anchor's class; the anchor itself when it is alone in its class.
    pub positive: Tensor,
    /// hn(i), int64 `[n]`: the most similar row of another class; meaningless in a batch of one class.
    pub negative: Tensor,
    /// Whether the batch holds more than one class. Negatives exist for every anchor of a batch or for none.
    pub have_negatives: bool,
}

/// Cosines `[n, n]` between the rows of `features` `[n, D]`, outside of the graph: mining carries no gradient.
pub fn cosines(features: &Tensor) -> Result<Tensor, EngineError> {
    shape::matrix("features", features)?;
    guard("computing cosines", || rows::cosines(&features.detach()))
}

/// M1: hp(i) = argmin over {j != i, y_j = y_i} of cos(i, j), hn(i) = argmax over {y_j != y_i}; ties to the lowest index.
///
/// `cosines` is `[n, n]`, `labels` has n entries.
pub fn hardest_pairs(cosines: &Tensor, labels: &[i64]) -> Result<HardestPairs, EngineError> {
    check_square(cosines, labels)?;
    guard("mining hard pairs", || HardestPairs::of(cosines, labels))
}

/// R1, what the published script mines: entries outside of the class hold similarity 0 instead of being left out, and a
/// hardest positive of index 0 is replaced by the anchor.
pub fn reference_hardest_pairs(cosines: &Tensor, labels: &[i64]) -> Result<HardestPairs, EngineError> {
    check_square(cosines, labels)?;
    guard("mining hard pairs", || HardestPairs::of_reference(cosines, labels))
}

fn check_square(cosines: &Tensor, labels: &[i64]) -> Result<(), EngineError> {
    let n = labels.len() as i64;
    shape::exactly("cosines", cosines, &[n, n])
}

/// The formulas themselves, for callers that have checked the shapes and hold a [`guard`].
impl HardestPairs {
    /// [`hardest_pairs`].
    pub(crate) fn of(cosines: &Tensor, labels: &[i64]) -> Self {
        let (n, device) = (labels.len() as i64, cosines.device());
        let same = same_class(labels, device);
        let positives = same.logical_and(&off_diagonal(n, device));
        let anchors = Tensor::arange(n, (Kind::Int64, device));
        let least_similar = cosines.masked_fill(&positives.logical_not(), f64::INFINITY).argmin(1, false);
        HardestPairs {
            positive: least_similar.where_self(&positives.any_dim(1, false), &anchors),
            negative: cosines.masked_fill(&same, f64::NEG_INFINITY).argmax(1, false),
            have_negatives: have_negatives(labels),
        }
    }

    /// [`reference_hardest_pairs`].
    pub(crate) fn of_reference(cosines: &Tensor, labels: &[i64]) -> Self {
        let (n, device) = (labels.len() as i64, cosines.device());
        let same = same_class(labels, device);
        let positives = same.logical_and(&off_diagonal(n, device));
        let anchors = Tensor::arange(n, (Kind::Int64, device));
        let lowest = cosines.masked_fill(&positives.logical_not(), 0.0).argmin(1, false);
        HardestPairs {
            positive: lowest.where_self(&lowest.not_equal(0), &anchors),
            negative: cosines.masked_fill(&same, 0.0).argmax(1, false),
            have_negatives: have_negatives(labels),
        }
    }

    /// lam x_hp(i) + (1 - lam) x_hn(i) for rows x `[n, K]` and lam `[n, 1]`; x_hp(i) in a batch of one class.
    pub(crate) fn mix(&self, rows: &Tensor, lam: &Tensor) -> Tensor {
        let positive = rows.index_select(0, &self.positive);
        if !self.have_negatives {
            return positive;
        }
        lam * positive + (1.0 - lam) * rows.index_select(0, &self.negative)
    }
}
