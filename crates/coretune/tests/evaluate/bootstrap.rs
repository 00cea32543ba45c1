use coretune::evaluate::EvaluateError;
use coretune::evaluate::bootstrap::{RESAMPLES, accuracy_interval, paired_comparison};
use coretune::random::{Purpose, stream};
use rand::RngExt;

/// The 95 % interval from resampled indices: what the bootstrap is defined as.
fn resampled(figures: &[f64]) -> (f64, f64) {
    let mut stream = stream(99, Purpose::Bootstrap, 1, 1);
    let n = figures.len();
    let mut means: Vec<f64> =
        (0..RESAMPLES).map(|_| (0..n).map(|_| figures[stream.random_range(0..n)]).sum::<f64>() / n as f64).collect();
    means.sort_by(f64::total_cmp);
    (means[RESAMPLES * 25 / 1000], means[RESAMPLES * 975 / 1000])
}

#[test]
fn the_interval_of_an_accuracy_is_that_of_resampled_images() {
    let correct: Vec<f64> = (0..400).map(|image| f64::from(image % 5 != 0)).collect();
    let (low, high) = resampled(&correct);
    let ours = accuracy_interval(320, 400, 7).unwrap();
    assert!((ours.low - low).abs() < 0.006 && (ours.high - high).abs() < 0.006, "{ours:?} against {low} to {high}");
}

#[test]
fn the_interval_of_a_difference_is_that_of_resampled_pairs() {
    let first: Vec<bool> = (0..300).map(|image| image % 4 != 0).collect();
    let second: Vec<bool> = (0..300).map(|image| image % 4 != 0 && image % 10 != 1).collect();
    let differences: Vec<f64> = first.iter().zip(&second).map(|(&a, &b)| f64::from(a) - f64::from(b)).collect();
    let (low, high) = resampled(&differences);
    let ours = paired_comparison(&first, &second, 7).unwrap();
    assert_eq!(ours.difference, differences.iter().sum::<f64>() / 300.0);
    let interval = ours.interval;
    assert!(
        (interval.low - low).abs() < 0.008 && (interval.high - high).abs() < 0.008,
        "{interval:?}, {low} to {high}"
    );
    assert!(ours.first_is_better());
}

#[test]
fn a_comparison_swapped_has_the_opposite_sign() {
    let first = [true, true, false, true, false, true];
    let second = [true, false, false, true, true, false];
    let (there, back) =
        (paired_comparison(&first, &second, 0).unwrap(), paired_comparison(&second, &first, 0).unwrap());
    assert_eq!(there.difference, -back.difference);
    assert_eq!((there.only_first, there.only_second), (back.only_second, back.only_first));
    assert!(!there.first_is_better() && !back.first_is_better());
}

#[test]
fn intervals_depend_on_the_seed_only() {
    assert_eq!(accuracy_interval(70, 100, 3).unwrap(), accuracy_interval(70, 100, 3).unwrap());
    assert_ne!(accuracy_interval(700, 1013, 3).unwrap(), accuracy_interval(700, 1013, 4).unwrap());
}

#[test]
fn where_nothing_varies_the_interval_is_a_point() {
    let all = accuracy_interval(50, 50, 0).unwrap();
    assert_eq!((all.low, all.high), (1.0, 1.0));
    let none = accuracy_interval(0, 50, 0).unwrap();
    assert_eq!((none.low, none.high), (0.0, 0.0));
    let won = paired_comparison(&[true; 9], &[false; 9], 0).unwrap();
    assert_eq!((won.interval.low, won.interval.high), (1.0, 1.0));
}

#[test]
fn comparisons_of_different_images_are_refused() {
    let error = paired_comparison(&[true; 3], &[true; 4], 0).unwrap_err();
    assert!(matches!(error, EvaluateError::DifferentImages { first: 3, second: 4 }), "{error}");
    assert!(paired_comparison(&[], &[], 0).is_err());
    assert!(accuracy_interval(2, 1, 0).is_err());
    assert!(accuracy_interval(0, 0, 0).is_err());
}
