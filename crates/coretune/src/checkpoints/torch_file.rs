//! Files of `torch.save`, read by the crate `pytorch-reader`, which interprets the pickle and executes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::thread;

use pytorch_reader::{DType, FileFormat, PickleError, PickleValue, PytorchError, PytorchReader};

use super::contents::{Container, Contents, OtherObject, TensorInfo, Values};
use super::limits::{self, Limits, clipped};
use super::{CheckpointError, Element, zip_directory};

/// Stack of the thread that reads a pickle: a thousand levels, the most that are read, take some megabytes.
const STACK: usize = 64 << 20;

/// Reads on a thread of its own: a pickle can be nested deeper than the caller's stack, and what the reader did not
/// expect ends the thread, not the program.
pub(super) fn open(path: &Path, container: Container) -> Result<Contents, CheckpointError> {
    let damaged = |message: &str| damaged(path, container, message.into());
    thread::scope(|scope| {
        let reader = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || read(path, container));
        let reader = reader.map_err(|source| CheckpointError::File { path: path.into(), doing: "open", source })?;
        reader.join().unwrap_or_else(|_| Err(damaged("its pickle could not be understood")))
    })
}

fn read(path: &Path, container: Container) -> Result<Contents, CheckpointError> {
    let failed = |error: PytorchError| describe(path, container, &error);
    let refused = |message: String| damaged(path, container, message);
    let limits = limits(path, container)?;
    // Parsed twice, once for the tensors and once for everything else: the crate keeps the two apart. Neither pass
    // reads a storage.
    let mended = match container {
        Container::TorchZip => zip_directory::mended_copy(path).map_err(|error| refused(error.to_string()))?,
        _ => None,
    };
    let readable = mended.as_ref().map_or(path, |copy| copy.path());
    let objects = PytorchReader::read_pickle_data(readable, None).map_err(failed)?;
    let PickleValue::Dict(root) = objects else {
        return Err(not_a_dictionary(path, &objects));
    };
    let root = PickleValue::Dict(root);
    let reader = PytorchReader::new(readable).map_err(failed)?;
    let container = match reader.metadata().format_type {
        FileFormat::Zip => Container::TorchZip,
        FileFormat::Tar => Container::TorchTar,
        FileFormat::Legacy => Container::TorchLegacy,
        FileFormat::Pickle => Container::Pickle,
    };
    let tensors: BTreeMap<String, pytorch_reader::Tensor> = reader.into_tensors().into_iter().collect();
    let infos = tensors.iter().map(|(name, tensor)| (name.clone(), info(tensor))).collect();
    limits.check_tensors(&infos).map_err(refused)?;
    let mut others = Vec::new();
    name_others(&mut Vec::new(), &root, &mut others);
    others.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Contents { container, tensors: infos, others, metadata: BTreeMap::new(), values: Box::new(Storages(tensors)) })
}

/// The tensors of an open file; each reads its part of a storage.
struct Storages(BTreeMap<String, pytorch_reader::Tensor>);

impl Values for Storages {
    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let tensor = self.0.get(name).ok_or_else(|| format!("tensor {name}: not in the file"))?;
        tensor.read().map_err(|error| error.to_string())
    }
}

/// The limits that the file's size sets, once its pickle is known to keep to them.
fn limits(path: &Path, container: Container) -> Result<Limits, CheckpointError> {
    let file_error = |source| CheckpointError::File { path: path.into(), doing: "read", source };
    let refused = |message: String| damaged(path, container, message);
    let mut file = File::open(path).map_err(file_error)?;
    let bytes = file.metadata().map_err(file_error)?.len();
    match container {
        Container::TorchZip => {
            let mut zip = zip_directory::open(file).map_err(|error| refused(error.to_string()))?;
            let limits = Limits::of_zip(bytes, &mut zip).map_err(refused)?;
            limits::check_zip(&mut zip, &mut limits.allowance()).map_err(refused)?;
            Ok(limits)
        }
        Container::TorchTar => {
            let limits = Limits::of_plain(bytes);
            limits::check_tar(&mut file, bytes, &mut limits.allowance()).map_err(refused)?;
            Ok(limits)
        }
        _ => {
            let limits = Limits::of_plain(bytes);
            // Of a legacy stream: magic number, protocol, system, objects, keys of the storages.
            let count = if container == Container::TorchLegacy { 5 } else { 1 };
            limits::check_pickles(&mut BufReader::new(file), count, &mut limits.allowance()).map_err(refused)?;
            Ok(limits)
        }
    }
}

fn damaged(path: &Path, container: Container, message: String) -> CheckpointError {
    CheckpointError::Damaged { path: path.into(), container: container.name(), message }
}

