use coretune::evaluate::calibration::{
    BINS, TEMPERATURES, expected_calibration_error, fit_temperature, negative_log_likelihood, reliability,
};
use tch::{Kind, Tensor};

use super::{assert_close, labels, normal, rows};

#[test]
fn the_loss_equals_that_of_a_loop() {
    let (logits, labels) = (normal(1, 50, 4) * 3.0, labels(1, 50, 4));
    let mut naive = 0.0;
    for (row, &label) in rows(&logits).iter().zip(&labels) {
        let total: f64 = row.iter().map(|logit| (logit / 2.0).exp()).sum();
        naive -= ((row[label as usize] / 2.0).exp() / total).ln() / 50.0;
    }
    assert_close(negative_log_likelihood(&logits, &labels, 2.0).unwrap(), naive, 1e-12);
}

#[test]
fn bins_hold_every_image_once_and_include_their_upper_edge() {
    // Two classes, confidence exactly 0.6 = 9/15 in the first image, and 1 in the second.
    let logits = Tensor::from_slice(&[0.6f64.ln(), 0.4f64.ln(), 1000.0, 0.0]).view([2, 2]);
    let bins = reliability(&logits, &[0, 1], 1.0).unwrap();
    assert_eq!(bins.len(), BINS);
    let filled: Vec<usize> = (0..BINS).filter(|&bin| bins[bin].images > 0).collect();
    assert_eq!(filled, [8, 14]);
    assert!(bins[8].confidence <= bins[8].high && bins[14].accuracy == 0.0);
    assert_close(expected_calibration_error(&logits, &[0, 1], 1.0).unwrap(), f64::midpoint(0.4, 1.0), 1e-9);
}

#[test]
fn the_fitted_temperature_undoes_a_scaling_of_the_logits() {
    let (logits, labels) = (normal(2, 400, 5), labels(2, 400, 5));
    let own = Tensor::from_slice(&labels).one_hot(5).to_kind(Kind::Double);
    let logits = logits + own;
    let temperature = fit_temperature(&logits, &labels).unwrap();
    for scale in [0.25, 7.0] {
        assert_close(fit_temperature(&(&logits * scale), &labels).unwrap(), temperature * scale, 1e-9);
    }
}

#[test]
fn no_temperature_nearby_has_a_lower_loss() {
    let (logits, labels) = (normal(3, 300, 6) * 4.0, labels(3, 300, 6));
    let logits = logits + Tensor::from_slice(&labels).one_hot(6) * 4.0;
    let temperature = fit_temperature(&logits, &labels).unwrap();
    let loss = |temperature| negative_log_likelihood(&logits, &labels, temperature).unwrap();
    assert!(loss(temperature) < loss(temperature * 1.01) && loss(temperature) < loss(temperature / 1.01));
    assert!(loss(temperature) < loss(1.0));
}

#[test]
fn where_the_loss_falls_without_end_the_temperature_stops_at_an_end() {
    let right = Tensor::from_slice(&[5.0f64, 0.0, 0.0, 5.0]).view([2, 2]);
    assert_close(fit_temperature(&right, &[0, 1]).unwrap(), TEMPERATURES.0, 1e-9);
    assert_close(fit_temperature(&right, &[1, 0]).unwrap(), TEMPERATURES.1, 1e-9);
}

#[test]
fn huge_logits_stay_finite() {
    let logits = Tensor::from_slice(&[1e4f32, -1e4, -1e4, 1e4]).view([2, 2]);
    assert_eq!(negative_log_likelihood(&logits, &[0, 0], 1.0).unwrap(), 1e4);
    assert!(expected_calibration_error(&logits, &[0, 0], 0.01).unwrap().is_finite());
    assert!(negative_log_likelihood(&logits, &[0, 0], 0.0).is_err());
}
