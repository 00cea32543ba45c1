//! Sharpness-aware minimisation against its definition.

use coretune::data::Batch;
use coretune::models::{Model, Network};
use coretune::objectives::{CoreTuning, CoreTuningRun, CrossEntropy, Objective, RunSettings, Start};
use coretune::train::{Accumulation, LayerRates, Optimizer, Rule, StepInput, gradients, step};
use tch::{Device, Kind, Tensor, no_grad};

use super::accumulation;

const RADIUS: f64 = 0.2;
const RATE: f64 = 0.1;

fn batch() -> Batch {
    tch::manual_seed(12);
    let images = Tensor::randint(256, [8, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    Batch { images, labels: (0..8).map(|row| row % 4).collect(), masks: None, indices: (0..8).collect() }
}

fn model() -> Model {
    accumulation::model(false, 0)
}

fn optimizer(model: &Model) -> Optimizer {
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    Optimizer::new(model, Rule::Sgd { momentum: 0.0, nesterov: false }, rates, 0.0, None)
}

fn values(model: &Model) -> Vec<Tensor> {
    model.tensors("").iter().map(|parameter| parameter.tensor.detach().copy()).collect()
}

#[test]
fn the_step_is_along_the_gradient_at_the_weights_moved_uphill_and_statistics_are_of_the_first_pass() {
    for accumulation in [Accumulation::Whole, Accumulation::Split { part: 4 }] {
        let (one, other, batch) = (model(), model(), batch());
        let mut objective = CrossEntropy { label_smoothing: 0.0 };
        let input = StepInput::new(&one, &mut objective, &batch, (0, 0)).accumulated(accumulation);
        step(input.sharpness_aware(Some(RADIUS)), &mut optimizer(&one), RATE).unwrap();

        let plain = optimizer(&other);
        let weights = plain.weights();
        let gradient = |objective: &mut CrossEntropy| {
            let mut input = StepInput::new(&other, objective, &batch, (0, 0)).accumulated(accumulation);
            gradients(&mut input, &weights).unwrap().0
        };
        let first = gradient(&mut objective);
        let after_first = values(&other);
        let norm = first.iter().filter(|g| g.defined()).map(|g| g.norm().double_value(&[]).powi(2)).sum::<f64>().sqrt();
        let starts: Vec<Tensor> = weights.iter().map(|weight| weight.detach().copy()).collect();
        no_grad(|| {
            for (weight, gradient) in weights.iter().zip(&first).filter(|(_, gradient)| gradient.defined()) {
                let _ = weight.shallow_clone().g_add_(&(gradient * (RADIUS / norm)));
            }
        });
        let second = gradient(&mut objective);
        for ((name, found), (start, gradient)) in one
            .tensors("")
            .iter()
            .filter(|parameter| parameter.tensor.requires_grad())
            .map(|parameter| (parameter.name.clone(), parameter.tensor.detach()))
            .zip(starts.iter().zip(&second))
        {
            let expected = if gradient.defined() { start - RATE * gradient } else { start.copy() };
            let off = (&found - expected).abs().max().double_value(&[]);
            assert!(off < 1e-5, "{accumulation:?}, {name}: off by {off}");
        }
        for (parameter, expected) in one.tensors("").iter().zip(&after_first) {
            if !parameter.tensor.requires_grad() {
                assert!(parameter.tensor.equal(expected), "{} is that of the first pass", parameter.name);
            }
        }
    }
}

#[test]
fn the_memory_of_a_method_takes_a_batch_once() {
    let (model, batch) = (model(), batch());
    let settings = RunSettings { memory: 64, eta_ratio: Some(0.3), ..RunSettings::PLAIN };
    let mut method = CoreTuningRun::new(CoreTuning::PUBLISHED, settings);
    method.begin(&Start { network: &model, seed: 0, steps: 9, probe: None }).unwrap();
    let input = StepInput::new(&model, &mut method, &batch, (0, 0)).sharpness_aware(Some(RADIUS));
    step(input, &mut optimizer(&model), RATE).unwrap();
    let labels = method.state().get("memory.labels").unwrap().tensor.copy();
    assert_eq!(labels.ge(0).sum(Kind::Int64).int64_value(&[]), 8);
}
