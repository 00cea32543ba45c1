//! The same weights give torchvision's logits. `torchvision_logits.py` wrote the expected ones; weights
//! and images are not stored but follow from their names, by the same integer arithmetic on both sides.

use coretune::engine::{channels_last, guard};
use coretune::models::{Architecture, Backbone, Family, Linear, Mode, Role};
use safetensors::SafeTensors;
use tch::{Device, Kind, Tensor, no_grad};

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
    let expected = expected(family.name());
    let found = logits(family);
    assert_eq!(found.size(), expected.size());
    let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    let difference = largest(&(&found - &expected)) / largest(&expected);
    println!("{family}: largest difference {difference:.2e} of the largest logit");
    assert!(difference <= 1e-4, "{family}: {difference:.2e}");
}

fn logits(family: Family) -> Tensor {
    let backbone = Backbone::zeroed(&Architecture::published(family), Device::Cpu).unwrap();
    no_grad(|| {
        for parameter in backbone.parameters().iter().filter(|p| p.tensor.kind() == Kind::Float) {
            assert!(parameter.role == Role::Buffer || parameter.tensor.requires_grad());
            parameter.tensor.shallow_clone().copy_(&filled(&parameter.name, &parameter.tensor.size()));
        }
        let width = backbone.feature_width();
        let (weight, bias) = (filled("fc.weight", &[CLASSES, width]), filled("fc.bias", &[CLASSES]));
        let classifier = Linear::from_values(&weight, Some(&bias), Device::Cpu).unwrap();
        let shape = [2, 3, 64, 64];
        let images = channels_last::copy(&spread("images", &shape, -2.0, 2.0));
        guard("computing logits", || classifier.forward(&backbone.features(&images, Mode::Evaluate))).unwrap()
    })
}

fn expected(model: &str) -> Tensor {
    let file = SafeTensors::deserialize(EXPECTED).unwrap();
    let view = file.tensor(model).unwrap();
    let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    let values: Vec<f32> = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    Tensor::from_slice(&values).view(shape.as_slice())
}

/// The tensor of this name, as in the script's `filled`.
fn filled(name: &str, shape: &[i64]) -> Tensor {
    let fan_in = shape[1..].iter().product::<i64>() as f64;
    let (low, high) = match shape.len() {
        4 => (-(3.0 / fan_in).sqrt(), (3.0 / fan_in).sqrt()),
        2 => (-(1.0 / fan_in).sqrt(), (1.0 / fan_in).sqrt()),
        _ if name.ends_with(".running_var") || name.ends_with(".weight") => (0.5, 1.5),
        _ => (-0.2, 0.2),
    };
    spread(name, shape, low, high)
}

/// SplitMix64, started from the FNV-1a hash of `name`, scaled to [low, high).
fn spread(name: &str, shape: &[i64], low: f64, high: f64) -> Tensor {
    let start = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    let values: Vec<f32> = (1..=shape.iter().product::<i64>() as u64)
        .map(|i| {
            let z = start.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let unit = ((z ^ (z >> 31)) >> 11) as f64 / 2f64.powi(53);
            (low + (high - low) * unit) as f32
        })
        .collect();
    Tensor::from_slice(&values).view(shape)
}
