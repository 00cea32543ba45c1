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
    [pairs(world), splits(world), values(world), numbers(world), colors(world), files(world)]
        .into_iter()
        .flatten()
        .collect()
}

/// Splits that lack masks or labels, and images that have others' masks.
fn splits(world: &World) -> Vec<Case> {
    let without = masks(world, "no-validation-masks", |place| fs::remove_dir_all(place.root.join("valannot")).unwrap());
    let ignored = masks(world, "all-ignored", |place| place.file("valannot/5.pgm", &grey(WIDTH, HEIGHT, |_| 255)));
    let twice = masks(world, "two-images", |place| place.file("train/2.png", &photograph(9)));
    let same = masks(world, "same-image", |place| {
        place.file("train/2.ppm", &photograph(1));
        place.file("trainannot/2.pgm", &grey(WIDTH, HEIGHT, |x| 2 - (x / 4 % 3) as u8));
    });
    vec![
        case(
            "a split whose masks are missing",
            without,
            0,
            &["left out     1 image of `val`, which has no masks", "a split is left out: 1 image of `val`"],
        ),
        case(
            "a split without a label",
            ignored,
            2,
            &["no pixel of the masks of validation is labelled", "correct the masks"],
        ),
        case("two images for a mask", twice, 2, &["1 mask could belong to either of two images", "2.png and 2.ppm"]),
        case(
            "one image with two different masks",
            same,
            0,
            &["1 image of train is identical to images with another mask", "2.pgm) and", "1.pgm)"],
        ),
    ]
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

/// Numbers that nobody meant to be classes, where no file names the classes.
fn numbers(world: &World) -> Vec<Case> {
    let every = |place: &Place, file: &[u8], ending: &str| {
        for name in ["trainannot/1", "trainannot/2", "trainannot/3", "trainannot/4", "valannot/5"] {
            fs::remove_file(place.root.join(format!("{name}.pgm"))).unwrap();
            place.file(format!("{name}.{ending}"), file);
        }
    };
    let stray = masks(world, "stray-value", |place| {
        let mut file = striped();
        *file.last_mut().unwrap() = 200;
        place.file("trainannot/2.pgm", &file);
    });
    let never = [masks(world, "never-ignored", |_| {}), vec!["--ignore-index".into(), "9,300".into()]].concat();
    let lossy = masks(world, "all-lossy", |place| every(place, b"\xff\xd8\xff\xe0\0\x10JFIF\0", "jpg"));
    let scaled = masks(world, "scaled-16-bits", |place| {
        let mut file = format!("P5 {WIDTH} {HEIGHT} 65535\n").into_bytes();
        file.extend((0..WIDTH * HEIGHT).flat_map(|at| [(at % 3) as u8, 0]));
        every(place, &file, "pgm");
    });
    vec![
        case(
            "a stray value far above the classes",
            stray,
            2,
            &["1 value of train lies far above the others", "200 (1 pixel, first in", "2.pgm)"],
        ),
        case(
            "values to be ignored that never occur",
            never,
            0,
            &["2 values to be ignored never occur in the masks: 9, 300"],
        ),
        case(
            "masks that are all in JPEG",
            lossy,
            2,
            &["1.jpg and 3 other masks are JPEG or WebP", "save masks as PNG"],
        ),
        case(
            "masks of 16 bits with values times 256",
            scaled,
            2,
            &["and 3 other masks have values up to 512 (16 bits per pixel)", "8 bits, multiplied"],
        ),
    ]
}

/// A palette PNG in stripes of the indices 0, 1, 2.
fn palette(colors: [[u8; 3]; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(colors.concat());
    let indices: Vec<u8> = (0..WIDTH * HEIGHT).map(|at| (at % WIDTH / 4 % 3) as u8).collect();
    encoder.write_header().unwrap().write_image_data(&indices).unwrap();
    bytes
}

/// Palettes and files of classes that do not go together, and files of classes in other encodings.
fn files(world: &World) -> Vec<Case> {
    let with = |name: &str, colors: [[u8; 3]; 3]| {
        masks(world, name, |place| {
            place.file("classes.csv", b"sky,0,0,0\nroad,128,0,0\ncar,0,128,0\n");
            fs::remove_file(place.root.join("trainannot/2.pgm")).unwrap();
            place.file("trainannot/2.png", &palette(colors));
        })
    };
    let order = with("palette-order", [[0, 128, 0], [128, 0, 0], [0, 0, 0]]);
    let mixed = with("palette-mixed", [[0, 128, 0], [128, 0, 0], [7, 7, 7]]);
    let latin = masks(world, "latin-classes", |place| place.file("classes.txt", b"Himmel\nStra\xdfe\nAuto\n"));
    vec![
        case(
            "a palette in another order than the file of classes",
            order,
            0,
            &["1 mask of train has a palette in another order", "read by colour, not by number"],
        ),
        case(
            "a palette with colours of classes at other numbers, and of none",
            mixed,
            2,
            &["2.png has a palette in another order", "index 0 has colour 0,128,0, index 2 has colour 7,7,7"],
        ),
        case(
            "a file of classes in Latin-1",
            latin,
            2,
            &["classes.txt is not text in UTF-8: line 2", "save it as text in UTF-8"],
        ),
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
            &["1.pgm and 3 other masks have colours, and no file says", "classes.txt"],
        ),
        case("a file of classes with an invalid colour", wrong, 2, &["line 2: found `road,128,0,256`"]),
    ]
}
