//! Mixup and CutMix against torchvision.

use std::fs;
use std::path::Path;

use coretune::random::{Purpose, stream};
use coretune::transforms::{ImageMix, MixImages};
use image::RgbImage;
use serde_json::Value;
use tch::{Kind, Tensor};

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transforms/fixtures")
}

/// Images of a batch below each other in a file: `[4, h, w, 3]`.
fn batch(name: &str) -> Tensor {
    let image: RgbImage = image::open(fixtures().join(format!("{name}.png"))).unwrap().to_rgb8();
    let (width, height) = (i64::from(image.width()), i64::from(image.height()));
    Tensor::from_slice(image.as_raw()).view([4, height / 4, width, 3])
}

/// For each image the one before it.
fn before(images: &Tensor) -> Tensor {
    images.roll([1i64], [0i64])
}

fn largest_difference(one: &Tensor, other: &Tensor) -> f64 {
    (one.to_kind(Kind::Float) - other.to_kind(Kind::Float)).abs().max().double_value(&[])
}

#[test]
fn mixup_is_that_of_torchvision_within_a_grey_level() {
    let source = batch("mix_source");
    for lam in [0.0, 0.27, 0.5, 0.9, 1.0] {
        let mixed = ImageMix::Blend { lam }.images(&source, &before(&source)).unwrap();
        let off = largest_difference(&mixed, &batch(&format!("mixup_{lam:.2}")));
        assert!(off <= 1.0, "lam {lam}: off by {off}");
    }
}

#[test]
fn cutmix_has_the_rectangles_and_the_labels_of_torchvision() {
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(fixtures().join("cutmix.json")).unwrap()).unwrap();
    assert!(cases.len() > 20);
    for case in &cases {
        let number = |name: &str| case[name].as_f64().unwrap();
        let whole = |name: &str| case[name].as_i64().unwrap();
        let size = (whole("width"), whole("height"));
        let mix = ImageMix::cut(number("lam"), (whole("x"), whole("y")), size);
        let corners: Vec<i64> = case["box"].as_array().unwrap().iter().map(|corner| corner.as_i64().unwrap()).collect();
        let ImageMix::Cut { corners: found } = mix else { panic!("{mix:?}") };
        assert_eq!(found.to_vec(), corners, "{case}");
        assert!((mix.own_fraction(size) - number("lam_adjusted")).abs() < 1e-12, "{case}");
    }
    let source = batch("mix_source");
    let cut = ImageMix::cut(0.6, (13, 9), (24, 20));
    assert!(cut.images(&source, &before(&source)).unwrap().equal(&batch("cutmix_0.6_13_9")));
}

#[test]
fn labels_are_mixed_as_the_images_are_and_partners_may_be_further_away() {
    let targets = Tensor::eye(4, (Kind::Double, tch::Device::Cpu));
    let blended = ImageMix::Blend { lam: 0.75 }.targets(&targets, 1, (8, 8)).unwrap();
    let expected = &targets * 0.75 + targets.roll([1i64], [0i64]) * 0.25;
    assert!(blended.equal(&expected));
    let cut = ImageMix::Cut { corners: [0, 0, 4, 4] };
    let mixed = cut.targets(&targets, 2, (8, 8)).unwrap();
    assert!((mixed.double_value(&[2, 2]) - 0.75).abs() < 1e-12 && (mixed.double_value(&[2, 0]) - 0.25).abs() < 1e-12);
}

#[test]
fn a_batch_has_the_mixing_that_is_on_or_each_half_of_the_time() {
    let kinds = |mixup: f64, cutmix: f64| {
        let mix = MixImages { mixup, cutmix, shift: 1 };
        let draws = (0..400).map(|step| mix.draw((20, 10), &mut stream(7, Purpose::ImageMix, 0, step)));
        let blends = draws.clone().filter(|mix| matches!(mix, Some(ImageMix::Blend { .. }))).count();
        (draws.flatten().count(), blends)
    };
    assert_eq!(kinds(0.0, 0.0), (0, 0));
    assert_eq!(kinds(0.2, 0.0), (400, 400));
    assert_eq!(kinds(0.0, 1.0), (400, 0));
    let (all, blends) = kinds(0.2, 1.0);
    assert!(all == 400 && (150..250).contains(&blends), "{blends}");
    assert!(MixImages { mixup: f64::NAN, cutmix: 0.0, shift: 1 }.check().is_err());
}
