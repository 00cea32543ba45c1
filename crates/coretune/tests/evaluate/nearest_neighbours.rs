use coretune::evaluate::nearest_neighbours::{nearest_neighbours, vote};
use tch::{Kind, Tensor};

use super::{assert_close, labels, normal, rows};

#[test]
fn votes_equal_those_of_a_loop() {
    // More test rows than a block holds.
    let (train, train_labels, test) = (normal(1, 120, 5), labels(1, 120, 6), normal(2, 300, 5));
    let cosine = |a: &[f64], b: &[f64]| {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    for (kind, tolerance) in [(Kind::Double, 1e-9), (Kind::Float, 1e-4)] {
        let ours = vote(&train.to_kind(kind), &train_labels, &test.to_kind(kind), 6, 9, 0.2).unwrap();
        let votes = rows(&ours.votes);
        for (row, found) in rows(&test).iter().zip(&votes) {
            let mut near: Vec<(f64, i64)> =
                rows(&train).iter().zip(&train_labels).map(|(other, &label)| (cosine(row, other), label)).collect();
            near.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut naive = [0.0; 6];
            for (cosine, label) in &near[..9] {
                naive[*label as usize] += (cosine / 0.2).exp();
            }
            for (ours, naive) in found.iter().zip(naive) {
                assert_close(*ours, naive, tolerance);
            }
        }
        assert_eq!(ours.votes.size(), [300, 6]);
    }
}

#[test]
fn among_equal_cosines_the_lower_row_votes() {
    let train = Tensor::ones([4, 2], (Kind::Float, tch::Device::Cpu));
    let test = Tensor::ones([1, 2], (Kind::Float, tch::Device::Cpu));
    let ours = vote(&train, &[2, 1, 0, 0], &test, 3, 2, 0.07).unwrap();
    assert_eq!(rows(&ours.votes)[0][0], 0.0);
    assert_eq!(ours.predicted, [1]);
}

#[test]
fn with_few_training_rows_all_of_them_vote() {
    let (train, test) = (normal(3, 5, 4), normal(4, 3, 4));
    let ours = nearest_neighbours(&train, &[0, 0, 0, 0, 0], &test, 2).unwrap();
    assert_eq!(ours.predicted, [0, 0, 0]);
    assert_eq!(ours.top1(&[0, 1, 0]).unwrap(), 2.0 / 3.0);
    assert!(ours.top1(&[0]).is_err());
}

#[test]
fn settings_and_shapes_that_make_no_sense_are_refused() {
    let (train, test) = (normal(5, 6, 4), normal(6, 3, 4));
    let train_labels = [0, 1, 0, 1, 0, 1];
    assert!(vote(&train, &train_labels, &test, 2, 0, 0.07).is_err());
    assert!(vote(&train, &train_labels, &test, 2, 3, 0.0).is_err());
    assert!(vote(&train, &train_labels, &test, 2, 3, 1e-3).is_err());
    assert!(vote(&train, &train_labels, &test.narrow(1, 0, 3), 2, 3, 0.07).is_err());
    assert!(vote(&train, &train_labels, &test, 1, 3, 0.07).is_err());
    assert!(vote(&train, &train_labels, &(&test / 0.0), 2, 3, 0.07).is_err());
}
