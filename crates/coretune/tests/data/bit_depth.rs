//! Images of 16 bits become 8 bits over the range that the data set is read with.

use std::fs;
use std::path::Path;

use coretune::data::check::{Depth, Problem, Severity, check};
use coretune::data::{BitDepth, BitDepthRange, Dataset, DatasetOptions, Role};
use image::{ImageBuffer, Luma, Rgba};

/// Two classes of grey images of 16 bits with values from `low` to `high`, and a test image that has more.
fn data(low: u16, high: u16) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, high) in [("train/a/0.png", high), ("train/b/0.png", high - 1), ("test/a/0.png", 60_000)] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let value = |x: u32, y: u32| Luma([if x + y == 0 { low } else { high - (x * y) as u16 }]);
        ImageBuffer::from_fn(9, 9, value).save(path).unwrap();
    }
    folder
}

fn open(folder: &Path, bit_depth: BitDepth) -> Dataset {
    Dataset::open(folder, &DatasetOptions { bit_depth, ..DatasetOptions::default() }).unwrap()
}

#[test]
fn the_measured_range_is_that_of_training_and_serves_every_split() {
    let folder = data(100, 4000);
    let dataset = open(folder.path(), BitDepth::Measured);
    let range = BitDepthRange::new(100, 4000);
    assert_eq!(dataset.bit_depth(), range);
    let (train, test) = (dataset.train.as_ref().unwrap(), dataset.test.as_ref().unwrap());
    let pixel = |split: &coretune::data::Split, x| split.load(0).unwrap().get_pixel(x, 0).0;
    assert_eq!((pixel(train, 0), pixel(train, 1)), ([0; 3], [255; 3]));
    assert_eq!((pixel(test, 0), pixel(test, 1)), ([0; 3], [255; 3]), "beyond the range is white");
    let subset = train.subset(&[1]).unwrap();
    assert_eq!(subset.bit_depth(), range);
    let renamed = dataset.with_classes(["b", "a", "c"].map(String::from).to_vec().into()).unwrap();
    assert_eq!(renamed.bit_depth(), range);
    let full = open(folder.path(), BitDepth::default()).train.unwrap();
    assert_eq!(pixel(&full, 1), [15; 3]);
    assert_ne!(full.content_hash().unwrap(), train.content_hash().unwrap());
    let same = open(folder.path(), BitDepth::Range(range)).train.unwrap();
    assert_eq!(same.content_hash().unwrap(), train.content_hash().unwrap());
}

#[test]
fn alpha_does_not_count_and_8_bits_are_left_alone() {
    let folder = data(100, 4000);
    let opaque = ImageBuffer::from_fn(9, 9, |x, y| Rgba([300 + x as u16, 500, 700 + y as u16, u16::MAX]));
    opaque.save(folder.path().join("train/a/1.png")).unwrap();
    let eight = ImageBuffer::from_fn(9, 9, |x, y| Luma([(9 * x + y) as u8]));
    eight.save(folder.path().join("train/a/2.png")).unwrap();
    fs::write(folder.path().join("train/a/3.png"), b"broken").unwrap();
    let dataset = open(folder.path(), BitDepth::Measured);
    assert_eq!(dataset.bit_depth(), BitDepthRange::new(100, 4000));
    assert_eq!(dataset.train.unwrap().load(2).unwrap().get_pixel(3, 4).0, [31; 3]);
}

#[test]
fn images_that_use_less_than_half_of_the_range_warn() {
    let findings = |low, high, bit_depth| {
        let folder = data(low, high);
        let train = open(folder.path(), bit_depth).train.unwrap();
        check(&[(Role::Train, &train)], Depth::Full, None, false, &mut |_, _| {}).findings
    };
    let found = findings(0, 4095, BitDepth::default());
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!((finding.problem, finding.severity, finding.count()), (Problem::BitDepth, Severity::Warns, 2));
    let sentence = "2 images of train have 16 bits and only the values 0 to 4095 of 0 to 65535: ";
    assert!(finding.to_string().starts_with(sentence), "{finding}");
    assert!(findings(0, 40_000, BitDepth::default()).is_empty());
    assert!(findings(0, 4095, BitDepth::Measured).is_empty());
    // A range that does not fit is found as well, and what it makes of the images.
    let outside = findings(0, 4095, BitDepth::Range(BitDepthRange::new(30_000, 60_000)));
    let problems: Vec<Problem> = outside.iter().map(|finding| finding.problem).collect();
    assert_eq!(problems, [Problem::BitDepth, Problem::OneColour]);
}

#[test]
fn one_image_of_the_full_range_does_not_hide_the_others() {
    let folder = data(0, 4095);
    let full = ImageBuffer::from_fn(9, 9, |x, y| Luma([((9 * x + y) * 819) as u16]));
    full.save(folder.path().join("train/a/full.png")).unwrap();
    let findings = |folder: &Path| {
        let train = open(folder, BitDepth::default()).train.unwrap();
        check(&[(Role::Train, &train)], Depth::Full, None, false, &mut |_, _| {}).findings
    };
    let found = findings(folder.path());
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!(finding.count(), 2);
    assert!(finding.to_string().contains("only the values 0 to 4095 of 0 to 65535"), "{finding}");
    // Narrow images that lie far apart use the range together.
    let apart = data(60_000, 60_500);
    let dark = ImageBuffer::from_fn(9, 9, |x, y| Luma([(9 * x + y) as u16]));
    dark.save(apart.path().join("train/a/dark.png")).unwrap();
    let problems: Vec<Problem> = findings(apart.path()).iter().map(|finding| finding.problem).collect();
    assert_eq!(problems, [Problem::OneColour]);
}
