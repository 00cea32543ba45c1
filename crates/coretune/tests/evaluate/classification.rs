use coretune::evaluate::EvaluateError;
use coretune::evaluate::classification::{classification, correct};
use tch::{Kind, Tensor};

use super::{assert_close, labels, normal, rows};

#[test]
fn figures_equal_those_counted_one_image_at_a_time() {
    let (logits, labels) = (normal(1, 90, 7), labels(1, 90, 7));
    let ours = classification(&logits, &labels, 0).unwrap();
    let order = |row: &Vec<f64>| {
        let mut classes: Vec<usize> = (0..7).collect();
        classes.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        classes
    };
    let orders: Vec<_> = rows(&logits).iter().map(order).collect();
    let share = |k: usize| {
        let hits = orders.iter().zip(&labels).filter(|(order, label)| order[..k].contains(&(**label as usize)));
        hits.count() as f64 / 90.0
    };
    assert_eq!((ours.top1, ours.top5), (share(1), share(5)));
    for class in 0..7 {
        let predicted = orders.iter().filter(|order| order[0] == class).count() as f64;
        let support = labels.iter().filter(|&&label| label as usize == class).count() as f64;
        let hit = orders.iter().zip(&labels).filter(|(o, l)| o[0] == class && **l as usize == class).count() as f64;
        let scores = ours.classes[class];
        assert_close(scores.precision, hit / predicted, 1e-12);
        assert_close(scores.recall, hit / support, 1e-12);
        assert_close(scores.f1, 2.0 * scores.precision * scores.recall / (scores.precision + scores.recall), 1e-12);
        assert_eq!(scores.support as f64, support);
    }
    assert_close(ours.macro_mean.recall, ours.classes.iter().map(|class| class.recall).sum::<f64>() / 7.0, 1e-12);
    assert_eq!(ours.confusion.iter().flatten().sum::<u64>(), 90);
    assert!(ours.top1_interval.low <= ours.top1 && ours.top1 <= ours.top1_interval.high);
}

#[test]
fn the_confusion_matrix_has_the_truth_in_rows() {
    let logits = Tensor::from_slice(&[0.0f32, 1.0, 0.0, 0.0, 1.0, 0.0]).view([2, 3]);
    let ours = classification(&logits, &[0, 2], 0).unwrap();
    assert_eq!(ours.confusion, [[0, 1, 0], [0, 0, 0], [0, 1, 0]]);
}

#[test]
fn equal_logits_go_to_the_lower_class() {
    let logits = Tensor::zeros([7, 7], (Kind::Float, tch::Device::Cpu));
    let all_labels: Vec<i64> = (0..7).collect();
    let ours = classification(&logits, &all_labels, 0).unwrap();
    assert_eq!((ours.top1, ours.top5), (1.0 / 7.0, 5.0 / 7.0));
    assert_eq!(correct(&logits, &all_labels).unwrap(), [true, false, false, false, false, false, false]);
}

#[test]
fn top5_of_fewer_than_five_classes_is_one() {
    let ours = classification(&normal(2, 10, 3), &labels(2, 10, 3), 0).unwrap();
    assert_eq!(ours.top5, 1.0);
}

#[test]
fn a_class_without_images_is_left_out_of_the_macro_means() {
    let logits = Tensor::from_slice(&[1.0f64, 0.0, 0.0, 0.0, 1.0, 0.0]).view([2, 3]);
    let ours = classification(&logits, &[0, 1], 0).unwrap();
    assert_eq!((ours.macro_mean.precision, ours.macro_mean.recall, ours.macro_mean.f1), (1.0, 1.0, 1.0));
    assert_eq!(ours.classes[2].support, 0);
    assert_eq!(ours.classes[2].f1, 0.0);
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let logits = normal(3, 4, 3);
    assert!(classification(&logits, &[0, 1, 2], 0).is_err());
    assert!(classification(&logits, &[0, 1, 2, 3], 0).is_err());
    assert!(classification(&logits, &[0, 1, 2, -1], 0).is_err());
    assert!(matches!(classification(&logits.narrow(0, 0, 0), &[], 0), Err(EvaluateError::Empty { .. })));
    let broken = logits.copy();
    let _ = broken.get(2).fill_(f64::NAN);
    let error = classification(&broken, &[0, 1, 2, 0], 0).unwrap_err();
    assert!(matches!(error, EvaluateError::NotFinite { tensor: "logits", row: 2 }), "{error}");
}
