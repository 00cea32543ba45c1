//! `fixtures/*.png` were written by `write_fixtures.py`.

use coretune::random::{Purpose, Stream, stream};
use coretune::transforms::{
    Affine, CenterCrop, Interpolation, PaddingMode, Region, Resize, ResizeTo, RotationInterpolation, Step, Tone,
    Transform, Window, adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, adjust_sharpness,
    gaussian_blur, grayscale, horizontal_flip, resample, rotate,
};
use image::RgbImage;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transforms/fixtures");
const FILTERS: [(Interpolation, &str); 2] =
    [(Interpolation::Bilinear, "bilinear"), (Interpolation::Bicubic, "bicubic")];

fn fixture(name: &str) -> RgbImage {
    image::open(format!("{FOLDER}/{name}.png")).unwrap().into_rgb8()
}

fn any_stream() -> Stream {
    stream(0, Purpose::Augmentation, 0, 0)
}

fn apply(step: Step, image: &RgbImage) -> RgbImage {
    let drawn = Transform::new(vec![step]).unwrap().draw(image.dimensions(), &mut any_stream()).unwrap();
    Transform::apply(&drawn, image.clone())
}

/// The largest difference of two values, and how many values differ.
fn difference(ours: &RgbImage, name: &str) -> (u8, usize) {
    let theirs = fixture(name);
    assert_eq!(ours.dimensions(), theirs.dimensions(), "{name}");
    let differences = ours.iter().zip(theirs.iter()).map(|(a, b)| a.abs_diff(*b));
    (differences.clone().max().unwrap(), differences.filter(|&d| d > 0).count())
}

fn assert_equal(ours: &RgbImage, name: &str) {
    assert_eq!(difference(ours, name), (0, 0), "{name}: (largest difference, values that differ)");
}

fn assert_within_one_level(ours: &RgbImage, name: &str) {
    let (largest, count) = difference(ours, name);
    assert!(largest <= 1, "{name}: {largest} levels, {count} of {} values differ", ours.len());
}

#[test]
fn resizing_equals_pillow_within_one_grey_level() {
    let source = fixture("source");
    for (interpolation, filter) in FILTERS {
        for (width, height) in [(30, 23), (17, 40), (90, 70), (61, 20), (7, 5), (61, 94)] {
            let resize = Resize { to: ResizeTo::Exact { width, height }, interpolation };
            assert_within_one_level(
                &apply(Step::Resize(resize), &source),
                &format!("resize_{width}x{height}_{filter}"),
            );
        }
        let resize = Resize { to: ResizeTo::ShorterSide(33), interpolation };
        assert_within_one_level(&apply(Step::Resize(resize), &source), &format!("shorter_side_33_{filter}"));
    }
}

#[test]
fn resizing_with_its_arithmetic_equals_pillow_to_the_last_bit() {
    let source = fixture("source");
    for (interpolation, filter) in FILTERS {
        for (width, height) in [(30, 23), (17, 40), (90, 70), (61, 20), (7, 5), (61, 94)] {
            let resize = Resize { to: ResizeTo::Exact { width, height }, interpolation };
            assert_equal(&apply(Step::PillowResize(resize), &source), &format!("resize_{width}x{height}_{filter}"));
        }
        let resize = Resize { to: ResizeTo::ShorterSide(33), interpolation };
        assert_equal(&apply(Step::PillowResize(resize), &source), &format!("shorter_side_33_{filter}"));
    }
}

#[test]
fn a_resized_crop_sees_nothing_outside_of_its_region() {
    for (interpolation, filter) in FILTERS {
        let region = Region { left: 13, top: 9, width: 30, height: 21 };
        let ours = resample(fixture("source"), region, 16, 16, interpolation);
        assert_within_one_level(&ours, &format!("resized_crop_{filter}"));
    }
}

