//! `numpy.savez` archives: a zip of `.npy` files. Arrays of Python objects are named and never unpickled.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use zip::ZipArchive;

use super::contents::{Container, Contents, OtherObject, TensorInfo, Values};
use super::limits::Limits;
use super::{CheckpointError, Element, zip_directory};

/// An opened archive.
struct Archive {
    zip: Mutex<ZipArchive<BufReader<File>>>,
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    index: usize,
    header: Header,
}

/// Whether a zip holds `.npy` entries and not the pickle of `torch.save`.
pub(super) fn is_npz(path: &Path) -> Result<bool, CheckpointError> {
    let zip = open_zip(path, Container::TorchZip)?;
    let holds = |end: &str| zip.file_names().any(|name| name.is_ok_and(|name| name.ends_with(end)));
    Ok(holds(".npy") && !holds("data.pkl"))
}

pub(super) fn open(path: &Path) -> Result<Contents, CheckpointError> {
    let damaged = |message: String| damaged(path, Container::Npz, message);
    let mut zip = open_zip(path, Container::Npz)?;
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let limits = Limits::of_zip(bytes, &mut zip).map_err(damaged)?;
    let mut tensors = BTreeMap::new();
    let mut others = Vec::new();
    let mut entries = BTreeMap::new();
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).map_err(|error| damaged(error.to_string()))?;
        let name = file.name().map_err(|error| damaged(error.to_string()))?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_string) else { continue };
        let header = Header::read(&mut file).map_err(|message| damaged(format!("{name}: {message}")))?;
        match header.element {
            Some(element) => {
                tensors.insert(name.clone(), TensorInfo { element, shape: header.shape.clone() });
                entries.insert(name, Entry { index, header });
            }
            None => others.push(OtherObject { name, kind: format!("numpy array of {}", header.descr) }),
        }
    }
    limits.check_tensors(&tensors).map_err(damaged)?;
    let values = Box::new(Archive { zip: Mutex::new(zip), entries });
    Ok(Contents { container: Container::Npz, tensors, others, metadata: BTreeMap::new(), values })
}

fn open_zip(path: &Path, container: Container) -> Result<ZipArchive<BufReader<File>>, CheckpointError> {
    let file = File::open(path).map_err(|source| CheckpointError::File { path: path.into(), doing: "open", source })?;
    zip_directory::open(file).map_err(|error| damaged(path, container, error.to_string()))
}

fn damaged(path: &Path, container: Container, message: String) -> CheckpointError {
    CheckpointError::Damaged { path: path.into(), container: container.name(), message }
}

impl Values for Archive {
    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        self.bytes_of(name).map_err(|message| format!("{name}: {message}"))
    }
}

impl Archive {
    /// The bytes of one array in row-major order.
    fn bytes_of(&self, name: &str) -> Result<Vec<u8>, String> {
        let Entry { index, header } = self.entries.get(name).ok_or("no such array")?;
        let mut zip = self.zip.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = zip.by_index(*index).map_err(|error| error.to_string())?;
        Header::read(&mut file)?;
        let expected = header.byte_len()?;
        // One byte more than expected is asked for, so that a longer entry is noticed; the allocation grows with what
        // really comes, whatever size the header claims.
        let mut bytes = Vec::new();
        file.take(expected as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() != expected {
            return Err(format!("does not contain the {expected} bytes of shape {:?}", header.shape));
        }
        Ok(if header.fortran_order { row_major(&bytes, header) } else { bytes })
    }
}

/// What a `.npy` file says about its array.
#[derive(Debug, PartialEq)]
struct Header {
    /// The dtype as numpy writes it, such as `<f4`.
    descr: String,
    /// The element type; none if arrays of it are not read.
    element: Option<Element>,
    fortran_order: bool,
    shape: Vec<i64>,
}

/// Headers are a few hundred bytes; numpy itself refuses longer ones.
const MAX_HEADER: usize = 10_000;

impl Header {
    /// Reads magic, version and dictionary, and leaves `file` at the first element.
    fn read(file: &mut impl Read) -> Result<Header, String> {
        let mut magic = [0; 8];
        file.read_exact(&mut magic).map_err(|error| error.to_string())?;
        if &magic[..6] != b"\x93NUMPY" {
            return Err("does not start like a .npy file".into());
        }
        let mut size = [0; 4];
        let size_len = if magic[6] == 1 { 2 } else { 4 };
        file.read_exact(&mut size[..size_len]).map_err(|error| error.to_string())?;
        let size = u32::from_le_bytes(size) as usize;
        if size > MAX_HEADER {
            return Err(format!("claims a header of {size} bytes"));
        }
        let mut text = vec![0; size];
        file.read_exact(&mut text).map_err(|error| error.to_string())?;
        let text = std::str::from_utf8(&text).map_err(|error| error.to_string())?;
        Header::parse(text).ok_or_else(|| format!("has an unreadable header: {}", text.trim()))
    }

