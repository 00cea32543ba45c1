//! What the targets do with their input. The test suite of the library compiles and runs the same functions
//! (`crates/coretune/tests/fuzz_targets.rs`), so that they keep up with it.
// Each target uses one of them.
#![allow(dead_code)]

use std::fs;

use coretune::checkpoints::{Checkpoint, inspect};
use coretune::config::Layers;
use coretune::data::{Dataset, DatasetOptions, decode};

/// Any bytes as a checkpoint: opened, every tensor read, a backbone looked for.
pub(crate) fn checkpoint(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint");
    fs::write(&path, bytes).expect("a file");
    if let Ok(checkpoint) = Checkpoint::open(&path) {
        for name in checkpoint.tensors().keys() {
            let _ = checkpoint.read_as_stored(name);
        }
        let _ = inspect(&path, None);
    }
}

/// Any text as a configuration file, and as an assignment.
pub(crate) fn configuration(text: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    fs::write(&path, text).expect("a file");
    if let Ok(typed) = Layers::defaults().file(&path) {
        let _ = typed.validate();
    }
    let _ = Layers::defaults().assignment(text);
}

/// Forms of a data set, by the first byte of the input.
const NAMES: [&str; 5] =
    ["train.csv", "train-00000.parquet", "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "data_batch_1.bin"];

/// Any bytes as a list, table or array of images: opened, the first images decoded.
pub(crate) fn data_set(bytes: &[u8]) {
    let Some((form, file)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(NAMES[usize::from(*form) % NAMES.len()]), file).expect("a file");
    fs::write(folder.path().join("train-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0, 1, 0]).expect("a file");
    let Ok(data) = Dataset::open(folder.path(), &DatasetOptions::default()) else { return };
    for split in [data.train, data.validation, data.test].into_iter().flatten() {
        split.images().iter().take(4).for_each(|image| drop(image.load()));
    }
}

/// Any bytes as an image file.
pub(crate) fn image(bytes: &[u8]) {
    let _ = decode(bytes, &"fuzz");
}
