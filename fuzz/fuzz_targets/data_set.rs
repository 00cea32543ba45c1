//! Any bytes as a list, table or array of images: opened, the first images decoded.
#![no_main]

use coretune::data::{Dataset, DatasetOptions};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 5] =
    ["train.csv", "train-00000.parquet", "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "data_batch_1.bin"];

fuzz_target!(|bytes: &[u8]| {
    let Some((form, file)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(NAMES[usize::from(*form) % NAMES.len()]), file).expect("a file");
    std::fs::write(folder.path().join("train-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0, 1, 0]).expect("a file");
    let Ok(data) = Dataset::open(folder.path(), &DatasetOptions::default()) else { return };
    for split in [data.train, data.validation, data.test].into_iter().flatten() {
        split.images().iter().take(4).for_each(|image| drop(image.load()));
    }
});
