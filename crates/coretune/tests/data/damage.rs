//! Image files that are damaged in ways that decoders forgive are refused; what is harmless is read.

use std::fs;
use std::path::Path;

use coretune::data::{DataError, decode};
use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

const END_OF_IMAGE: &[u8] = &[0xff, 0xd9];

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/fixtures")).join(name)).unwrap()
}

/// Positions behind the headers of all scans.
fn scans(jpeg: &[u8]) -> Vec<usize> {
    let is_scan = |&at: &usize| jpeg[at..at + 2] == [0xff, 0xda];
    let end_of_header = |at: usize| at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
    (0..jpeg.len() - 4).filter(is_scan).map(end_of_header).collect()
}

/// The file without what is between `at` and its end marker.
fn cut(jpeg: &[u8], at: usize) -> Vec<u8> {
    [&jpeg[..at], END_OF_IMAGE].concat()
}

fn message(bytes: &[u8]) -> String {
    match decode(bytes, &"photo.jpg") {
        Err(DataError::Decode { message, .. }) => message,
        Err(other) => panic!("{other}"),
        Ok(_) => String::new(),
    }
}

/// The row that a message names, of a number of rows.
fn row(message: &str, height: u32) -> u32 {
    let number = message.strip_prefix("its image data ends after row ").and_then(|rest| rest.split_once(" of "));
    let (row, of) = number.unwrap_or_else(|| panic!("{message:?} names no row"));
    assert_eq!(of, height.to_string(), "{message}");
    row.parse().unwrap()
}

#[test]
fn a_jpeg_whose_image_data_ends_early_is_refused_with_the_row() {
    for name in ["subsampled.jpg", "grey.jpg", "cmyk.jpg", "restarts.jpg"] {
        let (whole, height) = (fixture(name), decode(&fixture(name), &name).unwrap().height());
        let mut last = 0;
        for at in scans(&whole)[0]..whole.len() - 5 {
            // Between the two bytes of a marker nothing could be cut without another fault.
            if whole[at - 1] == 0xff {
                continue;
            }
            let found = message(&cut(&whole, at));
            let row = row(&found, height);
            assert!(row >= last && row < height && row.is_multiple_of(8), "{name} cut at {at}: {found}");
            last = row;
            // The same without the end marker.
            assert_eq!(message(&whole[..at]), found, "{name} cut at {at}");
        }
        assert!(last > 0, "{name}: the last row is reached");
    }
}

/// A grey image of 1024 x 512 pixels of one value, whose codes are zeros, without an end marker.
fn white() -> Vec<u8> {
    let table = |class: u8, value: u8| [&[0xff, 0xc4, 0, 20, class, 1][..], &[0; 15], &[value]].concat();
    let frame = [0xff, 0xc0, 0, 11, 8, 2, 0, 4, 0, 1, 1, 0x11, 0];
    let scan = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0];
    let quantisation = [&[0xff, 0xdb, 0, 67, 0][..], &[1; 64]].concat();
    // A code of one bit for "no change", another for "end of block", of 64 x 128 blocks.
    [&[0xff, 0xd8][..], &quantisation, &frame, &table(0, 0), &table(0x10, 0), &scan, &[0; 64 * 128 * 2 / 8]].concat()
}

#[test]
fn a_jpeg_that_a_download_filled_up_with_zeros_is_refused() {
    for name in ["subsampled.jpg", "grey.jpg", "cmyk.jpg", "restarts.jpg"] {
        let (whole, height) = (fixture(name), decode(&fixture(name), &name).unwrap().height());
        for at in (scans(&whole)[0]..whole.len() - 5).filter(|&at| whole[at - 1] != 0xff) {
            let found = message(&[&whole[..at], &[0; 5000]].concat());
            let known = found.strip_suffix(": from there on the file is filled with zeros");
            assert!(known.is_some_and(|known| row(known, height) < height), "{name}, zeros from {at}: {found}");
        }
        let complete = &whole[..whole.len() - END_OF_IMAGE.len()];
        for harmless in [[complete, &[0; 5000]].concat(), [&whole[..], &[0; 5000]].concat()] {
            assert_eq!(message(&harmless), "", "{name}");
        }
    }
    assert_eq!(message(&white()), "", "zeros are the data of a flat image");
    let progressive = fixture("progressive.jpg");
    let last = *scans(&progressive).last().unwrap();
    assert!(message(&[&progressive[..=last], &[0; 5000]].concat()).contains("ends within one of"));
}

#[test]
fn a_jpeg_with_a_hole_of_zeros_is_refused_and_a_flat_image_is_read() {
    for name in ["subsampled.jpg", "grey.jpg", "cmyk.jpg", "restarts.jpg"] {
        let whole = fixture(name);
        let height = decode(&whole, &name).unwrap().height();
        let data = scans(&whole)[0]..whole.len() - 12;
        for at in data.filter(|&at| whole[at - 1] != 0xff) {
            let ended = message(&[&whole[..at], &[0; 5000], END_OF_IMAGE].concat());
            let middle = message(&[&whole[..at], &[0; 5000], &whole[at + 4..]].concat());
            assert!(!ended.is_empty() && !middle.is_empty(), "{name}, zeros from {at}: {ended:?} {middle:?}");
            if name == "grey.jpg" {
                let sentence = |found: &str| found.starts_with("its image data is filled with zeros after row ");
                assert!(sentence(&ended) && ended.ends_with(&format!(" of {height}")), "{at}: {ended}");
            }
        }
    }
    assert_eq!(message(&[&white(), END_OF_IMAGE].concat()), "", "zeros are the data of a flat image");
}

