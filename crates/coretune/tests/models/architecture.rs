use coretune::engine::threads;
use coretune::models::{Architecture, Backbone, Family, Mode, ModelError, Role, Stem};
use tch::{Device, Kind, Tensor};

fn build(family: Family) -> Backbone {
    Backbone::zeroed(&Architecture::published(family), Device::Cpu).unwrap()
}

/// Parameters of torchvision's models without `fc` (their documented `num_params` less 1000 D + 1000).
#[test]
fn every_resnet_has_as_many_weights_as_torchvisions() {
    let published = [
        (Family::ResNet18, 512, 11_689_512),
        (Family::ResNet34, 512, 21_797_672),
        (Family::ResNet50, 2048, 25_557_032),
        (Family::ResNet101, 2048, 44_549_160),
        (Family::ResNet152, 2048, 60_192_808),
        (Family::WideResNet50, 2048, 68_883_240),
        (Family::WideResNet101, 2048, 126_886_696),
        (Family::ResNeXt50, 2048, 25_028_904),
        (Family::ResNeXt101, 2048, 88_791_336),
    ];
    for (family, width, with_classifier) in published {
        let backbone = build(family);
        assert_eq!(backbone.feature_width(), width, "{family}");
        let count = backbone.parameters().weight_count() as i64;
        assert_eq!(count, with_classifier - 1000 * width - 1000, "{family}");
    }
}

#[test]
fn resnet50_lists_torchvisions_tensors() {
    let backbone = build(Family::ResNet50);
    let parameters = backbone.parameters();
    assert_eq!(parameters.len(), 318);
    let first: Vec<_> = parameters.iter().take(7).map(|p| p.name.as_str()).collect();
    assert_eq!(
        first,
        [
            "conv1.weight",
            "bn1.weight",
            "bn1.bias",
            "bn1.running_mean",
            "bn1.running_var",
            "bn1.num_batches_tracked",
            "layer1.0.conv1.weight"
        ]
    );
    let shape = |name: &str| parameters.get(name).unwrap().tensor.size();
    assert_eq!(shape("layer1.0.downsample.0.weight"), [256, 64, 1, 1]);
    assert_eq!(shape("layer3.5.conv2.weight"), [256, 256, 3, 3]);
    assert_eq!(shape("layer4.2.bn3.running_var"), [2048]);
    let counter = parameters.get("bn1.num_batches_tracked").unwrap();
    assert_eq!((counter.tensor.kind(), counter.tensor.size(), counter.role), (Kind::Int64, vec![], Role::Buffer));
}

/// The real checkpoint holds 1,017,268 values, those of its projector (640-512-128, one batch norm) and of the unused
/// classifier of ten classes included.
#[test]
fn mobilenet_at_half_width_has_the_tensors_of_the_real_checkpoint() {
    let architecture = Architecture { family: Family::MobileNetV2Small, stem: Stem::Imagenet, width: 0.5 };
    let backbone = Backbone::new(&architecture, 0, Device::Cpu).unwrap();
    assert_eq!(backbone.feature_width(), 640);
    let values: usize = backbone.parameters().iter().map(|p| p.tensor.numel()).sum();
    let projector = 640 * 512 + 4 * 512 + 1 + 512 * 128 + 128;
    let classifier = 10 * 640 + 10;
    assert_eq!(values + projector + classifier, 1_017_268);
    let shape = |name: &str| backbone.parameters().get(name).unwrap().tensor.size();
    assert_eq!(shape("conv1.weight"), [32, 3, 3, 3]);
    assert_eq!(shape("layers.0.shortcut.0.weight"), [8, 32, 1, 1]);
    assert_eq!(shape("layers.3.conv2.weight"), [72, 1, 3, 3]);
    assert_eq!(shape("layers.16.conv3.weight"), [160, 480, 1, 1]);
    assert_eq!(shape("conv2.weight"), [640, 160, 1, 1]);
    assert!(backbone.parameters().get("layers.3.shortcut.0.weight").is_none());
}

