use coretune::evaluate::EvaluateError;
use coretune::evaluate::classification::correct;
use coretune::evaluate::linear_probe::{LinearProbe, PENALTIES, Settings, Training, linear_probe};
use tch::{Kind, Tensor};

use super::{assert_close, labels, normal, rows};

/// Features whose class centres lie apart by about their spread, far from standardised.
fn world(seed: u64, images: usize, width: usize, classes: i64) -> (Tensor, Vec<i64>) {
    let labels = labels(seed, images, classes);
    let centres = normal(0, classes as usize, width);
    let features = normal(seed, images, width) + centres.index_select(0, &Tensor::from_slice(&labels));
    (features * 5.0 + 20.0, labels)
}

fn fit(kind: Kind, settings: &Settings) -> LinearProbe {
    let ((train, train_labels), (validation, validation_labels)) = (world(1, 150, 6, 4), world(2, 80, 6, 4));
    let mirrored = &train + normal(3, 150, 6);
    let (train, mirrored, validation) = (train.to_kind(kind), mirrored.to_kind(kind), validation.to_kind(kind));
    let training = Training { views: &[&train, &mirrored], labels: &train_labels };
    linear_probe(training, (&validation, &validation_labels), 4, settings).unwrap()
}

/// Gradient of B10 at the probe, from loops over rows, in float64.
fn largest_gradient(probe: &LinearProbe, views: &[&Tensor], labels: &[i64]) -> f64 {
    let all: Vec<Vec<f64>> = views.iter().flat_map(|view| rows(view)).collect();
    let (n, width, classes) = (all.len() as f64, all[0].len(), probe.bias.size()[0] as usize);
    let mean: Vec<f64> = (0..width).map(|d| all.iter().map(|row| row[d]).sum::<f64>() / n).collect();
    let deviation: Vec<f64> =
        (0..width).map(|d| (all.iter().map(|row| (row[d] - mean[d]).powi(2)).sum::<f64>() / n).sqrt()).collect();
    let weight = rows(&probe.weight);
    let bias: Vec<f64> = Vec::try_from(&probe.bias.to_kind(Kind::Double)).unwrap();
    let mut by_weight = vec![vec![0.0; width]; classes];
    let mut by_bias = vec![0.0; classes];
    for (index, row) in all.iter().enumerate() {
        let logits: Vec<f64> = (0..classes)
            .map(|k| bias[k] + weight[k].iter().zip(row).map(|(weight, value)| weight * value).sum::<f64>())
            .collect();
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        for k in 0..classes {
            let target = f64::from(labels[index % labels.len()] == k as i64);
            let residual = (logits[k].exp() / total - target) / n;
            by_bias[k] += residual;
            for d in 0..width {
                by_weight[k][d] += residual * (row[d] - mean[d]) / deviation[d];
            }
        }
    }
    for k in 0..classes {
        for d in 0..width {
            by_weight[k][d] += probe.penalty * weight[k][d] * deviation[d];
        }
    }
    by_weight.into_iter().flatten().chain(by_bias).fold(0.0, |largest: f64, value| largest.max(value.abs()))
}

#[test]
fn the_folded_classifier_is_a_minimum_of_the_standardised_problem() {
    let (train, train_labels) = world(1, 150, 6, 4);
    let mirrored = &train + normal(3, 150, 6);
    for penalty in [1e-3, 1e-1, 1.0] {
        let settings = Settings { penalties: vec![penalty], gradient_tolerance: 1e-7, ..Settings::default() };
        let probe = fit(Kind::Double, &settings);
        assert!(probe.path[0].converged, "{:?}", probe.path);
        let gradient = largest_gradient(&probe, &[&train, &mirrored], &train_labels);
        assert!(gradient < 1e-6, "penalty {penalty}: gradient {gradient:e}");
    }
}

#[test]
fn single_precision_gives_the_same_probe() {
    let (single, double) = (fit(Kind::Float, &Settings::default()), fit(Kind::Double, &Settings::default()));
    assert_eq!(single.penalty, double.penalty);
    assert_eq!((single.weight.kind(), double.weight.kind()), (Kind::Float, Kind::Double));
    for (a, b) in single.path.iter().zip(&double.path) {
        assert!(a.converged && b.converged, "{a:?} {b:?}");
        assert_close(a.objective, b.objective, 1e-5);
    }
}

