//! Reads safetensors files: the header at once, checked by the crate; the values when asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo as Span};
use serde::Deserialize;

use super::contents::{Container, Contents, OtherObject, TensorInfo, Values};
use super::limits::{MOST_DIMENSIONS, clipped};
use super::unique_keys::UniqueKeys;
use super::{CheckpointError, Element};

/// Where the tensors of an open file lie.
struct Spans {
    file: File,
    data_start: u64,
    offsets: BTreeMap<String, (usize, usize)>,
}

impl Values for Spans {
    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let &(start, end) = self.offsets.get(name).ok_or_else(|| format!("tensor {name}: not in the file"))?;
        let mut bytes = vec![0; end - start];
        self.file
            .read_exact_at(&mut bytes, self.data_start + start as u64)
            .map_err(|error| format!("tensor {name}: {error}"))?;
        Ok(bytes)
    }
}

/// The largest header the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// Whether a file starts with a plausible header length and the brace of its JSON.
pub(super) fn starts_like(head: &[u8]) -> bool {
    head.first_chunk::<8>().is_some_and(|&length| u64::from_le_bytes(length) <= MAX_HEADER)
        && head.get(8) == Some(&b'{')
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: UniqueKeys<Span>,
}

pub(super) fn open(path: &Path) -> Result<Contents, CheckpointError> {
    let file_error = |source| CheckpointError::File { path: path.into(), doing: "read", source };
    let damaged = |message: String| CheckpointError::Damaged {
        path: path.into(),
        container: Container::Safetensors.name(),
        message,
    };
    let mut file = File::open(path).map_err(file_error)?;
    let file_len = file.metadata().map_err(file_error)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(file_error)?;
    let length = u64::from_le_bytes(length);
    let data_start = length.saturating_add(8);
    // A header takes some hundred bytes per tensor: it is never most of a large file.
    let longest = (file_len / 8).clamp(1 << 20, MAX_HEADER);
    if length > longest || data_start > file_len {
        return Err(damaged(format!("claims a header of {length} bytes in a file of {file_len}")));
    }
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text).map_err(file_error)?;
    let header: Header = serde_json::from_slice(&text).map_err(|error| damaged(format!("header: {error}")))?;

    let mut ordered: Vec<(String, Span)> =
        header.tensors.0.iter().map(|(name, span)| (name.clone(), copy_of(span))).collect();
    ordered.sort_by_key(|(_, span)| span.data_offsets);
    let is_plain =
        |span: &Span| span.shape.len() <= MOST_DIMENSIONS && span.shape.iter().all(|&e| i64::try_from(e).is_ok());
    if let Some((name, span)) = ordered.iter().find(|(_, span)| !is_plain(span)) {
        let (name, shape) = (clipped(name), clipped(&format!("{:?}", span.shape)));
        return Err(damaged(format!("tensor {name} has {} dimensions, {shape}", span.shape.len())));
    }
    let checked = Metadata::new(None, ordered).map_err(|error| damaged(error.to_string()))?;
    let expected_len = data_start.saturating_add(checked.data_len() as u64);
    if expected_len != file_len {
        return Err(damaged(format!("should be {expected_len} bytes long and is {file_len}")));
    }

    let mut tensors = BTreeMap::new();
    let mut others = Vec::new();
    let mut offsets = BTreeMap::new();
    for (name, span) in header.tensors.0 {
        match element(span.dtype) {
            Some(element) => {
                let shape = span.shape.iter().map(|&extent| extent as i64).collect();
                tensors.insert(name.clone(), TensorInfo { element, shape });
                offsets.insert(name, span.data_offsets);
            }
            None if is_narrow(span.dtype) => {
                let (path, name) = (path.to_path_buf(), clipped(&name));
                return Err(CheckpointError::NarrowFloat { path, name, element: span.dtype.to_string() });
            }
            None => others.push(OtherObject { name, kind: format!("tensor of {}", span.dtype) }),
        }
    }
    others.sort_by(|a, b| a.name.cmp(&b.name));
    let values = Box::new(Spans { file, data_start, offsets });
    Ok(Contents { container: Container::Safetensors, tensors, others, metadata: header.metadata, values })
}

fn copy_of(span: &Span) -> Span {
    Span { dtype: span.dtype, shape: span.shape.clone(), data_offsets: span.data_offsets }
}

/// Whether these are floating point numbers of less than 16 bits, as quantised networks have them.
fn is_narrow(dtype: Dtype) -> bool {
    use Dtype::{F4, F6_E2M3, F6_E3M2, F8_E4M3, F8_E4M3FNUZ, F8_E5M2, F8_E5M2FNUZ, F8_E8M0};
    matches!(dtype, F4 | F6_E2M3 | F6_E3M2 | F8_E4M3 | F8_E4M3FNUZ | F8_E5M2 | F8_E5M2FNUZ | F8_E8M0)
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F64 => Element::Float64,
        Dtype::F32 => Element::Float32,
        Dtype::F16 => Element::Float16,
        Dtype::BF16 => Element::BFloat16,
        Dtype::I64 => Element::Int64,
        Dtype::I32 => Element::Int32,
        Dtype::I16 => Element::Int16,
        Dtype::I8 => Element::Int8,
        Dtype::U64 => Element::UInt64,
        Dtype::U32 => Element::UInt32,
        Dtype::U16 => Element::UInt16,
        Dtype::U8 => Element::UInt8,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}
