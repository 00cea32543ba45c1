use tch::Tensor;

use super::focal_blocks::{ByLabels, BySoftLabels, Own, focal_mean};
use super::focus::Focus;
use super::pair_scheme::{Contrast, Mass};
use crate::engine::rows::have_negatives;
use crate::engine::{EngineError, PairTable, guard, shape, transfer};

/// M4 and M5: the focal contrastive loss
/// `- mean_i [ sum_j w_ij (1 - p_ij)^g log p_ij / sum_j w_ij ]` with
/// `p_ij = exp(s_ij / tau) / sum over k in A_i of exp(s_ik / tau)`.
///
/// The mean goes over the anchors whose weights do not sum to 0; if there is none the loss is 0 and so is its gradient.
///
/// # Errors
/// [`EngineError`] for tables of other shapes or types, a temperature that is not above 0, and a focal exponent that is
/// neither 0 nor from 1 to 10.
pub fn focal_contrastive(contrast: &Contrast, temperature: f64, focus: Focus) -> Result<Tensor, EngineError> {
    let (anchors, others) = shape::matrix("similarities", &contrast.similarities)?;
    shape::exactly("outside", &contrast.outside, &[anchors, others])?;
    shape::exactly("weights", &contrast.weights, &[anchors, others])?;
    shape::float("similarities", &contrast.similarities)?;
    check_settings(temperature, focus)?;
    guard("computing the contrastive loss", || contrast.focal_loss(temperature, focus))
}

/// SupCon ("out" form) with labels alone: A_i are the other rows, w_ij = 1 for those of the same class.
///
/// `projections` is `[n, d]` with rows of length 1. Above [`PairTable::LARGEST_WHOLE`] pairs the table is computed in blocks.
///
/// # Errors
/// [`EngineError`] for projections of another shape or type, a temperature that is not above 0, and a focal exponent
/// that is neither 0 nor from 1 to 10.
pub fn supervised_contrastive(
    projections: &Tensor,
    labels: &[i64],
    temperature: f64,
    focus: Focus,
) -> Result<Tensor, EngineError> {
    let n = labels.len() as i64;
    supervised_contrastive_by(PairTable::single(n, n), projections, labels, temperature, focus)
}

/// [`supervised_contrastive`] with its table computed as given.
///
/// # Errors
/// As [`supervised_contrastive`].
pub fn supervised_contrastive_by(
    table: PairTable,
    projections: &Tensor,
    labels: &[i64],
    temperature: f64,
    focus: Focus,
) -> Result<Tensor, EngineError> {
    let (n, _) = shape::matrix("projections", projections)?;
    shape::labels(labels, n, i64::MAX)?;
    shape::float("projections", projections)?;
    check_settings(temperature, focus)?;
    guard("computing the contrastive loss", || {
        if table == PairTable::Whole {
            return Contrast::of_labels(projections, labels).focal_loss(temperature, focus);
        }
        let (rows, labels) = (projections.detach(), transfer::integers(labels, projections.device()));
        let pairs = ByLabels { projections: &rows, labels: &labels };
        focal_mean(&pairs, (projections, n), table, (temperature, focus))
    })
}

/// M4 and M5 for the pair scheme `own` ([`super::own_pairs`]). Above [`PairTable::LARGEST_WHOLE`] pairs the table is
/// computed in blocks.
///
/// `projections` is `[3n, d]` with rows of length 1: originals, hard positives, semi-hard negatives.
///
/// # Errors
/// [`EngineError`] for projections of another shape or type, a temperature that is not above 0, and a focal exponent
/// that is neither 0 nor from 1 to 10.
pub fn own_contrastive(
    projections: &Tensor,
    labels: &[i64],
    temperature: f64,
    focus: Focus,
) -> Result<Tensor, EngineError> {
    let n = labels.len() as i64;
    own_contrastive_by(PairTable::single(n, n), projections, labels, temperature, focus)
}

/// [`own_contrastive`] with its table computed as given.
///
/// # Errors
/// As [`own_contrastive`].
pub fn own_contrastive_by(
    table: PairTable,
    projections: &Tensor,
    labels: &[i64],
    temperature: f64,
    focus: Focus,
) -> Result<Tensor, EngineError> {
    super::pair_scheme::check_own(projections, labels)?;
    check_settings(temperature, focus)?;
    guard("computing the contrastive loss", || {
        if table == PairTable::Whole {
            return Contrast::own(projections, labels).focal_loss(temperature, focus);
        }
        let (n, with_mixed) = (labels.len() as i64, have_negatives(labels));
        let (rows, labels) = (projections.detach(), transfer::integers(labels, projections.device()));
        let pairs = Own { projections: &rows, labels: &labels, with_mixed };
        focal_mean(&pairs, (projections, n), table, (temperature, focus))
    })
}

