//! A data set as one file: parquet as on Hugging Face, with all splits, whose images are read from the system's cache.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use image::RgbImage;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use serde_json::json;

use super::decode::has_16_bits;
use super::fingerprint::{Fingerprint, PACKED, PackedNote};
use super::on_threads::{on_threads, processors};
use super::{DataError, Dataset, ImageSource, Role, Split};
use crate::files::{PartialFile, below};
use crate::settings::choice;

choice! {
    /// How a packed file stores an image.
    #[derive(Default)]
    Storage {
        /// As the image file has it.
        #[default]
        Encoded = "encoded",
        /// Decoded: a file several times as large, whose images need no decoding.
        Pixels = "pixels",
    }
}

const SCHEMA: &str = "message images {
    optional group image { optional binary bytes; optional binary path (UTF8); }
    optional int64 label;
    optional binary split (UTF8);
}";
/// Images that are read before they are written.
const READ_AT_ONCE: usize = 64;
/// Bytes of images after which a row group ends.
const GROUP_BYTES: usize = 64 << 20;

/// What was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Number of images.
    pub images: usize,
    /// Size of the file.
    pub bytes: u64,
}

/// Writes all images of `dataset`, with their labels, splits and names, to the parquet file `output`.
///
/// [`Dataset::open`] reads it as the same classes, labels, order and pixels. `see` gets the images that are written so far
/// and the number of all.
///
/// # Errors
/// [`DataError::MasksNotPacked`] for images with masks; [`DataError::Read`] and [`DataError::Written`].
pub fn pack(
    dataset: &Dataset,
    output: &Path,
    storage: Storage,
    see: &mut dyn FnMut(usize, usize),
) -> Result<Packed, DataError> {
    if dataset.has_masks() {
        return Err(DataError::MasksNotPacked { path: dataset.root.clone() });
    }
    let partial = PartialFile::of(output);
    let file = partial.create().map_err(written(output))?;
    let named = dataset.classes.iter().zip(dataset.titles.iter()).filter(|(class, title)| class != title);
    let titles: BTreeMap<String, String> = named.map(|(class, title)| (class.clone(), title.clone())).collect();
    let images = Role::ALL.into_iter().filter_map(|role| dataset.split(role)).map(Split::len).sum();
    let mut packing = Packing {
        root: &dataset.root,
        output,
        storage,
        writer: writer(file).map_err(parquet(output))?,
        fingerprint: Fingerprint::new(&dataset.classes, &titles),
        written: 0,
        images,
        see,
    };
    for role in Role::ALL {
        if let Some(split) = dataset.split(role) {
            packing.add(&role.to_string(), split)?;
        }
    }
    packing.finish(&dataset.classes, titles)?;
    partial.keep().map_err(written(output))?;
    let bytes = std::fs::metadata(output).map_err(written(output))?.len();
    Ok(Packed { images, bytes })
}

fn written(output: &Path) -> impl Fn(io::Error) -> DataError {
    move |source| DataError::Written { path: output.to_path_buf(), source }
}

fn parquet(output: &Path) -> impl Fn(ParquetError) -> DataError {
    move |error| written(output)(io::Error::other(error))
}

fn writer(file: File) -> Result<SerializedFileWriter<File>, ParquetError> {
    let mut properties =
        WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None).set_offset_index_disabled(true);
    // Values as they are, one after the other: a reader that maps the file need not copy them.
    for column in ["bytes", "path"] {
        let path = ColumnPath::new(vec!["image".to_string(), column.to_string()]);
        properties = properties.set_column_dictionary_enabled(path, false);
    }
    SerializedFileWriter::new(file, Arc::new(parse_message_type(SCHEMA)?), Arc::new(properties.build()))
}

/// A file in the making.
struct Packing<'a> {
    root: &'a Path,
    output: &'a Path,
    storage: Storage,
    writer: SerializedFileWriter<File>,
    fingerprint: Fingerprint,
    written: usize,
    images: usize,
    see: &'a mut dyn FnMut(usize, usize),
}

/// Rows that become a group together.
#[derive(Default)]
struct Group {
    images: Vec<ByteArray>,
    paths: Vec<ByteArray>,
    labels: Vec<i64>,
    bytes: usize,
}

