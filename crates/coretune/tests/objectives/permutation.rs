//! The order of the images in a batch does not matter.

use coretune::losses::Focus;
use coretune::mining::{MixDraws, cosines};
use coretune::objectives::{CoreTuning, FeatureBatch, Heads, Method, PairScheme};
use coretune::settings::RunKind;
use tch::{Device, Kind, Tensor};

use super::{config, in_views, loss, model};

const IMAGES: i64 = 12;
const CLASSES: i64 = 3;

/// An order of the batch in which the first row stays where it is.
fn order() -> Vec<i64> {
    (0..IMAGES).map(|row| (5 * row) % IMAGES).collect()
}

fn labels() -> Vec<i64> {
    (0..IMAGES).map(|row| (row * row + row / 5) % CLASSES).collect()
}

fn reordered<T: Copy>(values: &[T]) -> Vec<T> {
    order().into_iter().map(|row| values[row as usize]).collect()
}

fn reordered_rows(rows: &Tensor) -> Tensor {
    rows.index_select(0, &Tensor::from_slice(&order()))
}

/// Methods that draw numbers for the rows of a batch; their draws have to be reordered too.
const DRAWING: [&str; 1] = ["core-tuning"];

#[test]
fn a_method_of_fine_tuning_does_not_see_the_order_of_its_images() {
    tch::manual_seed(2);
    let images = Tensor::randint(256, [IMAGES, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    let methods = Method::of(RunKind::FineTuning).filter(|method| !DRAWING.contains(&method.word));
    for method in methods {
        let of = |images: &Tensor, labels: &[i64]| {
            let mut objective = config(&[&format!("method.name={}", method.word)]).method.build(0.1).unwrap();
            let images = in_views(&*objective, images);
            loss(&mut *objective, &model(CLASSES), &images, labels).unwrap().total.double_value(&[])
        };
        let (before, after) = (of(&images, &labels()), of(&reordered_rows(&images), &reordered(&labels())));
        assert!((before - after).abs() < 1e-4 * before, "{}: {before} {after}", method.word);
    }
}

/// The draws of a batch, for the same batch in the other order.
fn reordered_draws(draws: &MixDraws) -> MixDraws {
    let order = order();
    let place_of = |row: i64| order.iter().position(|&other| other == row).unwrap() as i64;
    MixDraws {
        hard_positive: reordered(&draws.hard_positive),
        semi_hard_negative: reordered(&draws.semi_hard_negative),
        partner: reordered(&draws.partner).into_iter().map(place_of).collect(),
    }
}

/// R1 takes a masked entry of 0 where a class has no negative cosine: which one depends on the order.
fn has_no_ties_at_zero(features: &Tensor, labels: &[i64]) -> bool {
    let table = cosines(features).unwrap();
    let cosine = |i: i64, j: i64| table.double_value(&[i, j]);
    let same = |i: i64, j: i64| labels[i as usize] == labels[j as usize];
    (0..IMAGES).all(|i| {
        (0..IMAGES).any(|j| j != i && same(i, j) && cosine(i, j) < 0.0)
            && (0..IMAGES).any(|j| !same(i, j) && cosine(i, j) > 0.0)
    })
}

#[test]
fn core_tuning_does_not_see_the_order_of_its_images_when_the_draws_go_with_them() {
    tch::manual_seed(4);
    let rows = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
    let (features, classifier, projection) = (rows([IMAGES, 4]), rows([4, CLASSES]), rows([4, 3]));
    assert!(has_no_ties_at_zero(&features, &labels()));
    let heads = Heads { classifier: &|rows| rows.matmul(&classifier), projection: &|rows| rows.matmul(&projection) };
    for pairs in [PairScheme::Own, PairScheme::Soft, PairScheme::Reference] {
        let focus = Focus { exponent: 1.0, detached: false };
        let method = CoreTuning {
            pairs,
            eta: 1.0,
            alpha: 1.0,
            temperature: 0.5,
            focus,
            label_smoothing: 0.1,
            ..CoreTuning::PUBLISHED
        };
        let draws = method.draws(&labels(), (5, 6)).unwrap();
        let of = |features: &Tensor, labels: &[i64], draws: &MixDraws| {
            let batch = FeatureBatch::new(features, labels, CLASSES, (5, 6));
            method.loss_with(&batch, &heads, draws).unwrap().total.double_value(&[])
        };
        let before = of(&features, &labels(), &draws);
        let after = of(&reordered_rows(&features), &reordered(&labels()), &reordered_draws(&draws));
        assert!((before - after).abs() < 1e-12 * before.abs(), "{pairs:?}: {before} {after}");
    }
}
