//! B7: the queues and the encoder of the keys, step by step.

use coretune::data::Batch;
use coretune::models::{Mode, Model, Network};
use coretune::objectives::{BiTuning, BiTuningSettings, FeatureBatch, Heads, Objective, Start, figure};
use coretune::train::{LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor};

use super::model;

const SETTINGS: BiTuningSettings =
    BiTuningSettings { temperature: 0.07, weight: 0.5, keys: 3, momentum: 0.75, label_smoothing: 0.0 };

/// Two views of 6 images.
fn batch(seed: i64) -> Batch {
    tch::manual_seed(seed);
    let images = Tensor::randint(256, [12, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    Batch { images, labels: vec![0, 2, 0, 1, 3, 0], masks: None, indices: (0..6).collect() }
}

fn unit(rows: &Tensor) -> Tensor {
    rows / rows.norm_scalaropt_dim(2.0, [1i64].as_slice(), true)
}

fn state(method: &BiTuning, name: &str) -> Tensor {
    method.state().get(name).unwrap().tensor.detach().copy()
}

fn off(one: &Tensor, other: &Tensor) -> f64 {
    (one - other).abs().max().double_value(&[])
}

fn two_steps(model: &Model, method: &mut BiTuning) {
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let mut optimizer = Optimizer::new(model, Rule::Sgd { momentum: 0.0, nesterov: false }, rates, 0.0, None);
    for number in 0..2 {
        step(StepInput::new(model, method, &batch(number), (0, number as u64)), &mut optimizer, 0.1).unwrap();
    }
}

#[test]
fn keys_are_of_the_second_view_and_enter_the_queue_of_their_class() {
    let (model, batch) = (model(4), batch(0));
    let mut method = BiTuning::new(SETTINGS);
    method.begin(&Start { network: &model, seed: 0, steps: 9, probe: None }).unwrap();
    let second = batch.images.narrow(0, 6, 6);
    let features = model.features(&second, Mode::TrainUntracked).unwrap();
    let projections = unit(&model.projection.as_ref().unwrap().forward(&features));
    let before = state(&method, "queue.features");
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let mut optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.0, nesterov: false }, rates, 0.0, None);
    step(StepInput::new(&model, &mut method, &batch, (0, 0)), &mut optimizer, 0.1).unwrap();
    for (name, keys) in [("queue.features", unit(&features)), ("queue.projections", projections)] {
        let queue = state(&method, name);
        for (row, class, place) in [(0, 0, 0), (1, 2, 0), (2, 0, 1), (3, 1, 0), (4, 3, 0), (5, 0, 2)] {
            assert!(off(&queue.get(class).get(place), &keys.get(row)) < 1e-5, "{name}: key {row}");
        }
    }
    assert!(state(&method, "queue.features").get(1).get(1).equal(&before.get(1).get(1)), "no key came in its place");
    let next: Vec<i64> = state(&method, "queue.features.next").try_into().unwrap();
    assert_eq!(next, [0, 1, 1, 1]);
}

#[test]
fn the_encoder_of_the_keys_follows_the_network_by_its_momentum() {
    let model = model(4);
    let mut method = BiTuning::new(SETTINGS);
    method.begin(&Start { network: &model, seed: 0, steps: 9, probe: None }).unwrap();
    let names = ["backbone.layer4.0.conv1.weight", "projection.2.weight"];
    let of_model = |name: &str| model.parameters().get(name).unwrap().tensor.detach().copy();
    let starts = names.map(of_model);
    two_steps(&model, &mut method);
    let after_two = names.map(of_model);
    assert!(off(&starts[0], &after_two[0]) > 1e-4);
    // It followed once before each loss, the first time at its own place.
    let mut objective_loss = |number| {
        super::loss_at(&mut method, &model, &batch(number).images, &batch(number).labels, number as u64).unwrap();
        ["key.layer4.0.conv1.weight", "key.fc.2.weight"].map(|name| state(&method, name))
    };
    let before = objective_loss(2);
    let again = objective_loss(3);
    for ((before, again), now) in before.iter().zip(&again).zip(&after_two) {
        assert!(off(again, &(before * 0.75 + now * 0.25)) < 1e-6 && off(again, before) > 1e-7);
    }
}

/// The same loss with the queues, keys and weights written out, in float64.
#[test]
fn the_loss_is_cross_entropy_and_both_contrasts_and_the_classifier_learns_from_the_first_alone() {
    tch::manual_seed(4);
    let rows = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
    let (features, projection) = (rows(&[5, 4]), rows(&[4, 3]));
    let classifier = rows(&[3, 4]).set_requires_grad(true);
    let labels = [0, 2, 1, 2, 2];
    let own_keys = unit(&rows(&[5, 3]));
    let queue = |width| unit(&rows(&[6, width])).view([3, 2, width]);
    let (feature_queue, projection_queue) = (queue(4), queue(3));
    let heads =
        Heads { classifier: &|rows| rows.matmul(&classifier.tr()), projection: &|rows| rows.matmul(&projection) };
    let batch = FeatureBatch::new(&features, &labels, 3, (0, 0));
    let with = coretune::objectives::Contrasted {
        class_weight: &classifier,
        own_keys: &own_keys,
        features: &feature_queue,
        projections: &projection_queue,
    };
    let loss = BiTuning::new(SETTINGS).loss_of(&batch, &heads, &with).unwrap();

    let contrast = |anchor: &Tensor, own: &Tensor, queue: &Tensor, label: i64| {
        let products = |keys: &Tensor| Vec::<f64>::try_from(keys.matmul(anchor) / 0.07).unwrap();
        let own = own.dot(anchor).double_value(&[]) / 0.07;
        let all: f64 = (0..3).flat_map(|class| products(&queue.get(class))).map(f64::exp).sum::<f64>() + own.exp();
        let positives: f64 = products(&queue.get(label)).into_iter().chain([own]).map(|logit| logit - all.ln()).sum();
        -positives / 3.0
    };
    let (queries, unit_features) = (unit(&features.matmul(&projection)), unit(&features));
    let unit_classes = unit(&classifier.detach());
    let mean = |term: &dyn Fn(i64) -> f64| (0..5).map(term).sum::<f64>() / 5.0;
    let instance =
        mean(&|row| contrast(&queries.get(row), &own_keys.get(row), &projection_queue, labels[row as usize]));
    let category = mean(&|row| {
        let label = labels[row as usize];
        contrast(&unit_classes.get(label), &unit_features.get(row), &feature_queue, label)
    });
    let targets = Tensor::from_slice(&labels);
    let log_probabilities = features.matmul(&classifier.tr()).log_softmax(1, Kind::Double);
    let cross_entropy = -log_probabilities.gather(1, &targets.unsqueeze(1), false).mean(Kind::Double);
    let expected = cross_entropy.double_value(&[]) + 0.5 * (instance + category);
    assert!((loss.total.double_value(&[]) - expected).abs() < 1e-9 * expected);
    let figure = |name| loss.figures.iter().find(|(other, _)| *other == name).unwrap().1.double_value(&[]);
    assert!((figure(figure::INSTANCE) - instance).abs() < 1e-9 && (figure(figure::CATEGORY) - category).abs() < 1e-9);
    let of = |loss: &Tensor| Tensor::run_backward(&[loss], &[&classifier], true, false).remove(0);
    assert!(off(&of(&loss.total), &of(&cross_entropy)) < 1e-12);
}
