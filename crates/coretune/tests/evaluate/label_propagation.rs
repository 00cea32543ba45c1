use coretune::engine::Stop;
use coretune::evaluate::EvaluateError;
use coretune::evaluate::label_propagation::{LabelPropagation, PseudoLabel, Settings, Watch, most_certain};
use coretune::evaluate::nearest_neighbours::nearest_neighbours;
use tch::{Kind, Tensor};

use super::{assert_close, labels, normal, rows};

fn propagate(
    labelled: (&Tensor, &[i64]),
    unlabelled: &Tensor,
    classes: i64,
    settings: Settings,
) -> Result<LabelPropagation, EvaluateError> {
    let mut watch = Watch { stop: &Stop::default(), progress: &mut |_, _| {} };
    LabelPropagation::new(labelled, unlabelled, classes, settings, &mut watch)
}

fn predict(propagation: &LabelPropagation, features: &Tensor) -> Vec<Option<PseudoLabel>> {
    let mut watch = Watch { stop: &Stop::default(), progress: &mut |_, _| {} };
    propagation.predict(features, &mut watch).unwrap()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The k nearest of `nodes` with max(cos, 0)^gamma, without the node `own`.
fn naive_neighbours(row: &[f64], nodes: &[Vec<f64>], own: Option<usize>, settings: Settings) -> Vec<(usize, f64)> {
    let others = (0..nodes.len()).filter(|&node| Some(node) != own);
    let mut near: Vec<(usize, f64)> = others.map(|node| (node, cosine(row, &nodes[node]))).collect();
    near.sort_by(|a, b| b.1.total_cmp(&a.1));
    near.truncate(settings.neighbours);
    near.into_iter().map(|(node, cosine)| (node, cosine.max(0.0).powf(settings.power))).collect()
}

/// D^-1/2 and F by a dense matrix and Gaussian elimination.
fn naive(nodes: &[Vec<f64>], labels: &[i64], classes: usize, settings: Settings) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = nodes.len();
    let mut w = vec![vec![0.0; n]; n];
    for (i, row) in nodes.iter().enumerate() {
        for (j, weight) in naive_neighbours(row, nodes, Some(i), settings) {
            w[i][j] += weight;
            w[j][i] += weight;
        }
    }
    let scales: Vec<f64> = w.iter().map(|row| 1.0 / row.iter().sum::<f64>().sqrt()).collect();
    let mut system: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let matrix = (0..n).map(|j| f64::from(u8::from(i == j)) - settings.alpha * scales[i] * w[i][j] * scales[j]);
            let y = (0..classes).map(|class| f64::from(u8::from(labels.get(i) == Some(&(class as i64)))));
            matrix.chain(y).collect()
        })
        .collect();
    for pivot in 0..n {
        let row: Vec<f64> = system[pivot].iter().map(|value| value / system[pivot][pivot]).collect();
        for (i, other) in system.iter_mut().enumerate() {
            let factor = if i == pivot { 0.0 } else { other[pivot] };
            other.iter_mut().zip(&row).for_each(|(value, pivot)| *value -= factor * pivot);
        }
        system[pivot] = row;
    }
    (scales, system.into_iter().map(|row| row[n..].to_vec()).collect())
}

#[test]
fn scores_labels_and_certainties_equal_those_of_a_dense_matrix() {
    let classes = 4;
    let (labelled, unlabelled, test) = (normal(1, 24, 6), normal(2, 90, 6), normal(3, 30, 6));
    let known = labels(4, 24, classes as i64);
    let nodes = [rows(&labelled), rows(&unlabelled)].concat();
    for (neighbours, alpha, power) in [(5, 0.9, 3.0), (50, 0.99, 1.0), (500, 0.5, 2.0), (8, 0.0, 3.0)] {
        let settings = Settings { neighbours, alpha, power };
        let ours = propagate((&labelled, &known), &unlabelled, classes as i64, settings).unwrap();
        let (scales, scores) = naive(&nodes, &known, classes, settings);
        for (node, naive) in scores.iter().enumerate() {
            for (ours, naive) in ours.scores_of(node).iter().zip(naive) {
                assert!((ours - naive).abs() < 1e-6, "{settings:?}, node {node}: {ours} instead of {naive}");
            }
        }
        if alpha == 0.0 {
            assert!(ours.pseudo_labels().iter().all(Option::is_none), "nothing is spread");
            continue;
        }
        let check = |label: PseudoLabel, naive: &[f64]| {
            let sum: f64 = naive.iter().sum();
            let entropy: f64 = naive.iter().map(|score| -(score / sum) * (score / sum).ln()).sum();
            assert_close(label.certainty, 1.0 - entropy / (classes as f64).ln(), 1e-4);
            assert!(naive.iter().all(|score| *score <= naive[label.class as usize]));
        };
        for (label, naive) in ours.pseudo_labels().into_iter().zip(&scores[24..]) {
            check(label.unwrap(), naive);
        }
        for (label, row) in predict(&ours, &test).into_iter().zip(rows(&test)) {
            let near = naive_neighbours(&row, &nodes, None, settings);
            let of = |class: usize| near.iter().map(|&(node, w)| w * scales[node] * scores[node][class]).sum();
            check(label.unwrap(), &(0..classes).map(of).collect::<Vec<f64>>());
        }
    }
}

