use coretune::random::{Purpose, stream};
use coretune::transforms::{
    Augmentation, ColorChange, ColorJitter, Drawn, GaussianBlur, Interpolation, PaddingMode, RandomCrop,
    RandomGrayscale, RandomHorizontalFlip, RandomRotation, Region, RotationInterpolation, Step, Transform,
    TransformError, Window, default_crop_fraction,
};
use image::{Rgb, RgbImage};

/// An image in which every pixel tells its place.
fn places(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, (x / 256 + y / 256) as u8]))
}

fn apply(transform: &Transform, image: &RgbImage, index: u64) -> RgbImage {
    let drawn = transform.draw(image.dimensions(), &mut stream(7, Purpose::Augmentation, 0, index)).unwrap();
    Transform::apply(&drawn, image.clone())
}

#[test]
fn every_recipe_makes_squares_of_its_size_from_any_image() {
    let mut recipes: Vec<Transform> = vec![Transform::evaluate(24, 0.875, Interpolation::Bicubic).unwrap()];
    recipes.extend(Augmentation::ALL.iter().map(|&name| Transform::train(name, 24, Interpolation::Bilinear).unwrap()));
    for (width, height) in [(1, 1), (24, 24), (24, 27), (31, 25), (200, 3), (3, 200), (40, 60)] {
        for recipe in &recipes {
            for index in 0..5 {
                assert_eq!(apply(recipe, &places(width, height), index).dimensions(), (24, 24), "{width} x {height}");
            }
        }
    }
}

#[test]
fn evaluation_of_an_image_that_has_the_size_hands_on_the_same_memory() {
    let transform = Transform::evaluate(32, default_crop_fraction(32), Interpolation::Bilinear).unwrap();
    let image = places(32, 32);
    let before = image.as_raw().as_ptr();
    let drawn = transform.draw(image.dimensions(), &mut stream(0, Purpose::Augmentation, 0, 0)).unwrap();
    let after = Transform::apply(&drawn, image);
    assert_eq!(before, after.as_raw().as_ptr());
    assert_eq!(after, places(32, 32));
}

#[test]
fn evaluation_keeps_224_of_256() {
    let transform = Transform::evaluate(224, 0.875, Interpolation::Bilinear).unwrap();
    assert_eq!(
        serde_json::to_value(&transform).unwrap(),
        serde_json::json!([
            {"step": "pillow-resize", "to": {"shorter-side": 256}, "interpolation": "bilinear"},
            {"step": "center-crop", "width": 224, "height": 224},
        ])
    );
}

#[test]
fn the_contrastive_recipe_is_that_of_moco_v2() {
    let transform = Transform::train(Augmentation::Contrastive, 224, Interpolation::Bilinear).unwrap();
    assert_eq!(
        serde_json::to_value(&transform).unwrap(),
        serde_json::json!([
            {"step": "random-resized-crop", "size": 224, "scale": [0.2, 1.0], "ratio": [0.75, 4.0 / 3.0],
             "interpolation": "bilinear"},
            {"step": "color-jitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1,
             "probability": 0.8},
            {"step": "random-grayscale", "probability": 0.2},
            {"step": "gaussian-blur", "kernel": 23, "sigma": [0.1, 2.0], "probability": 0.5},
            {"step": "random-horizontal-flip", "probability": 0.5},
        ])
    );
}

#[test]
fn the_kernel_of_the_contrastive_blur_is_odd_and_taken_at_every_size() {
    for size in [1, 8, 32, 96, 200, 4096] {
        assert!(Transform::train(Augmentation::Contrastive, size, Interpolation::Bicubic).is_ok(), "{size}");
    }
}

#[test]
fn a_transform_survives_being_written_and_read() {
    for name in Augmentation::ALL.iter().copied() {
        let transform = Transform::train(name, 32, Interpolation::Bicubic).unwrap();
        let text = serde_json::to_string(&transform).unwrap();
        assert_eq!(serde_json::from_str::<Transform>(&text).unwrap(), transform);
        assert_eq!(name.name().parse(), Ok(name));
    }
}

