//! Regularisers with any method.

use coretune::data::Batch;
use coretune::models::{Model, Network};
use coretune::objectives::{Objective, Pull, PullActs, Start};
use coretune::train::{LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor, no_grad};

use super::{config, loss_at, model};

fn batch() -> Batch {
    tch::manual_seed(3);
    let images = Tensor::randint(256, [8, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    Batch { images, labels: (0..8).map(|row| row % 4).collect(), masks: None, indices: (0..8).collect() }
}

fn built(settings: &[&str], model: &Model) -> Box<dyn Objective> {
    let mut objective = config(settings).method.build(0.0).unwrap();
    objective.begin(&Start { network: model, seed: 0, steps: 9, probe: None }).unwrap();
    objective
}

fn steps(model: &Model, objective: &mut dyn Objective, number: u64) {
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let rule = Rule::Sgd { momentum: 0.9, nesterov: false };
    let mut optimizer = Optimizer::new(model, rule, rates, 0.0, None).pulled(objective.pulls());
    for step_number in 0..number {
        step(StepInput::new(model, objective, &batch(), (0, step_number)), &mut optimizer, 0.05).unwrap();
    }
}

/// How far the backbone is from `start`.
fn distance(model: &Model, start: &[Tensor]) -> f64 {
    let weights = model.tensors("backbone.");
    let squares = weights.iter().zip(start).filter(|(now, _)| now.tensor.requires_grad());
    squares.map(|(now, then)| (now.tensor.detach() - then).norm().double_value(&[]).powi(2)).sum::<f64>().sqrt()
}

fn copies(model: &Model) -> Vec<Tensor> {
    model.tensors("backbone.").iter().map(|parameter| parameter.tensor.detach().copy()).collect()
}

#[test]
fn with_l2_sp_cross_entropy_moves_as_the_method_l2_sp_does() {
    let (one, other) = (model(4), model(4));
    let regularised = ["method.name=cross-entropy", "method.regulariser=l2-sp", "method.regulariser_weight=0.3"];
    steps(&one, &mut *built(&regularised, &one), 3);
    let method = ["method.name=l2-sp", "method.l2_sp_weight=0.3", "method.head_decay=0"];
    steps(&other, &mut *built(&method, &other), 3);
    for (one, other) in one.tensors("").iter().zip(other.tensors("").iter()) {
        assert!(one.tensor.equal(&other.tensor), "{}", one.name);
    }
}

#[test]
fn every_method_can_be_held_near_its_start() {
    for method in ["core-tuning", "scl", "mix-and-match", "rifle"] {
        for regulariser in ["l2-sp", "spd", "delta"] {
            let name = format!("method.name={method}");
            let (free, held) = (model(4), model(4));
            let start = copies(&free);
            steps(&free, &mut *built(&[&name], &free), 4);
            let settings =
                [name.clone(), format!("method.regulariser={regulariser}"), "method.regulariser_weight=1".to_string()];
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            let mut objective = built(&settings, &held);
            assert!(objective.state().iter().any(|tensor| tensor.name.starts_with("regulariser.")));
            steps(&held, &mut *objective, 4);
            let (free, held) = (distance(&free, &start), distance(&held, &start));
            // What delta holds are maps, not weights.
            assert!(held < free || regulariser == "delta", "{method}, {regulariser}: {held} {free}");
        }
    }
}

#[test]
fn delta_adds_the_distance_of_maps_with_its_gradient() {
    let model = model(4);
    let batch = batch();
    let settings = ["method.name=cross-entropy", "method.regulariser=delta", "method.regulariser_weight=0.5"];
    let mut objective = built(&settings, &model);
    no_grad(|| {
        for parameter in model.tensors("").iter().filter(|parameter| parameter.tensor.requires_grad()) {
            let _ = parameter.tensor.shallow_clone().g_mul_scalar_(1.1);
        }
    });
    let with = loss_at(&mut *objective, &model, &batch.images, &batch.labels, 0).unwrap();
    let named = |name: &str| with.figures.iter().find(|(other, _)| *other == name).unwrap().1.double_value(&[]);
    let expected = named("classification") + 0.5 * named("feature_distance");
    assert!(named("feature_distance") > 0.0);
    assert!((with.total.double_value(&[]) / expected - 1.0).abs() < 1e-6);
    assert!(with.total.requires_grad());
}

/// B: theta -= strength r (theta - theta0), r = (new - old) / new, only where <g, theta - theta0> > 0.
#[test]
fn selective_decay_draws_back_what_moves_away_against_its_gradient_and_nothing_else() {
    let leaf = |values: &[f64]| Tensor::from_slice(values).set_requires_grad(true);
    let start = || Tensor::from_slice(&[0.0f64, 0.0]);
    let run = |acts: Option<PullActs>, velocity: &[f64], gradient: &[f64]| -> Vec<f64> {
        let weight = leaf(&[1.0, 0.0]);
        let trained =
            coretune::train::TrainedWeight { name: "w".into(), weight: weight.shallow_clone(), rate_factor: 1.0 };
        let rule = Rule::Sgd { momentum: 0.9, nesterov: false };
        let mut optimizer = Optimizer::over(std::iter::once(trained), rule, 0.0, None);
        if let Some(acts) = acts {
            let pull = Pull { weight: weight.shallow_clone(), towards: Some(start()), strength: 0.5, acts };
            optimizer = optimizer.pulled(vec![pull]);
        }
        no_grad(|| optimizer.state()[0].1.shallow_clone().copy_(&Tensor::from_slice(velocity)));
        no_grad(|| optimizer.update(1.0, vec![Tensor::from_slice(gradient)]));
        Vec::try_from(weight.detach()).unwrap()
    };
    // The gradient asks for the start, the momentum carries the weight away from it.
    let free = run(None, &[-2.0, 0.0], &[0.5, 0.0]);
    assert!(free[0] > 1.0, "{free:?}");
    let ratio = (free[0] - 1.0) / free[0];
    let drawn = run(Some(PullActs::Selectively), &[-2.0, 0.0], &[0.5, 0.0]);
    assert!((drawn[0] - (free[0] - 0.5 * ratio * free[0])).abs() < 1e-12, "{drawn:?} {free:?}");
    // It comes nearer; or moves away as its gradient asks.
    for (velocity, gradient) in [([0.0, 0.0], [0.5, 0.1]), ([0.0, 0.0], [-0.5, 0.1])] {
        assert_eq!(run(Some(PullActs::Selectively), &velocity, &gradient), run(None, &velocity, &gradient));
    }
}

#[test]
fn a_regulariser_that_the_method_has_or_cannot_have_is_refused() {
    let refused = |settings: &[&str]| {
        let all = ["checkpoint.path=none", "data.dir=none"].iter().chain(settings);
        let layers = all.fold(coretune::config::Layers::defaults(), |layers, text| layers.assignment(text).unwrap());
        format!("{:?}", layers.validate().unwrap_err().details())
    };
    assert!(refused(&["method.name=l2-sp", "method.regulariser=l2-sp"]).contains("a pull of its own"));
    assert!(refused(&["method.name=bi-tuning", "method.regulariser=delta"]).contains("two views"));
}
