use tch::Tensor;

use crate::engine::{EngineError, guard, shape};

/// B7: contrast of anchors with the keys of their class and of all other classes. The mean over anchors of the
/// cross-entropy between softmax(a_i . k / tau) over the row's own key and all queued keys, and the target that is
/// uniform on the own key and the K queued keys of the class of i; a scalar.
///
/// Anchors and own keys are `[n, d]`, the queue is `[C, K, d]`: K keys of each class. Rows have length 1.
///
/// # Errors
/// [`EngineError`] for shapes that do not fit, labels outside `0..C` and a temperature that is not positive.
pub fn class_contrast(
    anchors: &Tensor,
    own: &Tensor,
    queue: &Tensor,
    labels: &[i64],
    temperature: f64,
) -> Result<Tensor, EngineError> {
    let (rows, width) = shape::matrix("anchors", anchors)?;
    let kind = shape::float("anchors", anchors)?;
    shape::exactly("own keys", own, &[rows, width])?;
    let (classes, keys) = match queue.size()[..] {
        [classes, keys, _] => (classes, keys),
        _ => (0, 0),
    };
    shape::exactly("queue", queue, &[classes, keys, width])?;
    shape::labels(labels, rows, classes)?;
    shape::positive("temperature", temperature)?;
    guard("computing the contrast with keys of each class", || {
        let over_columns = [1i64].as_slice();
        let to_own = (anchors * own).sum_dim_intlist(over_columns, true, kind) / temperature;
        let to_queue = anchors.matmul(&queue.view([classes * keys, width]).tr()) / temperature;
        let normaliser = Tensor::cat(&[&to_own, &to_queue], 1).logsumexp(over_columns, true);
        // The sum over the keys of a class is a product with their sum.
        let sums = queue.sum_dim_intlist(over_columns, false, kind);
        let labels = Tensor::from_slice(labels).to_device(anchors.device());
        let to_class =
            (anchors * sums.index_select(0, &labels)).sum_dim_intlist(over_columns, true, kind) / temperature;
        (normaliser - (to_own + to_class) / (keys + 1) as f64).mean(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn where_all_keys_are_one_row_it_is_the_logarithm_of_their_number() {
        let row = Tensor::from_slice2(&[[0.6f64, 0.8]]);
        let queue = row.repeat([6, 1]).view([3, 2, 2]);
        let anchors = row.repeat([4, 1]);
        let loss = class_contrast(&anchors, &anchors, &queue, &[0, 1, 2, 2], 0.07).unwrap();
        assert!((loss.double_value(&[]) - 7.0f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn a_label_without_keys_and_keys_of_another_width_are_refused() {
        let rows = Tensor::ones([2, 3], (Kind::Float, Device::Cpu));
        let queue = |width| Tensor::ones([2, 4, width], (Kind::Float, Device::Cpu));
        assert!(class_contrast(&rows, &rows, &queue(3), &[0, 2], 0.1).is_err());
        assert!(class_contrast(&rows, &rows, &queue(2), &[0, 1], 0.1).is_err());
        assert!(class_contrast(&rows, &rows, &queue(3), &[0, 1], 0.0).is_err());
    }
}
