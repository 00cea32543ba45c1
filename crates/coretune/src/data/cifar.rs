//! CIFAR-10 and CIFAR-100 in their binary version: records of one or two label bytes and 3 x 32 x 32 planar pixels.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::folder::lines_of;
use super::found::{Found, Listing};
use super::left_out::LeftOut;
use super::{DataError, DatasetOptions, Format, ImageSource, RawImage, RawLayout, split_names};

const SIDE: u32 = 32;
const PIXEL_BYTES: usize = 3 * 32 * 32;

/// One of the two published sets.
struct Edition {
    folder: &'static str,
    /// Present in this edition and in no other.
    mark: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    names: &'static str,
    /// Bytes before the pixels; the last of them is the label (in CIFAR-100 the coarse label precedes the fine one).
    label_bytes: usize,
    classes: usize,
}

const EDITIONS: [Edition; 2] = [
    Edition {
        folder: "cifar-10-batches-bin",
        mark: "data_batch_1.bin",
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: "test_batch.bin",
        names: "batches.meta.txt",
        label_bytes: 1,
        classes: 10,
    },
    Edition {
        folder: "cifar-100-binary",
        mark: "fine_label_names.txt",
        train: &["train.bin"],
        test: "test.bin",
        names: "fine_label_names.txt",
        label_bytes: 2,
        classes: 100,
    },
];

pub(super) fn read(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    for edition in &EDITIONS {
        for folder in [root.to_path_buf(), root.join(edition.folder)] {
            if folder.join(edition.mark).is_file() {
                return edition.read(&folder, options).map(Some);
            }
        }
    }
    Ok(None)
}

impl Edition {
    fn read(&self, folder: &Path, options: &DatasetOptions) -> Result<Found, DataError> {
        let has_test = folder.join(self.test).is_file();
        let available: Vec<String> =
            ["train", "test"][..if has_test { 2 } else { 1 }].iter().map(ToString::to_string).collect();
        let mut splits = [None, None, None];
        for (name, listing) in split_names::assign(folder, &available, options)?.iter().zip(&mut splits) {
            *listing = match name.as_deref() {
                Some("train") => Some(self.list(folder, self.train)?),
                Some(_) => Some(self.list(folder, &[self.test])?),
                None => None,
            };
        }
        let classes = Some(self.class_names(folder)?);
        Ok(Found {
            format: Format::CifarBinary,
            splits,
            classes,
            titles: HashMap::new(),
            left_out: LeftOut::default(),
            columns: Vec::new(),
        })
    }

    fn class_names(&self, folder: &Path) -> Result<Vec<String>, DataError> {
        let path = folder.join(self.names);
        if !path.is_file() {
            return Ok((0..self.classes).map(|class| class.to_string()).collect());
        }
        let names = lines_of(&path)?;
        if names.len() == self.classes {
            return Ok(names);
        }
        Err(DataError::malformed(&path, format!("{} names of classes", self.classes), format!("{} lines", names.len())))
    }

    fn list(&self, folder: &Path, files: &[&str]) -> Result<Listing, DataError> {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for file in files {
            self.add_records(&folder.join(file), &mut images, &mut labels)?;
        }
        let path = if let [file] = files { folder.join(file) } else { folder.to_path_buf() };
        Ok(Listing { path, images, labels, names: None })
    }

    fn add_records(
        &self,
        path: &PathBuf,
        images: &mut Vec<ImageSource>,
        labels: &mut Vec<i64>,
    ) -> Result<(), DataError> {
        let bytes = Bytes::from(std::fs::read(path).map_err(DataError::read(path))?);
        let record = self.label_bytes + PIXEL_BYTES;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            let expected = format!("records of {record} bytes");
            return Err(DataError::malformed(path, expected, format!("a file of {} bytes", bytes.len())));
        }
        let table: Arc<Path> = Arc::from(path.as_path());
        for row in 0..bytes.len() / record {
            let pixels = row * record + self.label_bytes;
            labels.push(i64::from(bytes[pixels - 1]));
            let pixels = bytes.slice(pixels..pixels + PIXEL_BYTES);
            let image = RawImage::new(pixels, (SIDE, SIDE), RawLayout::Planar, table.clone(), row as u64)?;
            images.push(ImageSource::Raw(image));
        }
        Ok(())
    }
}