/// M4 and M5 for the pair scheme `soft` ([`super::soft_label_pairs`]). Above [`PairTable::LARGEST_WHOLE`] pairs the table
/// is computed in blocks.
///
/// `projections` is `[3n, d]` with rows of length 1, `soft_targets` `[3n, C]`, which get no gradient.
///
/// # Errors
/// [`EngineError`] for projections or soft labels of another shape or type, a temperature that is not above 0, and a
/// focal exponent that is neither 0 nor from 1 to 10.
pub fn soft_label_contrastive(
    projections: &Tensor,
    soft_targets: &Tensor,
    temperature: f64,
    focus: Focus,
) -> Result<Tensor, EngineError> {
    let rows = projections.size().first().copied().unwrap_or_default();
    let table = PairTable::single(rows / 3, rows);
    soft_label_contrastive_by(table, projections, soft_targets, temperature, focus)
}

/// [`soft_label_contrastive`] with its table computed as given.
///
/// # Errors
/// As [`soft_label_contrastive`].
pub fn soft_label_contrastive_by(
    table: PairTable,
    projections: &Tensor,
    soft_targets: &Tensor,
    temperature: f64,
    focus: Focus,
) -> Result<Tensor, EngineError> {
    super::pair_scheme::check_soft(projections, soft_targets)?;
    check_settings(temperature, focus)?;
    guard("computing the contrastive loss", || {
        let (n, soft_targets) = (projections.size()[0] / 3, soft_targets.detach());
        if table == PairTable::Whole {
            return Contrast::soft(projections, &soft_targets).focal_loss(temperature, focus);
        }
        let rows = projections.detach();
        let pairs = BySoftLabels { projections: &rows, soft_targets: &soft_targets };
        focal_mean(&pairs, (projections, n), table, (temperature, focus))
    })
}

impl Contrast {
    /// [`focal_contrastive`], shapes and settings unchecked.
    fn focal_loss(&self, temperature: f64, focus: Focus) -> Tensor {
        let kind = self.similarities.kind();
        let log_p = log_probabilities(self, temperature);
        let terms = match focus.exponent {
            0.0 => &self.weights * log_p,
            _ => &self.weights * focal_weight(&log_p, focus) * log_p,
        };
        let sums: Tensor = terms.sum_dim_intlist([1i64].as_slice(), false, kind);
        if let Some(Mass { divisors, anchors }) = &self.mass {
            let per_anchor: Tensor = sums / divisors;
            return -per_anchor.sum(kind) / *anchors;
        }
        let mass = self.weights.sum_dim_intlist([1i64].as_slice(), false, kind);
        let counted = mass.gt(0.0).to_kind(kind);
        // An anchor without weights has terms of 0, and 0 / 1 keeps it there.
        let per_anchor: Tensor = sums / (mass + (1.0 - &counted));
        -per_anchor.sum(kind) / counted.sum(kind).clamp_min(1.0)
    }
}

/// log p_ij over the members of A_i; 0 elsewhere, so that a weight of 0 gives 0 and not 0 x infinity.
fn log_probabilities(contrast: &Contrast, temperature: f64) -> Tensor {
    let logits = &contrast.similarities / temperature;
    // A row without members would be 0 / 0: it keeps all its entries, and its weights are 0.
    let left_out = match (contrast.has_all_others, logits.size()[1]) {
        (true, 1) => contrast.outside.zeros_like(),
        (true, _) => contrast.outside.shallow_clone(),
        (false, _) => contrast.outside.logical_and(&contrast.outside.all_dim(1, true).logical_not()),
    };
    let logits = logits.masked_fill(&left_out, f64::NEG_INFINITY);
    logits.log_softmax(1, logits.kind()).masked_fill(&contrast.outside, 0.0)
}

/// (1 - p)^g, with 1 - p computed without cancellation.
fn focal_weight(log_p: &Tensor, focus: Focus) -> Tensor {
    let source = if focus.detached { log_p.detach() } else { log_p.shallow_clone() };
    let complement = -source.expm1();
    match focus.exponent {
        1.0 => complement,
        exponent => complement.pow_tensor_scalar(exponent),
    }
}

fn check_settings(temperature: f64, focus: Focus) -> Result<(), EngineError> {
    shape::positive("temperature", temperature)?;
    // Between 0 and 1 the derivative of (1 - p)^g is infinite at p = 1.
    if focus.exponent != 0.0 && !(1.0..=10.0).contains(&focus.exponent) {
        let found = focus.exponent.to_string();
        return Err(EngineError::Value { name: "focal exponent", expected: "0, or 1 to 10".into(), found });
    }
    Ok(())
}
