use coretune::evaluate::geometry::geometry;
use tch::Kind;

use super::{assert_close, labels, normal, rows};

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

fn centre<'a>(members: impl Iterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    let members: Vec<_> = members.collect();
    let count = members.len() as f64;
    (0..members[0].len()).map(|d| members.iter().map(|row| row[d]).sum::<f64>() / count).collect()
}

#[test]
fn figures_equal_those_of_a_loop_over_pairs() {
    // More rows than a block holds, classes of different sizes, features that are not normalised yet.
    let n = 1500;
    let (features, labels) = (normal(1, n, 6) + 0.5, labels(1, n, 5));
    let unit: Vec<Vec<f64>> = rows(&features)
        .iter()
        .map(|row| {
            let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
            row.iter().map(|value| value / length).collect()
        })
        .collect();
    let of_class = |class: i64| unit.iter().zip(&labels).filter(move |(_, label)| **label == class).map(|(row, _)| row);
    let centres: Vec<_> = (0..5).map(|class| centre(of_class(class))).collect();
    let global = centre(unit.iter());
    let (mut within, mut between) = (0.0, 0.0);
    for (row, &label) in unit.iter().zip(&labels) {
        within += squared_distance(row, &centres[label as usize]) / n as f64;
        between += squared_distance(&centres[label as usize], &global) / n as f64;
    }
    let (mut same, mut pairs_of_class, mut potential) = (0.0, 0.0, 0.0);
    for i in 0..n {
        for j in i + 1..n {
            let distance = squared_distance(&unit[i], &unit[j]);
            potential += (-2.0 * distance).exp();
            if labels[i] == labels[j] {
                (same, pairs_of_class) = (same + distance, pairs_of_class + 1.0);
            }
        }
    }
    let uniformity = (potential / (n * (n - 1) / 2) as f64).ln();
    for (kind, tolerance) in [(Kind::Double, 1e-9), (Kind::Float, 1e-4)] {
        let ours = geometry(&features.to_kind(kind), &labels, 5).unwrap();
        assert_close(ours.within, within, tolerance);
        assert_close(ours.between, between, tolerance);
        assert_close(ours.within_between().unwrap(), within / between, tolerance);
        assert_close(ours.alignment.unwrap(), same / pairs_of_class, tolerance);
        assert_close(ours.uniformity.unwrap(), uniformity, tolerance);
    }
}

#[test]
fn gathered_classes_have_nothing_within() {
    let features = tch::Tensor::from_slice(&[1.0f32, 0.0, 2.0, 0.0, 0.0, 3.0, 0.0, 1.0]).view([4, 2]);
    let ours = geometry(&features, &[0, 0, 1, 1], 2).unwrap();
    assert_eq!((ours.within, ours.alignment), (0.0, Some(0.0)));
    assert_close(ours.between, 0.5, 1e-6);
}

#[test]
fn what_is_not_defined_is_none() {
    let features = normal(2, 3, 4);
    let distinct = geometry(&features, &[0, 1, 2], 3).unwrap();
    assert_eq!(distinct.alignment, None);
    let one_class = geometry(&features, &[1, 1, 1], 3).unwrap();
    assert!(one_class.between < 1e-12 && one_class.alignment.is_some());
    let alone = geometry(&features.narrow(0, 0, 1), &[0], 1).unwrap();
    assert_eq!((alone.uniformity, alone.alignment, alone.within_between()), (None, None, None));
}

#[test]
fn the_order_of_images_and_empty_classes_change_nothing() {
    let (features, labels) = (normal(3, 60, 8), labels(3, 60, 4));
    let order: Vec<i64> = (0..60).map(|row| (row * 7) % 60).collect();
    let shuffled = features.index_select(0, &tch::Tensor::from_slice(&order));
    let moved: Vec<i64> = order.iter().map(|&row| labels[row as usize]).collect();
    let (a, b) = (geometry(&features, &labels, 4).unwrap(), geometry(&shuffled, &moved, 9).unwrap());
    assert_close(a.within, b.within, 1e-12);
    assert_close(a.between, b.between, 1e-12);
    assert_close(a.uniformity.unwrap(), b.uniformity.unwrap(), 1e-12);
}
