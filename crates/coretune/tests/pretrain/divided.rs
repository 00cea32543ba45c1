//! A step of SimCLR in parts, as `--memory-limit` has it, is the whole step.

use coretune::data::Batch;
use coretune::engine::World;
use coretune::models::{Architecture, Backbone, Encoder, Family, Normalisation, ProjectionHead, Role, Stem};
use coretune::objectives::SimClr;
use coretune::pretrain::{PretrainedDescription, Pretraining};
use coretune::train::{Accumulation, Learner, Optimizer, Rule, TrainedWeight, run_parameters};
use coretune::transforms::ResizeMode;
use tch::{Device, Kind, Tensor};

const IMAGES: usize = 12;
/// So large that a change is the gradient, not a difference of nearly equal weights.
const RATE: f64 = 1e4;

/// Pre-training before its first step; batch norm is frozen, since each part has statistics of its own.
fn pretraining(accumulation: Accumulation) -> Pretraining {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.25 };
    let mut backbone = Backbone::new(&architecture, 3, Device::Cpu).unwrap();
    backbone.freeze_batch_norm();
    let head = ProjectionHead::new(backbone.feature_width(), 32, 3, Device::Cpu).unwrap();
    let encoder = Encoder::new(backbone, head, Normalisation::IMAGENET).unwrap();
    let Normalisation { mean, std } = encoder.normalisation;
    let objective = SimClr { temperature: 0.5 };
    let parameters = run_parameters(&encoder, &objective);
    let trained = parameters.iter().filter(|parameter| parameter.role == Role::Weight).map(|parameter| TrainedWeight {
        name: parameter.name.clone(),
        weight: parameter.tensor.shallow_clone(),
        rate_factor: 1.0,
    });
    Pretraining {
        optimizer: Optimizer::over(trained, Rule::Sgd { momentum: 0.0, nesterov: false }, 0.0, None),
        objective: Box::new(objective),
        seed: 9,
        accumulation,
        world: World::Alone,
        probe: None,
        description: PretrainedDescription {
            method: "simclr".into(),
            architecture,
            mean,
            std,
            img_size: 16,
            resize_mode: ResizeMode::Crop,
        },
        collapse_reported: false,
        encoder,
    }
}

/// What a step on two views of each image changes, by name of the weight.
fn changes(accumulation: Accumulation) -> Vec<(String, Tensor)> {
    let mut learner = pretraining(accumulation);
    let copies = |learner: &Pretraining| -> Vec<(String, Tensor)> {
        let parameters = learner.parameters();
        parameters.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.detach().copy())).collect()
    };
    let before = copies(&learner);
    tch::manual_seed(5);
    let images = Tensor::randint(256, [2 * IMAGES as i64, 16, 16, 3], (Kind::Uint8, Device::Cpu));
    let batch = Batch { images, labels: vec![0; IMAGES], masks: None, indices: (0..IMAGES).collect() };
    let figures = learner.step(&batch, 0, RATE).unwrap();
    assert!(figures.read().unwrap().0.is_finite());
    before.into_iter().zip(copies(&learner)).map(|((name, before), (_, after))| (name, after - before)).collect()
}

#[test]
fn a_step_of_simclr_in_parts_changes_every_weight_as_the_whole_step_does() {
    let whole = changes(Accumulation::Whole);
    let moved = whole.iter().filter(|(_, change)| change.abs().max().double_value(&[]) > 0.0).count();
    assert!(moved > whole.len() / 3, "{moved} of {} tensors moved", whole.len());
    for part in [2, 4, 5] {
        for ((name, whole), (_, divided)) in whole.iter().zip(&changes(Accumulation::Exact { part })) {
            let norm = |tensor: &Tensor| tensor.to_kind(Kind::Double).norm().double_value(&[]);
            let off = norm(&(whole - divided)) / norm(whole).max(1e-12);
            assert!(off <= 2e-5, "parts of {part}: the change of {name} is off by {off:e}");
        }
    }
}