#[test]
fn reading_checks_settings_and_refuses_unknown_ones() {
    let read = |text: &str| serde_json::from_str::<Transform>(text).unwrap_err().to_string();
    let error = read(r#"[{"step": "center-crop", "width": 0, "height": 5}]"#);
    assert!(error.contains("center-crop: width is 0, expected 1 to 16384 pixels"), "{error}");
    assert!(read(r#"[{"step": "sharpen"}]"#).contains("sharpen"));
    assert!(read(r#"[{"step": "random-rotation", "degrees": 3, "expand": 1}]"#).contains("expand"));
}

#[test]
fn settings_out_of_range_are_refused() {
    let crop = RandomCrop { size: 8, padding: 20_000, mode: PaddingMode::Zero };
    let jitter = ColorJitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.6, probability: 1.0 };
    let steps = [
        Step::RandomCrop(crop),
        Step::ColorJitter(jitter),
        Step::GaussianBlur(GaussianBlur { kernel: 4, sigma: (0.1, 2.0), probability: 0.5 }),
        Step::GaussianBlur(GaussianBlur { kernel: 5, sigma: (0.0, 2.0), probability: 0.5 }),
        Step::RandomHorizontalFlip(RandomHorizontalFlip { probability: f64::NAN }),
        Step::RandomRotation(RandomRotation {
            degrees: -1.0,
            interpolation: RotationInterpolation::Nearest,
            fill: [0; 3],
        }),
    ];
    for step in steps {
        assert!(matches!(Transform::new(vec![step]), Err(TransformError::Setting { .. })), "{step:?}");
    }
    assert!(Transform::evaluate(224, 0.0, Interpolation::Bilinear).is_err());
    assert!(Transform::train(Augmentation::CoreTuning, u32::MAX, Interpolation::Bilinear).is_err());
}

#[test]
fn a_thin_image_is_refused_before_it_explodes() {
    let transform = Transform::evaluate(2048, 1.0, Interpolation::Bilinear).unwrap();
    let error = transform.draw((1, 100_000), &mut stream(0, Purpose::Augmentation, 0, 0)).unwrap_err();
    let expected = "resize would turn 1 x 100000 pixels into 2048 x 204800000, the limit is 268435456 pixels";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn augmentation_depends_on_the_stream_alone_and_reaches_every_outcome() {
    let pad_crop_flip = Transform::train(Augmentation::PadCropFlip, 16, Interpolation::Bilinear).unwrap();
    let image = places(16, 16);
    let mut outcomes = std::collections::HashSet::new();
    for index in 0..2000 {
        let once = apply(&pad_crop_flip, &image, index);
        assert_eq!(once, apply(&pad_crop_flip, &image, index));
        outcomes.insert(once.into_raw());
    }
    assert_eq!(outcomes.len(), 5 * 5 * 2, "offsets -2..=2 on both sides, flipped or not");
}

#[test]
fn random_changes_of_colour_happen_as_often_as_asked() {
    let image = RgbImage::from_fn(12, 9, |x, y| Rgb([x * 83 + y * 19, x * 31, x * y * 7].map(|value| value as u8)));
    let strengths = ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1, probability: 0.8 };
    let steps = [
        (Step::ColorJitter(strengths), 0.8),
        (Step::RandomGrayscale(RandomGrayscale { probability: 0.2 }), 0.2),
        (Step::GaussianBlur(GaussianBlur { kernel: 3, sigma: (0.5, 2.0), probability: 0.5 }), 0.5),
    ];
    for (step, probability) in steps {
        let transform = Transform::new(vec![step]).unwrap();
        let changed = (0..500).filter(|&index| apply(&transform, &image, index) != image).count();
        let share = changed as f64 / 500.0;
        assert!((share - probability).abs() < 0.07, "{step:?}: {share}");
    }
}

#[test]
fn rotation_by_a_random_angle_stays_within_its_range() {
    let transform = Transform::new(vec![Step::RandomRotation(RandomRotation {
        degrees: 15.0,
        interpolation: RotationInterpolation::Nearest,
        fill: [0; 3],
    })])
    .unwrap();
    // A rotation by at most 15 degrees moves a point 40 pixels from the centre by at most 10.5.
    let mut point = RgbImage::new(101, 101);
    (8..=12).for_each(|x| (48..=52).for_each(|y| point.put_pixel(x, y, Rgb([255; 3]))));
    let mut heights = Vec::new();
    for index in 0..300 {
        let rotated = apply(&transform, &point, index);
        let lit: Vec<u32> = rotated.enumerate_pixels().filter(|(.., p)| p.0[0] > 0).map(|(_, y, _)| y).collect();
        heights.push(f64::from(lit.iter().sum::<u32>()) / lit.len() as f64 - 50.0);
    }
    let (lowest, highest) = heights.iter().fold((f64::MAX, f64::MIN), |(low, high), &y| (low.min(y), high.max(y)));
    assert!((-10.9..-9.5).contains(&lowest) && (9.5..10.9).contains(&highest), "{lowest} to {highest}");
}

fn draw(transform: &Transform, size: (u32, u32), index: u64) -> Vec<Drawn> {
    transform.draw(size, &mut stream(7, Purpose::Augmentation, 0, index)).unwrap()
}

/// The numbers for image `index` of 61 x 47 pixels.
fn numbers(name: Augmentation, index: u64) -> Vec<Drawn> {
    draw(&Transform::train(name, 24, Interpolation::Bilinear).unwrap(), (61, 47), index)
}

fn resample([left, top, width, height]: [u32; 4], (new_width, new_height): (u32, u32)) -> Drawn {
    let region = Region { left, top, width, height };
    Drawn::Resample { region, width: new_width, height: new_height, interpolation: Interpolation::Bilinear }
}

/// Another order or another count of draws changes every later run: a change of these numbers needs a reason.
#[test]
fn the_numbers_of_a_recipe_are_those_of_its_stream() {
    let reflected = |left, top| Window { left, top, width: 24, height: 24, beyond: PaddingMode::Reflect };
    assert_eq!(numbers(Augmentation::ResizedCropFlip, 1), [resample([15, 0, 35, 40], (24, 24)), Drawn::HorizontalFlip]);
    assert_eq!(
        numbers(Augmentation::PadCropFlip, 0),
        [resample([0, 0, 61, 47], (31, 24)), Drawn::Crop(reflected(-1, -2)), Drawn::HorizontalFlip]
    );
    let rotate =
        Drawn::Rotate { degrees: -8.265_671_331_106_814, interpolation: RotationInterpolation::Nearest, fill: [0; 3] };
    assert_eq!(
        numbers(Augmentation::CoreTuning, 0),
        [resample([0, 0, 61, 47], (33, 26)), rotate, Drawn::Crop(reflected(1, 0))]
    );
    assert_eq!(
        numbers(Augmentation::Contrastive, 0),
        [
            resample([3, 8, 30, 37], (24, 24)),
            Drawn::Color(ColorChange::Brightness(1.237_614_3)),
            Drawn::Color(ColorChange::Hue(0.062_809_643_874_446_37)),
            Drawn::Color(ColorChange::Contrast(0.960_163_83)),
            Drawn::Color(ColorChange::Saturation(0.679_153_3)),
            Drawn::Blur { kernel: 3, sigma: 1.380_158_604_633_719 },
            Drawn::HorizontalFlip,
        ]
    );
    let middle = Window { left: 4, top: 0, width: 24, height: 24, beyond: PaddingMode::Zero };
    assert_eq!(numbers(Augmentation::None, 0), [resample([0, 0, 61, 47], (31, 24)), Drawn::Crop(middle)]);
}

#[test]
fn all_draws_first_give_the_pixels_and_the_stream_of_one_step_after_the_other() {
    for name in Augmentation::ALL {
        let recipe = Transform::train(*name, 24, Interpolation::Bicubic).unwrap();
        for (width, height) in [(24, 24), (61, 47), (9, 80)] {
            let image = places(width, height);
            for index in 0..20 {
                let of_image = || stream(3, Purpose::Augmentation, 1, index);
                let (mut at_once, mut by_step) = (of_image(), of_image());
                let drawn = recipe.draw((width, height), &mut at_once).unwrap();
                let in_turn = recipe.steps().iter().fold(image.clone(), |image, step| {
                    let step = Transform::new(vec![*step]).unwrap();
                    Transform::apply(&step.draw(image.dimensions(), &mut by_step).unwrap(), image)
                });
                assert_eq!(Transform::apply(&drawn, image.clone()), in_turn, "{name}, image {index}");
                assert_eq!(at_once, by_step, "{name}, image {index}: as many numbers are taken");
                let size = drawn.iter().fold((width, height), |size, one| one.result_size(size));
                assert_eq!(size, in_turn.dimensions());
            }
        }
    }
}
