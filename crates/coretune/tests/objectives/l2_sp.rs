//! B2: the pull of the update against the penalty in the loss.

use coretune::data::Batch;
use coretune::models::Model;
use coretune::objectives::{CrossEntropy, L2Sp, Objective, Start, figure};
use coretune::train::{LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor, no_grad};

use super::{config, model};

const RATE: f64 = 0.05;
const ALPHA: f64 = 0.3;
const BETA: f64 = 0.2;

fn batch() -> Batch {
    tch::manual_seed(0);
    let images = Tensor::randint(256, [8, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    Batch { images, labels: (0..8).map(|row| row % 4).collect(), masks: None, indices: (0..8).collect() }
}

/// Gradient descent with Nesterov momentum on the whole loss, differentiated.
#[test]
fn three_updates_are_those_of_the_penalty_in_the_loss() {
    let (pulled, naive, batch) = (model(4), model(4), batch());
    let mut method = L2Sp::new(ALPHA, BETA, 0.0);
    method.begin(&Start { network: &pulled, seed: 0, steps: 3, probe: None }).unwrap();
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let rule = Rule::Sgd { momentum: 0.9, nesterov: true };
    let mut optimizer = Optimizer::new(&pulled, rule, rates, 0.0, None).pulled(method.pulls());

    let parameters = naive.parameters();
    let weights: Vec<_> = parameters.iter().filter(|weight| weight.tensor.requires_grad()).collect();
    let start: Vec<Tensor> = weights.iter().map(|weight| weight.tensor.detach().copy()).collect();
    let mut momentum: Vec<Tensor> = start.iter().map(Tensor::zeros_like).collect();
    for number in 0..3 {
        step(StepInput::new(&pulled, &mut method, &batch, (0, number)), &mut optimizer, RATE).unwrap();
        let mut loss = super::loss(&mut CrossEntropy { label_smoothing: 0.0 }, &naive, &batch.images, &batch.labels);
        let total = &mut loss.as_mut().unwrap().total;
        for (weight, start) in weights.iter().zip(&start) {
            if weight.name.starts_with("backbone.") {
                *total += 0.5 * ALPHA * (&weight.tensor - start).square().sum(Kind::Float);
            } else if weight.name.starts_with("classifier.") {
                *total += 0.5 * BETA * weight.tensor.square().sum(Kind::Float);
            }
        }
        let tensors: Vec<&Tensor> = weights.iter().map(|weight| &weight.tensor).collect();
        let gradients = Tensor::run_backward(&[&*total], &tensors, false, false);
        no_grad(|| {
            for ((weight, gradient), momentum) in tensors.iter().zip(gradients).zip(&mut momentum) {
                if gradient.defined() {
                    *momentum = &*momentum * 0.9 + &gradient;
                    let _ = weight.shallow_clone().g_sub_(&(RATE * (gradient + 0.9 * &*momentum)));
                }
            }
        });
    }
    for (ours, naive) in pulled.parameters().iter().zip(parameters.iter()) {
        let off = (ours.tensor.detach() - naive.tensor.detach()).to_kind(Kind::Float).norm().double_value(&[]);
        let bound = 1e-4 * naive.tensor.to_kind(Kind::Float).norm().double_value(&[]).max(1e-2);
        assert!(off <= bound, "{}: off by {off}", ours.name);
    }
}

#[test]
fn the_start_is_kept_and_the_penalty_counts_the_distance_from_it() {
    let (model, batch) = (model(4), batch());
    let mut method = L2Sp::new(2.0, 0.0, 0.0);
    let penalty = |method: &mut L2Sp, model: &Model| {
        let figures = super::loss_at(method, model, &batch.images, &batch.labels, 9).unwrap().figures;
        figures.iter().find(|(name, _)| *name == figure::PENALTY).unwrap().1.double_value(&[])
    };
    method.begin(&Start { network: &model, seed: 0, steps: 3, probe: None }).unwrap();
    assert!(penalty(&mut method, &model).abs() < 1e-12);
    let weight = model.parameters().get("backbone.conv1.weight").unwrap().tensor.shallow_clone();
    let start = weight.detach().copy();
    no_grad(|| drop(weight.shallow_clone().g_add_scalar_(0.5)));
    let expected = 0.25 * weight.numel() as f64;
    assert!((penalty(&mut method, &model) - expected).abs() < 1e-3 * expected);
    assert!(method.state().get("start.conv1.weight").unwrap().tensor.equal(&start));
}

#[test]
fn its_weight_decay_is_0_unless_a_value_is_given() {
    let decay = |settings: &[&str]| config(settings).train.weight_decay;
    assert!(decay(&["method.name=l2-sp"]).abs() < 1e-12);
    assert!((decay(&["method.name=l2-sp", "train.weight_decay=1e-4"]) - 1e-4).abs() < 1e-12);
    assert!((decay(&["method.name=cross-entropy"]) - 1e-4).abs() < 1e-12);
}
