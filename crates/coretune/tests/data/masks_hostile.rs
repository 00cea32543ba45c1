//! Mask files that are damaged, or lie about themselves: each is refused in one sentence that names the file, and none takes the
//! memory that its header claims.

use std::fs;
use std::path::Path;

use coretune::data::{Dataset, DatasetOptions};
use image::{Rgb, RgbImage};
use png::{BitDepth, ColorType, Encoder};
use tempfile::TempDir;

const SIZE: (u32, u32) = (24, 16);

/// A PNG of these samples, a byte each.
fn png(color: ColorType, depth: BitDepth, samples: &[u8], palette: Option<&[u8]>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, SIZE.0, SIZE.1);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if let Some(palette) = palette {
        encoder.set_palette(palette.to_vec());
    }
    encoder.write_header().unwrap().write_image_data(samples).unwrap();
    file
}

/// Classes 0, 1 and 2 in noise, so that no two rows compress to nothing.
fn noisy() -> Vec<u8> {
    (0..SIZE.0 * SIZE.1).map(|at| (at * 7 / 3 % 5 % 3) as u8).collect()
}

/// One image with this file as its mask, and a file of three classes with their colours.
fn with_mask(bytes: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    RgbImage::from_pixel(SIZE.0, SIZE.1, Rgb([90, 120, 30])).save(place("train/a.png")).unwrap();
    fs::write(place("trainannot/a.png"), bytes).unwrap();
    fs::write(place("classes.txt"), "sky\nroad\ncar\n").unwrap();
    folder
}

/// What is said of a mask, nothing if it is read.
fn said(folder: &Path) -> String {
    let read = || Dataset::open(folder, &DatasetOptions::default())?.train.unwrap().load_pair(0).map(drop);
    read().map_or_else(|error| error.to_string(), |()| String::new())
}

fn refused(bytes: &[u8]) -> String {
    let folder = with_mask(bytes);
    let sentence = said(folder.path());
    assert!(sentence.contains("a.png"), "the file is not named: {sentence:?}");
    assert!(!sentence.contains('\n') && sentence.len() < 400, "{sentence}");
    sentence
}

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// The file with another width and height in its header, whose checksum is right.
fn with_size(png: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut file = png.to_vec();
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc(&file[12..29]);
    file[29..33].copy_from_slice(&sum.to_be_bytes());
    file
}

#[test]
fn a_sound_mask_is_read() {
    let file = png(ColorType::Grayscale, BitDepth::Eight, &noisy(), None);
    assert_eq!(said(with_mask(&file).path()), "");
    assert_eq!(with_size(&file, SIZE.0, SIZE.1), file, "the checksum is computed as PNG does");
}

#[test]
fn a_png_that_ends_early_is_refused_wherever_it_ends() {
    let file = png(ColorType::Grayscale, BitDepth::Eight, &noisy(), None);
    let data = file.windows(4).position(|name| name == b"IDAT").unwrap();
    for length in [0, 4, 8, 20, 33, data, data + 4, data + 12, file.len() - 20] {
        let sentence = refused(&file[..length]);
        assert!(sentence.contains("cannot be read as a mask"), "{length} bytes: {sentence}");
    }
}

#[test]
fn sizes_that_a_header_claims_are_refused_before_memory_is_taken() {
    let file = png(ColorType::Grayscale, BitDepth::Eight, &noisy(), None);
    for (width, height) in [(0, 16), (24, 0), (0, 0), (2_000_000, 2_000_000), (u32::MAX >> 1, u32::MAX >> 1)] {
        let sentence = refused(&with_size(&file, width, height));
        assert!(sentence.contains("cannot be read as a mask"), "{width} x {height}: {sentence}");
    }
    let taller = refused(&with_size(&file, 24, 32));
    assert!(taller.contains("cannot be read as a mask"), "rows are missing: {taller}");
    let pgm = refused(b"P5 99999999 99999999 255\n");
    assert!(pgm.contains("cannot be read as a mask"), "{pgm}");
}

#[test]
fn an_index_without_a_palette_entry_is_a_number_like_another() {
    let short = [200, 0, 0, 0, 9, 0];
    let file = png(ColorType::Indexed, BitDepth::Eight, &noisy(), Some(&short));
    assert_eq!(said(with_mask(&file).path()), "", "index 2 is class 2, whatever colours there are");
    let beyond: Vec<u8> = noisy().iter().map(|&class| if class == 2 { 77 } else { class }).collect();
    let sentence = refused(&png(ColorType::Indexed, BitDepth::Eight, &beyond, Some(&short)));
    assert!(sentence.contains("found value 77, expected 0 to 2"), "{sentence}");
}

#[test]
fn sixteen_bits_are_a_number_and_colours_of_sixteen_bits_are_refused() {
    let deep: Vec<u8> = noisy().iter().flat_map(|&class| [0, class]).collect();
    assert_eq!(said(with_mask(&png(ColorType::Grayscale, BitDepth::Sixteen, &deep, None)).path()), "");
    let scaled: Vec<u8> = noisy().iter().flat_map(|&class| [class, class]).collect();
    let sentence = refused(&png(ColorType::Grayscale, BitDepth::Sixteen, &scaled, None));
    assert!(sentence.contains("found value 257") || sentence.contains("found value 514"), "{sentence}");
    let colors: Vec<u8> = noisy().iter().flat_map(|&class| [class; 6]).collect();
    let sentence = refused(&png(ColorType::Rgb, BitDepth::Sixteen, &colors, None));
    assert!(sentence.contains("colours of 16 bits"), "{sentence}");
}

#[test]
fn colours_near_those_of_the_classes_are_refused_with_the_nearest() {
    let of = |class: u8, off: u8| [[0, 0, 0], [128, 0, 0], [0, 128 - off, 0]][usize::from(class)];
    let folder = |off: u8| {
        let samples: Vec<u8> = noisy().iter().flat_map(|&class| of(class, off)).collect();
        let folder = with_mask(&png(ColorType::Rgb, BitDepth::Eight, &samples, None));
        fs::remove_file(folder.path().join("classes.txt")).unwrap();
        fs::write(folder.path().join("classes.csv"), "name,r,g,b\nsky,0,0,0\nroad,128,0,0\ncar,0,128,0\n").unwrap();
        folder
    };
    assert_eq!(said(folder(0).path()), "");
    let sentence = said(folder(1).path());
    assert!(sentence.contains("a.png") && sentence.contains("0,127,0") && sentence.contains("car"), "{sentence}");
}

#[test]
fn files_that_are_no_masks_are_called_so() {
    let mut jpeg = std::io::Cursor::new(Vec::new());
    RgbImage::new(SIZE.0, SIZE.1).write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    let sentence = refused(jpeg.get_ref());
    assert!(sentence.contains("is a JPEG or WebP, whose compression changes the values of a mask"), "{sentence}");
    for bytes in [&b"<!DOCTYPE html><html></html>"[..], b"\0\0\0\0", b"version https://git-lfs.github.com/spec/v1\n"] {
        let sentence = refused(bytes);
        assert!(sentence.contains("cannot be read as a mask"), "{sentence}");
    }
}