/// A file whose root is one tensor or one object has no named tensors.
fn not_a_dictionary(path: &Path, root: &PickleValue) -> CheckpointError {
    let mut others = Vec::new();
    name_others(&mut Vec::new(), root, &mut others);
    let found = others.first().map_or_else(|| "a tensor without a name".into(), |root| root.kind.clone());
    CheckpointError::NoTensors { path: path.into(), others: vec![found] }
}

fn info(tensor: &pytorch_reader::Tensor) -> TensorInfo {
    let element = match tensor.dtype() {
        DType::F64 => Element::Float64,
        DType::F32 => Element::Float32,
        DType::F16 => Element::Float16,
        DType::BF16 => Element::BFloat16,
        DType::I64 => Element::Int64,
        DType::I32 => Element::Int32,
        DType::I16 => Element::Int16,
        DType::I8 => Element::Int8,
        DType::U64 => Element::UInt64,
        DType::U32 => Element::UInt32,
        DType::U16 => Element::UInt16,
        DType::U8 => Element::UInt8,
        DType::Bool => Element::Bool,
    };
    TensorInfo { element, shape: tensor.shape().iter().map(|&extent| extent as i64).collect() }
}

/// The reader's name for the type of a tensor.
const TENSOR: &str = "torch.Tensor";

/// Names what is not a tensor. Below the root, a dictionary or list without a tensor anywhere inside is one object, so
/// that the parameter groups of an optimizer do not fill a page.
fn name_others(path: &mut Vec<String>, value: &PickleValue, others: &mut Vec<OtherObject>) {
    let root = path.is_empty() && matches!(value, PickleValue::Dict(_));
    if !root && !holds_tensor(value) {
        // torch's own bookkeeping of module versions is an attribute of the dictionary, not an entry of it.
        let bookkeeping = path.last().is_some_and(|name| name == "_metadata");
        if !bookkeeping && !is_empty(value) {
            others.push(OtherObject { name: path.join("."), kind: kind(value).into() });
        }
        return;
    }
    let mut descend = |name: String, value: &PickleValue| {
        path.push(name);
        name_others(path, value, others);
        path.pop();
    };
    match value {
        PickleValue::Dict(entries) => entries.iter().for_each(|(name, value)| descend(name.clone(), value)),
        PickleValue::List(items) => items.iter().enumerate().for_each(|(i, value)| descend(i.to_string(), value)),
        _ => {}
    }
}

fn is_empty(value: &PickleValue) -> bool {
    match value {
        PickleValue::Dict(entries) => entries.is_empty(),
        PickleValue::List(items) => items.is_empty(),
        _ => false,
    }
}

fn holds_tensor(value: &PickleValue) -> bool {
    match value {
        PickleValue::Unsupported(kind) => kind == TENSOR,
        PickleValue::Dict(entries) => entries.values().any(holds_tensor),
        PickleValue::List(items) => items.iter().any(holds_tensor),
        _ => false,
    }
}

fn kind(value: &PickleValue) -> &str {
    match value {
        PickleValue::None => "None",
        PickleValue::Bool(_) => "bool",
        PickleValue::Int(_) => "int",
        PickleValue::Float(_) => "float",
        PickleValue::String(_) => "str",
        PickleValue::List(_) => "list",
        PickleValue::Dict(_) => "dict",
        PickleValue::Bytes(_) => "bytes",
        // numpy's objects are pickled as calls of these functions.
        PickleValue::Unsupported(call) if call.ends_with("multiarray.scalar") => "numpy scalar",
        PickleValue::Unsupported(call) if call.ends_with("multiarray._reconstruct") => "numpy.ndarray",
        PickleValue::Unsupported(kind) => kind,
    }
}

/// Whether a type of torch is that of floating point numbers of less than 16 bits.
fn is_narrow(kind: &str) -> bool {
    ["torch.float8", "torch.float4", "torch.float6"].iter().any(|narrow| kind.starts_with(narrow))
}

fn describe(path: &Path, container: Container, error: &PytorchError) -> CheckpointError {
    match error {
        PytorchError::Pickle(PickleError::UnsupportedType(kind)) if is_narrow(kind) => {
            let element = kind.trim_start_matches("torch.").to_string();
            CheckpointError::NarrowFloat { path: path.into(), name: "a tensor".into(), element }
        }
        PytorchError::Pickle(PickleError::UnsupportedType(kind)) => {
            CheckpointError::Foreign { path: path.into(), kind: kind.clone() }
        }
        PytorchError::Pickle(PickleError::NoDataSource) => CheckpointError::NoTensors {
            path: path.into(),
            others: vec!["a pickle whose tensors are stored elsewhere".into()],
        },
        other => damaged(path, container, clipped(&other.to_string())),
    }
}