impl Packing<'_> {
    fn add(&mut self, name: &str, split: &Split) -> Result<(), DataError> {
        self.fingerprint.begin_split(name, split.len());
        let rows: Vec<(&ImageSource, i64)> = split.images().iter().zip(split.labels().iter().copied()).collect();
        let mut group = Group::default();
        for rows in rows.chunks(READ_AT_ONCE) {
            let storage = self.storage;
            let store = |(image, _): &(&ImageSource, i64)| stored(image, storage);
            let lost = |(image, _): &(&ImageSource, i64)| Err(DataError::Worker { message: image.to_string() });
            for ((image, label), bytes) in rows.iter().zip(on_threads(rows, processors(), store, lost)) {
                let bytes = bytes?;
                self.fingerprint.add_row(&blake3::hash(&bytes), *label);
                let path = below(self.root, Path::new(&image.to_string())).display().to_string();
                group.add(bytes, path, *label);
                if group.bytes >= GROUP_BYTES {
                    self.write(name, &group)?;
                    group = Group::default();
                }
            }
        }
        self.write(name, &group)
    }

    fn write(&mut self, split: &str, group: &Group) -> Result<(), DataError> {
        let rows = group.labels.len();
        if rows > 0 {
            group.write(split, &mut self.writer).map_err(parquet(self.output))?;
        }
        self.written += rows;
        (self.see)(self.written, self.images);
        Ok(())
    }

    fn finish(mut self, classes: &[String], titles: BTreeMap<String, String>) -> Result<(), DataError> {
        let features = json!({
            "image": { "_type": "Image" },
            "label": { "names": classes, "_type": "ClassLabel" },
            "split": { "dtype": "string", "_type": "Value" },
        });
        let note = PackedNote { content: self.fingerprint.to_hex(), titles };
        let note = serde_json::to_string(&note).expect("text is text in JSON too");
        for (key, value) in [("huggingface", json!({ "info": { "features": features } }).to_string()), (PACKED, note)] {
            self.writer.append_key_value_metadata(KeyValue::new(key.to_string(), value));
        }
        self.writer.close().map(drop).map_err(parquet(self.output))
    }
}

impl Group {
    fn add(&mut self, bytes: Bytes, path: String, label: i64) {
        self.bytes += bytes.len();
        self.images.push(bytes.into());
        self.paths.push(path.into_bytes().into());
        self.labels.push(label);
    }

    fn write(&self, split: &str, writer: &mut SerializedFileWriter<File>) -> Result<(), ParquetError> {
        let mut group = writer.next_row_group()?;
        write_column::<ByteArrayType>(&mut group, &self.images, 2)?;
        write_column::<ByteArrayType>(&mut group, &self.paths, 2)?;
        write_column::<Int64Type>(&mut group, &self.labels, 1)?;
        write_column::<ByteArrayType>(&mut group, &vec![split.into(); self.labels.len()], 1)?;
        group.close().map(drop)
    }
}

/// Values of the next column, none of them null: each is `level` optional fields deep.
fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    level: i16,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("the schema has no further column".into());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, Some(&vec![level; values.len()]), None)?;
    column.close()
}

/// The image file to store. An image that is not stored in 8 bits, or that cannot be decoded, stays as it is, so that it is read
/// (or refused) as before.
fn stored(image: &ImageSource, storage: Storage) -> Result<Bytes, DataError> {
    let bytes = image.bytes()?;
    let is_raw = matches!(image, ImageSource::Raw(_));
    let is_decoded = is_raw || (storage == Storage::Pixels && !has_16_bits(&bytes));
    if let Some(image) = is_decoded.then(|| image.load().ok()).flatten() {
        return Ok(portable(&image).into());
    }
    Ok(match bytes {
        Cow::Owned(bytes) => bytes.into(),
        Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
    })
}

/// The image as a PPM file, or as a PGM file if it is grey.
fn portable(image: &RgbImage) -> Vec<u8> {
    let pixels = image.as_chunks::<3>().0;
    let is_grey = pixels.iter().all(|&[r, g, b]| r == g && g == b);
    let kind = if is_grey { "P5" } else { "P6" };
    let mut file = format!("{kind}\n{} {}\n255\n", image.width(), image.height()).into_bytes();
    if is_grey {
        file.extend(pixels.iter().map(|[grey, ..]| grey));
    } else {
        file.extend_from_slice(image.as_raw());
    }
    file
}
