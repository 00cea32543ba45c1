//! What holds for every method of fine-tuning in the table.

use coretune::data::Batch;
use coretune::models::{Linear, Mode, Model};
use coretune::objectives::{Method, Start};
use coretune::settings::RunKind;
use coretune::train::{LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor};

use super::{config, in_views, model};

const RATES: LayerRates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
const SGD: Rule = Rule::Sgd { momentum: 0.9, nesterov: true };

fn batch(labels: Vec<i64>) -> Batch {
    tch::manual_seed(0);
    let rows = labels.len();
    let images = Tensor::randint(256, [rows as i64, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    Batch { images, labels, masks: None, indices: (0..rows).collect() }
}

/// The total loss of each of `steps` steps on one batch; the weights of `model` move.
fn losses(word: &str, model: &Model, batch: &Batch, steps: u64) -> Vec<f64> {
    let config = config(&[&format!("method.name={word}")]);
    let mut objective = config.method.build(0.0).unwrap();
    let probe = Linear::classifier(model.backbone.feature_width(), 4, 9, Device::Cpu).unwrap();
    objective.begin(&Start { network: model, seed: 0, steps, probe: Some(&probe) }).unwrap();
    let decay = config.train.weight_decay;
    let mut optimizer = Optimizer::new(model, SGD, RATES, decay, None).pulled(objective.pulls());
    let Batch { images, labels, indices, .. } = batch;
    let images = in_views(&*objective, images);
    let batch = Batch { images, labels: labels.clone(), masks: None, indices: indices.clone() };
    if objective.needs().preparation > 0 {
        StepInput::new(model, &mut *objective, &batch, (0, 0)).prepare().unwrap();
    }
    let mut one = |number| {
        let figures = step(StepInput::new(model, &mut *objective, &batch, (0, number)), &mut optimizer, 0.05).unwrap();
        figures.read().unwrap().0
    };
    (0..steps).map(&mut one).collect()
}

/// The methods that train.
fn words() -> impl Iterator<Item = &'static str> {
    let trains = |word: &str| config(&[&format!("method.name={word}")]).method.build(0.0).unwrap().needs().steps;
    Method::of(RunKind::FineTuning).map(|method| method.word).filter(move |word| trains(word))
}

/// The fraction of the batch that the classifier gets right in training mode.
fn fitted(model: &Model, batch: &Batch) -> f64 {
    let logits = model.logits(&batch.images, Mode::TrainUntracked).unwrap();
    let right = logits.argmax(1, false).eq_tensor(&Tensor::from_slice(&batch.labels));
    right.to_kind(Kind::Double).mean(Kind::Double).double_value(&[])
}

#[test]
fn each_learns_sixteen_images_of_noise_by_heart() {
    for word in words() {
        let (model, batch) = (model(4), batch((0..16).map(|row| row % 4).collect()));
        losses(word, &model, &batch, 60);
        let fitted = fitted(&model, &batch);
        assert!(fitted > 0.95, "{word}: {fitted} of the images");
    }
}

#[test]
fn the_weights_after_five_steps_are_its_own() {
    let batch = batch((0..16).map(|row| row % 4).collect());
    let after = |word: &str| {
        let model = model(4);
        losses(word, &model, &batch, 5);
        model.parameters().get("backbone.layer4.0.conv1.weight").unwrap().tensor.detach().copy()
    };
    let plain = after("cross-entropy");
    for word in words().filter(|word| *word != "cross-entropy") {
        assert!(!after(word).equal(&plain), "{word}");
    }
}

#[test]
fn a_batch_of_one_class_of_distinct_classes_and_of_two_images_leaves_finite_weights() {
    for labels in [vec![2; 6], vec![3, 1, 0, 2], vec![1, 1], vec![0, 3]] {
        let batch = batch(labels.clone());
        for word in words() {
            let model = model(4);
            let losses = losses(word, &model, &batch, 3);
            assert!(losses.iter().all(|loss| loss.is_finite()), "{word} {labels:?}: {losses:?}");
            let parameters = model.parameters();
            let mut weights = parameters.iter();
            assert!(weights.all(|weight| weight.tensor.isfinite().all().int64_value(&[]) == 1), "{word} {labels:?}");
        }
    }
}
