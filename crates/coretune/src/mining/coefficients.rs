use tch::Tensor;

use crate::engine::transfer;

/// Coefficients of a mixture of two rows, a column `[n, 1]` each.
#[derive(Debug)]
pub(crate) struct Coefficients {
    /// lam.
    pub(crate) lam: Tensor,
    /// 1 - lam.
    pub(crate) rest: Tensor,
}

impl Coefficients {
    /// Those of n mixtures each, from their lam one after the other.
    pub(crate) fn of_each(lam: &Tensor, n: i64) -> Vec<Self> {
        let column = lam.unsqueeze(1);
        let parts = column.split(n, 0).into_iter().zip(column.rsub_scalar(1.0).split(n, 0));
        parts.map(|(lam, rest)| Coefficients { lam, rest }).collect()
    }

    pub(super) fn of(lam: &[f64], like: &Tensor) -> Self {
        let lam = transfer::numbers(lam, (like.kind(), like.device())).unsqueeze(1);
        Coefficients { rest: lam.rsub_scalar(1.0), lam }
    }
}
