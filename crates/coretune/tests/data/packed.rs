//! A data set as one file gives what its folder gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coretune::data::{
    DataError, Dataset, DatasetOptions, Format, ImageSource, Loader, LoaderOptions, Packed, Role, Storage, pack,
    sampler,
};
use coretune::transforms::{Augmentation, Interpolation, Transform};
use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage};
use tempfile::{TempDir, tempdir};

fn open(path: &Path) -> Result<Dataset, DataError> {
    Dataset::open(path, &DatasetOptions::default())
}

/// Three splits of two classes with titles: JPEG, PNG in colour, grey and 16 bits, and a file that cannot be decoded.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    let image = |seed: u32| {
        RgbImage::from_fn(12, 9, |x, y| Rgb([(x * 20 + seed) as u8, (y * 25) as u8, (x * y + 3 * seed) as u8]))
    };
    let file = |path: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    for (number, (split, class)) in
        [("train", "n02"), ("train", "n01"), ("val", "n01"), ("test", "n02")].into_iter().enumerate()
    {
        let seed = 10 * number as u32;
        image(seed).save_with_format(file(&format!("{split}/{class}/a.jpg")), ImageFormat::Jpeg).unwrap();
        image(seed + 1).save(file(&format!("{split}/{class}/b.png"))).unwrap();
        let grey = GrayImage::from_fn(9, 12, |x, y| image::Luma([(x * y + seed) as u8]));
        grey.save(file(&format!("{split}/{class}/c.png"))).unwrap();
        let deep = DynamicImage::ImageRgb8(image(seed)).into_rgb16();
        deep.save(file(&format!("{split}/{class}/d.png"))).unwrap();
    }
    fs::write(file("train/n01/e.jpg"), b"\xff\xd8\xff\xe0 not an image").unwrap();
    fs::write(file("classes.txt"), "n01 tench\nn02 goldfish\n").unwrap();
    folder
}

fn packed(dataset: &Dataset, folder: &Path, storage: Storage) -> PathBuf {
    let file = folder.join(format!("{storage}.parquet"));
    let mut seen = (0, 0);
    let Packed { images, bytes } = pack(dataset, &file, storage, &mut |done, total| seen = (done, total)).unwrap();
    assert_eq!((seen, bytes), ((images, images), fs::metadata(&file).unwrap().len()));
    file
}

#[test]
fn a_packed_file_has_the_classes_labels_splits_and_pixels_of_its_folder() {
    let (folder, place) = (folder(), tempdir().unwrap());
    let original = open(folder.path()).unwrap();
    for storage in [Storage::Encoded, Storage::Pixels] {
        let read = open(&packed(&original, place.path(), storage)).unwrap();
        assert_eq!(read.format, Format::Parquet);
        assert_eq!((&read.classes, &read.titles), (&original.classes, &original.titles));
        assert_eq!(&read.titles[..], ["tench", "goldfish"]);
        for role in [Role::Train, Role::Validation, Role::Test] {
            let (ours, theirs) = (read.split(role).unwrap(), original.split(role).unwrap());
            assert_eq!(ours.labels(), theirs.labels(), "{storage} {role}");
            for index in 0..theirs.len() {
                match theirs.load(index) {
                    Ok(image) => assert_eq!(ours.load(index).unwrap(), image, "{storage} {role} {index}"),
                    Err(_) => assert!(ours.load(index).is_err(), "{storage} {role} {index}"),
                }
            }
            if storage == Storage::Encoded {
                assert_eq!(ours.content_hash().unwrap(), theirs.content_hash().unwrap());
            }
        }
        let narrow = DatasetOptions {
            bit_depth: coretune::data::BitDepth::Range(coretune::data::BitDepthRange::new(100, 40_000)),
            ..DatasetOptions::default()
        };
        let of = |path: &Path| Dataset::open(path, &narrow).unwrap().test.unwrap().load(3).unwrap();
        assert_eq!(
            of(&place.path().join(format!("{storage}.parquet"))),
            of(folder.path()),
            "images of 16 bits stay so"
        );
    }
}

#[test]
fn batches_of_a_packed_file_are_those_of_the_folder() {
    let (folder, place) = (folder(), tempdir().unwrap());
    fs::remove_file(folder.path().join("train/n01/e.jpg")).unwrap();
    let original = open(folder.path()).unwrap();
    let transform = Arc::new(Transform::train(Augmentation::Contrastive, 8, Interpolation::Bilinear).unwrap());
    let batches = |dataset: &Dataset| -> Vec<(Vec<u8>, Vec<i64>)> {
        let split = dataset.train.clone().unwrap();
        let order = sampler::shuffle(split.len(), 3, 5, 1, false).unwrap();
        let options = LoaderOptions { seed: 5, views: 2, workers: 2, ..LoaderOptions::default() };
        let loader = Loader::new(split, transform.clone(), order, options).unwrap();
        let batch = |batch: Result<coretune::data::Batch, DataError>| {
            let batch = batch.unwrap();
            (Vec::<u8>::try_from(batch.images.flatten(0, -1)).unwrap(), batch.labels)
        };
        loader.map(batch).collect()
    };
    for storage in [Storage::Encoded, Storage::Pixels] {
        assert_eq!(batches(&open(&packed(&original, place.path(), storage)).unwrap()), batches(&original), "{storage}");
    }
}

