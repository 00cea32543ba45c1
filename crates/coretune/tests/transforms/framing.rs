//! What becomes of images that are not square: cut, squashed, or padded with one colour.

use coretune::random::{Purpose, stream};
use coretune::transforms::{
    Augmentation, Drawn, Framing, IGNORED, Interpolation, Letterbox, Region, ResizeMode, Step, Transform, mean_color,
    resample_as_pillow,
};
use image::{GrayImage, Luma, Rgb, RgbImage};

const FILL: [u8; 3] = [9, 8, 7];

fn places(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([100 + x as u8, 100 + y as u8, 100]))
}

fn draw(transform: &Transform, size: (u32, u32), index: u64) -> Vec<Drawn> {
    transform.draw(size, &mut stream(7, Purpose::Augmentation, 0, index)).unwrap()
}

fn apply(transform: &Transform, image: &RgbImage) -> RgbImage {
    Transform::apply(&draw(transform, image.dimensions(), 0), image.clone())
}

fn framing(mode: ResizeMode) -> Framing {
    Framing { size: 24, mode, fill: FILL, interpolation: Interpolation::Bilinear }
}

fn letterbox(size: u32) -> Transform {
    Transform::new(vec![Step::Letterbox(Letterbox { size, fill: FILL, interpolation: Interpolation::Bilinear })])
        .unwrap()
}

#[test]
fn a_letterbox_shows_the_whole_image_between_margins_of_one_colour() {
    for (width, height, inner) in
        [(36, 12, (12, 4)), (12, 36, (4, 12)), (30, 12, (12, 4)), (50, 3, (12, 1)), (12, 12, (12, 12)), (7, 5, (12, 8))]
    {
        let image = places(width, height);
        let boxed = apply(&letterbox(12), &image);
        assert_eq!(boxed.dimensions(), (12, 12));
        let whole = Region { left: 0, top: 0, width, height };
        let expected = resample_as_pillow(image, whole, inner.0, inner.1, Interpolation::Bilinear);
        let (left, top) = ((12 - inner.0) / 2, (12 - inner.1) / 2);
        for (x, y, pixel) in boxed.enumerate_pixels() {
            let inside = (left..left + inner.0).contains(&x) && (top..top + inner.1).contains(&y);
            let wanted = if inside { *expected.get_pixel(x - left, y - top) } else { Rgb(FILL) };
            assert_eq!(*pixel, wanted, "{width} x {height} at {x}, {y}");
        }
    }
}

#[test]
fn a_mask_is_ignored_in_the_margins() {
    let drawn = draw(&letterbox(6), (6, 2), 0);
    let mask = drawn.iter().fold(GrayImage::from_pixel(6, 2, Luma([3])), |mask, change| change.apply_to_mask(mask));
    let rows: Vec<u8> = (0..6).map(|y| mask.get_pixel(0, y).0[0]).collect();
    assert_eq!(rows, [IGNORED, IGNORED, 3, 3, IGNORED, IGNORED]);
}

#[test]
fn evaluation_squashes_or_pads_to_the_side_before_the_crop() {
    let image = places(60, 20);
    let squashed = apply(&framing(ResizeMode::Squash).evaluate(1.0).unwrap(), &image);
    assert_eq!(squashed, resample_as_pillow(image.clone(), Region::whole((60, 20)), 24, 24, Interpolation::Bilinear));
    let padded = apply(&framing(ResizeMode::Letterbox).evaluate(1.0).unwrap(), &image);
    assert_eq!(padded, apply(&letterbox(24), &image));
    // 30 pixels, of which the middle 24 are kept.
    let cropped = apply(&framing(ResizeMode::Letterbox).evaluate(0.8).unwrap(), &image);
    assert_eq!(cropped, image::imageops::crop_imm(&apply(&letterbox(30), &image), 3, 3, 24, 24).to_image());
}

#[test]
fn to_cut_is_what_the_recipes_without_a_mode_do() {
    let cut = Framing { fill: [0; 3], ..framing(ResizeMode::Crop) };
    assert_eq!(cut.evaluate(0.875).unwrap(), Transform::evaluate(24, 0.875, Interpolation::Bilinear).unwrap());
    for &name in Augmentation::ALL {
        assert_eq!(cut.train(name).unwrap(), Transform::train(name, 24, Interpolation::Bilinear).unwrap(), "{name}");
    }
}

/// Every recipe of training begins with the letterbox or the squash, and gives squares of any image.
#[test]
fn in_training_the_mode_comes_before_every_random_crop() {
    for &name in Augmentation::ALL {
        for (mode, sides) in [(ResizeMode::Squash, [24, 26, 48]), (ResizeMode::Letterbox, [24, 26, 48])] {
            let recipe = framing(mode).train(name).unwrap();
            let first = match recipe.steps()[0] {
                Step::Letterbox(Letterbox { size, fill, .. }) if mode == ResizeMode::Letterbox => {
                    assert_eq!(fill, FILL);
                    size
                }
                Step::Resize(resize) if mode == ResizeMode::Squash => {
                    let text = serde_json::to_value(resize.to).unwrap();
                    assert_eq!(text["exact"]["width"], text["exact"]["height"]);
                    text["exact"]["width"].as_u64().unwrap() as u32
                }
                other => panic!("{name}, {mode}: {other:?}"),
            };
            assert!(sides.contains(&first), "{name}, {mode}: {first}");
            for (width, height) in [(1, 1), (24, 24), (200, 3), (3, 200), (40, 60)] {
                let image = places(width.min(99), height.min(99));
                for index in 0..5 {
                    let drawn = draw(&recipe, image.dimensions(), index);
                    assert_eq!(Transform::apply(&drawn, image.clone()).dimensions(), (24, 24), "{name}, {mode}");
                }
            }
        }
    }
}

#[test]
fn the_whole_image_is_kept_where_no_side_is_cut_and_the_mean_becomes_a_colour() {
    let percent = |mode: ResizeMode, size| (1000.0 * mode.crop_fraction(size)) as u32;
    assert_eq!([24, 224].map(|size| percent(ResizeMode::Crop, size)), [1000, 875]);
    assert_eq!([ResizeMode::Squash, ResizeMode::Letterbox].map(|mode| percent(mode, 224)), [1000, 1000]);
    assert_eq!(mean_color([0.485, 0.456, 0.406]), [124, 116, 104]);
    assert_eq!(mean_color([-0.1, 1.0, 2.0]), [0, 255, 255]);
    let none = Letterbox { size: 0, fill: FILL, interpolation: Interpolation::Bilinear };
    assert!(Transform::new(vec![Step::Letterbox(none)]).is_err());
}
