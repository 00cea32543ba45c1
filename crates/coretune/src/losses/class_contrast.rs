use tch::Tensor;

use super::row_blocks::{BlockSums, mean_over_blocks};
use crate::engine::rows::rows_of_block;
use crate::engine::{EngineError, PairTable, guard, shape, transfer};

/// B7: contrast of anchors with the keys of their class and of all other classes. The mean over anchors of the
/// cross-entropy between softmax(a_i . k / tau) over the row's own key and all queued keys, and the target that is
/// uniform on the own key and the K queued keys of the class of i; a scalar.
///
/// Anchors and own keys are `[n, d]`, the queue is `[C, K, d]`: K keys of each class. Rows have length 1. Above
/// [`PairTable::LARGEST_WHOLE`] pairs the table is computed in blocks.
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
    let keys = queue.size().iter().take(2).product::<i64>() + 1;
    class_contrast_by(PairTable::of_size(labels.len() as i64, keys), (anchors, own), queue, labels, temperature)
}

/// [`class_contrast`] of (anchors, own keys) with its table computed as given.
///
/// # Errors
/// As [`class_contrast`].
pub fn class_contrast_by(
    table: PairTable,
    (anchors, own): (&Tensor, &Tensor),
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
        let labels = transfer::integers(labels, anchors.device());
        let of_block = |anchors: &Tensor, own: &Tensor, queue: &Tensor, block: (i64, i64)| {
            let (anchors, own) = (rows_of_block(anchors, block), rows_of_block(own, block));
            let over_columns = [1i64].as_slice();
            let to_own = (&anchors * own).sum_dim_intlist(over_columns, true, kind) / temperature;
            let to_queue = anchors.matmul(&queue.view([classes * keys, width]).tr()) / temperature;
            let normaliser = Tensor::cat(&[&to_own, &to_queue], 1).logsumexp(over_columns, true);
            // The sum over the keys of a class is a product with their sum.
            let of_class = queue.sum_dim_intlist(over_columns, false, kind);
            let of_class = of_class.index_select(0, &rows_of_block(&labels, block));
            let to_class = (&anchors * of_class).sum_dim_intlist(over_columns, true, kind) / temperature;
            normaliser - (to_own + to_class) / (keys + 1) as f64
        };
        if table == PairTable::Whole {
            return of_block(anchors, own, queue, (0, rows)).mean(kind);
        }
        let sums = |inputs: &[Tensor], block: (i64, i64)| BlockSums {
            loss: of_block(&inputs[0], &inputs[1], &inputs[2], block).sum(kind),
            anchors: Tensor::full([0i64; 0], block.1 as f64, (kind, anchors.device())),
            figures: Vec::new(),
        };
        mean_over_blocks(&[anchors, own, queue], (table, rows, 0), sums).loss
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
