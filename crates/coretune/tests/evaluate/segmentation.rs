//! E2 against a loop over pixels, and the streaming measure against the whole split.

use coretune::evaluate::figure::{LOSS, MEAN_IOU, OF_SEGMENTATION, PIXEL_ACCURACY};
use coretune::evaluate::segmentation::{Confusion, SegmentationMeasure, mean_iou_interval, paired_mean_iou};
use coretune::evaluate::{EvaluateError, Measure};
use tch::{Device, Kind, Tensor};

use super::assert_close;

const CLASSES: i64 = 5;

/// Logits `[n, 5, 6, 7]` and masks with ignored pixels, in which class 3 does not occur.
fn maps(images: i64) -> (Tensor, Tensor) {
    tch::manual_seed(7);
    let logits = Tensor::randn([images, CLASSES, 6, 7], (Kind::Float, Device::Cpu));
    let masks = Tensor::randint(CLASSES, [images, 6, 7], (Kind::Int64, Device::Cpu));
    let masks = masks.where_self(&masks.ne(3), &Tensor::from(255i64));
    (logits, masks.to_kind(Kind::Uint8))
}

fn measured(logits: &Tensor, masks: &Tensor, batch: i64) -> SegmentationMeasure {
    let mut measure = SegmentationMeasure::new(CLASSES as usize);
    let images = logits.size()[0];
    for start in (0..images).step_by(batch as usize) {
        let length = batch.min(images - start);
        measure.add(&logits.narrow(0, start, length), &masks.narrow(0, start, length)).unwrap();
    }
    measure
}

#[test]
fn figures_equal_those_counted_one_pixel_at_a_time() {
    let (logits, masks) = maps(4);
    let measure = measured(&logits, &masks, 4);
    let (mut hit, mut truth, mut predicted, mut loss) = ([0.0; 5], [0.0; 5], [0.0; 5], 0.0);
    for image in 0..4 {
        for (y, x) in (0..6).flat_map(|y| (0..7).map(move |x| (y, x))) {
            let label = masks.int64_value(&[image, y, x]);
            if label == 255 {
                continue;
            }
            let row: Vec<f64> = (0..5).map(|class| logits.double_value(&[image, class, y, x])).collect();
            let best = (0..5).fold(0, |best, class| if row[class] > row[best] { class } else { best });
            truth[label as usize] += 1.0;
            predicted[best] += 1.0;
            hit[best] += f64::from(u8::from(best as i64 == label));
            loss += row.iter().map(|logit| logit.exp()).sum::<f64>().ln() - row[label as usize];
        }
    }
    let pixels: f64 = truth.iter().sum();
    let present: Vec<usize> = (0..5).filter(|&class| truth[class] > 0.0).collect();
    assert_eq!(present, [0, 1, 2, 4]);
    let iou = |class: usize| hit[class] / (truth[class] + predicted[class] - hit[class]);
    let mean = |figure: &dyn Fn(usize) -> f64| present.iter().map(|&class| figure(class)).sum::<f64>() / 4.0;
    let figures = measure.confusion().figures().unwrap();
    assert_close(figures.pixel_accuracy, hit.iter().sum::<f64>() / pixels, 1e-12);
    assert_close(figures.mean_pixel_accuracy, mean(&|class| hit[class] / truth[class]), 1e-12);
    assert_close(figures.mean_iou, mean(&iou), 1e-12);
    assert_close(
        figures.frequency_weighted_iou,
        present.iter().map(|&class| truth[class] / pixels * iou(class)).sum(),
        1e-12,
    );
    assert_close(measure.figures().get(LOSS.name).unwrap(), loss / pixels, 1e-6);
}

#[test]
fn the_confusion_matrix_has_the_truth_in_rows() {
    let predicted = Tensor::from_slice(&[1i64, 1, 0, 2]).view([2, 2]);
    let mask = Tensor::from_slice(&[0u8, 1, 255, 2]).view([2, 2]);
    let confusion = Confusion::of(&predicted, &mask, 3).unwrap();
    assert_eq!(confusion.rows(), [[0, 1, 0], [0, 1, 0], [0, 0, 1]]);
}

#[test]
fn batches_do_not_change_the_figures() {
    let (logits, masks) = maps(5);
    let whole = measured(&logits, &masks, 5);
    for batch in [1, 2] {
        let parts = measured(&logits, &masks, batch);
        assert_eq!(parts.confusion(), whole.confusion());
        assert_eq!(parts.figures().get(MEAN_IOU.name), whole.figures().get(MEAN_IOU.name));
        assert_eq!(parts.images(), whole.images());
    }
    let mut declared = OF_SEGMENTATION.map(|spec| spec.name);
    declared.sort_unstable();
    assert_eq!(whole.figures().names().collect::<Vec<_>>(), declared);
}

#[test]
fn without_labelled_pixels_no_figure_has_a_value() {
    let (logits, masks) = maps(2);
    let measure = measured(&logits, &masks.full_like(255), 1);
    assert_eq!(measure.figures().get(PIXEL_ACCURACY.name), None);
    assert!(matches!(mean_iou_interval(measure.images(), 0), Err(EvaluateError::Empty { .. })));
}

#[test]
fn intervals_hold_the_figure_and_a_model_compared_with_itself_differs_by_nothing() {
    let (logits, masks) = maps(30);
    let (measure, other) = (measured(&logits, &masks, 8), measured(&-&logits, &masks, 8));
    let figure = measure.confusion().figures().unwrap().mean_iou;
    let interval = mean_iou_interval(measure.images(), 0).unwrap();
    assert!(interval.low < figure && figure < interval.high, "{interval:?} around {figure}");
    let (difference, interval) = paired_mean_iou(measure.images(), measure.images(), 0).unwrap();
    assert_eq!((difference, interval.low, interval.high), (0.0, 0.0, 0.0));
    let (difference, _) = paired_mean_iou(measure.images(), other.images(), 0).unwrap();
    assert_close(difference, figure - other.confusion().figures().unwrap().mean_iou, 1e-9);
}

#[test]
fn maps_that_do_not_fit_are_refused() {
    let (logits, masks) = maps(2);
    let mut measure = SegmentationMeasure::new(5);
    let error = measure.add(&logits, &masks.narrow(1, 0, 5)).unwrap_err().to_string();
    assert!(error.contains("[n, 5, h, w]") && error.contains("[2, 5, 6, 7]"), "{error}");
    let error = measure.add(&logits, &masks.full_like(9)).unwrap_err().to_string();
    assert!(error.contains("values from 9 to 9") && error.contains("classes 0 to 4"), "{error}");
    let error = measure.add(&(&logits / 0.0), &masks).unwrap_err();
    assert!(matches!(error, EvaluateError::NotFinite { row: 0, .. }), "{error}");
}