#[test]
fn splits_of_a_packed_file_can_be_named_for_other_roles() {
    let (folder, place) = (folder(), tempdir().unwrap());
    let file = packed(&open(folder.path()).unwrap(), place.path(), Storage::Encoded);
    let options = DatasetOptions { test_split: Some("validation".into()), ..DatasetOptions::default() };
    let read = Dataset::open(&file, &options).unwrap();
    assert_eq!((read.validation.is_some(), read.test.unwrap().labels()), (false, &[0, 0, 0, 0][..]));
    assert_eq!(read.left_out.omissions()[0].count, 4, "the split named test");
    let missing = DatasetOptions { val_split: Some("dev".into()), ..DatasetOptions::default() };
    assert!(matches!(Dataset::open(&file, &missing), Err(DataError::SplitMissing { .. })));
}

#[test]
fn images_without_classes_and_raw_pixels_can_be_packed() {
    let place = tempdir().unwrap();
    for name in ["b.png", "a.png"] {
        RgbImage::from_pixel(3, 2, Rgb([name.as_bytes()[0], 1, 2])).save(place.path().join(name)).unwrap();
    }
    let unlabelled = Dataset::open_unlabelled(place.path(), &DatasetOptions::default()).unwrap();
    let read = open(&packed(&unlabelled, place.path(), Storage::Encoded)).unwrap();
    assert_eq!((&read.classes[..], read.train.unwrap().labels()), (&["images".to_string()][..], &[0, 0][..]));

    let cifar = tempdir().unwrap();
    let row: Vec<u8> = std::iter::once(7).chain((0..3072).map(|value| (value % 251) as u8)).collect();
    for number in 1..=5 {
        fs::write(cifar.path().join(format!("data_batch_{number}.bin")), &row).unwrap();
    }
    fs::write(cifar.path().join("test_batch.bin"), &row).unwrap();
    let original = open(cifar.path()).unwrap();
    let train = open(&packed(&original, place.path(), Storage::Pixels)).unwrap().train.unwrap();
    assert!(matches!(train.images()[0], ImageSource::Encoded { .. }));
    assert_eq!(train.load(1).unwrap(), original.train.unwrap().load(1).unwrap());
}

#[test]
fn a_packed_file_that_was_cut_off_or_changed_is_refused() {
    let (folder, place) = (folder(), tempdir().unwrap());
    let file = packed(&open(folder.path()).unwrap(), place.path(), Storage::Encoded);
    let whole = fs::read(&file).unwrap();
    let refusal = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        open(&file).unwrap_err().to_string()
    };
    for length in [0, 4, whole.len() / 2, whole.len() - 1] {
        let error = refusal(&whole[..length]);
        assert!(error.contains("encoded.parquet"), "{length}: {error}");
    }
    // A byte of the first image, whose file is as valid as before.
    let pixel = whole.windows(4).position(|bytes| bytes == b"IDAT").unwrap() - 60;
    let mut changed = whole.clone();
    changed[pixel] ^= 1;
    let error = refusal(&changed);
    assert!(error.contains("expected the images, labels and names that `coretune data pack` wrote"), "{error}");
    // Another name of a class.
    let name = whole.windows(8).rposition(|bytes| bytes == b"goldfish").unwrap();
    let mut changed = whole;
    changed[name] = b'G';
    let error = refusal(&changed);
    assert!(error.contains("changed or is damaged"), "{error}");
}

#[test]
fn a_packed_file_among_those_of_single_splits_and_masks_are_refused() {
    let (folder, place) = (folder(), tempdir().unwrap());
    let file = packed(&open(folder.path()).unwrap(), place.path(), Storage::Encoded);
    fs::rename(&file, place.path().join("train.parquet")).unwrap();
    let error = open(place.path()).unwrap_err().to_string();
    assert!(error.contains("a packed data set with all its splits"), "{error}");

    let masks = tempdir().unwrap();
    for (folder, name) in [("train", "a.png"), ("trainannot", "a.png")] {
        fs::create_dir_all(masks.path().join(folder)).unwrap();
        GrayImage::from_pixel(4, 4, image::Luma([1])).save(masks.path().join(folder).join(name)).unwrap();
    }
    let dataset = open(masks.path()).unwrap();
    let error = pack(&dataset, &place.path().join("x.parquet"), Storage::Encoded, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, DataError::MasksNotPacked { .. }), "{error}");
    assert!(!place.path().join("x.parquet").exists());
}
