use rand::RngExt;
use rand_distr::{Beta, Distribution};
use tch::Tensor;

use super::{Coefficients, HardestPairs};
use crate::engine::{EngineError, guard, shape, transfer};
use crate::random::{Purpose, stream};

/// Smallest weight of the partner in a semi-hard negative (M3).
const SEMI_HARD_SHARE: f64 = 0.8;

/// The random numbers of one step, drawn on the host: labels are known there, so nothing is read back from the device.
#[derive(Debug, Clone, PartialEq)]
pub struct MixDraws {
    /// lam of M2, one draw per anchor.
    pub hard_positive: Vec<f64>,
    /// lam of M3, already raised to at least 0.8.
    pub semi_hard_negative: Vec<f64>,
    /// r(i) of M3; the anchor itself in a batch of one class.
    pub partner: Vec<i64>,
}

impl MixDraws {
    /// Draws for step `step` of the run with `seed`: lam ~ Beta(alpha, alpha), r(i) uniform over the rows of other classes.
    ///
    /// # Errors
    /// When `alpha` is not positive and finite.
    pub fn draw(labels: &[i64], alpha: f64, seed: u64, step: u64) -> Result<Self, EngineError> {
        let mut draws = Self::coefficients(labels.len(), alpha, seed, step)?;
        draws.partner = partners(labels, seed, step);
        Ok(draws)
    }

    /// As [`MixDraws::draw`], with the partners of the published script (R1): a permutation of the batch.
    ///
    /// # Errors
    /// [`EngineError::Value`] for an `alpha` that is not above 0.
    pub fn draw_reference(labels: &[i64], alpha: f64, seed: u64, step: u64) -> Result<Self, EngineError> {
        use rand::seq::SliceRandom;
        let mut draws = Self::coefficients(labels.len(), alpha, seed, step)?;
        draws.partner = (0..labels.len() as i64).collect();
        draws.partner.shuffle(&mut stream(seed, Purpose::Partner, 0, step));
        Ok(draws)
    }

    /// Fails unless there is one draw of each kind for `n` anchors, and each partner is one of them.
    pub(crate) fn check(&self, n: i64) -> Result<(), EngineError> {
        shape::length("lam of hard positives", self.hard_positive.len(), n)?;
        shape::length("lam of semi-hard negatives", self.semi_hard_negative.len(), n)?;
        shape::labels(&self.partner, n, n)
    }

    fn coefficients(n: usize, alpha: f64, seed: u64, step: u64) -> Result<Self, EngineError> {
        shape::positive("alpha", alpha)?;
        let beta = Beta::new(alpha, alpha).map_err(|error| EngineError::Value {
            name: "alpha",
            expected: error.to_string(),
            found: alpha.to_string(),
        })?;
        let draw = |purpose| beta.sample_iter(stream(seed, purpose, 0, step)).take(n);
        Ok(MixDraws {
            hard_positive: draw(Purpose::HardPositiveMix).collect(),
            semi_hard_negative: draw(Purpose::SemiHardNegativeMix).map(|lam: f64| lam.max(SEMI_HARD_SHARE)).collect(),
            partner: Vec::new(),
        })
    }
}

/// r(i): uniform over the rows of other classes, by drawing a rank among them.
fn partners(labels: &[i64], seed: u64, step: u64) -> Vec<i64> {
    let mut random = stream(seed, Purpose::Partner, 0, step);
    // Rows sorted by class: the rows of other classes are what lies before and after the anchor's own run.
    let mut by_class: Vec<usize> = (0..labels.len()).collect();
    by_class.sort_by_key(|&row| labels[row]);
    let partner_of = |row: usize| {
        let start = by_class.partition_point(|&other| labels[other] < labels[row]);
        let end = by_class.partition_point(|&other| labels[other] <= labels[row]);
        let others = labels.len() - (end - start);
        if others == 0 {
            return row as i64;
        }
        let rank = random.random_range(0..others);
        by_class[if rank < start { rank } else { rank + end - start }] as i64
    };
    (0..labels.len()).map(partner_of).collect()
}

/// M2: rows f_i+ = lam f_hp(i) + (1 - lam) f_hn(i) and the soft labels mixed alike; f_hp(i) in a batch of one class.
///
/// `features` is `[n, D]`, `targets` `[n, C]`, `lam` has n entries.
///
/// # Errors
/// [`EngineError`] for features that are not a matrix of floats, and for another number of coefficients than rows.
pub fn hard_positives(
    features: &Tensor,
    targets: &Tensor,
    pairs: &HardestPairs,
    lam: &[f64],
) -> Result<(Tensor, Tensor), EngineError> {
    check_coefficients(features, lam)?;
    guard("mixing hard positives", || {
        let lam = Coefficients::of(lam, features);
        (pairs.mix(features, &lam), pairs.mix(targets, &lam))
    })
}

/// M3: rows f_i- = (1 - lam) f_i + lam f_r(i) and the soft labels mixed alike; f_i in a batch of one class.
///
/// `features` is `[n, D]`, `targets` `[n, C]`, `partner` and `lam` have n entries.
///
/// # Errors
/// As [`hard_positives`], and for partners that are not one row of the batch each.
pub fn semi_hard_negatives(
    features: &Tensor,
    targets: &Tensor,
    partner: &[i64],
    lam: &[f64],
) -> Result<(Tensor, Tensor), EngineError> {
    check_coefficients(features, lam)?;
    let n = features.size()[0];
    shape::labels(partner, n, n)?;
    guard("mixing semi-hard negatives", || {
        let (partner, lam) = (transfer::integers(partner, features.device()), Coefficients::of(lam, features));
        (mix_with_partner(features, &partner, &lam), mix_with_partner(targets, &partner, &lam))
    })
}

fn check_coefficients(features: &Tensor, lam: &[f64]) -> Result<(), EngineError> {
    let (n, _) = shape::matrix("features", features)?;
    shape::float("features", features)?;
    shape::length("lam", lam.len(), n)
}

/// (1 - lam) x_i + lam x_r(i) for rows x `[n, K]`; shapes unchecked.
pub(crate) fn mix_with_partner(rows: &Tensor, partner: &Tensor, Coefficients { lam, rest }: &Coefficients) -> Tensor {
    rest * rows + lam * rows.index_select(0, partner)
}
