//! Steps lower the loss.

use coretune::data::Batch;
use coretune::losses::Focus;
use coretune::objectives::{CoreTuning, CrossEntropy, Objective, PairScheme};
use coretune::train::{LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor};

use super::model;

fn batch() -> Batch {
    tch::manual_seed(0);
    let images = Tensor::randint(256, [16, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    Batch { images, labels: (0..16).map(|row| row % 4).collect(), masks: None, indices: (0..16).collect() }
}

fn core_tuning() -> CoreTuning {
    let focus = Focus { exponent: 1.0, detached: false };
    CoreTuning {
        pairs: PairScheme::Own,
        eta: 1.0,
        alpha: 1.0,
        temperature: 0.07,
        focus,
        label_smoothing: 0.0,
        ..CoreTuning::PUBLISHED
    }
}

fn losses(objective: &mut dyn Objective, rule: Rule, rate: f64, steps: u64) -> Vec<f64> {
    let model = model(4);
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let mut optimizer = Optimizer::new(&model, rule, rates, 0.0, None);
    let batch = batch();
    let mut one = |number| {
        let figures = step(StepInput::new(&model, objective, &batch, (0, number)), &mut optimizer, rate).unwrap();
        figures.read().unwrap().0
    };
    (0..steps).map(&mut one).collect()
}

#[test]
fn sixteen_images_of_noise_can_be_learnt_by_heart() {
    let sgd = Rule::Sgd { momentum: 0.9, nesterov: true };
    let losses = losses(&mut CrossEntropy { label_smoothing: 0.0 }, sgd, 0.05, 60);
    assert!(losses[0] > 1.0 && losses[59] < 0.05, "{} to {}", losses[0], losses[59]);
}

#[test]
fn core_tuning_lowers_its_loss_under_both_optimizers() {
    for (rule, rate) in [(Rule::Sgd { momentum: 0.9, nesterov: true }, 0.05), (Rule::AdamW, 0.003)] {
        let losses = losses(&mut core_tuning(), rule, rate, 60);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        assert!(mean(&losses[50..]) < 0.6 * mean(&losses[..3]), "{rule:?}: {losses:?}");
    }
}
