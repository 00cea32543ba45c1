//! safetensors files of our own: written so that the same run gives the same bytes, and read with their values.
//!
//! The crate writes the metadata from a hash map, in another order every time; [`write()`] sorts: metadata and tensor names
//! by name, data by element size (largest first, which aligns every tensor) and then by name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::path::Path;

use serde_json::json;
use tch::{Device, Kind, Tensor};

use super::{Checkpoint, CheckpointError, Container};
use crate::engine::{EngineError, guard};
use crate::files::PartialFile;

/// The values of a safetensors file: its metadata, and every tensor on the CPU, of the type in the file.
///
/// # Errors
/// As [`Checkpoint::open`] and [`Checkpoint::read`]; a file of another container is
/// [`CheckpointError::NotACheckpoint`].
#[expect(clippy::type_complexity, reason = "the pair that `write` takes")]
pub fn read(path: impl AsRef<Path>) -> Result<(BTreeMap<String, String>, BTreeMap<String, Tensor>), CheckpointError> {
    let checkpoint = Checkpoint::open(&path)?;
    check_digest(&checkpoint)?;
    if checkpoint.container() != Container::Safetensors {
        let found = format!("it is a {} file, not safetensors", checkpoint.container());
        return Err(CheckpointError::NotACheckpoint { path: path.as_ref().into(), found });
    }
    let tensors = checkpoint
        .tensors()
        .keys()
        .map(|name| Ok((name.clone(), checkpoint.read_as_stored(name)?)))
        .collect::<Result<_, CheckpointError>>()?;
    let mut metadata = checkpoint.metadata().clone();
    metadata.remove(DIGEST);
    Ok((metadata, tensors))
}

/// Key of the metadata under which coretune describes what it has written, as JSON.
pub(crate) const DESCRIPTION: &str = "coretune";

/// Key of the metadata under which files of [`write_with_digest`] store the BLAKE3 of their data.
const DIGEST: &str = "blake3";

/// Refuses a file whose data was altered since it was written, if it has a digest.
///
/// # Errors
/// [`CheckpointError::Altered`], and as [`Checkpoint::open`].
pub fn check(path: impl AsRef<Path>) -> Result<(), CheckpointError> {
    check_digest(&Checkpoint::open(&path)?)
}

fn check_digest(checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
    let Some(expected) = checkpoint.metadata().get(DIGEST) else { return Ok(()) };
    let path = checkpoint.path();
    let found =
        digest_of_data(path).map_err(|source| CheckpointError::File { path: path.into(), doing: "read", source })?;
    if *expected == found { Ok(()) } else { Err(CheckpointError::Altered { path: path.into() }) }
}

/// BLAKE3 of the data after the header.
fn digest_of_data(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    file.seek_relative(i64::try_from(u64::from_le_bytes(length)).unwrap_or(i64::MAX))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// [`write()`], with the BLAKE3 of the data among the metadata, which [`read`] and [`check`] compare.
///
/// # Errors
/// Those of [`write()`].
pub fn write_with_digest(
    path: impl AsRef<Path>,
    metadata: &BTreeMap<String, String>,
    tensors: &[(String, Tensor)],
) -> Result<(), CheckpointError> {
    let mut hasher = blake3::Hasher::new();
    for index in data_order(tensors) {
        hasher.update(&bytes_of(&tensors[index].1)?);
    }
    let mut metadata = metadata.clone();
    metadata.insert(DIGEST.into(), hasher.finalize().to_hex().to_string());
    write(path, &metadata, tensors)
}

/// Writes tensors in logical row-major order (`[n, c, h, w]`, whatever their layout in memory) with their metadata.
///
/// The bytes are a function of the arguments alone. They go to `<path>.partial`, which is read back, compared and then
/// renamed, so that `path` is either the old file or the whole new one.
///
/// # Errors
/// [`CheckpointError::File`]; [`CheckpointError::WrittenWrong`]; [`CheckpointError::Duplicate`] when two tensors have one name;
/// [`CheckpointError::Engine`] for element types that safetensors does not have.
pub fn write(
    path: impl AsRef<Path>,
    metadata: &BTreeMap<String, String>,
    tensors: &[(String, Tensor)],
) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    let header = header(path, metadata, tensors)?;
    let partial = PartialFile::of(path);
    let written = write_all(partial.path(), &header, tensors)?;
    verify(partial.path(), written)?;
    partial.keep().map_err(|source| CheckpointError::File { path: path.into(), doing: "write", source })
}

