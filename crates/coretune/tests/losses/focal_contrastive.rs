use coretune::losses::{Focus, supervised_contrastive};
use coretune::random::{Purpose, stream};
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

const LABELS: [i64; 7] = [0, 1, 0, 2, 1, 0, 1];
const WIDTH: usize = 3;
const TEMPERATURE: f64 = 0.5;
const EXPONENT: f64 = 2.0;

type Rows = Vec<[f64; WIDTH]>;

fn rows() -> Rows {
    let mut random = stream(11, Purpose::Weights, 0, 0);
    LABELS.iter().map(|_| std::array::from_fn(|_| StandardNormal.sample(&mut random))).collect()
}

/// log p_ij of M4 with all other rows as members of A_i.
fn log_probability(rows: &Rows, anchor: usize, other: usize) -> f64 {
    let similarity = |j: usize| rows[anchor].iter().zip(rows[j]).map(|(a, b)| a * b).sum::<f64>() / TEMPERATURE;
    let sum: f64 = (0..rows.len()).filter(|&j| j != anchor).map(|j| similarity(j).exp()).sum();
    similarity(other) - sum.ln()
}

/// M5 in loops; the focal weights are those of the rows in `weighted_by`.
fn naive(rows: &Rows, weighted_by: &Rows) -> f64 {
    let (mut total, mut counted) = (0.0, 0.0);
    for (i, label) in LABELS.iter().enumerate() {
        let positives: Vec<usize> = (0..rows.len()).filter(|&j| j != i && LABELS[j] == *label).collect();
        if positives.is_empty() {
            continue;
        }
        let term = |&j: &usize| {
            let weight = (1.0 - log_probability(weighted_by, i, j).exp()).powf(EXPONENT);
            weight * log_probability(rows, i, j)
        };
        total -= positives.iter().map(term).sum::<f64>() / positives.len() as f64;
        counted += 1.0;
    }
    total / counted
}

/// The derivative of `loss` by every number of the rows, as central differences.
fn differences(loss: impl Fn(&Rows) -> f64) -> Vec<f64> {
    let step = 1e-5;
    let moved = |row: usize, column: usize, by: f64| {
        let mut rows = rows();
        rows[row][column] += by;
        loss(&rows)
    };
    let places = (0..LABELS.len()).flat_map(|row| (0..WIDTH).map(move |column| (row, column)));
    places.map(|(row, column)| (moved(row, column, step) - moved(row, column, -step)) / (2.0 * step)).collect()
}

/// Loss and gradient of the library.
fn ours(detached: bool) -> (f64, Vec<f64>) {
    let rows = Tensor::from_slice(rows().as_flattened()).view([-1, WIDTH as i64]).set_requires_grad(true);
    let loss = supervised_contrastive(&rows, &LABELS, TEMPERATURE, Focus { exponent: EXPONENT, detached }).unwrap();
    let gradient = Tensor::run_backward(&[&loss], &[&rows], false, false).swap_remove(0);
    assert_eq!(gradient.kind(), Kind::Double);
    (loss.double_value(&[]), Vec::try_from(gradient.flatten(0, 1)).unwrap())
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn a_detached_focal_weight_leaves_the_loss_and_gives_the_gradient_of_constant_weights() {
    let ((whole, with_weight), (same, without_weight)) = (ours(false), ours(true));
    let expected = naive(&rows(), &rows());
    assert!((whole - expected).abs() < 1e-12 && (same - expected).abs() < 1e-12, "{whole} {same} {expected}");
    assert!(distance(&with_weight, &differences(|rows| naive(rows, rows))) < 1e-7);
    let constant = self::rows();
    assert!(distance(&without_weight, &differences(|rows| naive(rows, &constant))) < 1e-7);
    assert!(distance(&with_weight, &without_weight) > 1e-2);
}

#[test]
fn without_positives_loss_and_gradient_are_zero() {
    let rows = Tensor::from_slice2(&[[1.0, 0.0], [0.6, 0.8]]).set_requires_grad(true);
    let loss = supervised_contrastive(&rows, &[0, 1], TEMPERATURE, Focus::NONE).unwrap();
    let gradient = Tensor::run_backward(&[&loss], &[&rows], false, false).swap_remove(0);
    assert!(loss.double_value(&[]).abs() < f64::EPSILON && gradient.abs().max().double_value(&[]) < f64::EPSILON);
}