#[test]
fn a_restart_interval_that_is_complete_is_not_taken_for_the_last() {
    let whole = fixture("restarts.jpg");
    let is_restart = |&at: &usize| whole[at] == 0xff && (0xd0..=0xd7).contains(&whole[at + 1]);
    let restarts: Vec<usize> = (scans(&whole)[0]..whole.len() - 1).filter(is_restart).collect();
    assert!(restarts.len() > 1);
    for at in restarts {
        for end in [at, at + 2] {
            assert!(row(&message(&cut(&whole, end)), 34) < 34);
        }
    }
}

#[test]
fn a_progressive_jpeg_that_ends_early_is_refused_wherever_it_ends() {
    let whole = fixture("progressive.jpg");
    let scans = scans(&whole);
    for at in scans[0]..whole.len() - 5 {
        if whole[at - 1] != 0xff {
            let found = message(&cut(&whole, at));
            let begun = scans.iter().filter(|&&scan| scan <= at).count();
            if begun < scans.len() {
                assert!(found.starts_with("it is progressive and ends after"), "cut at {at}: {found}");
            }
            assert!(!found.is_empty(), "cut at {at} of {}, in scan {begun} of {}", whole.len(), scans.len());
        }
    }
    assert_eq!(message(&cut(&whole, scans[2])), "it is progressive and ends after 3 scans: others are missing");
    let last = scans[scans.len() - 1];
    let within = format!("its image data ends within one of {} scans", scans.len());
    assert_eq!(message(&cut(&whole, last + (whole.len() - last) / 2)), within);
}

#[test]
fn image_data_that_is_missing_in_the_middle_is_found_too() {
    for name in ["subsampled.jpg", "grey.jpg", "cmyk.jpg", "progressive.jpg"] {
        let whole = fixture(name);
        let from = scans(&whole)[0] + 20;
        let gap = [&whole[..from], &whole[from + (whole.len() - from) / 2..]].concat();
        assert!(!message(&gap).is_empty(), "{name}");
    }
}

#[test]
fn harmless_faults_of_a_jpeg_change_no_pixel() {
    for name in ["subsampled.jpg", "grey.jpg", "cmyk.jpg", "progressive.jpg", "restarts.jpg", "orientation_6.jpg"] {
        let whole = fixture(name);
        let pixels = decode(&whole, &name).unwrap();
        let trailing = [&whole[..], b"made by a camera \xff\xd9 \xff\xda"].concat();
        let two_images = [&whole[..], &fixture("cmyk.jpg")].concat();
        let unended = &whole[..whole.len() - 2];
        let filled = [&whole[..whole.len() - 2], &[0xff, 0xff, 0xff, 0xd9]].concat();
        let zeros = [unended, &[0; 3000], END_OF_IMAGE].concat();
        for (fault, bytes) in [
            ("trailing bytes", &trailing[..]),
            ("two images", &two_images),
            ("no end marker", unended),
            ("fill bytes", &filled),
            ("surplus image data", &zeros),
        ] {
            let read = decode(bytes, &name).unwrap_or_else(|error| panic!("{name}, {fault}: {error}"));
            assert!(read == pixels, "{name}: {fault}");
        }
    }
}

#[test]
fn damaged_exif_costs_the_orientation_only() {
    let whole = fixture("orientation_6.jpg");
    let upright = decode(&whole, &"").unwrap();
    assert_eq!(upright.dimensions(), (16, 24));
    let exif = whole.windows(6).position(|bytes| bytes == b"Exif\0\0").unwrap() + 6;
    let length = usize::from(u16::from_be_bytes([whole[exif - 8], whole[exif - 7]])) - 8;
    for at in exif..exif + length {
        for value in [0x00, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let read = decode(&bytes, &"").unwrap_or_else(|error| panic!("byte {at} is {value}: {error}"));
            assert!([(16, 24), (24, 16)].contains(&read.dimensions()));
        }
    }
}

#[test]
fn of_files_with_several_images_the_first_is_read() {
    let upright = |name: &str| {
        let expected = image::load_from_memory(&fixture(&format!("{name}.expected.png"))).unwrap().into_rgb8();
        (decode(&fixture(name), &name).unwrap(), expected)
    };
    let (animated, expected) = upright("animated.gif");
    assert!(animated == expected);
    let (photo, expected) = upright("two_in_one.mpo");
    let largest = photo.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(largest <= Some(3), "{largest:?}");
}

