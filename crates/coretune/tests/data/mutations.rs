//! Data sets and images altered at random, from a seed: each opens or is refused.

use std::fs;
use std::io::Write;
use std::panic::catch_unwind;
use std::path::Path;

use coretune::data::{Dataset, DatasetOptions, decode};
use coretune::random::{Purpose, stream};
use rand::RngExt;
use tempfile::tempdir;

use super::formats::{FOOTER, png, write_parquet};
use coretune_testing::alter;

const SEED: u64 = 20_261_124;

/// Alters `whole` `count` times over and hands each result to `take`, which must not panic.
fn mutate(what: &str, whole: &[u8], count: u64, take: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    for number in 0..count {
        let mut random = stream(SEED, Purpose::Subset, 1, number);
        let mut file = whole.to_vec();
        for _ in 0..random.random_range(1..5) {
            alter(&mut file, whole, &mut random);
        }
        assert!(catch_unwind(|| take(&file)).is_ok(), "{what}, mutation {number}");
    }
}

/// Opens a data set and reads every image that it lists.
fn read_all(path: &Path) {
    let Ok(dataset) = Dataset::open(path, &DatasetOptions::default()) else { return };
    for split in [dataset.train, dataset.validation, dataset.test].into_iter().flatten() {
        for image in split.images().iter().take(50) {
            let _ = image.load();
        }
    }
}

#[test]
fn mutated_images_decode_or_are_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fixtures");
    for name in [
        "progressive.jpg",
        "cmyk.jpg",
        "orientation_6.jpg",
        "palette.png",
        "grey_16.png",
        "palette.gif",
        "alpha.webp",
        "palette.bmp",
        "rgb.tiff",
        "cmyk.tiff",
        "rgb.ppm",
    ] {
        let whole = fs::read(folder.join(name)).unwrap();
        mutate(name, &whole, 60, |bytes| drop(decode(bytes, &name)));
    }
}

#[test]
fn mutated_tables_open_or_are_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("train-00000.parquet");
    let images: Vec<Option<Vec<u8>>> = (0..6).map(|colour| Some(png(colour))).collect();
    let zstd = parquet::basic::Compression::ZSTD(parquet::basic::ZstdLevel::default());
    for compression in [zstd, parquet::basic::Compression::SNAPPY, parquet::basic::Compression::UNCOMPRESSED] {
        write_parquet(&path, &images, &[0, 1, 2, 0, 1, 2], compression, Some(FOOTER));
        let whole = fs::read(&path).unwrap();
        mutate("parquet", &whole, 150, |bytes| {
            fs::write(&path, bytes).unwrap();
            read_all(folder.path());
        });
    }
}

#[test]
fn mutated_lists_and_arrays_open_or_are_refused() {
    let list = tempdir().unwrap();
    fs::write(list.path().join("a.png"), png(1)).unwrap();
    let rows = b"image_path,label\na.png,x\n\"a.png\",\"y, z\"\n../up.png,x\n/dev/zero,y\n";
    mutate("csv", rows, 300, |bytes| {
        fs::write(list.path().join("train.csv"), bytes).unwrap();
        read_all(&list.path().join("train.csv"));
    });

    let arrays = tempdir().unwrap();
    let header = |sizes: &[u32]| {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes
    };
    let mut images = header(&[3, 4, 4]);
    images.extend([7; 48]);
    let mut labels = header(&[3]);
    labels.extend([0, 1, 0]);
    fs::write(arrays.path().join("train-labels-idx1-ubyte"), &labels).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&images).unwrap();
    let packed = packed.finish().unwrap();
    for (name, whole) in [("train-images-idx3-ubyte", images), ("train-images-idx3-ubyte.gz", packed)] {
        let path = arrays.path().join(name);
        mutate(name, &whole, 200, |bytes| {
            fs::write(&path, bytes).unwrap();
            read_all(arrays.path());
        });
        fs::remove_file(path).unwrap();
    }

    let cifar = tempdir().unwrap();
    let records: Vec<u8> = (0..3).flat_map(|label| std::iter::once(label).chain([9; 3072])).collect();
    for number in 1..=5 {
        fs::write(cifar.path().join(format!("data_batch_{number}.bin")), &records).unwrap();
    }
    mutate("cifar", &records, 100, |bytes| {
        fs::write(cifar.path().join("data_batch_3.bin"), bytes).unwrap();
        read_all(cifar.path());
    });
}
