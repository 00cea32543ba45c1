use tch::{Kind, Tensor};

use crate::engine::{EngineError, guard, shape};

/// B4, batch spectral shrinkage (Chen et al., NeurIPS 2019): the sum of the squares of the `smallest` smallest singular
/// values of the features `[n, D]`; a scalar.
///
/// They are the eigenvalues of the features' smaller Gram matrix, which is computed in float64: the smallest of them are
/// many orders below the largest.
///
/// # Errors
/// [`EngineError::Shape`] for anything but a matrix, [`EngineError::Value`] for more values than it has.
pub fn spectral_shrinkage(features: &Tensor, smallest: i64) -> Result<Tensor, EngineError> {
    let (rows, width) = shape::matrix("features", features)?;
    let kind = shape::float("features", features)?;
    let singular_values = rows.min(width);
    if !(1..=singular_values).contains(&smallest) {
        let expected = format!("1 to {singular_values}, the singular values of features [{rows}, {width}]");
        return Err(EngineError::Value { name: "smallest", expected, found: smallest.to_string() });
    }
    guard("computing singular values", || {
        let features = features.to_kind(Kind::Double);
        let gram = if rows <= width { features.matmul(&features.tr()) } else { features.tr().matmul(&features) };
        // In ascending order.
        gram.linalg_eigvalsh("L").narrow(0, 0, smallest).sum(Kind::Double).to_kind(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn a_diagonal_matrix_has_its_entries_as_singular_values_whichever_side_is_longer() {
        let values = Tensor::from_slice(&[3.0f64, -0.5, 2.0]).diag(0);
        let zeros = Tensor::zeros([2, 3], (Kind::Double, Device::Cpu));
        let tall = Tensor::cat(&[&values, &zeros], 0);
        for features in [values, tall.tr(), tall] {
            let of = |smallest| spectral_shrinkage(&features, smallest).unwrap().double_value(&[]);
            assert!((of(1) - 0.25).abs() < 1e-12 && (of(2) - 4.25).abs() < 1e-12 && (of(3) - 13.25).abs() < 1e-12);
        }
    }

    #[test]
    fn more_singular_values_than_there_are_is_refused() {
        let features = Tensor::ones([3, 5], (Kind::Float, Device::Cpu));
        let error = spectral_shrinkage(&features, 4).unwrap_err().to_string();
        assert_eq!(error, "smallest is 4, expected 1 to 3, the singular values of features [3, 5]");
    }
}