#[test]
fn the_small_stem_keeps_the_resolution_and_the_imagenet_stem_quarters_it() {
    let images = Tensor::zeros([1, 3, 32, 32], (Kind::Float, Device::Cpu));
    for (stem, side) in [(Stem::Small, 32), (Stem::Imagenet, 8)] {
        let architecture = Architecture { family: Family::ResNet18, stem, width: 0.125 };
        let backbone = Backbone::new(&architecture, 0, Device::Cpu).unwrap();
        assert_eq!(backbone.stage_names(), ["stem", "layer1", "layer2", "layer3", "layer4"]);
        let maps = backbone.stage_maps(&images, Mode::Evaluate);
        let sides: Vec<_> = maps.iter().map(|map| map.size()[2]).collect();
        assert_eq!(sides, [side, side, side / 2, side / 4, side / 8]);
        assert_eq!(backbone.features(&images, Mode::Evaluate).size(), [1, 64]);
    }
}

#[test]
fn every_family_can_be_narrowed() {
    let images = Tensor::rand([2, 3, 16, 16], (Kind::Float, Device::Cpu));
    for family in Family::ALL.iter().copied() {
        for width in [0.01, 0.05] {
            let architecture = Architecture { family, stem: Stem::Small, width };
            let backbone = Backbone::new(&architecture, 0, Device::Cpu).unwrap();
            let features = backbone.features(&images, Mode::Evaluate);
            assert_eq!(features.size(), [2, backbone.feature_width()], "{family} at {width}");
            assert!(bool::try_from(features.isfinite().all()).unwrap(), "{family} at {width}");
        }
    }
}

/// libtorch's backward pass would write past the end of its memory.
#[test]
fn a_network_too_narrow_for_libtorch_is_refused() {
    let of = |family, width| {
        Backbone::outline(&Architecture { family, stem: Stem::Small, width }).unwrap().check_trainable()
    };
    for width in [0.01, 0.0625, 0.1] {
        let error = of(Family::ResNet18, width).unwrap_err();
        assert!(matches!(error, ModelError::Narrow { .. }) && error.hint().is_some(), "{error}");
    }
    // Two threads and more need twice the channels.
    let narrowest = if threads::get() == 1 { [0.125, 0.0625] } else { [0.25, 0.125] };
    assert!(of(Family::ResNet18, narrowest[0]).is_ok() && of(Family::ResNet50, narrowest[1]).is_ok());
    assert!(of(Family::ResNet18, narrowest[0] / 2.0).is_err());
}

#[test]
fn a_width_that_makes_no_network_is_refused() {
    for width in [0.0, -1.0, f64::NAN, f64::INFINITY, 100.0] {
        let architecture = Architecture { family: Family::ResNet18, stem: Stem::Imagenet, width };
        let error = Backbone::new(&architecture, 0, Device::Cpu).unwrap_err();
        assert!(matches!(error, ModelError::Width { .. }), "{width}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn initial_weights_depend_on_the_seed_and_have_kaimings_spread() {
    let weight = |seed| {
        let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.25 };
        let backbone = Backbone::new(&architecture, seed, Device::Cpu).unwrap();
        backbone.parameters().get("layer4.1.conv2.weight").unwrap().tensor.detach()
    };
    let (a, b) = (weight(1), weight(2));
    assert_eq!(a, weight(1));
    assert_ne!(a, b);
    let expected = (2.0_f64 / (128.0 * 9.0)).sqrt();
    let deviation = a.std(true).double_value(&[]);
    assert!((deviation / expected - 1.0).abs() < 0.01, "{deviation} against {expected}");
}

#[test]
fn stages_of_parameters_follow_the_depth() {
    let backbone = build(Family::ResNet18);
    let stages = ["conv1.weight", "layer1.0.conv1.weight", "layer4.1.bn2.bias"].map(|name| backbone.stage_of(name));
    assert_eq!(stages, [Some(0), Some(1), Some(4)]);
    assert_eq!(backbone.stage_of("fc.weight"), None);
    let mobilenet = build(Family::MobileNetV2Small);
    let stages = ["bn1.bias", "layers.0.conv1.weight", "layers.2.bn1.weight", "layers.16.bn3.bias", "conv2.weight"];
    assert_eq!(stages.map(|name| mobilenet.stage_of(name).unwrap()), [0, 1, 2, 7, 8]);
}
