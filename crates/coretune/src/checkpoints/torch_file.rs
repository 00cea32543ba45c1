//! Files of `torch.save`, read by the crate `pytorch-reader`, which interprets the pickle and executes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use pytorch_reader::{DType, FileFormat, PickleError, PickleValue, PytorchError, PytorchReader};

use super::checkpoint::{Contents, Source};
use super::{CheckpointError, Container, Element, OtherObject, TensorInfo};

pub(super) fn open(path: &Path, container: Container) -> Result<Contents, CheckpointError> {
    let failed = |error: PytorchError| describe(path, container, &error);
    // Parsed twice, once for the tensors and once for everything else: the crate keeps the two apart. Neither pass
    // reads a storage.
    let objects = PytorchReader::read_pickle_data(path, None).map_err(failed)?;
    let PickleValue::Dict(root) = objects else {
        return Err(not_a_dictionary(path, &objects));
    };
    let reader = PytorchReader::new(path).map_err(failed)?;
    let container = match reader.metadata().format_type {
        FileFormat::Zip => Container::TorchZip,
        FileFormat::Tar => Container::TorchTar,
        FileFormat::Legacy => Container::TorchLegacy,
        FileFormat::Pickle => Container::Pickle,
    };
    let tensors: BTreeMap<String, pytorch_reader::Tensor> = reader.into_tensors().into_iter().collect();
    let infos = tensors.iter().map(|(name, tensor)| (name.clone(), info(tensor))).collect();
    let mut others = Vec::new();
    name_others(&mut Vec::new(), &PickleValue::Dict(root), &mut others);
    others.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Contents { container, tensors: infos, others, metadata: BTreeMap::new(), source: Source::Torch(tensors) })
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
        // torch's own bookkeeping of module versions, an attribute of the dictionary and not an entry of it.
        if path.last().is_none_or(|name| name != "_metadata") {
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
        PickleValue::Unsupported(kind) => kind,
    }
}

fn describe(path: &Path, container: Container, error: &PytorchError) -> CheckpointError {
    match error {
        PytorchError::Pickle(PickleError::UnsupportedType(kind)) => {
            CheckpointError::Foreign { path: path.into(), kind: kind.clone() }
        }
        PytorchError::Pickle(PickleError::NoDataSource) => CheckpointError::NoTensors {
            path: path.into(),
            others: vec!["a pickle whose tensors lie elsewhere".into()],
        },
        other => {
            CheckpointError::Damaged { path: path.into(), container: container.name(), message: other.to_string() }
        }
    }
}
