//! B5: when the classifier is drawn anew, and what of it.

use coretune::data::Batch;
use coretune::models::Linear;
use coretune::objectives::{Objective, Rifle, Start};
use coretune::train::{Accumulation, LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor};

use super::model;

const STEPS: u64 = 12;

/// The classifier after each step, trained at rate 0: only drawings change it.
fn classifiers(seed: u64, accumulation: Accumulation) -> Vec<Tensor> {
    let images = Tensor::randint(256, [8, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    let batch = Batch { images, labels: (0..8).map(|row| row % 4).collect(), masks: None, indices: (0..8).collect() };
    let (model, mut rifle) = (model(4), Rifle::new(2, 0.0));
    rifle.begin(&Start { network: &model, seed, steps: STEPS, probe: None }).unwrap();
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let mut optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.0, nesterov: false }, rates, 0.0, None);
    let mut after = |number| {
        let input = StepInput::new(&model, &mut rifle, &batch, (seed, number)).accumulated(accumulation);
        step(input, &mut optimizer, 0.0).unwrap();
        model.classifier.weight.detach().copy()
    };
    (0..STEPS).map(&mut after).collect()
}

#[test]
fn the_classifier_is_drawn_anew_at_the_start_of_the_second_and_third_period() {
    for accumulation in [Accumulation::Whole, Accumulation::Exact { part: 4 }, Accumulation::Split { part: 4 }] {
        let classifiers = classifiers(3, accumulation);
        let drawn: Vec<usize> =
            (1..classifiers.len()).filter(|&n| !classifiers[n].equal(&classifiers[n - 1])).collect();
        assert_eq!(drawn, [4, 8], "{accumulation:?}");
        let inputs = classifiers[0].size()[1];
        let first = Linear::classifier(inputs, 4, 3, Device::Cpu).unwrap().weight;
        assert!(classifiers[0].equal(&first) && !classifiers[8].equal(&first), "{accumulation:?}");
        for drawn in [&classifiers[4], &classifiers[8]] {
            let largest = drawn.abs().max().double_value(&[]);
            let bound = 1.0 / (inputs as f64).sqrt();
            assert!((0.9 * bound..=bound).contains(&largest), "{accumulation:?}: {largest} {bound}");
        }
    }
}

#[test]
fn drawings_depend_on_the_seed_alone() {
    let of = |seed| classifiers(seed, Accumulation::Whole);
    assert!(of(3)[4].equal(&of(3)[4]));
    assert!(!of(3)[4].equal(&of(4)[4]));
}