/// Points of a circle by their angles in degrees.
fn on_circle(angles: impl Iterator<Item = f64>) -> Tensor {
    let points: Vec<f64> = angles.map(f64::to_radians).flat_map(|angle| [angle.cos(), angle.sin()]).collect();
    Tensor::from_slice(&points).view([-1, 2]).to_kind(Kind::Float)
}

/// Two arcs with a gap between them: the end of each is nearer to the labelled point of the other than to its own.
#[test]
fn a_label_follows_its_cluster_where_the_nearest_label_is_another() {
    let labelled = on_circle([0.0, 120.0].into_iter());
    let unlabelled =
        on_circle((1..=45).map(|step| f64::from(2 * step)).chain((1..=45).map(|s| 120.0 + f64::from(2 * s))));
    let settings = Settings { neighbours: 4, ..Settings::default() };
    let ours = propagate((&labelled, &[0, 1]), &unlabelled, 2, settings).unwrap();
    let found: Vec<i64> = ours.pseudo_labels().into_iter().map(|label| label.unwrap().class).collect();
    let truth: Vec<i64> = (0..90).map(|row| i64::from(row >= 45)).collect();
    assert_eq!(found, truth);
    let test = on_circle([75.0, 85.0, 91.0].into_iter());
    assert_eq!(nearest_neighbours(&labelled, &[0, 1], &test, 2).unwrap().predicted, [1, 1, 1]);
    let predicted: Vec<i64> = predict(&ours, &test).into_iter().map(|label| label.unwrap().class).collect();
    assert_eq!(predicted, [0, 0, 0]);
}

#[test]
fn an_image_that_no_path_reaches_has_no_label() {
    let labelled = Tensor::from_slice(&[1f32, 0.0, 0.9, 0.1]).view([2, 2]);
    let unlabelled = Tensor::from_slice(&[0.8f32, 0.2, -1.0, 0.05, -0.9, 0.05, -1.0, 0.06]).view([4, 2]);
    let settings = Settings { neighbours: 2, ..Settings::default() };
    let labels = propagate((&labelled, &[0, 1]), &unlabelled, 2, settings).unwrap().pseudo_labels();
    assert!(labels[0].is_some());
    assert_eq!(labels[1..], [None, None, None]);
    assert_eq!(most_certain(&labels, 2, 1.0), [0]);
}

#[test]
fn of_each_label_the_most_certain_fraction_is_kept() {
    let label = |class, certainty| Some(PseudoLabel { class, certainty });
    let labels = [
        label(0, 0.9),
        label(0, 0.8),
        label(1, 0.1),
        label(0, 0.8),
        None,
        label(0, 0.95),
        label(1, 0.2),
        label(2, 0.0),
    ];
    assert_eq!(most_certain(&labels, 4, 0.5), [0, 5, 6, 7]);
    assert_eq!(most_certain(&labels, 4, 0.75), [0, 1, 2, 5, 6, 7]);
    assert_eq!(most_certain(&labels, 4, 1.0), [0, 1, 2, 3, 5, 6, 7]);
    assert_eq!(most_certain(&labels, 4, 1e-9), [5, 6, 7], "at least one of each");
    assert!(most_certain(&[None, None], 4, 1.0).is_empty());
}

#[test]
fn settings_and_shapes_that_make_no_sense_are_refused_and_a_request_to_stop_ends_it() {
    let (labelled, unlabelled) = (normal(5, 6, 4), normal(6, 3, 4));
    let known = [0, 1, 0, 1, 0, 1];
    let usual = Settings::default();
    for settings in [
        Settings { neighbours: 0, ..usual },
        Settings { alpha: 1.0, ..usual },
        Settings { alpha: -0.1, ..usual },
        Settings { alpha: f64::NAN, ..usual },
        Settings { power: 0.0, ..usual },
    ] {
        assert!(propagate((&labelled, &known), &unlabelled, 2, settings).is_err(), "{settings:?}");
    }
    assert!(propagate((&labelled, &known), &unlabelled.narrow(1, 0, 3), 2, usual).is_err());
    assert!(propagate((&labelled, &known), &unlabelled, 1, usual).is_err());
    assert!(propagate((&labelled, &known[..5]), &unlabelled, 2, usual).is_err());
    assert!(propagate((&labelled, &known), &(&unlabelled / 0.0), 2, usual).is_err());
    assert!(propagate((&labelled, &known), &unlabelled.narrow(0, 0, 0), 2, usual).is_err());
    let stop = Stop::default();
    stop.request();
    let mut watch = Watch { stop: &stop, progress: &mut |_, _| {} };
    let stopped = LabelPropagation::new((&labelled, &known), &unlabelled, 2, usual, &mut watch);
    assert!(matches!(stopped, Err(EvaluateError::Interrupted)));
}
