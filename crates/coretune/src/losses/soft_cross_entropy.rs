use tch::Tensor;

use crate::engine::{EngineError, guard, rows, shape};

/// M6: mean over the rows of - sum_k Y_k log softmax(logits)_k.
///
/// `logits` and `targets` are `[rows, C]`; the result is a scalar.
pub fn soft_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor, EngineError> {
    let (rows, classes) = shape::matrix("logits", logits)?;
    shape::exactly("targets", targets, &[rows, classes])?;
    let kind = shape::float("logits", logits)?;
    guard("computing the cross-entropy", || -(targets * logits.log_softmax(1, kind)).sum(kind) / rows as f64)
}

/// One row `[C]` per label with a 1 at its class: `[n, C]`.
pub fn one_hot(labels: &[i64], classes: i64, like: &Tensor) -> Result<Tensor, EngineError> {
    shape::labels(labels, labels.len() as i64, classes)?;
    let kind = shape::float("features", like)?;
    guard("encoding labels", || rows::one_hot(&Tensor::from_slice(labels).to_device(like.device()), classes, kind))
}

/// Label smoothing: (1 - s) Y + s / C, on hard and soft labels alike.
pub fn smooth(targets: &Tensor, smoothing: f64) -> Result<Tensor, EngineError> {
    let (_, classes) = shape::matrix("targets", targets)?;
    if smoothing == 0.0 {
        return Ok(targets.shallow_clone());
    }
    guard("smoothing labels", || targets * (1.0 - smoothing) + smoothing / classes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn hard_labels_give_the_mean_negative_log_likelihood() {
        let logits = Tensor::from_slice2(&[[1.0f64, 2.0, 0.5], [0.0, 0.0, 3.0]]);
        let targets = one_hot(&[1, 0], 3, &logits).unwrap();
        let ours = soft_cross_entropy(&logits, &targets).unwrap().double_value(&[]);
        let nll = |row: [f64; 3], class: usize| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[class];
        let naive = f64::midpoint(nll([1.0, 2.0, 0.5], 1), nll([0.0, 0.0, 3.0], 0));
        assert!((ours - naive).abs() < 1e-12, "{ours} {naive}");
    }

    #[test]
    fn smoothing_keeps_the_sum_of_each_row() {
        let targets = one_hot(&[2, 0], 4, &Tensor::zeros([1], (Kind::Double, tch::Device::Cpu))).unwrap();
        let smoothed = smooth(&targets, 0.1).unwrap();
        assert!((smoothed.double_value(&[0, 2]) - 0.925).abs() < 1e-12);
        assert!((smoothed.double_value(&[0, 0]) - 0.025).abs() < 1e-12);
    }

    #[test]
    fn a_label_out_of_range_is_refused() {
        let like = Tensor::zeros([1], (Kind::Float, tch::Device::Cpu));
        let error = one_hot(&[0, 3], 3, &like).unwrap_err().to_string();
        assert_eq!(error, "label is 3, expected a class in 0..3");
    }
}