#[test]
fn the_penalty_with_the_best_validation_accuracy_is_kept() {
    let probe = fit(Kind::Float, &Settings::default());
    assert_eq!(probe.path.len(), PENALTIES.len());
    assert!(probe.path.windows(2).all(|pair| pair[0].penalty > pair[1].penalty));
    let best = probe.path.iter().map(|fit| fit.validation_top1).fold(0.0, f64::max);
    assert_eq!(probe.validation_top1, best);
    let equals = probe.path.iter().filter(|fit| fit.validation_top1 == best);
    let lowest = equals.min_by(|a, b| a.validation_loss.total_cmp(&b.validation_loss)).unwrap();
    assert_eq!(probe.penalty, lowest.penalty);
    let (validation, validation_labels) = world(2, 80, 6, 4);
    let logits = probe.logits(&validation.to_kind(Kind::Float)).unwrap();
    let right = correct(&logits, &validation_labels).unwrap().into_iter().filter(|&right| right).count();
    assert_eq!(right as f64 / 80.0, best);
}

#[test]
fn fitting_twice_gives_the_same_bits() {
    let (a, b) = (fit(Kind::Float, &Settings::default()), fit(Kind::Float, &Settings::default()));
    assert_eq!(a.path, b.path);
    assert!(a.weight.equal(&b.weight) && a.bias.equal(&b.bias));
}

#[test]
fn a_class_without_training_images_is_never_predicted() {
    let (train, train_labels) = world(4, 60, 5, 3);
    let classes: Vec<i64> = train_labels.iter().map(|&label| if label == 1 { 4 } else { label }).collect();
    let training = Training { views: &[&train], labels: &classes };
    let probe = linear_probe(training, (&train, &classes), 5, &Settings::default()).unwrap();
    assert_eq!(probe.weight.size(), [5, 5]);
    let predicted: Vec<i64> = Vec::try_from(probe.logits(&train).unwrap().argmax(1, false)).unwrap();
    assert!(predicted.iter().all(|class| [0, 2, 4].contains(class)));
    assert!(probe.weight.isfinite().all().int64_value(&[]) == 1 && probe.bias.isfinite().all().int64_value(&[]) == 1);
}

#[test]
fn a_feature_that_never_varies_gets_no_weight() {
    let (train, train_labels) = world(5, 40, 4, 2);
    let train = train.to_kind(Kind::Float);
    let _ = train.select(1, 2).fill_(0.3);
    let training = Training { views: &[&train], labels: &train_labels };
    let probe = linear_probe(training, (&train, &train_labels), 2, &Settings::default()).unwrap();
    assert_eq!(probe.weight.select(1, 2).abs().sum(Kind::Double).double_value(&[]), 0.0);
}

#[test]
fn more_features_than_images_can_be_fitted() {
    let (train, train_labels) = world(6, 12, 40, 3);
    let training = Training { views: &[&train], labels: &train_labels };
    let probe = linear_probe(training, (&train, &train_labels), 3, &Settings::default()).unwrap();
    assert_eq!(probe.validation_top1, 1.0);
    assert!(probe.path.iter().all(|fit| fit.converged), "{:?}", probe.path);
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let (train, train_labels) = world(7, 20, 4, 2);
    let probe = |views: &[&Tensor], labels: &[i64], validation: &Tensor, settings: &Settings| {
        linear_probe(Training { views, labels }, (validation, &train_labels), 2, settings).unwrap_err()
    };
    let settings = Settings::default();
    let one_class = probe(&[&train], &[1; 20], &train, &settings);
    assert!(matches!(one_class, EvaluateError::OneClass { class: 1, images: 20 }), "{one_class}");
    assert!(one_class.hint().is_some());
    let broken = &train / 0.0;
    let not_finite = probe(&[&train, &broken], &train_labels, &train, &settings);
    assert!(matches!(not_finite, EvaluateError::NotFinite { tensor: "training features", row: 0 }), "{not_finite}");
    assert!(matches!(probe(&[&train], &train_labels, &broken, &settings), EvaluateError::NotFinite { .. }));
    assert!(matches!(probe(&[], &train_labels, &train, &settings), EvaluateError::Empty { .. }));
    probe(&[&train, &train.narrow(1, 0, 3)], &train_labels, &train, &settings);
    probe(&[&train], &train_labels, &train.narrow(1, 0, 3), &settings);
    probe(&[&train], &train_labels[..19], &train, &settings);
    let none = Settings { penalties: vec![], ..Settings::default() };
    assert!(matches!(probe(&[&train], &train_labels, &train, &none), EvaluateError::Empty { tensor: "penalties", .. }));
    let negative = Settings { penalties: vec![-1.0], ..Settings::default() };
    probe(&[&train], &train_labels, &train, &negative);
}
