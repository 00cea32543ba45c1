//! idx files of the MNIST family, plain or gzipped: a big-endian header, then bytes.

use std::collections::HashMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;

use super::folder::{lines_of, names_in};
use super::found::{Found, Listing};
use super::left_out::LeftOut;
use super::listed::listed;
use super::{DataError, DatasetOptions, Format, ImageSource, RawImage, RawLayout, split_names};
use crate::files::regular_file;

pub(super) const IMAGES: &str = "-images-idx3-ubyte";
const LABELS: &str = "-labels-idx1-ubyte";
/// Bytes a file may unpack to; the largest of the family, EMNIST by class, has 550 MB.
const UNPACKED_LIMIT: u64 = 1 << 30;

pub(super) fn read(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    if !root.is_dir() {
        return Ok(None);
    }
    let files = names_in(root)?;
    let mut prefixes: Vec<String> =
        files.iter().filter_map(|name| plain(name).strip_suffix(IMAGES)).map(ToString::to_string).collect();
    prefixes.dedup();
    if prefixes.is_empty() {
        return Ok(None);
    }
    let available: Vec<String> = prefixes.iter().map(|prefix| split_of(prefix).to_string()).collect();
    if let Some((at, _)) = available.iter().enumerate().find(|(at, split)| available[..*at].contains(split)) {
        let expected = format!("one file of images of the split `{}`", available[at]);
        return Err(DataError::malformed(root, expected, listed(&prefixes)));
    }
    let mut splits = [None, None, None];
    for (split, listing) in split_names::assign(root, &available, options)?.iter().zip(&mut splits) {
        let prefix = available.iter().position(|name| Some(name) == split.as_ref()).map(|at| &prefixes[at]);
        *listing = prefix.map(|prefix| list(root, &files, prefix)).transpose()?;
    }
    let beside = root.join("classes.txt");
    let classes = beside.is_file().then(|| lines_of(&beside)).transpose()?;
    Ok(Some(Found {
        format: Format::Idx,
        splits,
        classes,
        titles: HashMap::new(),
        left_out: LeftOut::default(),
        columns: Vec::new(),
    }))
}

/// The name without `.gz`.
fn plain(name: &str) -> &str {
    name.strip_suffix(".gz").unwrap_or(name)
}

/// `train` of `train` and of `emnist-balanced-train`.
fn split_of(prefix: &str) -> &str {
    prefix.rsplit('-').next().unwrap_or(prefix)
}

fn list(root: &Path, files: &[String], prefix: &str) -> Result<Listing, DataError> {
    let (image_file, sizes, images) = read_array::<3>(root, files, &format!("{prefix}{IMAGES}"))?;
    let (label_file, [number], labels) = read_array::<1>(root, files, &format!("{prefix}{LABELS}"))?;
    let [count, height, width] = sizes;
    if count != number {
        let found = format!("{number} labels for {count} images");
        return Err(DataError::malformed(&label_file, "one label for each image", found));
    }
    let table: Arc<Path> = Arc::from(image_file.as_path());
    let length = height as usize * width as usize;
    let sources = (0..count as usize).map(|row| {
        let pixels = images.slice(row * length..(row + 1) * length);
        RawImage::new(pixels, (width, height), RawLayout::Grey, table.clone(), row as u64).map(ImageSource::Raw)
    });
    let labels = labels.iter().map(|&label| i64::from(label)).collect();
    Ok(Listing { path: image_file, images: sources.collect::<Result<_, _>>()?, labels, names: None })
}

/// Reads `name`, plain or gzipped: the file, its sizes, and its bytes after the header.
fn read_array<const D: usize>(
    root: &Path,
    files: &[String],
    name: &str,
) -> Result<(PathBuf, [u32; D], Bytes), DataError> {
    let found = files.iter().find(|file| plain(file) == name);
    let path = root.join(found.map_or(name, String::as_str));
    let file = BufReader::new(regular_file::open(&path).map_err(DataError::read(&path))?);
    let mut reader: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let unreadable = |source| DataError::Read { path: path.clone(), source };
    let mut header = vec![0; 4 + 4 * D];
    reader.read_exact(&mut header).map_err(unreadable)?;
    let (magic, sizes) = header.split_at(4);
    if magic != [0, 0, 8, D as u8] {
        let expected = format!("an idx file of unsigned bytes in {D} dimensions");
        return Err(DataError::malformed(&path, expected, format!("the first bytes {magic:?}")));
    }
    let mut dimensions = [0; D];
    for (size, &bytes) in dimensions.iter_mut().zip(sizes.as_chunks().0) {
        *size = u32::from_be_bytes(bytes);
    }
    let length = dimensions.iter().try_fold(1u64, |product, &size| product.checked_mul(u64::from(size)));
    let Some(length) = length.filter(|&length| length <= UNPACKED_LIMIT) else {
        return Err(DataError::malformed(
            &path,
            format!("at most {UNPACKED_LIMIT} bytes"),
            format!("sizes {dimensions:?}"),
        ));
    };
    // No memory is taken on the header's word: what is there is read, one byte more than belongs there at most.
    let mut data = Vec::new();
    reader.take(length + 1).read_to_end(&mut data).map_err(unreadable)?;
    if data.len() as u64 != length {
        let more = if data.len() as u64 > length { "more" } else { "fewer" };
        return Err(DataError::malformed(&path, format!("{length} bytes for the sizes {dimensions:?}"), more));
    }
    Ok((path, dimensions, data.into()))
}