    /// The header is a Python dictionary: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str) -> Option<Header> {
        let value = |key: &str| text.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        let descr = value("descr")?;
        let descr = match descr.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'')?.0,
            // A structured type is a list of fields.
            None => descr.split_once(']')?.0,
        };
        let fortran_order = value("fortran_order")?.starts_with("True");
        let shape = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let shape = shape
            .split(',')
            .map(str::trim)
            .filter(|extent| !extent.is_empty())
            .map(|extent| extent.parse::<i64>().ok().filter(|&extent| extent >= 0))
            .collect::<Option<Vec<_>>>()?;
        let header = Header { descr: descr.into(), element: element(descr), fortran_order, shape };
        header.byte_len().ok()?;
        Some(header)
    }

    fn byte_len(&self) -> Result<usize, String> {
        let size = self.element.map_or(1, Element::size);
        let product = self.shape.iter().try_fold(size, |total, &extent| total.checked_mul(extent as usize));
        product.filter(|&bytes| bytes < isize::MAX as usize).ok_or_else(|| "has a shape that overflows".into())
    }
}

fn element(descr: &str) -> Option<Element> {
    Some(match descr {
        "<f8" => Element::Float64,
        "<f4" => Element::Float32,
        "<f2" => Element::Float16,
        "<i8" => Element::Int64,
        "<i4" => Element::Int32,
        "<i2" => Element::Int16,
        "|i1" => Element::Int8,
        "<u8" => Element::UInt64,
        "<u4" => Element::UInt32,
        "<u2" => Element::UInt16,
        "|u1" => Element::UInt8,
        "|b1" => Element::Bool,
        _ => return None,
    })
}

/// Reorders column-major bytes to row-major ones.
fn row_major(bytes: &[u8], header: &Header) -> Vec<u8> {
    let size = header.element.map_or(1, Element::size);
    let mut stride = 1;
    let axes: Vec<(usize, usize)> = header
        .shape
        .iter()
        .map(|&extent| {
            let axis = (extent as usize, stride);
            stride *= extent as usize;
            axis
        })
        .collect();
    let mut reordered = Vec::with_capacity(bytes.len());
    for mut index in 0..bytes.len() / size {
        let mut position = 0;
        for &(extent, stride) in axes.iter().rev() {
            position += index % extent * stride;
            index /= extent;
        }
        reordered.extend_from_slice(&bytes[position * size..(position + 1) * size]);
    }
    reordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_numpy_writes_them_are_understood() {
        let header = Header::parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  \n").unwrap();
        assert_eq!(header.element, Some(Element::Float32));
        assert_eq!(header.shape, [3, 4]);
        assert_eq!(Header::parse("{'descr': '<i8', 'fortran_order': True, 'shape': (), }").unwrap().shape, [0i64; 0]);
        assert_eq!(Header::parse("{'descr': '|u1', 'fortran_order': False, 'shape': (5,), }").unwrap().shape, [5]);
        let objects = Header::parse("{'descr': '|O', 'fortran_order': False, 'shape': (), }").unwrap();
        assert_eq!((objects.element, objects.descr.as_str()), (None, "|O"));
    }

    #[test]
    fn headers_that_lie_are_refused() {
        for text in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 2), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (x,), }",
        ] {
            assert_eq!(Header::parse(text), None, "{text}");
        }
    }

    #[test]
    fn column_major_arrays_are_reordered() {
        // [[1, 2, 3], [4, 5, 6]] lies as 1 4 2 5 3 6.
        let header =
            Header { descr: "|u1".into(), element: Some(Element::UInt8), fortran_order: true, shape: vec![2, 3] };
        assert_eq!(row_major(&[1, 4, 2, 5, 3, 6], &header), [1, 2, 3, 4, 5, 6]);
    }
}
