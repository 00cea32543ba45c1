//! The updates of the weights.

use coretune::models::{Architecture, Backbone, Family, Linear, Mode, Model, Normalisation, ProjectionHead, Stem};
use coretune::train::{LayerRates, Optimizer, Rule, TrainedWeight, WeightAverage};
use tch::{Device, Kind, Tensor};

const EVERY_LAYER: LayerRates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };

fn model() -> Model {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
    let backbone = Backbone::new(&architecture, 3, Device::Cpu).unwrap();
    let width = backbone.feature_width();
    let classifier = Linear::classifier(width, 4, 3, Device::Cpu).unwrap();
    let projection = ProjectionHead::new(width, 32, 3, Device::Cpu).unwrap();
    Model::new(backbone, classifier, Some(projection), Normalisation::IMAGENET).unwrap()
}

/// One weight, three updates, against the formulas written out in scalars.
#[test]
fn updates_follow_their_formulas() {
    let (rate, decay) = (0.1, 0.01);
    let gradients = [0.5, -0.25, 1.0];
    let naive_sgd = |nesterov: bool| {
        let (mut w, mut buffer) = (1.0, 0.0);
        for g in gradients {
            let g = g + decay * w;
            buffer = 0.9 * buffer + g;
            w -= rate * if nesterov { g + 0.9 * buffer } else { buffer };
        }
        w
    };
    let naive_adam_w = || {
        let (mut w, mut m, mut v) = (1.0f64, 0.0, 0.0);
        for (t, g) in gradients.into_iter().enumerate() {
            w -= rate * decay * w;
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (first, second) = (1.0 - 0.9f64.powi(t as i32 + 1), 1.0 - 0.999f64.powi(t as i32 + 1));
            w -= rate * (m / first) / ((v / second).sqrt() + 1e-8);
        }
        w
    };
    let cases = [
        (Rule::Sgd { momentum: 0.9, nesterov: true }, naive_sgd(true)),
        (Rule::Sgd { momentum: 0.9, nesterov: false }, naive_sgd(false)),
        (Rule::AdamW, naive_adam_w()),
    ];
    for (rule, expected) in cases {
        let model = model();
        let mut optimizer = Optimizer::new(&model, rule, EVERY_LAYER, decay, None);
        tch::no_grad(|| optimizer.weights().iter().for_each(|weight| drop(weight.shallow_clone().fill_(1.0))));
        for gradient in gradients {
            let of = |weight: &&Tensor| weight.detach().full_like(gradient);
            let gradients = optimizer.weights().iter().map(of).collect();
            optimizer.update(rate, gradients);
        }
        for weight in optimizer.weights() {
            let off = (weight.detach() - expected).abs().max().double_value(&[]);
            assert!(off < 1e-5, "{rule:?}: off by {off}");
        }
    }
}

/// The update of all weights at once has the bits of the formula written out in operators of tch, whatever the order in
/// memory of weights and gradients. The elements are whole vectors of the processor: what is left over after them may differ in
/// the last bit.
#[test]
fn the_update_of_all_weights_at_once_has_the_bits_of_one_after_the_other() {
    let (rate, decay, momentum) = (0.03, 5e-4, 0.9);
    for nesterov in [false, true] {
        tch::manual_seed(11);
        let normal = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let contiguous = [normal(&[32, 5, 3, 3]), normal(&[128]), normal(&[8, 16, 1, 1])];
        let turned = normal(&[16, 3, 3, 7]).permute([0, 3, 1, 2]);
        let weights: Vec<Tensor> = contiguous.into_iter().chain([turned]).collect();
        let mut naive: Vec<Tensor> = weights.iter().map(Tensor::copy).collect();
        let mut buffers: Vec<Tensor> = weights.iter().map(Tensor::zeros_like).collect();
        let trained = weights.iter().enumerate().map(|(number, weight)| TrainedWeight {
            name: number.to_string(),
            weight: weight.shallow_clone(),
            rate_factor: if number == 1 { 10.0 } else { 1.0 },
        });
        let mut optimizer = Optimizer::over(trained, Rule::Sgd { momentum, nesterov }, decay, None);
        for _ in 0..3 {
            let gradients: Vec<Tensor> = naive.iter().map(|weight| normal(&weight.size())).collect();
            for (number, gradient) in gradients.iter().enumerate() {
                let rate = rate * if number == 1 { 10.0 } else { 1.0 };
                let scaled = |tensor: &Tensor, factor: f64| (tensor.shallow_clone(), Tensor::from(factor as f32));
                let (source, factor) = scaled(&naive[number], decay);
                let mut direction = gradient.copy().addcmul_(&source, &factor);
                let buffer = buffers[number].g_mul_scalar_(momentum).g_add_(&direction);
                direction = if nesterov { direction.addcmul_(&buffer, &Tensor::from(momentum as f32)) } else { buffer };
                let _ = naive[number].addcmul_(&direction, &Tensor::from(-rate as f32));
            }
            optimizer.update(rate, gradients);
        }
        for (number, (ours, naive)) in weights.iter().zip(&naive).enumerate() {
            assert_eq!(ours, naive, "weight {number}, nesterov {nesterov}");
        }
    }
}

