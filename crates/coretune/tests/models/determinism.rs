use coretune::engine::{Precision, threads};
use coretune::models::{Architecture, Backbone, Family, Mode, Role, Stem};
use tch::{Device, Kind, Tensor};

/// Features and all gradients of one training step of the same seed.
fn training_step(family: Family, width: f64, precision: Precision, images: &Tensor) -> Vec<Tensor> {
    let architecture = Architecture { family, stem: Stem::Small, width };
    let mut backbone = Backbone::new(&architecture, 5, Device::Cpu).unwrap();
    backbone.set_precision(precision);
    let features = backbone.features(images, Mode::Train);
    features.square().sum(Kind::Float).backward();
    let gradients =
        backbone.parameters().iter().filter(|p| p.role == Role::Weight).map(|p| p.tensor.grad()).collect::<Vec<_>>();
    std::iter::once(features.detach()).chain(gradients).collect()
}

#[test]
fn a_training_step_gives_the_same_bits_twice_on_two_threads() {
    threads::set(2).unwrap();
    let images = Tensor::randn([8, 3, 32, 32], (Kind::Float, Device::Cpu));
    for (family, width, precision) in [
        (Family::ResNet18, 0.25, Precision::F32),
        (Family::MobileNetV2Small, 0.5, Precision::F32),
        (Family::ResNet18, 0.125, Precision::Bf16),
    ] {
        let step = || training_step(family, width, precision, &images);
        let (once, again) = (step(), step());
        assert!(once.iter().zip(&again).all(|(a, b)| a == b), "{family} in {precision}");
    }
}

/// The gradient of indexing by a tensor adds with float atomics on several threads once it is this large; that of
/// `index_select`, which mining uses, must not.
#[test]
fn the_gradient_of_index_select_is_the_same_at_64_rows_of_2048() {
    threads::set(2).unwrap();
    let rows = Tensor::randn([64, 2048], (Kind::Float, Device::Cpu));
    let partners = Tensor::randint(8, [64], (Kind::Int64, Device::Cpu));
    let weights = Tensor::randn([64, 2048], (Kind::Float, Device::Cpu));
    let gradient = || {
        let rows = rows.copy().set_requires_grad(true);
        (rows.index_select(0, &partners) * &weights).sum(Kind::Float).backward();
        rows.grad()
    };
    let first = gradient();
    for _ in 0..20 {
        assert_eq!(gradient(), first);
    }
}
