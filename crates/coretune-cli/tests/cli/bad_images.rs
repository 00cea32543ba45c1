//! Image files and labels that are wrong, for the page of bad inputs: what `data check` says of each.

use std::fs;

use super::bad_data::Place;
use super::bad_input::{Case, case};
use super::world::World;

const BASELINE: &[u8] = include_bytes!("../../../coretune/tests/data/fixtures/subsampled.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../../coretune/tests/data/fixtures/progressive.jpg");
const END_OF_IMAGE: &[u8] = &[0xff, 0xd9];

pub(super) fn cases(world: &World) -> Vec<Case> {
    [damaged(world), labels(world), alike(world), poor(world)].into_iter().flatten().collect()
}

/// A JPEG file of which the last `missing` bytes before its end marker are missing.
fn shortened(jpeg: &[u8], missing: usize) -> Vec<u8> {
    [&jpeg[..jpeg.len() - 2 - missing], END_OF_IMAGE].concat()
}

fn damaged(world: &World) -> Vec<Case> {
    let with = |name: &str, bytes: &[u8]| {
        let place = Place::sound(world, name);
        place.file("train/cat/4.jpg", bytes);
        place.check()
    };
    let early = with("early", &shortened(BASELINE, 120));
    let zeros = with("zeros", &[&BASELINE[..BASELINE.len() - 120], &[0; 600]].concat());
    let hole = with("hole", &[&BASELINE[..BASELINE.len() - 120], &[0; 600], END_OF_IMAGE].concat());
    let scans = with("scans", &shortened(PROGRESSIVE, 300));
    let within = with("within", &shortened(PROGRESSIVE, 4));
    let mut other = BASELINE.to_vec();
    let frame = other.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    other[frame + 1] = 0xc9;
    let arithmetic = with("arithmetic", &other);
    let headers = with("headers", &BASELINE[..frame]);
    let bitmap = with("bitmap", &b"P6 16 16 255\n not 768 bytes"[..]);
    let trailing = with("trailing", &[BASELINE, b"made by a camera"].concat());
    let unended = with("unended", &BASELINE[..BASELINE.len() - 2]);
    let pair = with("pair", &[BASELINE, PROGRESSIVE].concat());
    vec![
        case("a JPEG whose image data ends early, though the file ends properly", early, 2, &["after row", "of 34"]),
        case("a JPEG that a download filled up with zeros", zeros, 2, &["from there on the file is filled with zeros"]),
        case("a JPEG with zeros in the place of image data", hole, 2, &["image data is filled with zeros after row"]),
        case("a progressive JPEG of which scans are missing", scans, 2, &["ends after", "others are missing"]),
        case("a progressive JPEG whose last scan ends early", within, 2, &["ends within one of"]),
        case(
            "a JPEG with arithmetic coding",
            arithmetic,
            2,
            &["arithmetic coding, which is not supported: convert it"],
        ),
        case("a JPEG that ends in its headers", headers, 2, &["its headers end early"]),
        case("a bitmap that ends early", bitmap, 2, &["it ends early"]),
        case("bytes behind the end of a JPEG", trailing, 0, &["sound"]),
        case("a JPEG without an end marker", unended, 0, &["sound"]),
        case("two JPEG images in one file", pair, 0, &["sound"]),
    ]
}

