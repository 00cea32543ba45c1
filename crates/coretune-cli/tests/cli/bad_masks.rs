//! Masks that go wrong, for the page of bad inputs: what `data check` says of each.

use std::fs;

use super::bad_data::Place;
use super::bad_input::{Case, case};
use super::world::World;

const WIDTH: usize = 24;
const HEIGHT: usize = 16;

/// A grey image of these values, 8 bits.
fn grey(width: usize, height: usize, value: impl Fn(usize) -> u8) -> Vec<u8> {
    let mut file = format!("P5 {width} {height} 255\n").into_bytes();
    file.extend((0..width * height).map(|at| value(at % width)));
    file
}

/// A coloured image.
fn color(value: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
    let mut file = format!("P6 {WIDTH} {HEIGHT} 255\n").into_bytes();
    file.extend((0..WIDTH * HEIGHT).flat_map(|at| value(at % WIDTH, at / WIDTH)));
    file
}

/// Three classes in stripes.
fn striped() -> Vec<u8> {
    grey(WIDTH, HEIGHT, |x| (x / 4 % 3) as u8)
}

fn photograph(number: u8) -> Vec<u8> {
    color(|x, y| [x as u8 * 10, y as u8 * 10, number.wrapping_mul(40) ^ (x * y) as u8])
}

/// Four training images and one validation image with masks; then `change`.
fn masks(world: &World, name: &str, change: impl Fn(&Place)) -> Vec<String> {
    let place = Place::new(world, name);
    for number in 1..=4 {
        place.file(format!("train/{number}.ppm"), &photograph(number));
        place.file(format!("trainannot/{number}.pgm"), &striped());
    }
    place.file("val/5.ppm", &photograph(5));
    place.file("valannot/5.pgm", &striped());
    change(&place);
    place.check()
}

pub(super) fn cases(world: &World) -> Vec<Case> {
    [pairs(world), values(world), colors(world)].into_iter().flatten().collect()
}

fn pairs(world: &World) -> Vec<Case> {
    let remove = |place: &Place, name: &str| fs::remove_file(place.root.join(name)).unwrap();
    let sound = masks(world, "masks", |_| {});
    let sizes = masks(world, "mask-sizes", |place| place.file("trainannot/2.pgm", &grey(HEIGHT, WIDTH, |_| 1)));
    let unpaired = masks(world, "unpaired", |place| {
        remove(place, "trainannot/2.pgm");
        place.file("trainannot/9.pgm", &striped());
    });
    let twice = masks(world, "two-masks", |place| place.file("trainannot/2_mask.pgm", &striped()));
    let none = masks(world, "no-pairs", |place| {
        for number in 1..=4 {
            let name = |number: String| place.root.join(format!("trainannot/{number}.pgm"));
            fs::rename(name(number.to_string()), name(format!("label{number}"))).unwrap();
        }
    });
    let swapped = masks(world, "swapped", |place| {
        for (one, other) in [("train", "trainannot"), ("val", "valannot")] {
            fs::rename(place.root.join(one), place.root.join("x")).unwrap();
            fs::rename(place.root.join(other), place.root.join(one)).unwrap();
            fs::rename(place.root.join("x"), place.root.join(other)).unwrap();
        }
    });
    vec![
        case(
            "images with masks",
            sound,
            0,
            &["train        4 images with masks", "pixels       train: 0 33.3 %", "sound"],
        ),
        case(
            "a mask of another size",
            sizes,
            2,
            &["1 mask of train has another size", "2.pgm (16 x 24, the image 24 x 16"],
        ),
        case(
            "an image without a mask",
            unpaired,
            0,
            &["1 image without a mask (train/2.ppm)", "1 mask without an image"],
        ),
        case("two masks for an image", twice, 2, &["1 image has more than one mask", "2.pgm and 2_mask.pgm"]),
        case("names of masks that match no image", none, 2, &["none of the 4 images", "1.ppm", "label1.pgm"]),
        case("images and masks swapped", swapped, 2, &["images and masks are swapped", "exchange the names"]),
    ]
}

fn values(world: &World) -> Vec<Case> {
    let outside = masks(world, "mask-values", |place| {
        place.file("classes.txt", b"sky\nroad\ncar\n");
        place.file("trainannot/2.pgm", &grey(WIDTH, HEIGHT, |x| if x == 5 { 11 } else { 1 }));
    });
    let ignored = [outside.clone(), vec!["--ignore-index".into(), "11".into()]].concat();
    let deep = masks(world, "deep-masks", |place| {
        let mut file = format!("P5 {WIDTH} {HEIGHT} 65535\n").into_bytes();
        file.extend((0..WIDTH * HEIGHT).flat_map(|at| [0, (at % 3) as u8]));
        place.file("trainannot/2.pgm", &file);
    });
    let lossy = masks(world, "lossy-masks", |place| {
        fs::remove_file(place.root.join("trainannot/2.pgm")).unwrap();
        place.file("trainannot/2.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0");
    });
    let never = masks(world, "unused-classes", |place| place.file("classes.txt", b"sky\nroad\ncar\nbus\ntram\n"));
    let binary = masks(world, "binary-masks", |place| {
        for name in ["trainannot/1", "trainannot/2", "trainannot/3", "trainannot/4", "valannot/5"] {
            place.file(format!("{name}.pgm"), &grey(WIDTH, HEIGHT, |x| if x < 9 { 255 } else { 0 }));
        }
    });
    vec![
        case(
            "a mask with a value of no class",
            outside,
            2,
            &["1 mask of train has values", "expected 0 to 2", "16 pixels, the first at column 5, row 0: value 11"],
        ),
        case("the same value ignored", ignored, 0, &["16 ignored", "sound"]),
        case("a mask of 16 bits", deep, 0, &["1 mask of train has 16 bits per pixel"]),
        case("a mask in JPEG", lossy, 2, &["1 mask of train is JPEG or WebP", "must be saved as PNG"]),
        case("classes that never occur", never, 0, &["2 classes never occur in train: bus, tram"]),
        case("masks of 0 and 255", binary, 2, &["of one class: `0`", "object,255,255,255"]),
    ]
}

fn colors(world: &World) -> Vec<Case> {
    let classes = b"name,r,g,b\nsky,0,0,0\nroad,128,0,0\ncar,0,128,0\n";
    let colored = |near: u8| color(move |x, _| [[0, 0, 0], [128, 0, 0], [0, 128 - near, 0]][x / 4 % 3]);
    let with = |place: &Place, near: u8| {
        for name in ["trainannot/1", "trainannot/3", "trainannot/4", "valannot/5"] {
            place.file(format!("{name}.pgm"), &colored(0));
        }
        place.file("trainannot/2.pgm", &colored(near));
    };
    let near = masks(world, "near-colors", |place| {
        place.file("classes.csv", classes);
        with(place, 1);
    });
    let unknown = masks(world, "unknown-colors", |place| with(place, 0));
    let wrong = masks(world, "wrong-classes", |place| place.file("classes.csv", b"sky,0,0,0\nroad,128,0,256\n"));
    vec![
        case(
            "a mask with a colour near that of a class",
            near,
            2,
            &["1 mask of train has colours", "colour 0,127,0, nearest: car with colour 0,128,0"],
        ),
        case(
            "masks in colours without a file of classes",
            unknown,
            2,
            &["has colours, and no file says", "classes.txt"],
        ),
        case("a file of classes with an invalid colour", wrong, 2, &["line 2: found `road,128,0,256`"]),
    ]
}
