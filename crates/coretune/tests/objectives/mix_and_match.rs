//! B6 against a loop over anchors, in float64.

use coretune::losses::{one_hot, soft_cross_entropy};
use coretune::objectives::{FeatureBatch, Heads, MixAndMatch};
use tch::{Device, Kind, Tensor};

fn rows(shape: [i64; 2]) -> Tensor {
    Tensor::randn(shape, (Kind::Double, Device::Cpu))
}

/// The mean over anchors that have a positive and a negative, with the farthest positive and the nearest negative.
fn naive(features: &Tensor, labels: &[i64], margin: f64) -> f64 {
    let unit = |row: i64| features.get(row) / features.get(row).norm();
    let distance = |a: i64, b: i64| (unit(a) - unit(b)).square().sum(Kind::Double).double_value(&[]);
    let rows = labels.len() as i64;
    let class = |row: i64| labels[row as usize];
    let mut terms = Vec::new();
    for anchor in 0..rows {
        let positives = (0..rows).filter(|&row| row != anchor && class(row) == class(anchor));
        let negatives = (0..rows).filter(|&row| class(row) != class(anchor));
        let farthest = positives.map(|row| distance(anchor, row)).reduce(f64::max);
        let nearest = negatives.map(|row| distance(anchor, row)).reduce(f64::min);
        if let (Some(farthest), Some(nearest)) = (farthest, nearest) {
            terms.push((farthest - nearest + margin).max(0.0));
        }
    }
    terms.iter().sum::<f64>() / terms.len().max(1) as f64
}

#[test]
fn triplets_are_the_farthest_positive_and_the_nearest_negative_of_each_anchor_that_has_both() {
    tch::manual_seed(5);
    let classifier = rows([4, 3]);
    let heads = Heads { classifier: &|rows| rows.matmul(&classifier), projection: &Tensor::shallow_clone };
    for labels in [vec![0, 1, 2, 0, 1, 0, 1, 1], vec![0, 0, 0, 1], vec![1, 1, 1], vec![0, 1, 2], vec![2, 2], vec![0, 1]]
    {
        let features = rows([labels.len() as i64, 4]);
        let batch = FeatureBatch::new(&features, &labels, 3, (0, 0));
        let method = MixAndMatch { weight: 0.7, margin: 0.3, label_smoothing: 0.0 };
        let total = method.loss_of(&batch, &heads).unwrap().total.double_value(&[]);
        let targets = one_hot(&labels, 3, &features).unwrap();
        let classification = soft_cross_entropy(&features.matmul(&classifier), &targets).unwrap().double_value(&[]);
        let expected = classification + 0.7 * naive(&features, &labels, 0.3);
        assert!((total - expected).abs() < 1e-9 * expected, "{labels:?}: {total} {expected}");
    }
}