#[test]
fn rotation_equals_pillow() {
    let source = fixture("source");
    for angle in ["15.0", "-7.5", "90.0"] {
        let degrees = angle.parse().unwrap();
        let nearest = rotate(&source, degrees, RotationInterpolation::Nearest, [0; 3]);
        assert_equal(&nearest, &format!("rotate_{angle}_nearest"));
        let bilinear = rotate(&source, degrees, RotationInterpolation::Bilinear, [0; 3]);
        assert_within_one_level(&bilinear, &format!("rotate_{angle}_bilinear"));
    }
}

#[test]
fn a_centre_crop_shares_odd_margins_and_pads_as_torchvision() {
    let source = fixture("source");
    for (width, height) in [(40, 30), (41, 30), (60, 46), (70, 40), (64, 51)] {
        let ours = apply(Step::CenterCrop(CenterCrop { width, height }), &source);
        assert_equal(&ours, &format!("center_crop_{width}x{height}"));
    }
}

#[test]
fn padding_equals_torchvision() {
    let source = fixture("source");
    for (mode, name) in [(PaddingMode::Reflect, "pad_5_reflect"), (PaddingMode::Zero, "pad_5_zero")] {
        let padded = fixture(name);
        for (left, top) in [(-5, -5), (26, 12), (-3, 12), (26, -5), (4, 4)] {
            let expected = image::imageops::crop_imm(&padded, (left + 5) as u32, (top + 5) as u32, 40, 40).to_image();
            let window = Window { left, top, width: 40, height: 40, beyond: mode };
            assert_eq!(window.cut(source.clone()), expected, "{name} at {left}, {top}");
        }
    }
}

#[test]
fn a_flip_and_greys_equal_pillow() {
    assert_equal(&horizontal_flip(fixture("source")), "flip");
    assert_equal(&grayscale(fixture("colours")), "grayscale");
}

#[test]
fn brightness_contrast_saturation_and_hue_equal_pillow() {
    let colours = fixture("colours");
    for factor in ["0.0", "0.6", "1.4"] {
        let value: f32 = factor.parse().unwrap();
        assert_equal(&adjust_brightness(colours.clone(), value), &format!("brightness_{factor}"));
        assert_equal(&adjust_contrast(colours.clone(), value), &format!("contrast_{factor}"));
        assert_equal(&adjust_saturation(colours.clone(), value), &format!("saturation_{factor}"));
    }
    for turn in ["-0.3", "0.1", "0.5"] {
        assert_equal(&adjust_hue(colours.clone(), turn.parse().unwrap()), &format!("hue_{turn}"));
    }
}

#[test]
fn blur_equals_torchvision_within_one_grey_level() {
    let source = fixture("source");
    for sigma in ["0.4", "1.7"] {
        assert_within_one_level(&gaussian_blur(&source, 9, sigma.parse().unwrap()), &format!("blur_9_{sigma}"));
    }
}

#[test]
fn shears_and_translations_equal_torchvision_on_pillow_images() {
    let source = fixture("source");
    for slope in [0.297, -0.99] {
        assert_equal(&Affine::shear_x(slope).apply(&source, [0; 3]), &format!("shear_x_{slope}"));
        assert_equal(&Affine::shear_y(slope).apply(&source, [0; 3]), &format!("shear_y_{slope}"));
    }
    assert_equal(&Affine::translation(13, 0).apply(&source, [0; 3]), "translate_x_13");
    assert_equal(&Affine::translation(0, -9).apply(&source, [0; 3]), "translate_y_-9");
}

#[test]
fn changes_of_tone_equal_pillow() {
    let (colours, dim) = (fixture("colours"), fixture("dim"));
    for bits in [2, 5] {
        assert_equal(&Tone::Posterize(bits).apply(colours.clone()), &format!("posterize_{bits}"));
    }
    for threshold in [0.0, 93.5] {
        assert_equal(&Tone::Solarize(threshold).apply(colours.clone()), &format!("solarize_{threshold:?}"));
    }
    assert_equal(&Tone::AutoContrast.apply(dim.clone()), "autocontrast");
    assert_equal(&Tone::Equalize.apply(dim), "equalize");
    for factor in [0.01, 1.9] {
        assert_within_one_level(&adjust_sharpness(&fixture("source"), factor), &format!("sharpness_{factor}"));
    }
}
