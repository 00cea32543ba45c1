//! Residual blocks that are computed again in the backward pass give the same step, bit for bit.

use coretune::data::Batch;
use coretune::models::{Architecture, Backbone, Family, Linear, Mode, Model, Normalisation, ProjectionHead, Stem};
use coretune::objectives::CoreTuning;
use coretune::train::{Accumulation, LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor};

fn architecture(family: Family, width: f64) -> Architecture {
    Architecture { family, stem: Stem::Small, width }
}

fn backbone(family: Family, width: f64, checkpointing: bool) -> Backbone {
    let mut backbone = Backbone::new(&architecture(family, width), 5, Device::Cpu).unwrap();
    backbone.set_activation_checkpointing(checkpointing);
    backbone
}

fn batch() -> Batch {
    let values: Vec<u8> = (0..8 * 16 * 16 * 3u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    Batch {
        images: Tensor::from_slice(&values).view([8, 16, 16, 3]),
        labels: vec![0, 1, 0, 2, 1, 2, 0, 1],
        masks: None,
        indices: (0..8).collect(),
    }
}

/// Every tensor of the model and of the optimizer after two steps, by name.
fn after_two_steps(mut backbone: Backbone, accumulation: Accumulation, frozen: usize) -> Vec<(String, Tensor)> {
    backbone.freeze_stages(frozen).unwrap();
    let width = backbone.feature_width();
    let classifier = Linear::classifier(width, 3, 5, Device::Cpu).unwrap();
    let projection = ProjectionHead::new(width, 16, 5, Device::Cpu).unwrap();
    let model = Model::new(backbone, classifier, Some(projection), Normalisation::IMAGENET).unwrap();
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let mut optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 1e-4, None);
    let mut objective = CoreTuning::PUBLISHED;
    for number in 0..2 {
        let (batch, draw) = (batch(), (7, number));
        let input = StepInput::new(&model, &mut objective, &batch, draw).accumulated(accumulation);
        step(input, &mut optimizer, 0.05).unwrap();
    }
    let tensors = model.parameters();
    let tensors = tensors.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.copy()));
    tensors.chain(optimizer.state()).collect()
}

#[test]
fn weights_statistics_and_momenta_are_bit_identical() {
    let cases = [
        (Family::ResNet18, 0.25, Accumulation::Whole, 0),
        (Family::ResNet50, 0.125, Accumulation::Exact { part: 4 }, 0),
        // The first trained block gets an input without a gradient.
        (Family::ResNet18, 0.25, Accumulation::Whole, 2),
        (Family::MobileNetV2Small, 0.25, Accumulation::Whole, 0),
    ];
    for (family, width, accumulation, frozen) in cases {
        let run = |checkpointing| after_two_steps(backbone(family, width, checkpointing), accumulation, frozen);
        for ((name, plain), (_, recomputed)) in run(false).into_iter().zip(run(true)) {
            assert!(plain.equal(&recomputed), "{family:?}, {accumulation:?}: {name}");
        }
    }
}

#[test]
fn running_statistics_move_once_although_blocks_are_computed_twice() {
    let backbone = backbone(Family::ResNet18, 0.25, true);
    let images = batch().images.permute([0, 3, 1, 2]).to_kind(Kind::Float) / 255.0;
    let sum = backbone.features(&images, Mode::Train).sum(Kind::Float);
    let counter = |name: &str| i64::try_from(&backbone.parameters().get(name).unwrap().tensor).unwrap();
    let mean = backbone.parameters().get("layer1.0.bn1.running_mean").unwrap().tensor.copy();
    let weights = backbone.parameters();
    let weights: Vec<&Tensor> =
        weights.iter().map(|entry| &entry.tensor).filter(|weight| weight.requires_grad()).collect();
    let gradients = Tensor::run_backward(&[&sum], &weights, false, false);
    assert!(gradients.iter().all(Tensor::defined));
    assert_eq!((counter("bn1.num_batches_tracked"), counter("layer1.0.bn1.num_batches_tracked")), (1, 1));
    assert!(mean.equal(&backbone.parameters().get("layer1.0.bn1.running_mean").unwrap().tensor));
    assert!(f64::try_from(mean.abs().sum(Kind::Double)).unwrap() > 0.0);
}
