//! The cross-entropy of images that were mixed with each other.

use coretune::config::{Layers, RunKind};
use coretune::data::Batch;
use coretune::objectives::Method;
use coretune::train::{Accumulation, StepInput, gradients};
use tch::{Device, Kind, Tensor};

use super::{config, model};

/// Methods whose loss has the labels in the cross-entropy alone.
const MIXABLE: [&str; 6] = ["cross-entropy", "linear-probe", "l2-sp", "delta", "bss", "rifle"];

#[test]
fn methods_with_pairs_by_class_do_not_take_mixed_labels() {
    for method in Method::of(RunKind::FineTuning) {
        let needs = config(&[&format!("method.name={}", method.word)]).method.build(0.0).unwrap().needs();
        assert_eq!(needs.soft_targets, MIXABLE.contains(&method.word), "{}", method.word);
    }
    assert!(Layers::defaults().assignment("data.mixup=-1").is_err());
}

/// Each image's cross-entropy is that of both labels, by their weights; in parts of a batch as at once.
#[test]
fn the_loss_is_the_mean_of_both_labels_losses_by_their_weights() {
    let model = model(4);
    let mut objective = config(&["method.name=cross-entropy"]).method.build(0.0).unwrap();
    tch::manual_seed(4);
    let images = Tensor::randint(256, [8, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    let labels: Vec<i64> = (0..8).map(|row| row % 4).collect();
    let batch = Batch { images, labels: labels.clone(), masks: None, indices: (0..8).collect() };
    let one_hot = |labels: &[i64]| {
        let rows = Tensor::from_slice(labels).unsqueeze(1);
        Tensor::zeros([8, 4], (Kind::Float, Device::Cpu)).scatter_value(1, &rows, 1.0)
    };
    let others: Vec<i64> = labels.iter().map(|label| (label + 1) % 4).collect();
    let mixed = one_hot(&labels) * 0.3 + one_hot(&others) * 0.7;
    let mut loss = |labels: &[i64], targets: Option<&Tensor>, accumulation| {
        let batch = Batch {
            images: batch.images.shallow_clone(),
            labels: labels.to_vec(),
            masks: None,
            indices: (0..8).collect(),
        };
        let input = StepInput::new(&model, &mut *objective, &batch, (0, 0)).accumulated(accumulation);
        let mut input = input.mixed(targets.map(Tensor::shallow_clone));
        gradients(&mut input, &[&model.classifier.weight]).unwrap().1.read().unwrap().0
    };
    for accumulation in [Accumulation::Whole, Accumulation::Split { part: 4 }] {
        let expected = 0.3 * loss(&labels, None, accumulation) + 0.7 * loss(&others, None, accumulation);
        let found = loss(&labels, Some(&mixed), accumulation);
        assert!((found - expected).abs() < 1e-5, "{accumulation:?}: {found} {expected}");
    }
}