fn labels(world: &World) -> Vec<Case> {
    let copied = |name: &str, to: &str| {
        let place = Place::sound(world, name);
        place.file(to, &fs::read(place.root.join("train/cat/1.ppm")).unwrap());
        place.check()
    };
    let two_labels = copied("two-labels", "train/dog/same.ppm");
    let twice = copied("one-label", "train/cat/again.ppm");
    let leak = copied("leak", "val/dog/leak.ppm");

    let mut place = Place::sound(world, "other-case");
    place.images(&["val/Cat/9.ppm"]);
    let other_case = place.check();
    let mut place = Place::sound(world, "alike");
    place.images(&["train/Dog /8.ppm", "val/Dog /9.ppm"]);
    let alike = place.check();
    let mut place = Place::sound(world, "unicode");
    place.images(&["train/cafe\u{301}/8.ppm", "val/caf\u{e9}/9.ppm"]);
    let unicode = place.check();
    let mut place = Place::sound(world, "control");
    place.images(&["train/red\u{1b}[31m/8.ppm", "val/red\u{1b}[31m/9.ppm"]);
    let control = place.check();
    let place = Place::sound(world, "numbers");
    let rows = ["cat/1,1", "cat/2,01", "cat/3,1", "dog/1,2", "dog/2,10", "dog/3,2"].map(|row| {
        let (image, label) = row.split_once(',').unwrap();
        format!("train/{image}.ppm,{label}\n")
    });
    place.file("list.csv", format!("image_path,label\n{}", rows.concat()).as_bytes());
    let numbers = vec!["data".into(), "check".into(), place.root.join("list.csv").display().to_string()];
    vec![
        case("the same image under two labels", two_labels, 0, &["warning", "with another label", "same.ppm (dog)"]),
        case("the same image twice under one label", twice, 0, &["notice", "with the same label", "sound"]),
        case("the same image in two splits under two labels", leak, 0, &["identical to images of train", "(dog) and"]),
        case("a class whose name differs by case between splits", other_case, 2, &["Cat (1 image, resembles cat)"]),
        case(
            "a class whose name has another Unicode form between splits",
            unicode,
            2,
            &[r"caf\u{e9} (1 image, resembles cafe\u{301})"],
        ),
        case("a class whose name holds codes for the terminal", control, 0, &[r"red\u{1b}[31m) to 3"]),
        case("classes whose names are alike", alike, 0, &["warning", "`dog` and `Dog `"]),
        case("labels that are one number in two spellings", numbers, 0, &["warning", "`1` and `01`"]),
    ]
}

/// Rings around a centre, as PPM: brighter or darker, the image looks the same.
fn rings(centre: f64, brightness: f64) -> Vec<u8> {
    let pixel = |x: f64, y: f64| brightness * (120.0 + 100.0 * ((x - centre).hypot(y - 2.0 * centre) / 3.0).sin());
    let pixels = (0..32).flat_map(|y| (0..32).flat_map(move |x| [pixel(x.into(), y.into()) as u8; 3]));
    b"P6 32 32 255\n".iter().copied().chain(pixels).collect()
}

fn alike(world: &World) -> Vec<Case> {
    let place = Place::new(world, "near");
    for (name, centre, brightness) in [
        ("train/cat/1", 3.0, 1.0),
        ("train/cat/2", 7.0, 1.0),
        ("train/dog/3", 11.0, 1.0),
        ("train/dog/4", 11.0, 0.9),
        ("val/cat/5", 3.0, 0.8),
        ("val/dog/6", 15.0, 1.0),
    ] {
        place.file(format!("{name}.ppm"), &rings(centre, brightness));
    }
    let with = |more: &[&str]| place.check().into_iter().chain(more.iter().map(ToString::to_string)).collect();
    vec![
        case(
            "images that resemble each other, with --near-duplicates",
            with(&["--near-duplicates"]),
            0,
            &["1 image of validation resembles images of train", "1 image of train resembles others"],
        ),
        case(
            "--near-duplicates without decoding",
            with(&["--near-duplicates", "--data-check", "quick"]),
            2,
            &["compares what images show"],
        ),
    ]
}

fn poor(world: &World) -> Vec<Case> {
    let with = |name: &str, side: u8, pixel: &dyn Fn(u8, u8) -> [u8; 3]| {
        let place = Place::sound(world, name);
        let pixels = (0..side).flat_map(|y| (0..side).flat_map(move |x| pixel(x, y)));
        let header = format!("P6 {side} {side} 255\n").into_bytes();
        place.file("train/cat/4.ppm", &header.into_iter().chain(pixels).collect::<Vec<u8>>());
        place.check()
    };
    let black = with("black", 16, &|_, _| [0; 3]);
    let place = Place::sound(world, "twelve-bits");
    let values = (0..16 * 16 * 3).flat_map(|value: u16| (value * 5).to_be_bytes());
    place.file("train/cat/4.ppm", &b"P6 16 16 65535\n".iter().copied().chain(values).collect::<Vec<u8>>());
    let mut adjusted = place.check();
    adjusted.extend(["--bit-depth-range", "auto"].map(String::from));
    let twelve_bits = place.check();
    let tiny = with("tiny", 4, &|x, y| [x, y, 0]);
    vec![
        case("16-bit images that use 12 bits", twelve_bits, 0, &["warning", "0 to 3835 of 0 to 65535"]),
        case("16-bit images that use 12 bits, with --bit-depth-range auto", adjusted, 0, &["sound"]),
        case("an image of one colour", black, 0, &["notice", "of one colour", "sound"]),
        case("an image of few pixels", tiny, 0, &["notice", "smaller than 8 x 8 pixels", "(4 x 4)"]),
    ]
}
