//! Rows of features and the labels they carry: what losses, mining, objectives and evaluation share.
//!
//! Plain steps of formulas: shapes are checked where the tensors enter, and an exception of libtorch panics, so call
//! them inside [`guard`](super::guard).

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::transfer;

/// The label of a pixel that takes no part in losses and figures.
pub const IGNORED: i64 = 255;

/// Rows scaled to length 1; a row of zeros stays zero.
pub fn unit_rows(rows: &Tensor) -> Tensor {
    rows / rows.norm_scalaropt_dim(2.0, [1i64].as_slice(), true).clamp_min(1e-12)
}

/// Cosines `[n, n]` between rows `[n, D]`.
pub fn cosines(rows: &Tensor) -> Tensor {
    let unit = unit_rows(rows);
    unit.matmul(&unit.tr())
}

/// Bool `[n, n]`: whether two rows have the same label.
pub fn same_class(labels: &[i64], device: Device) -> Tensor {
    let labels = transfer::integers(labels, device);
    labels.unsqueeze(1).eq_tensor(&labels.unsqueeze(0))
}

/// Bool `[n, n]`: true outside of the diagonal.
pub fn off_diagonal(n: i64, device: Device) -> Tensor {
    Tensor::eye(n, (Kind::Bool, device)).logical_not()
}

/// The rows of a block (first row, number of rows); all of them without a step in the graph.
pub fn rows_of_block(rows: &Tensor, (first, count): (i64, i64)) -> Tensor {
    if (first, count) == (0, rows.size()[0]) { rows.shallow_clone() } else { rows.narrow(0, first, count) }
}

/// Bool `[anchors, n]` of the block (first anchor, number of anchors) of n rows: true outside of the diagonal.
pub fn others_of_block((first, anchors): (i64, i64), n: i64, device: Device) -> Tensor {
    let numbers = Tensor::arange(n, (Kind::Int64, device));
    numbers.narrow(0, first, anchors).unsqueeze(1).not_equal_tensor(&numbers.unsqueeze(0))
}

/// Bool `[anchors, n]` of a block of n rows: whether two rows have the same label (int64 `[n]`).
pub fn same_class_of_block(labels: &Tensor, (first, anchors): (i64, i64)) -> Tensor {
    labels.narrow(0, first, anchors).unsqueeze(1).eq_tensor(&labels.unsqueeze(0))
}

/// Whether the labels are of more than one class: negatives exist for every row or for none.
pub fn have_negatives(labels: &[i64]) -> bool {
    labels.windows(2).any(|pair| pair[0] != pair[1])
}

/// For each label the number of others that equal it.
pub fn others_of_class(labels: &[i64]) -> Vec<f64> {
    let mut counts = BTreeMap::<i64, f64>::new();
    for &label in labels {
        *counts.entry(label).or_default() += 1.0;
    }
    labels.iter().map(|label| counts[label] - 1.0).collect()
}

/// One row `[classes]` per label (int64 `[n]`) with a 1 at its class: `[n, classes]`.
pub fn one_hot(labels: &Tensor, classes: i64, kind: Kind) -> Tensor {
    Tensor::zeros([labels.size()[0], classes], (kind, labels.device())).scatter_value(1, &labels.unsqueeze(1), 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(matrix: &Tensor) -> Vec<f64> {
        let mut values = vec![0.0; matrix.numel()];
        matrix.to_kind(Kind::Double).copy_data(&mut values, matrix.numel());
        values
    }

    #[test]
    fn a_row_of_zeros_stays_zero_and_others_get_length_1() {
        let rows = Tensor::from_slice2(&[[3.0f64, 4.0], [0.0, 0.0]]);
        assert_eq!(entries(&unit_rows(&rows)), [0.6, 0.8, 0.0, 0.0]);
    }

    #[test]
    fn rows_of_one_class_and_the_diagonal_are_masked() {
        let same = same_class(&[2, 0, 2], Device::Cpu);
        assert_eq!(entries(&same), [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        assert_eq!(entries(&off_diagonal(2, Device::Cpu)), [0.0, 1.0, 1.0, 0.0]);
        assert!(have_negatives(&[2, 0, 2]) && !have_negatives(&[3, 3, 3]) && !have_negatives(&[]));
    }

    #[test]
    fn other_rows_of_the_class_are_counted() {
        assert_eq!(others_of_class(&[2, 0, 2, 2]), [2.0, 0.0, 2.0, 2.0]);
        assert!(others_of_class(&[]).is_empty());
    }

    #[test]
    fn one_hot_has_a_one_at_each_label() {
        let rows = one_hot(&Tensor::from_slice(&[2i64, 0]), 3, Kind::Double);
        assert_eq!(entries(&rows), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    }
}
