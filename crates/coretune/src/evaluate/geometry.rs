//! Feature geometry (E3): are the features of one class gathered, and is the whole spread out?

use serde::Serialize;
use tch::{Kind, Tensor};

use super::{EvaluateError, finite_matrix, labelled_matrix, normalised};
use crate::engine::guard;
use crate::engine::rows::one_hot;

/// Rows that are compared with each other at a time; bounds the memory to a few matrices of this size.
const BLOCK: i64 = 1024;

/// The figures of E3 on normalised features; distances are Euclidean, squared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Geometry {
    /// Mean squared distance of a feature to the centre of its class.
    pub within: f64,
    /// Mean squared distance of the class centres to the global centre, weighted by class size.
    pub between: f64,
    /// Mean squared distance of the pairs of one class; none where every class has one image.
    pub alignment: Option<f64>,
    /// log mean exp(-2 d^2) over all pairs, in [-8, 0]; none for a single image.
    pub uniformity: Option<f64>,
}

impl Geometry {
    /// within / between: what Core-tuning must lower against CE-tuning; none where the class centres coincide.
    pub fn within_between(&self) -> Option<f64> {
        (self.between > 0.0).then(|| self.within / self.between)
    }
}

/// E3 of `features` `[n, D]`, which are normalised here, with `labels` (n classes in 0..`classes`).
///
/// The centres are summed in float64; the n^2/2 cosines of the uniformity are taken in the precision of `features`,
/// block by block: time grows with n^2 D, memory with n D.
///
/// # Errors
/// Shapes that do not fit, a label outside 0..`classes`, no image, a feature that is not finite.
pub fn geometry(features: &Tensor, labels: &[i64], classes: i64) -> Result<Geometry, EvaluateError> {
    labelled_matrix("features", features, labels, Some(classes))?;
    Ok(guard("measuring the geometry of the features", || {
        tch::no_grad(|| {
            let features = normalised(features);
            let labels = Tensor::from_slice(labels).to_device(features.device());
            let spread = spread(&features, &labels, classes);
            Geometry { uniformity: uniformity(&features), ..spread }
        })
    })?)
}

/// Effective rank of `features` `[n, D]`: exp of the entropy of their singular values, each divided by the sum and raised
/// by 1e-7 (`RankMe`, Garrido et al., ICML 2023, arXiv:2210.02885, equation 1). Between 1, where all rows lie on a line, and
/// min(n, D).
///
/// # Errors
/// No row, or a feature that is not finite.
pub fn effective_rank(features: &Tensor) -> Result<f64, EvaluateError> {
    finite_matrix("features", features)?;
    Ok(guard("measuring the rank of the features", || {
        let (_, singular, _) = features.to_kind(Kind::Double).svd(true, false);
        let share = &singular / singular.sum(Kind::Double).clamp_min(f64::MIN_POSITIVE) + 1e-7;
        let entropy = -(&share * share.log()).sum(Kind::Double).double_value(&[]);
        entropy.exp()
    })?)
}

/// Everything that follows from class centres: within, between, and alignment.
///
/// The pairs of a class need no loop: the sum of squared distances over its pairs is its size times the sum of squared
/// distances to its centre.
fn spread(features: &Tensor, labels: &Tensor, classes: i64) -> Geometry {
    let images = features.size()[0] as f64;
    let (sizes, sums) = class_sums(labels, classes, |rows| rows_of(features, rows).to_kind(Kind::Double));
    let centres = &sums / sizes.clamp_min(1.0).unsqueeze(1);
    let (_, scatter) = class_sums(labels, classes, |rows| {
        let centre = centres.index_select(0, &rows_of(labels, rows));
        squared_lengths(&(rows_of(features, rows) - centre)).unsqueeze(1)
    });
    let scatter = scatter.squeeze_dim(1);
    let global = sums.sum_dim_intlist([0i64].as_slice(), false, Kind::Double) / images;
    let pairs = (&sizes * (&sizes - 1.0)).sum(Kind::Double).double_value(&[]) / 2.0;
    let pair_distances = (&sizes * &scatter).sum(Kind::Double).double_value(&[]);
    Geometry {
        within: scatter.sum(Kind::Double).double_value(&[]) / images,
        between: (&sizes * squared_lengths(&(centres - global))).sum(Kind::Double).double_value(&[]) / images,
        alignment: (pairs > 0.0).then(|| pair_distances / pairs),
        uniformity: None,
    }
}

/// Sizes `[C]` of the classes and sums `[C, K]` of what `value` gives for blocks of rows (`[block, K]`, float64).
fn class_sums(labels: &Tensor, classes: i64, value: impl Fn((i64, i64)) -> Tensor) -> (Tensor, Tensor) {
    let mut sums: Option<(Tensor, Tensor)> = None;
    for rows in blocks(labels.size()[0]) {
        let membership = one_hot(&rows_of(labels, rows), classes, Kind::Double).tr();
        let size = membership.sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
        let sum = membership.matmul(&value(rows));
        sums = Some(match sums {
            None => (size, sum),
            Some((sizes, sums)) => (sizes + size, sums + sum),
        });
    }
    sums.expect("labelled_matrix refuses features without rows")
}

/// log mean over pairs of exp(-2 d^2), where d^2 = 2 - 2 cosine.
fn uniformity(features: &Tensor) -> Option<f64> {
    let images = features.size()[0];
    let mut total = 0.0;
    for rows in blocks(images) {
        let upper = rows_of(features, rows);
        for columns in blocks(images).filter(|columns| columns.0 >= rows.0) {
            let cosine = upper.matmul(&rows_of(features, columns).tr());
            let potential = ((cosine - 1.0) * 4.0).exp();
            // A block on the diagonal holds each of its pairs twice; triu(1) keeps one and drops the rows themselves.
            let pairs = if rows == columns { potential.triu(1) } else { potential };
            total += pairs.sum(Kind::Double).double_value(&[]);
        }
    }
    let pairs = images as f64 * (images - 1) as f64 / 2.0;
    (pairs > 0.0).then(|| (total / pairs).ln())
}

/// (start, length) of consecutive blocks of up to [`BLOCK`] rows.
fn blocks(rows: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..rows).step_by(BLOCK as usize).map(move |start| (start, BLOCK.min(rows - start)))
}

fn rows_of(tensor: &Tensor, (start, length): (i64, i64)) -> Tensor {
    tensor.narrow(0, start, length)
}

fn squared_lengths(rows: &Tensor) -> Tensor {
    rows.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Double)
}
