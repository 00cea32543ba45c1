//! Writes files that `torch.load(path, weights_only=True)` reads: a zip of a pickle and one entry per tensor.
//!
//! | entry | content |
//! |---|---|
//! | `archive/data.pkl` | the tree of objects (pickle protocol 2); a tensor is a reference to its storage |
//! | `archive/byteorder` | `little` |
//! | `archive/data/<n>` | the elements of the n-th tensor, at an offset that is a multiple of 64 |
//! | `archive/version` | `3` |
//!
//! Nothing is compressed and every entry has the same date, so that the bytes are a function of the tree alone.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tch::{Kind, Tensor};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::checkpoints::CheckpointError;
use crate::checkpoints::safetensors_file::bytes_of;
use crate::engine::EngineError;
use crate::files::PartialFile;

/// An object to be written.
#[derive(Debug)]
pub enum Object {
    /// A tensor; torch finds it on the CPU, row-major, without gradient.
    Tensor(Tensor),
    /// An `int`.
    Int(i64),
    /// A `float`.
    Float(f64),
    /// A `str`.
    Text(String),
    /// A `collections.OrderedDict`, in the order given.
    Dict(Vec<(String, Object)>),
}

impl Object {
    /// A dictionary of named tensors, such as a `state_dict`.
    pub fn state_dict(tensors: Vec<(String, Tensor)>) -> Self {
        Object::Dict(tensors.into_iter().map(|(name, tensor)| (name, Object::Tensor(tensor))).collect())
    }
}

/// Writes `root` to `<path>.partial`, which is then renamed.
///
/// # Errors
/// [`CheckpointError::File`]; [`CheckpointError::Engine`] for element types of which torch has no storage, and for texts
/// of 4 GiB.
pub fn write(path: impl AsRef<Path>, root: &Object) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    let file_error = |source| CheckpointError::File { path: path.into(), doing: "write", source };
    let pickle = Pickle::of(root)?;
    let partial = PartialFile::of(path);
    let mut archive = Archive(ZipWriter::new(partial.create().map_err(file_error)?));
    archive.entry("data.pkl", &pickle.bytes).map_err(file_error)?;
    archive.entry("byteorder", b"little").map_err(file_error)?;
    for (index, tensor) in pickle.storages.iter().enumerate() {
        archive.entry(&format!("data/{index}"), &bytes_of(tensor)?).map_err(file_error)?;
    }
    archive.entry("version", b"3\n").map_err(file_error)?;
    archive.finish().map_err(file_error)?;
    partial.keep().map_err(file_error)
}

/// torch maps storages into memory, where a vector unit wants them aligned.
const ALIGNMENT: u16 = 64;

/// The zip file.
struct Archive(ZipWriter<File>);

impl Archive {
    fn entry(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::DEFAULT)
            .with_alignment(ALIGNMENT)
            .large_file(u32::try_from(bytes.len()).is_err());
        self.0.start_file(format!("archive/{name}"), options)?;
        self.0.write_all(bytes)
    }

    fn finish(self) -> io::Result<()> {
        self.0.finish().map(drop).map_err(io::Error::from)
    }
}

/// A pickle and, in the order of their numbers, the tensors it refers to.
struct Pickle<'a> {
    bytes: Vec<u8>,
    storages: Vec<&'a Tensor>,
}

/// The opcodes of pickle protocol 2 that are needed, under the names of Python's `pickle`.
mod opcode {
    pub(super) const PROTO: u8 = 0x80;
    pub(super) const STOP: u8 = b'.';
    pub(super) const MARK: u8 = b'(';
    pub(super) const TUPLE: u8 = b't';
    pub(super) const EMPTY_TUPLE: u8 = b')';
    pub(super) const SETITEMS: u8 = b'u';
    pub(super) const GLOBAL: u8 = b'c';
    pub(super) const REDUCE: u8 = b'R';
    pub(super) const BINPERSID: u8 = b'Q';
    pub(super) const BINUNICODE: u8 = b'X';
    pub(super) const BININT: u8 = b'J';
    pub(super) const LONG1: u8 = 0x8a;
    pub(super) const BINFLOAT: u8 = b'G';
    pub(super) const NEWFALSE: u8 = 0x89;
}

