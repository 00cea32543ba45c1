use coretune::engine::{Precision, channels_last};
use coretune::models::{Architecture, Backbone, Family, Mode, Normalisation, Role, Stem};
use tch::{Device, Kind, Tensor};

fn images() -> Tensor {
    let bytes = Tensor::randint(256, [2, 16, 16, 3], (Kind::Uint8, Device::Cpu));
    Normalisation::IMAGENET.apply(&bytes, Device::Cpu)
}

/// Whether the bytes lie as NHWC and not also as NCHW (one channel or one pixel is both).
fn strictly(tensor: &Tensor) -> bool {
    channels_last::is(tensor) && !tensor.is_contiguous()
}

#[test]
fn every_stage_of_every_family_keeps_channels_last() {
    for family in Family::ALL.iter().copied() {
        let architecture = Architecture { family, stem: Stem::Small, width: 0.125 };
        let backbone = Backbone::zeroed(&architecture, Device::Cpu).unwrap();
        for mode in [Mode::Train, Mode::Evaluate] {
            let maps = backbone.stage_maps(&images(), mode);
            for (map, stage) in maps.iter().zip(backbone.stage_names()) {
                assert!(strictly(map), "{family} {stage}: {:?} {:?}", map.size(), map.stride());
            }
        }
    }
}

#[test]
fn the_imagenet_stem_keeps_channels_last_through_the_pool() {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Imagenet, width: 0.25 };
    let backbone = Backbone::new(&architecture, 0, Device::Cpu).unwrap();
    assert!(backbone.stage_maps(&images(), Mode::Train)[..3].iter().all(strictly));
}

#[test]
fn weights_and_their_gradients_are_channels_last() {
    for (family, width) in [(Family::ResNet18, 0.25), (Family::ResNeXt50, 0.125), (Family::MobileNetV2Small, 0.5)] {
        let architecture = Architecture { family, stem: Stem::Small, width };
        let backbone = Backbone::new(&architecture, 0, Device::Cpu).unwrap();
        let features = backbone.features(&images(), Mode::Train);
        // As the optimizer sees them: computed, not yet brought into the layout of the leaf.
        let weights: Vec<_> =
            backbone.parameters().iter().filter(|p| p.role == Role::Weight && p.tensor.dim() == 4).collect();
        let leaves: Vec<_> = weights.iter().map(|p| &p.tensor).collect();
        let gradients = Tensor::run_backward(&[features.square().sum(Kind::Float)], &leaves, false, false);
        for (parameter, gradient) in weights.iter().zip(&gradients) {
            let name = &parameter.name;
            assert!(parameter.tensor.is_leaf() && parameter.tensor.requires_grad(), "{family} {name}");
            assert!(channels_last::is(&parameter.tensor), "{family} {name}");
            assert!(channels_last::is(gradient), "{family} {name}: {:?} {:?}", gradient.size(), gradient.stride());
        }
    }
}

#[test]
fn normalisation_divides_by_255_subtracts_and_divides() {
    let bytes = Tensor::randint(256, [2, 5, 7, 3], (Kind::Uint8, Device::Cpu));
    let normalised = Normalisation::IMAGENET.apply(&bytes, Device::Cpu);
    assert_eq!((normalised.size().as_slice(), normalised.kind()), (&[2, 3, 5, 7][..], Kind::Float));
    assert!(strictly(&normalised));
    let constants = |values: [f64; 3]| Tensor::from_slice(&values);
    let Normalisation { mean, std } = Normalisation::IMAGENET;
    let expected = (bytes.to_kind(Kind::Double) / 255.0 - constants(mean)) / constants(std);
    let error = (normalised.permute([0, 2, 3, 1]).to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
    assert!(error < 1e-6, "{error}");
}

#[test]
fn bf16_keeps_the_layout_the_master_weights_and_f32_features() {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
    let mut backbone = Backbone::new(&architecture, 0, Device::Cpu).unwrap();
    let images = images();
    let exact = backbone.features(&images, Mode::Train);
    backbone.set_precision(Precision::Bf16);
    let map = backbone.stage_maps(&images, Mode::Train).pop().unwrap();
    assert_eq!(map.kind(), Kind::BFloat16);
    assert!(strictly(&map));
    let rounded = backbone.features(&images, Mode::Train);
    assert_eq!(rounded.kind(), Kind::Float);
    let error = ((&rounded - &exact).norm() / exact.norm()).double_value(&[]);
    assert!(error > 1e-6 && error < 0.05, "{error}");
    rounded.sum(Kind::Float).backward();
    for parameter in backbone.parameters().iter().filter(|p| p.role == Role::Weight) {
        assert_eq!(parameter.tensor.kind(), Kind::Float, "{}", parameter.name);
        assert_eq!(parameter.tensor.grad().kind(), Kind::Float, "{}", parameter.name);
    }
}