/// Depthwise weights and gradients as backpropagation lays them out: the update of all weights at once is the formula.
#[test]
fn weights_of_a_mobile_net_are_updated_by_the_gradients_of_a_pass() {
    let architecture = Architecture { family: Family::MobileNetV2Small, stem: Stem::Small, width: 1.0 };
    let backbone = Backbone::new(&architecture, 3, Device::Cpu).unwrap();
    let classifier = Linear::classifier(backbone.feature_width(), 3, 3, Device::Cpu).unwrap();
    let model = Model::new(backbone, classifier, None, Normalisation::IMAGENET).unwrap();
    let rule = Rule::Sgd { momentum: 0.9, nesterov: true };
    let mut optimizer = Optimizer::new(&model, rule, EVERY_LAYER, 1e-4, None);
    tch::manual_seed(5);
    let images = Tensor::randint(256, [4, 32, 32, 3], (Kind::Uint8, Device::Cpu));
    let mut buffers: Vec<Tensor> = optimizer.weights().iter().map(|weight| weight.detach().zeros_like()).collect();
    for _ in 0..2 {
        let loss = model.logits(&images, Mode::Train).unwrap().square().sum(Kind::Float);
        let gradients = Tensor::run_backward(&[&loss], &optimizer.weights(), false, false);
        let expected: Vec<Tensor> = optimizer
            .weights()
            .iter()
            .zip(&gradients)
            .zip(&mut buffers)
            .map(|((weight, gradient), buffer)| {
                let direction = gradient + weight.detach() * 1e-4;
                *buffer = &*buffer * 0.9 + &direction;
                weight.detach() - (direction + &*buffer * 0.9) * 0.03
            })
            .collect();
        optimizer.update(0.03, gradients);
        for (number, (weight, expected)) in optimizer.weights().iter().zip(&expected).enumerate() {
            let off = (weight.detach() - expected).abs().max().double_value(&[])
                / expected.abs().max().double_value(&[]).max(1e-6);
            assert!(off < 1e-6, "weight {number} of shape {:?} is off by {off}", weight.size());
        }
    }
}

#[test]
fn clipping_scales_all_gradients_to_the_given_joint_norm() {
    let model = model();
    let sgd = Rule::Sgd { momentum: 0.0, nesterov: false };
    let mut optimizer = Optimizer::new(&model, sgd, EVERY_LAYER, 0.0, Some(2.0));
    let before: Vec<Tensor> = optimizer.weights().iter().map(|weight| weight.detach().copy()).collect();
    let gradients = before.iter().map(Tensor::ones_like).collect();
    optimizer.update(1.0, gradients);
    let squares = before.iter().zip(optimizer.weights()).map(|(b, w)| (b - w.detach()).square().sum(Kind::Double));
    let norm = squares.map(|square| square.double_value(&[])).sum::<f64>().sqrt();
    assert!((norm - 2.0).abs() < 1e-3, "{norm}");
}

#[test]
fn lower_stages_move_less_under_layer_decay_and_heads_by_their_factor() {
    let model = model();
    let rates = LayerRates { layer_decay: 0.5, head_factor: 3.0 };
    let sgd = Rule::Sgd { momentum: 0.0, nesterov: false };
    let mut optimizer = Optimizer::new(&model, sgd, rates, 0.0, None);
    let names: Vec<(String, Tensor)> =
        model.parameters().iter().map(|p| (p.name.clone(), p.tensor.detach().copy())).collect();
    let gradients = optimizer.weights().iter().map(|weight| weight.detach().ones_like()).collect();
    optimizer.update(0.1, gradients);
    let moved = |name: &str| {
        let before = &names.iter().find(|(other, _)| other == name).unwrap().1;
        (before - model.parameters().get(name).unwrap().tensor.detach()).abs().max().double_value(&[])
    };
    for (name, factor) in [
        ("classifier.weight", 3.0),
        ("backbone.layer4.0.bn1.bias", 0.5),
        ("backbone.layer3.0.bn1.bias", 0.25),
        ("backbone.bn1.bias", 0.03125),
    ] {
        assert!((moved(name) - 0.1 * factor).abs() < 1e-6, "{name} moved by {}", moved(name));
    }
}

#[test]
fn the_average_follows_and_can_be_exchanged() {
    let model = model();
    let mut average = WeightAverage::new(&model, 0.75);
    let weight = &model.classifier.weight;
    let before = weight.detach().copy();
    tch::no_grad(|| drop(weight.shallow_clone().g_add_scalar_(1.0)));
    average.follow();
    average.exchange();
    assert!(((weight.detach() - &before) - 0.25).abs().max().double_value(&[]) < 1e-6);
    average.exchange();
    assert!(((weight.detach() - &before) - 1.0).abs().max().double_value(&[]) < 1e-6);
}

/// A weight without gradients in the first updates is corrected by its own number of updates, as PyTorch's counts them.
#[test]
fn updates_in_which_a_weight_rests_do_not_count_for_its_moments() {
    let weight = |value: f32| Tensor::from_slice(&[value]).set_requires_grad(true);
    let over = |weight: &Tensor| {
        let trained = TrainedWeight { name: "backbone.w".into(), weight: weight.shallow_clone(), rate_factor: 1.0 };
        Optimizer::over(std::iter::once(trained), Rule::AdamW, 0.01, None)
    };
    let (late, early) = (weight(1.0), weight(1.0));
    let mut rested = over(&late).resting(|name| if name == "backbone.w" { 50 } else { 0 });
    let mut fresh = over(&early);
    for _ in 0..50 {
        rested.update(0.1, vec![Tensor::new()]);
    }
    for gradient in [0.5f32, -0.25, 1.0] {
        rested.update(0.1, vec![Tensor::from_slice(&[gradient])]);
        fresh.update(0.1, vec![Tensor::from_slice(&[gradient])]);
        assert!(late.equal(&early), "{late:?} {early:?}");
    }
}
