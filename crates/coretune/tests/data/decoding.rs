//! `fixtures/*` were written by `write_fixtures.py`.

use std::path::Path;

use coretune::data::{DataError, ImageSource, PIXEL_LIMIT, decode};
use image::RgbImage;

fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/fixtures"))
}

fn load(name: &str) -> RgbImage {
    ImageSource::File(fixtures().join(name).into()).load().unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn largest_difference(name: &str) -> u8 {
    let (ours, theirs) = (load(name), load(&format!("{name}.expected.png")));
    assert_eq!(ours.dimensions(), theirs.dimensions(), "{name}");
    ours.iter().zip(theirs.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn an_image_without_pixels_is_refused_with_its_size() {
    let error = decode(b"P6 0 400 255\n", &"thin.ppm").unwrap_err();
    assert_eq!(error.to_string(), "thin.ppm cannot be decoded: it is 0 x 400 pixels");
}

#[test]
fn lossless_files_of_every_kind_read_as_pillow_reads_them() {
    let names = [
        "alpha.png",
        "alpha.webp",
        "bilevel.png",
        "cmyk.tiff",
        "grey.pgm",
        "grey.png",
        "grey_16.png",
        "grey_16.tiff",
        "grey_alpha.png",
        "palette.bmp",
        "palette.gif",
        "palette.png",
        "palette_transparent.png",
        "rgb.ppm",
        "rgb.tiff",
        "rgb_16.png",
        "rgba_16.png",
        "transparent.gif",
    ];
    for name in names {
        assert_eq!(largest_difference(name), 0, "{name}");
    }
}

#[test]
fn jpeg_files_read_as_pillow_reads_them_up_to_rounding() {
    for name in ["progressive.jpg", "subsampled.jpg", "grey.jpg", "cmyk.jpg", "restarts.jpg"] {
        let difference = largest_difference(name);
        assert!(difference <= 3, "{name}: {difference}");
    }
}

#[test]
fn exif_orientation_turns_every_kind_of_file_upright() {
    for orientation in 1..=8 {
        let difference = largest_difference(&format!("orientation_{orientation}.jpg"));
        assert!(difference <= 3, "{orientation}: {difference}");
    }
    for name in ["orientation_6.png", "orientation_6.webp", "orientation_6.tiff"] {
        assert_eq!(largest_difference(name), 0, "{name}");
    }
}

#[test]
fn broken_files_are_named() {
    let png = std::fs::read(fixtures().join("alpha.png")).unwrap();
    let jpeg = std::fs::read(fixtures().join("cmyk.jpg")).unwrap();
    for bytes in [&b""[..], b"not an image", &png[..60], &png[..9], &jpeg[..30]] {
        let error = decode(bytes, &"photo 7").unwrap_err();
        assert!(error.to_string().starts_with("photo 7 cannot be decoded: "), "{error}");
    }
    for name in ["subsampled.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"] {
        let whole = std::fs::read(fixtures().join(name)).unwrap();
        let pixels = whole.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap();
        let error = decode(&whole[..pixels + (whole.len() - pixels) * 2 / 3], &name);
        assert!(matches!(error, Err(DataError::Decode { .. })), "{name}");
    }
    let missing = ImageSource::File(Path::new("no/such.png").into()).load().unwrap_err();
    assert_eq!(missing.to_string(), "no/such.png does not exist");
}

#[test]
fn an_image_above_the_limit_is_refused_from_its_header() {
    // 20,000 x 20,000 pixels declared in 33 bytes of PNG, and in a JPEG header.
    let mut png = std::fs::read(fixtures().join("grey.png")).unwrap();
    png[16..24].copy_from_slice(&[0, 0, 78, 32, 0, 0, 78, 32]);
    let checksum = crc32(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&checksum);
    let mut jpeg = std::fs::read(fixtures().join("grey.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[78, 32, 78, 32]);
    for bytes in [png, jpeg] {
        match decode(&bytes, &"bomb").unwrap_err() {
            DataError::TooManyPixels { width: 20_000, height: 20_000, limit, .. } => assert_eq!(limit, PIXEL_LIMIT),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_png_whose_rows_are_all_there_needs_no_last_chunk() {
    let whole = std::fs::read(fixtures().join("alpha.png")).unwrap();
    let expected = decode(&whole, &"whole").unwrap();
    for cut in [12, 11, 5, 1] {
        assert_eq!(decode(&whole[..whole.len() - cut], &"cut").unwrap(), expected, "{cut}");
    }
    for cut in [13, 17, 40] {
        assert!(decode(&whole[..whole.len() - cut], &"cut").is_err(), "{cut}");
    }
    let mut damaged = whole.clone();
    let data = whole.windows(4).position(|kind| kind == b"IDAT").unwrap();
    let length = u32::from_be_bytes(whole[data - 4..data].try_into().unwrap()) as usize;
    damaged[data + 4 + length] ^= 1;
    let error = decode(&damaged, &"damaged").unwrap_err().to_string();
    assert_eq!(error, "damaged cannot be decoded: it is damaged: a checksum does not fit its data");
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _: u8| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}
