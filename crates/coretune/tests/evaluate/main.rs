//! Tests of `coretune::evaluate`.
#![allow(clippy::float_cmp, reason = "figures of counts are exact")]

mod bootstrap;
mod calibration;
mod classification;
mod feature_cache;
mod geometry;
mod label_propagation;
mod linear_probe;
mod measure;
mod nearest_neighbours;
mod segmentation;

use coretune::random::{Purpose, stream};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

/// Normal draws `[rows, columns]`, float64.
fn normal(seed: u64, rows: usize, columns: usize) -> Tensor {
    let mut stream = stream(seed, Purpose::Weights, 0, 0);
    let values: Vec<f64> = StandardNormal.sample_iter(&mut stream).take(rows * columns).collect();
    Tensor::from_slice(&values).view([rows as i64, columns as i64])
}

/// Classes drawn at random.
fn labels(seed: u64, rows: usize, classes: i64) -> Vec<i64> {
    let mut stream = stream(seed, Purpose::Subset, 0, 0);
    (0..rows).map(|_| stream.random_range(0..classes)).collect()
}

/// The rows of a matrix as numbers.
fn rows(matrix: &Tensor) -> Vec<Vec<f64>> {
    Vec::try_from(matrix.to_kind(Kind::Double)).expect("a matrix")
}

fn assert_close(ours: f64, naive: f64, tolerance: f64) {
    assert!((ours - naive).abs() <= tolerance * naive.abs().max(1e-6), "{ours} instead of {naive}");
}
