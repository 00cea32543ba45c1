//! What a step sends to the device, and how often it calls libtorch.

use coretune::data::Batch;
use coretune::engine::transfer;
use coretune::models::{Architecture, Backbone, Family, Linear, Model, Normalisation, ProjectionHead, Stem};
use coretune::objectives::{CoreTuning, CrossEntropy, Objective, PairScheme, SupervisedContrastive};
use coretune::train::{LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 3;
const IMAGES: i64 = 6;

fn model() -> Model {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.25 };
    let backbone = Backbone::new(&architecture, 3, Device::Cpu).unwrap();
    let width = backbone.feature_width();
    let classifier = Linear::classifier(width, CLASSES, 3, Device::Cpu).unwrap();
    let projection = ProjectionHead::new(width, 32, 3, Device::Cpu).unwrap();
    Model::new(backbone, classifier, Some(projection), Normalisation::IMAGENET).unwrap()
}

/// A batch whose labels are those of no other number: a list that was sent before is not sent again.
fn batch(number: u32) -> Batch {
    Batch {
        images: Tensor::randint(256, [IMAGES, 16, 16, 3], (Kind::Uint8, Device::Cpu)),
        labels: (0..IMAGES as u32).map(|image| i64::from(number / 3u32.pow(image) % 3)).collect(),
        masks: None,
        indices: vec![0; IMAGES as usize],
    }
}

fn objectives() -> Vec<Box<dyn Objective>> {
    let core_tuning = |pairs| CoreTuning { pairs, ..CoreTuning::PUBLISHED };
    vec![
        Box::new(CrossEntropy { label_smoothing: 0.0 }),
        Box::new(SupervisedContrastive { eta: 0.5, temperature: 0.07, label_smoothing: 0.0 }),
        Box::new(core_tuning(PairScheme::Own)),
        Box::new(core_tuning(PairScheme::Soft)),
        Box::new(core_tuning(PairScheme::Reference)),
    ]
}

#[test]
fn a_step_makes_two_transfers() {
    let model = model();
    for (place, mut objective) in (0..).zip(objectives()) {
        let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
        let mut optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 1e-4, None);
        let mut transfers = |number: u32| {
            let (batch, before) = (batch(1 + 3 * place + number), transfer::count());
            step(StepInput::new(&model, &mut *objective, &batch, (0, number.into())), &mut optimizer, 0.01).unwrap();
            transfer::count() - before
        };
        assert_eq!([transfers(0), transfers(1), transfers(2)], [2, 2, 2], "{}", objective.name());
    }
}

#[test]
fn calls_into_the_dispatcher_are_counted_once_however_deep_they_go() {
    let rows = Tensor::ones([3, 2], (Kind::Float, Device::Cpu));
    // `matmul` calls `mm`, which does not count.
    let (_, calls) = coretune_native::dispatcher_calls(|| [rows.matmul(&rows.tr()), rows.relu(), rows.relu()]).unwrap();
    assert_eq!(calls.get("aten::matmul"), Some(&1), "{calls:?}");
    assert_eq!(calls.get("aten::relu"), Some(&2), "{calls:?}");
    assert_eq!(calls.get("aten::mm"), None, "{calls:?}");
    let ((), calls) = coretune_native::dispatcher_calls(|| ()).unwrap();
    assert!(calls.is_empty(), "{calls:?}");
}

#[test]
fn the_backward_pass_counts_by_its_operators() {
    let rows = Tensor::ones([3, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let loss = rows.relu().sum(Kind::Float);
    let ((), calls) = coretune_native::dispatcher_calls(|| loss.backward()).unwrap();
    assert_eq!(calls.get("aten::threshold_backward"), Some(&1), "{calls:?}");
    assert!(calls.keys().all(|name| name.starts_with("aten::")), "{calls:?}");
}
