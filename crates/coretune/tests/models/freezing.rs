use coretune::models::{Architecture, Backbone, Family, Mode, ModelError, Role, Stem};
use tch::{Device, Kind, Tensor, no_grad};

fn backbone(family: Family) -> Backbone {
    Backbone::new(&Architecture { family, stem: Stem::Small, width: 0.25 }, 0, Device::Cpu).unwrap()
}

/// One step of plain gradient descent in training mode; names of the tensors that it moved.
fn moved_by_a_step(backbone: &Backbone) -> Vec<String> {
    let before: Vec<_> = backbone.parameters().iter().map(|p| p.tensor.detach().copy()).collect();
    let images = Tensor::rand([4, 3, 16, 16], (Kind::Float, Device::Cpu));
    backbone.features(&images, Mode::Train).square().sum(Kind::Float).backward();
    no_grad(|| {
        for parameter in backbone.parameters().iter().filter(|p| p.tensor.requires_grad()) {
            let _ = parameter.tensor.shallow_clone().g_sub_(&(parameter.tensor.grad() * 0.1));
        }
    });
    let after = backbone.parameters().iter().zip(&before);
    after.filter(|(p, before)| p.tensor != **before).map(|(p, _)| p.name.clone()).collect()
}

#[test]
fn a_step_moves_everything_unless_frozen() {
    let backbone = backbone(Family::ResNet18);
    assert_eq!(moved_by_a_step(&backbone).len(), backbone.parameters().len());
}

#[test]
fn frozen_stages_do_not_move_and_the_others_do() {
    for (family, count) in [(Family::ResNet18, 3), (Family::MobileNetV2Small, 4)] {
        let mut backbone = backbone(family);
        backbone.freeze_stages(count).unwrap();
        let moved = moved_by_a_step(&backbone);
        for parameter in backbone.parameters().iter() {
            let frozen = backbone.stage_of(&parameter.name).unwrap() < count;
            assert_eq!(!moved.contains(&parameter.name), frozen, "{family} {}", parameter.name);
        }
    }
}

#[test]
fn frozen_batch_norm_keeps_its_statistics_and_trains_its_weights() {
    let mut backbone = backbone(Family::ResNet18);
    backbone.freeze_batch_norm();
    let moved = moved_by_a_step(&backbone);
    for parameter in backbone.parameters().iter() {
        assert_eq!(moved.contains(&parameter.name), parameter.role == Role::Weight, "{}", parameter.name);
    }
}

#[test]
fn evaluation_moves_nothing() {
    let backbone = backbone(Family::ResNet18);
    let before: Vec<_> = backbone.parameters().iter().map(|p| p.tensor.detach().copy()).collect();
    let images = Tensor::rand([4, 3, 16, 16], (Kind::Float, Device::Cpu));
    let once = backbone.features(&images, Mode::Evaluate);
    assert_eq!(once, backbone.features(&images, Mode::Evaluate));
    assert!(backbone.parameters().iter().zip(&before).all(|(p, before)| p.tensor == *before));
}

#[test]
fn more_stages_than_there_are_cannot_be_frozen() {
    let mut backbone = backbone(Family::ResNet18);
    backbone.freeze_stages(5).unwrap();
    let error = backbone.freeze_stages(6).unwrap_err();
    assert!(matches!(error, ModelError::Stage { found: 6, stages: 5, .. }));
    assert!(error.to_string().contains("stem, layer1"), "{error}");
}
