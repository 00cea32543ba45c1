//! The streaming measure gives the figures of the whole split, whatever the batches are.

use coretune::evaluate::calibration::negative_log_likelihood;
use coretune::evaluate::classification::classification;
use coretune::evaluate::figure::{LOSS, OF_CLASSIFICATION, TOP1};
use coretune::evaluate::{ClassificationMeasure, EvaluateError, Measure};
use tch::{Device, Kind, Tensor};

fn logits(images: i64) -> (Tensor, Vec<i64>) {
    tch::manual_seed(5);
    let logits = Tensor::randn([images, 4], (Kind::Float, Device::Cpu));
    (logits, (0..images).map(|image| image * image % 4).collect())
}

#[test]
fn figures_of_batches_are_those_of_the_split() {
    let (logits, labels) = logits(23);
    let expected = classification(&logits, &labels, 0).unwrap().top1;
    let expected_loss = negative_log_likelihood(&logits, &labels, 1.0).unwrap();
    for batch in [1, 7, 23] {
        let mut measure = ClassificationMeasure::default();
        for start in (0..23).step_by(batch) {
            let end = (start + batch).min(23);
            let outputs = logits.narrow(0, start as i64, (end - start) as i64);
            measure.add(&outputs, &Tensor::from_slice(&labels[start..end])).unwrap();
        }
        let figures = measure.figures();
        assert_eq!(figures.get(TOP1.name), Some(expected), "batches of {batch}");
        assert!((figures.get(LOSS.name).unwrap() - expected_loss).abs() < 1e-12, "batches of {batch}");
    }
}

#[test]
fn a_measure_gives_the_figures_that_it_declares_and_without_images_no_value() {
    let measure = ClassificationMeasure::default();
    let figures = measure.figures();
    let mut declared = OF_CLASSIFICATION.map(|spec| spec.name);
    declared.sort_unstable();
    assert_eq!(figures.names().collect::<Vec<_>>(), declared);
    assert_eq!(measure.specs(), OF_CLASSIFICATION);
    assert_eq!(figures.iter().count(), 0);
}

#[test]
fn outputs_that_are_not_finite_or_do_not_fit_the_targets_are_refused() {
    let (logits, labels) = logits(6);
    let mut measure = ClassificationMeasure::default();
    let error = measure.add(&(&logits / 0.0), &Tensor::from_slice(&labels)).unwrap_err();
    assert!(matches!(error, EvaluateError::NotFinite { .. }), "{error}");
    assert_eq!(error.not_finite("validation").unwrap(), "the logits of validation hold NaN or infinity");
    assert!(measure.add(&logits, &Tensor::from_slice(&labels[..5])).is_err());
    assert!(measure.add(&logits, &Tensor::from_slice(&[9i64; 6])).is_err());
    assert_eq!(measure.figures().iter().count(), 0, "a batch that was refused does not count");
}
