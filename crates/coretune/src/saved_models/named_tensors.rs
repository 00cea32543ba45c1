//! The tensors of a file by name, checked and copied into those of a model or a state.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, Tensor, no_grad};

use super::SavedModelError;
use crate::engine::{EngineError, guard};
use crate::models::{Parameters, Role};

/// Named tensors of a model, for a file.
pub(super) fn tensors_of(parameters: &Parameters) -> Vec<(String, Tensor)> {
    parameters.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.shallow_clone())).collect()
}

/// Copies tensors of the same names and shapes into a model.
pub(super) fn copy_into(
    parameters: &Parameters,
    tensors: &BTreeMap<String, Tensor>,
    path: &Path,
) -> Result<(), SavedModelError> {
    for parameter in parameters.iter() {
        copy_named(&parameter.name, &parameter.tensor, tensors, path)?;
    }
    Ok(())
}

/// Copies the tensor of that name into `target`, whose layout in memory stays; shapes must agree.
pub(crate) fn copy_named(
    name: &str,
    target: &Tensor,
    tensors: &BTreeMap<String, Tensor>,
    path: &Path,
) -> Result<(), SavedModelError> {
    let source = checked(name, &target.size(), tensors, path)?;
    if source.is_floating_point() != target.is_floating_point() {
        let kind = |tensor: &Tensor| format!("{:?} of {:?}", tensor.size(), tensor.kind());
        let (name, expected, found) = (name.into(), kind(target), kind(source));
        return Err(SavedModelError::TensorMismatch { path: path.into(), name, expected, found });
    }
    no_grad(|| target.shallow_clone().copy_(source));
    Ok(())
}

/// Refuses a file without a tensor of that name and shape.
pub(super) fn check_named(
    name: &str,
    shape: &[i64],
    tensors: &BTreeMap<String, Tensor>,
    path: &Path,
) -> Result<(), SavedModelError> {
    checked(name, shape, tensors, path).map(drop)
}

fn checked<'a>(
    name: &str,
    shape: &[i64],
    tensors: &'a BTreeMap<String, Tensor>,
    path: &Path,
) -> Result<&'a Tensor, SavedModelError> {
    let refused = |found: String| SavedModelError::TensorMismatch {
        path: path.into(),
        name: name.into(),
        expected: format!("{shape:?}"),
        found,
    };
    let source = tensors.get(name).ok_or_else(|| refused("nothing".into()))?;
    if source.size() == shape { Ok(source) } else { Err(refused(format!("{:?}", source.size()))) }
}

/// The first weight or running statistic that holds NaN or infinity; one transfer from the device for all.
pub(crate) fn first_not_finite(parameters: &Parameters) -> Result<Option<String>, EngineError> {
    let is_float = |role: Role, tensor: &Tensor| role == Role::Weight || tensor.kind() == Kind::Float;
    let floats: Vec<_> = parameters.iter().filter(|entry| is_float(entry.role, &entry.tensor)).collect();
    let finite: Vec<bool> = guard("checking weights", || {
        let each: Vec<Tensor> = floats.iter().map(|entry| entry.tensor.detach().isfinite().all()).collect();
        Vec::<bool>::try_from(Tensor::stack(&each, 0)).expect("a vector of booleans")
    })?;
    Ok(floats.iter().zip(finite).find(|(_, finite)| !finite).map(|(entry, _)| entry.name.clone()))
}