/// Indices of the tensors in the order of their data.
fn data_order(tensors: &[(String, Tensor)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by(|&a, &b| {
        let (first, second) = (&tensors[a], &tensors[b]);
        let size = |tensor: &Tensor| tensor.kind().elt_size_in_bytes();
        size(&second.1).cmp(&size(&first.1)).then_with(|| first.0.cmp(&second.0))
    });
    order
}

/// Length and JSON, padded with spaces so that the data starts at a multiple of 8.
fn header(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: &[(String, Tensor)],
) -> Result<Vec<u8>, CheckpointError> {
    let mut offset = 0;
    let mut entries = BTreeMap::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__", json!(metadata));
    }
    for index in data_order(tensors) {
        let (name, tensor) = &tensors[index];
        let end = offset + tensor.numel() * tensor.kind().elt_size_in_bytes();
        let entry = json!({ "dtype": dtype(tensor)?, "shape": tensor.size(), "data_offsets": [offset, end] });
        if entries.insert(name, entry).is_some() {
            let (target, first, second) = (name.clone(), name.clone(), name.clone());
            return Err(CheckpointError::Duplicate { path: path.into(), target, first, second });
        }
        offset = end;
    }
    let mut text = json!(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    Ok(header)
}

fn dtype(tensor: &Tensor) -> Result<&'static str, EngineError> {
    Ok(match tensor.kind() {
        Kind::Double => "F64",
        Kind::Float => "F32",
        Kind::Half => "F16",
        Kind::BFloat16 => "BF16",
        Kind::Int64 => "I64",
        Kind::Int => "I32",
        Kind::Int16 => "I16",
        Kind::Int8 => "I8",
        Kind::Uint8 => "U8",
        Kind::Bool => "BOOL",
        other => {
            return Err(EngineError::Kind {
                tensor: "a tensor to be written",
                expected: "a type of safetensors",
                found: format!("{other:?}"),
            });
        }
    })
}

/// Writes the file; gives the hash of its bytes.
fn write_all(partial: &Path, header: &[u8], tensors: &[(String, Tensor)]) -> Result<blake3::Hash, CheckpointError> {
    let file_error = |source| CheckpointError::File { path: partial.into(), doing: "write", source };
    let mut file = BufWriter::new(File::create(partial).map_err(file_error)?);
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(bytes);
        file.write_all(bytes).map_err(file_error)
    };
    put(header)?;
    for index in data_order(tensors) {
        put(&bytes_of(&tensors[index].1)?)?;
    }
    file.into_inner().map_err(|error| file_error(error.into_error()))?;
    Ok(hasher.finalize())
}

/// Refuses a file that does not read back as it was written.
fn verify(partial: &Path, written: blake3::Hash) -> Result<(), CheckpointError> {
    let file_error = |source| CheckpointError::File { path: partial.into(), doing: "read back", source };
    let mut hasher = blake3::Hasher::new();
    File::open(partial).and_then(|file| hasher.update_reader(file).map(|_| ())).map_err(file_error)?;
    if hasher.finalize() == written { Ok(()) } else { Err(CheckpointError::WrittenWrong { path: partial.into() }) }
}

/// The elements in row-major order.
pub(crate) fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>, EngineError> {
    guard("copying a tensor to be written", || {
        let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
        let count = tensor.numel();
        let mut bytes = vec![0; count * tensor.kind().elt_size_in_bytes()];
        tensor.copy_data_u8(&mut bytes, count);
        bytes
    })
}