#[test]
fn images_of_one_pixel_are_read_in_every_format() {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP};
    for format in [Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        RgbImage::from_pixel(1, 1, Rgb([200; 3])).write_to(&mut bytes, format).unwrap();
        let read = decode(bytes.get_ref(), &"").unwrap();
        assert_eq!(read.dimensions(), (1, 1), "{format:?}");
        assert!(read.iter().all(|&value| value.abs_diff(200) < 2), "{format:?}");
    }
}

#[test]
fn every_other_format_refuses_a_file_that_is_cut_short() {
    for name in ["alpha.png", "alpha.webp", "palette.bmp", "rgb.tiff", "rgb.ppm", "grey.pgm"] {
        let whole = fixture(name);
        assert!(!message(&whole[..whole.len() * 2 / 3]).is_empty(), "{name}");
    }
}

#[test]
fn the_content_says_the_format_not_the_ending() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jpg");
    let image = RgbaImage::from_fn(5, 4, |x, y| Rgba([x as u8, y as u8, 9, 100]));
    image.save_with_format(&path, ImageFormat::Png).unwrap();
    let read = coretune::data::ImageSource::File(path.into()).load().unwrap();
    assert_eq!((read.dimensions(), read.get_pixel(4, 3)), ((5, 4), &Rgb([4, 3, 9])));
}

#[test]
fn a_jpeg_whose_restart_markers_are_not_as_its_headers_say_is_refused() {
    let whole = fixture("restarts.jpg");
    let begin = scans(&whole)[0];
    let markers: Vec<usize> =
        (begin..whole.len() - 1).filter(|&at| whole[at] == 0xff && (0xd0..=0xd7).contains(&whole[at + 1])).collect();
    assert!(markers.len() > 3 && message(&whole).is_empty());
    for (number, &at) in markers.iter().enumerate() {
        let mut other = whole.clone();
        other[at + 1] = 0xd0 + ((whole[at + 1] - 0xd0) + 3) % 8;
        assert!(message(&other).contains("damage"), "marker {number} has another number: {:?}", message(&other));
        let lost = [&whole[..at], &whole[at + 2..]].concat();
        assert!(!message(&lost).is_empty(), "marker {number} is missing");
        if let Some(&next) = markers.get(number + 1) {
            let hole = [&whole[..at], &whole[next..]].concat();
            assert!(!message(&hole).is_empty(), "the interval behind marker {number} is missing");
        }
    }
    let last = [&whole[..whole.len() - 2], &[0xff, 0xd0 + (markers.len() % 8) as u8], END_OF_IMAGE].concat();
    assert_eq!(message(&last), "", "some encoders write a marker behind the last interval too");
}

/// A TIFF file with one strip of grey pixels, compressed by deflate.
fn deflated(pixels: &[u8], side: u16) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(pixels).unwrap();
    let strip = encoder.finish().unwrap();
    let entries: [(u16, u32); 9] = [
        (256, side.into()),
        (257, side.into()),
        (258, 8),
        (259, 8),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, side.into()),
        (279, strip.len() as u32),
    ];
    let mut file = [&b"II*\0"[..], &(8 + strip.len() as u32).to_le_bytes(), &strip].concat();
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend([4, 0, 1, 0, 0, 0]);
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

#[test]
fn a_tiff_whose_checksum_does_not_fit_is_refused() {
    let pixels: Vec<u8> = (0..64 * 64_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let whole = deflated(&pixels, 64);
    assert_eq!(decode(&whole, &"scan.tif").unwrap().as_raw().len(), 3 * 64 * 64);
    let strip = u32::from_le_bytes(whole[4..8].try_into().unwrap()) as usize;
    let mut refused = 0;
    for at in (20..strip).step_by(97).chain(strip - 4..strip) {
        let mut other = whole.clone();
        other[at] ^= 0x10;
        refused += usize::from(!message(&other).is_empty());
    }
    assert_eq!(refused, (20..strip).step_by(97).count() + 4, "every altered byte is found");
    let mut unsummed = whole.clone();
    unsummed[strip - 1] ^= 1;
    assert!(message(&unsummed).starts_with("it is damaged"), "{}", message(&unsummed));
}

#[test]
fn reports_of_decoders_become_sentences() {
    let mut png = Vec::new();
    RgbImage::from_fn(9, 9, |x, y| Rgb([x as u8, y as u8, 7]))
        .write_to(&mut std::io::Cursor::new(&mut png), ImageFormat::Png)
        .unwrap();
    let header = |at: usize, value: u8| {
        let mut other = png.clone();
        other[at] = value;
        let sum = {
            let mut crc = flate2::Crc::new();
            crc.update(&other[12..29]);
            crc.sum()
        };
        other[29..33].copy_from_slice(&sum.to_be_bytes());
        message(&other)
    };
    for found in [header(24, 3), header(25, 9), message(&png[..20]), message(b"GIF89a\x01"), message(b"BM\0\0")] {
        assert!(found.starts_with("it is damaged") || found.starts_with("it ends early"), "{found}");
        assert!(!found.contains("Format error") && !found.contains("decoding Png"), "{found}");
    }
}
