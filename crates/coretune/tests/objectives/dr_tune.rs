//! B9: rotation, shift and rescaling against loops in float64, and which features enter the bank.

use coretune::data::Batch;
use coretune::models::{Mode, Network};
use coretune::objectives::{DrTune, DrTuneSettings, Objective, Start, figure, rotation, shift};
use coretune::train::{Accumulation, LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor, no_grad};

use super::model;

const SETTINGS: DrTuneSettings = DrTuneSettings { bank: 8, rotate_every: 2, label_smoothing: 0.0 };

fn batch(seed: i64) -> Batch {
    tch::manual_seed(seed);
    let images = Tensor::randint(256, [6, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    Batch { images, labels: vec![0, 2, 0, 1, 3, 0], masks: None, indices: (0..6).collect() }
}

fn unit(rows: &Tensor) -> Tensor {
    rows / rows.norm_scalaropt_dim(2.0, [1i64].as_slice(), true)
}

fn vectors(rows: &Tensor) -> Vec<Vec<f64>> {
    (0..rows.size()[0]).map(|row| Vec::try_from(rows.get(row).to_kind(Kind::Double)).unwrap()).collect()
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn off(one: &Tensor, other: &Tensor) -> f64 {
    (one - other).abs().max().double_value(&[])
}

/// The shift, class by class and row by row.
fn naive_shift(rotated: &Tensor, finetuned: &Tensor, labels: &[i64], classifier: &Tensor) -> Vec<Vec<f64>> {
    let (mut rotated, finetuned, classifier) = (vectors(rotated), vectors(finetuned), vectors(&unit(classifier)));
    for (class, row_of_class) in classifier.iter().enumerate() {
        let members: Vec<usize> = (0..labels.len()).filter(|&row| labels[row] == class as i64).collect();
        if members.is_empty() {
            continue;
        }
        let width = row_of_class.len();
        let confidence: Vec<f64> = members.iter().map(|&row| dot(&finetuned[row], row_of_class).exp()).collect();
        let mass: f64 = confidence.iter().sum();
        let moved: Vec<f64> = (0..width)
            .map(|place| {
                let to: f64 =
                    members.iter().zip(&confidence).map(|(&row, weight)| weight / mass * finetuned[row][place]).sum();
                let from: f64 = members.iter().map(|&row| rotated[row][place]).sum::<f64>() / members.len() as f64;
                to - from
            })
            .collect();
        for &row in &members {
            rotated[row].iter_mut().zip(&moved).for_each(|(value, moved)| *value += moved);
        }
    }
    rotated
}

#[test]
fn the_shift_is_that_of_a_loop_over_classes() {
    tch::manual_seed(5);
    let rows = |size: [i64; 2]| Tensor::randn(size, (Kind::Double, Device::Cpu));
    let (rotated, finetuned, classifier) = (unit(&rows([9, 4])), unit(&rows([9, 4])), rows([5, 4]));
    let labels = [0, 2, 0, 1, 1, 1, 4, 0, 2];
    let shifted = shift(&rotated, &finetuned, &Tensor::from_slice(&labels), &classifier).unwrap();
    let expected = naive_shift(&rotated, &finetuned, &labels, &classifier);
    for (ours, expected) in vectors(&shifted).iter().flatten().zip(expected.iter().flatten()) {
        assert!((ours - expected).abs() < 1e-12, "{ours} {expected}");
    }
}

/// The first two losses, from the start of the network and the rows that the bank must hold.
#[test]
fn the_loss_is_the_mean_over_the_batch_and_the_calibrated_bank() {
    let model = model(4);
    let mut method = DrTune::new(SETTINGS);
    method.begin(&Start { network: &model, seed: 0, steps: 9, probe: None }).unwrap();
    let before_training = batch(0);
    StepInput::new(&model, &mut method, &before_training, (0, 0)).prepare().unwrap();
    let features = |batch: &Batch, mode| no_grad(|| model.features(&batch.images, mode)).unwrap();
    let bank = features(&before_training, Mode::Evaluate);
    let first = batch(1);
    let (pretrained, finetuned) = (features(&first, Mode::Evaluate), features(&first, Mode::TrainUntracked));
    let classifier = model.classifier.weight.detach().copy();

    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let mut optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.0, nesterov: false }, rates, 0.0, None);
    let figures = step(StepInput::new(&model, &mut method, &first, (0, 0)), &mut optimizer, 0.1).unwrap();
    let (total, figures) = figures.read().unwrap();

    // Of the images before training both features are those of the checkpoint: the rotation changes nothing.
    let unit_bank = unit(&bank).to_kind(Kind::Double);
    let shifted = naive_shift(&unit_bank, &unit_bank, &before_training.labels, &classifier);
    let shifted = Tensor::from_slice(&shifted.concat()).view(bank.size().as_slice());
    let length = finetuned.norm_scalaropt_dim(2.0, [1i64].as_slice(), false).mean(Kind::Double);
    let calibrated = unit(&shifted) * length;
    let cross_entropy = |features: &Tensor, labels: &[i64]| {
        let logits = features.to_kind(Kind::Double).matmul(&classifier.to_kind(Kind::Double).tr());
        let picked = logits.log_softmax(1, Kind::Double).gather(1, &Tensor::from_slice(labels).unsqueeze(1), false);
        -picked.mean(Kind::Double).double_value(&[])
    };
    let (of_batch, of_bank) =
        (cross_entropy(&finetuned, &first.labels), cross_entropy(&calibrated, &before_training.labels));
    assert!((figures[figure::CLASSIFICATION] - of_batch).abs() < 1e-4 * of_batch);
    assert!((figures[figure::BANK] - of_bank).abs() < 1e-3 * of_bank, "{} {of_bank}", figures[figure::BANK]);
    assert!((total - (6.0 * of_batch + 6.0 * of_bank) / 12.0).abs() < 1e-3 * total);

    // Eight places: two of the first six images stay, and the new ones follow.
    let state = |name: &str| method.state().get(name).unwrap().tensor.shallow_clone();
    let order = Tensor::from_slice(&[2i64, 3, 4, 5, 2, 3, 0, 1]);
    for (name, old, new) in [("bank.pretrained", &bank, &pretrained), ("bank.finetuned", &bank, &finetuned)] {
        let expected = Tensor::cat(&[&new.narrow(0, 2, 4), &old.narrow(0, 4, 2), &new.narrow(0, 0, 2)], 0);
        assert!(off(&state(name), &expected) < 1e-4, "{name}");
    }
    let labels = Tensor::from_slice(&first.labels).index_select(0, &order.narrow(0, 0, 4));
    assert!(state("bank.labels").narrow(0, 0, 4).equal(&labels));
}

#[test]
fn the_bank_takes_every_part_of_a_divided_step() {
    let model = model(4);
    let mut method = DrTune::new(SETTINGS);
    method.begin(&Start { network: &model, seed: 0, steps: 9, probe: None }).unwrap();
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let mut optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.0, nesterov: false }, rates, 0.0, None);
    let batch = batch(0);
    let input = StepInput::new(&model, &mut method, &batch, (0, 0)).accumulated(Accumulation::Split { part: 2 });
    step(input, &mut optimizer, 0.1).unwrap();
    let labels = method.state().get("bank.labels").unwrap().tensor.narrow(0, 0, 6);
    assert!(labels.equal(&Tensor::from_slice(&batch.labels)), "{labels}");
}

#[test]
fn the_rotation_is_computed_anew_in_every_second_step() {
    let model = model(4);
    let mut method = DrTune::new(SETTINGS);
    method.begin(&Start { network: &model, seed: 0, steps: 9, probe: None }).unwrap();
    StepInput::new(&model, &mut method, &batch(0), (0, 0)).prepare().unwrap();
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let mut optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.0, nesterov: false }, rates, 0.0, None);
    let mut rotations = Vec::new();
    for number in 0..3 {
        let bank = |name: &str| unit(&method.state().get(name).unwrap().tensor.narrow(0, 0, 6));
        let expected = rotation(&bank("bank.pretrained"), &bank("bank.finetuned")).unwrap();
        step(StepInput::new(&model, &mut method, &batch(number), (0, number as u64)), &mut optimizer, 0.1).unwrap();
        let now = method.state().get("rotation").unwrap().tensor.copy();
        if number == 0 {
            assert!(off(&now, &expected) < 1e-4);
        }
        rotations.push(now);
    }
    assert!(rotations[1].equal(&rotations[0]) && !rotations[2].equal(&rotations[1]));
}