impl<'a> Pickle<'a> {
    fn of(root: &'a Object) -> Result<Self, EngineError> {
        let mut pickle = Pickle { bytes: vec![opcode::PROTO, 2], storages: Vec::new() };
        pickle.object(root)?;
        pickle.bytes.push(opcode::STOP);
        Ok(pickle)
    }

    fn object(&mut self, object: &'a Object) -> Result<(), EngineError> {
        match object {
            Object::Tensor(tensor) => self.tensor(tensor)?,
            Object::Int(value) => self.int(*value),
            Object::Float(value) => {
                self.bytes.push(opcode::BINFLOAT);
                self.bytes.extend(value.to_be_bytes());
            }
            Object::Text(text) => self.text(text)?,
            Object::Dict(entries) => self.dict(entries)?,
        }
        Ok(())
    }

    fn dict(&mut self, entries: &'a [(String, Object)]) -> Result<(), EngineError> {
        self.ordered_dict();
        self.bytes.push(opcode::MARK);
        for (name, value) in entries {
            self.text(name)?;
            self.object(value)?;
        }
        self.bytes.push(opcode::SETITEMS);
        Ok(())
    }

    fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.bytes.extend([opcode::EMPTY_TUPLE, opcode::REDUCE]);
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`.
    fn tensor(&mut self, tensor: &'a Tensor) -> Result<(), EngineError> {
        let (key, elements) = (self.storages.len().to_string(), tensor.numel() as i64);
        self.storages.push(tensor);
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.bytes.push(opcode::MARK);

        self.bytes.push(opcode::MARK);
        self.text("storage")?;
        self.global("torch", storage_class(tensor)?);
        self.text(&key)?;
        self.text("cpu")?;
        self.int(elements);
        self.bytes.extend([opcode::TUPLE, opcode::BINPERSID]);

        self.int(0);
        self.tuple(&tensor.size());
        self.tuple(&row_major_strides(&tensor.size()));
        self.bytes.push(opcode::NEWFALSE);
        self.ordered_dict();
        self.bytes.extend([opcode::TUPLE, opcode::REDUCE]);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) {
        self.bytes.push(opcode::GLOBAL);
        self.bytes.extend(format!("{module}\n{name}\n").bytes());
    }

    fn tuple(&mut self, values: &[i64]) {
        self.bytes.push(opcode::MARK);
        for &value in values {
            self.int(value);
        }
        self.bytes.push(opcode::TUPLE);
    }

    fn int(&mut self, value: i64) {
        if let Ok(value) = i32::try_from(value) {
            self.bytes.push(opcode::BININT);
            self.bytes.extend(value.to_le_bytes());
        } else {
            self.bytes.extend([opcode::LONG1, 8]);
            self.bytes.extend(value.to_le_bytes());
        }
    }

    fn text(&mut self, text: &str) -> Result<(), EngineError> {
        let too_long = |_| EngineError::Value {
            name: "length of a text to be written",
            expected: "less than 4 GiB".into(),
            found: text.len().to_string(),
        };
        let length = u32::try_from(text.len()).map_err(too_long)?;
        self.bytes.push(opcode::BINUNICODE);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(text.bytes());
        Ok(())
    }
}

/// Elements between neighbours along each dimension.
fn row_major_strides(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for dimension in (1..shape.len()).rev() {
        strides[dimension - 1] = strides[dimension] * shape[dimension].max(1);
    }
    strides
}

fn storage_class(tensor: &Tensor) -> Result<&'static str, EngineError> {
    Ok(match tensor.kind() {
        Kind::Double => "DoubleStorage",
        Kind::Float => "FloatStorage",
        Kind::Half => "HalfStorage",
        Kind::BFloat16 => "BFloat16Storage",
        Kind::Int64 => "LongStorage",
        Kind::Int => "IntStorage",
        Kind::Int16 => "ShortStorage",
        Kind::Int8 => "CharStorage",
        Kind::Uint8 => "ByteStorage",
        Kind::Bool => "BoolStorage",
        other => {
            return Err(EngineError::Kind {
                tensor: "a tensor to be written",
                expected: "a type of torch's storages",
                found: format!("{other:?}"),
            });
        }
    })
}
