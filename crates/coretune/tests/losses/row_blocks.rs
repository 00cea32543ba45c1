//! A loss computed in blocks of anchors equals the one from the whole table, with its gradient.

use coretune::engine::PairTable;
use coretune::losses::{
    Focus, class_contrast_by, info_nce_by, nt_xent_by, own_contrastive_by, soft_label_contrastive_by,
    supervised_contrastive_by,
};
use coretune::random::{Purpose, Stream, stream};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

const CASES: u64 = 12;
const FOCI: [Focus; 3] =
    [Focus::NONE, Focus { exponent: 1.0, detached: false }, Focus { exponent: 2.5, detached: true }];

/// Random numbers of a case, and the element type of its tensors.
struct Case {
    random: Stream,
    kind: Kind,
}

impl Case {
    fn all() -> impl Iterator<Item = Case> {
        let case = |number| {
            let kind = if number % 2 == 0 { Kind::Double } else { Kind::Float };
            Case { random: stream(7, Purpose::Weights, 1, number), kind }
        };
        (0..CASES).map(case)
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        self.random.random_range(least..=most)
    }

    fn rows(&mut self, shape: &[i64]) -> Tensor {
        let count = shape.iter().product::<i64>() as usize;
        let values: Vec<f64> = StandardNormal.sample_iter(&mut self.random).take(count).collect();
        let rows = Tensor::from_slice(&values).view(shape).to_kind(self.kind);
        let length = rows.norm_scalaropt_dim(2.0, [-1i64].as_slice(), true);
        rows / length
    }

    fn labels(&mut self, rows: i64, classes: i64) -> Vec<i64> {
        (0..rows).map(|_| self.between(0, classes - 1)).collect()
    }

    /// Compares the loss of `inputs` in blocks of 1, of some and of all anchors with that of the whole table.
    fn compare(&mut self, anchors: i64, inputs: &[Tensor], loss: impl Fn(PairTable, &[Tensor]) -> Tensor) {
        let with_gradient = |table| {
            let leaves: Vec<Tensor> = inputs.iter().map(|input| input.detach().set_requires_grad(true)).collect();
            let value = loss(table, &leaves);
            // A factor, as a method has it in front of its loss.
            let gradients = Tensor::run_backward(&[&(&value * 3.0)], &leaves, false, false);
            (value.double_value(&[]), gradients)
        };
        let (expected, expected_gradients) = with_gradient(PairTable::Whole);
        assert!(expected.is_finite());
        for block in [1, self.between(1, anchors), anchors, anchors + 5] {
            let (found, gradients) = with_gradient(PairTable::Blocks(block));
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
            assert!(close(found, expected), "{found} in blocks of {block}, expected {expected}");
            for (found, expected) in gradients.iter().zip(&expected_gradients) {
                assert_eq!(found.defined(), expected.defined());
                if expected.defined() {
                    let error = (found - expected).abs().max().double_value(&[]);
                    let largest = expected.abs().max().double_value(&[]);
                    assert!(error <= 1e-5 * largest.max(1.0), "gradient in blocks of {block}: {error} of {largest}");
                }
            }
            let without_gradient = tch::no_grad(|| loss(PairTable::Blocks(block), inputs));
            assert!(!without_gradient.requires_grad());
            assert!(close(without_gradient.double_value(&[]), expected));
        }
    }
}

#[test]
fn supervised_contrast_in_blocks_is_that_of_the_whole_table() {
    for mut case in Case::all() {
        let (n, width, classes) = (case.between(1, 40), case.between(1, 9), case.between(1, 6));
        let (rows, labels) = (case.rows(&[n, width]), case.labels(n, classes));
        for focus in FOCI {
            case.compare(n, &[rows.shallow_clone()], |table, rows| {
                supervised_contrastive_by(table, &rows[0], &labels, 0.3, focus).unwrap()
            });
        }
    }
}

#[test]
fn contrast_with_generated_rows_in_blocks_is_that_of_the_whole_table() {
    for mut case in Case::all() {
        let (n, width, classes) = (case.between(1, 30), case.between(1, 9), case.between(1, 5));
        let (rows, labels) = (case.rows(&[3 * n, width]), case.labels(n, classes));
        let targets = case.rows(&[3 * n, classes]).abs();
        for focus in FOCI {
            case.compare(n, &[rows.shallow_clone()], |table, rows| {
                own_contrastive_by(table, &rows[0], &labels, 0.2, focus).unwrap()
            });
            case.compare(n, &[rows.shallow_clone()], |table, rows| {
                soft_label_contrastive_by(table, &rows[0], &targets, 0.2, focus).unwrap()
            });
        }
    }
}

#[test]
fn contrast_with_queued_keys_in_blocks_is_that_of_the_whole_table() {
    for mut case in Case::all() {
        let (n, width) = (case.between(1, 30), case.between(1, 9));
        let (classes, keys) = (case.between(1, 5), case.between(1, 7));
        let (anchors, own) = (case.rows(&[n, width]), case.rows(&[n, width]));
        let (queue, labels) = (case.rows(&[classes, keys, width]), case.labels(n, classes));
        case.compare(n, &[anchors, own, queue], |table, inputs| {
            class_contrast_by(table, (&inputs[0], &inputs[1]), &inputs[2], &labels, 0.2).unwrap()
        });
    }
}

#[test]
fn losses_of_pretraining_in_blocks_are_those_of_the_whole_table() {
    for mut case in Case::all() {
        let (n, width, queued) = (case.between(1, 20), case.between(1, 9), case.between(1, 50));
        let views = case.rows(&[2 * n, width]) * 3.0;
        case.compare(2 * n, &[views.shallow_clone()], |table, rows| nt_xent_by(table, &rows[0], 0.2).unwrap().loss);
        let (queries, keys, queue) = (case.rows(&[n, width]), case.rows(&[n, width]), case.rows(&[width, queued]));
        case.compare(n, &[queries.shallow_clone()], |table, rows| {
            info_nce_by(table, (&rows[0], &keys), &queue, 0.2).unwrap().loss
        });
        let figures = |table| {
            let of_views = nt_xent_by(table, &views, 0.2).unwrap();
            let of_queue = info_nce_by(table, (&queries, &keys), &queue, 0.2).unwrap();
            [of_views.accuracy, of_views.positive_cosine, of_queue.accuracy, of_queue.positive_cosine]
        };
        for (found, expected) in figures(PairTable::Blocks(3)).iter().zip(figures(PairTable::Whole)) {
            assert!((found.double_value(&[]) - expected.double_value(&[])).abs() < 1e-5);
        }
    }
}
