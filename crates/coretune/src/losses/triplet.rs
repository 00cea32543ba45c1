use tch::Tensor;

use crate::engine::{EngineError, guard, shape};

/// B6: the mean over triplets of max(0, d(a, p)^2 - d(a, n)^2 + margin), d the distance of rows that have length 1; a
/// scalar, 0 without triplets.
///
/// Anchors a, positives p and negatives n are `[m, D]`, one triplet a row.
///
/// # Errors
/// [`EngineError::Shape`] for anything but three matrices of one shape.
pub fn triplet(anchors: &Tensor, positives: &Tensor, negatives: &Tensor, margin: f64) -> Result<Tensor, EngineError> {
    let (triplets, width) = shape::matrix("anchors", anchors)?;
    let kind = shape::float("anchors", anchors)?;
    shape::exactly("positives", positives, &[triplets, width])?;
    shape::exactly("negatives", negatives, &[triplets, width])?;
    guard("computing triplets", || {
        let squared = |others: &Tensor| (anchors - others).square().sum_dim_intlist([1i64].as_slice(), false, kind);
        (squared(positives) - squared(negatives) + margin).relu().sum(kind) / triplets.max(1) as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn without_triplets_the_loss_and_its_gradient_are_0() {
        let rows = Tensor::ones([2, 3], (Kind::Double, Device::Cpu)).set_requires_grad(true);
        let none = rows.narrow(0, 0, 0);
        let loss = triplet(&none, &none, &none, 0.5).unwrap();
        assert!(loss.double_value(&[]).abs() < 1e-12);
        loss.backward();
        assert!(rows.grad().abs().max().double_value(&[]) < 1e-12);
    }

    #[test]
    fn a_triplet_that_keeps_the_margin_counts_0_and_others_by_how_much_they_miss_it() {
        let rows = |values: [[f64; 2]; 2]| Tensor::from_slice2(&values);
        let anchors = rows([[1.0, 0.0], [1.0, 0.0]]);
        let (positives, negatives) = (rows([[1.0, 0.0], [0.0, 1.0]]), rows([[-1.0, 0.0], [1.0, 0.0]]));
        let loss = triplet(&anchors, &positives, &negatives, 0.5).unwrap();
        assert!((loss.double_value(&[]) - 1.25).abs() < 1e-12);
    }
}
