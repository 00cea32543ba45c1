//! Evaluation (E1 to E4, E7) and the linear probe (B10): features and logits of a split, and functions of them.
//!
//! | question | module |
//! |---|---|
//! | how often is the prediction right, and how sure is that figure | [`classification`], [`bootstrap`] |
//! | how well are pixels classified | [`segmentation`] |
//! | does the confidence mean what it says | [`calibration`] |
//! | how do the features lie: gathered by class, spread as a whole | [`geometry`] |
//! | what are the frozen features worth | [`nearest_neighbours`], [`linear_probe`] |
//! | which labels do unlabelled images have by their neighbours | [`label_propagation`] |
//! | how good is a model on a split, batch by batch | [`Measure`], [`ClassificationMeasure`] |
//! | what is a figure called, and which values are better | [`figure`] |
//! | features and logits of a split | [`features`] |
//! | features of a split, kept on disk | [`feature_cache`] |
//!
//! Every figure is summed in float64 whatever the inputs are, and every function refuses values that are not finite.

pub mod bootstrap;
pub mod calibration;
pub mod classification;
mod error;
pub mod feature_cache;
pub mod features;
pub mod figure;
pub mod geometry;
pub mod label_propagation;
pub mod linear_probe;
mod measure;
pub mod nearest_neighbours;
pub mod segmentation;

pub use error::EvaluateError;
pub use measure::{ClassificationMeasure, Measure, NewMeasure};

use tch::{Kind, Tensor};

use crate::engine::{guard, shape};
use crate::figures::Figures;

/// The same figures, if all of them are finite.
///
/// # Errors
/// [`EvaluateError::FigureNotFinite`].
pub fn finite_figures(figures: Figures) -> Result<Figures, EvaluateError> {
    match figures.first_not_finite() {
        Some((name, value)) => Err(EvaluateError::FigureNotFinite { name: name.into(), value }),
        None => Ok(figures),
    }
}

/// Logits `[n, C]` on the host as float64, checked together with their labels.
struct Logits {
    values: Vec<f64>,
    classes: usize,
}

impl Logits {
    fn new(logits: &Tensor, labels: &[i64]) -> Result<Self, EvaluateError> {
        let classes = labelled_matrix("logits", logits, labels, None)?;
        let values = guard("reading the logits", || values(logits))?;
        Ok(Logits { values, classes: classes as usize })
    }

    fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.classes)
    }
}

/// The index of the largest value, the lowest one on ties.
fn argmax(row: &[f64]) -> usize {
    (1..row.len()).fold(0, |best, index| if row[index] > row[best] { index } else { best })
}

/// The values of a tensor on the host as float64, row by row. Call inside [`guard`].
fn values(tensor: &Tensor) -> Vec<f64> {
    let mut out = vec![0.0; tensor.numel()];
    tensor.to_kind(Kind::Double).contiguous().copy_data(&mut out, tensor.numel());
    out
}

/// Checks that `matrix` is `[labels, columns]`, not empty, finite, and that every label is a class; gives the columns.
///
/// Without `classes` the columns are the classes.
fn labelled_matrix(
    name: &'static str,
    matrix: &Tensor,
    labels: &[i64],
    classes: Option<i64>,
) -> Result<i64, EvaluateError> {
    let columns = finite_matrix(name, matrix)?;
    shape::labels(labels, matrix.size()[0], classes.unwrap_or(columns))?;
    Ok(columns)
}

/// Checks that `matrix` is a matrix of finite floats with at least one value; gives its number of columns.
fn finite_matrix(name: &'static str, matrix: &Tensor) -> Result<i64, EvaluateError> {
    shape::float(name, matrix)?;
    let (rows, columns) = shape::matrix(name, matrix)?;
    if rows == 0 || columns == 0 {
        return Err(EvaluateError::Empty { tensor: name, found: vec![rows, columns] });
    }
    match guard("checking that values are finite", || first_row_not_finite(matrix))? {
        None => Ok(columns),
        Some(row) => Err(EvaluateError::NotFinite { tensor: name, row }),
    }
}

fn first_row_not_finite(matrix: &Tensor) -> Option<i64> {
    let finite = matrix.isfinite().all_dim(1, false);
    let all = finite.all().int64_value(&[]) == 1;
    (!all).then(|| finite.to_kind(Kind::Int64).argmin(0, false).int64_value(&[]))
}

/// Rows of length 1: `f / max(||f||, 1e-12)`.
///
/// Not [`crate::engine::rows::unit_rows`]: libtorch's `norm` sums the squares in another order than `sum` does, and the
/// recorded figures of evaluations depend on it in their last digits.
fn normalised(features: &Tensor) -> Tensor {
    let norm = features.square().sum_dim_intlist([1i64].as_slice(), true, features.kind()).sqrt();
    features / norm.clamp_min(1e-12)
}
