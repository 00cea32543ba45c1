//! The same weights give torchvision's logits. `torchvision_logits.py` wrote the expected ones; weights
//! and images are not stored but follow from their names, by the same integer arithmetic on both sides.

use coretune::engine::{channels_last, guard};
use coretune::models::{Architecture, Backbone, Family, Linear, Mode, Role};
use tch::{Device, Tensor, no_grad};

use crate::filled::{assert_close, expected, fill, filled, spread};

const CLASSES: i64 = 100;
const EXPECTED: &[u8] = include_bytes!("torchvision_logits.safetensors");

#[test]
fn resnet18_gives_torchvisions_logits() {
    check(Family::ResNet18);
}

#[test]
fn resnet34_gives_torchvisions_logits() {
    check(Family::ResNet34);
}

#[test]
fn resnet50_gives_torchvisions_logits() {
    check(Family::ResNet50);
}

#[test]
fn wide_resnet50_2_gives_torchvisions_logits() {
    check(Family::WideResNet50);
}

#[test]
fn resnext50_32x4d_gives_torchvisions_logits() {
    check(Family::ResNeXt50);
}

/// Fails unless the largest difference is at most 1e-4 of the largest logit.
fn check(family: Family) {
    assert_close(&logits(family), &expected(EXPECTED, family.name()), family.name());
}

fn logits(family: Family) -> Tensor {
    let backbone = Backbone::zeroed(&Architecture::published(family), Device::Cpu).unwrap();
    for parameter in backbone.parameters().iter() {
        assert!(parameter.role == Role::Buffer || parameter.tensor.requires_grad());
    }
    fill(backbone.parameters(), "");
    no_grad(|| {
        let width = backbone.feature_width();
        let (weight, bias) = (filled("fc.weight", &[CLASSES, width]), filled("fc.bias", &[CLASSES]));
        let classifier = Linear::from_values(&weight, Some(&bias), Device::Cpu).unwrap();
        let shape = [2, 3, 64, 64];
        let images = channels_last::copy(&spread("images", &shape, -2.0, 2.0));
        guard("computing logits", || classifier.forward(&backbone.features(&images, Mode::Evaluate))).unwrap()
    })
}
