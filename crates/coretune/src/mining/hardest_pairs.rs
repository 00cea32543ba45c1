use tch::{Device, Kind, Tensor};

use crate::engine::{EngineError, guard, shape};

/// For each anchor of a batch the rows that are hardest for it.
#[derive(Debug)]
pub struct HardestPairs {
    /// hp(i), int64 `[n]`: the least similar row of the anchor's class; the anchor itself when it is alone in its class.
    pub positive: Tensor,
    /// hn(i), int64 `[n]`: the most similar row of another class; meaningless when there is none.
    pub negative: Tensor,
    /// Whether the batch holds more than one class. Negatives exist for every anchor of a batch or for none.
    pub have_negatives: bool,
}

/// Cosines `[n, n]` between the rows of `features` `[n, D]`, outside of the graph: mining carries no gradient.
pub fn cosines(features: &Tensor) -> Result<Tensor, EngineError> {
    shape::matrix("features", features)?;
    guard("computing cosines", || {
        let unit = unit_rows(&features.detach());
        unit.matmul(&unit.tr())
    })
}

/// Rows scaled to length 1; a row of zeros stays zero.
pub(crate) fn unit_rows(rows: &Tensor) -> Tensor {
    rows / rows.norm_scalaropt_dim(2.0, [1i64].as_slice(), true).clamp_min(1e-12)
}

/// M1: hp(i) = argmin over {j != i, y_j = y_i} of cos(i, j), hn(i) = argmax over {y_j != y_i}; ties to the lowest index.
///
/// `cosines` is `[n, n]`, `labels` has n entries.
pub fn hardest_pairs(cosines: &Tensor, labels: &[i64]) -> Result<HardestPairs, EngineError> {
    let n = square_of(cosines, labels)?;
    guard("mining hard pairs", || {
        let same = same_class(labels, cosines.device());
        let positives = same.logical_and(&off_diagonal(n, cosines.device()));
        let anchors = Tensor::arange(n, (Kind::Int64, cosines.device()));
        let least_similar = cosines.masked_fill(&positives.logical_not(), f64::INFINITY).argmin(1, false);
        HardestPairs {
            positive: least_similar.where_self(&positives.any_dim(1, false), &anchors),
            negative: cosines.masked_fill(&same, f64::NEG_INFINITY).argmax(1, false),
            have_negatives: have_negatives(labels),
        }
    })
}

/// R1, what the published script mines: entries outside of the class hold similarity 0 instead of being left out, and a
/// hardest positive of index 0 is replaced by the anchor.
pub fn reference_hardest_pairs(cosines: &Tensor, labels: &[i64]) -> Result<HardestPairs, EngineError> {
    let n = square_of(cosines, labels)?;
    guard("mining hard pairs", || {
        let same = same_class(labels, cosines.device());
        let positives = same.logical_and(&off_diagonal(n, cosines.device()));
        let anchors = Tensor::arange(n, (Kind::Int64, cosines.device()));
        let lowest = cosines.masked_fill(&positives.logical_not(), 0.0).argmin(1, false);
        HardestPairs {
            positive: lowest.where_self(&lowest.not_equal(0), &anchors),
            negative: cosines.masked_fill(&same, 0.0).argmax(1, false),
            have_negatives: have_negatives(labels),
        }
    })
}

fn square_of(cosines: &Tensor, labels: &[i64]) -> Result<i64, EngineError> {
    let n = labels.len() as i64;
    shape::exactly("cosines", cosines, &[n, n])?;
    Ok(n)
}

/// Bool `[n, n]`: whether two rows have the same label.
pub(crate) fn same_class(labels: &[i64], device: Device) -> Tensor {
    let labels = Tensor::from_slice(labels).to_device(device);
    labels.unsqueeze(1).eq_tensor(&labels.unsqueeze(0))
}

/// Bool `[n, n]`: true outside of the diagonal.
pub(crate) fn off_diagonal(n: i64, device: Device) -> Tensor {
    Tensor::eye(n, (Kind::Bool, device)).logical_not()
}

pub(crate) fn have_negatives(labels: &[i64]) -> bool {
    labels.windows(2).any(|pair| pair[0] != pair[1])
}
