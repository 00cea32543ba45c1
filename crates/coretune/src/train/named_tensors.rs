//! The tensors of a file by name, checked and copied into those of a model or a state.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, Tensor, no_grad};

use super::TrainError;
use crate::engine::guard;
use crate::models::{Parameters, Role};

/// Copies the tensor of that name into `target`, whose layout in memory stays; shapes must agree.
pub(super) fn copy_named(
    name: &str,
    target: &Tensor,
    tensors: &BTreeMap<String, Tensor>,
    path: &Path,
) -> Result<(), TrainError> {
    let source = checked(name, &target.size(), tensors, path)?;
    if source.is_floating_point() != target.is_floating_point() {
        let kind = |tensor: &Tensor| format!("{:?} of {:?}", tensor.size(), tensor.kind());
        let (name, expected, found) = (name.into(), kind(target), kind(source));
        return Err(TrainError::TensorMismatch { path: path.into(), name, expected, found });
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
) -> Result<(), TrainError> {
    checked(name, shape, tensors, path).map(drop)
}

fn checked<'a>(
    name: &str,
    shape: &[i64],
    tensors: &'a BTreeMap<String, Tensor>,
    path: &Path,
) -> Result<&'a Tensor, TrainError> {
    let refused = |found: String| TrainError::TensorMismatch {
        path: path.into(),
        name: name.into(),
        expected: format!("{shape:?}"),
        found,
    };
    let source = tensors.get(name).ok_or_else(|| refused("nothing".into()))?;
    if source.size() == shape { Ok(source) } else { Err(refused(format!("{:?}", source.size()))) }
}

/// The first weight or running statistic that holds NaN or infinity; one transfer from the device for all.
pub(super) fn first_not_finite(parameters: &Parameters) -> Result<Option<String>, TrainError> {
    let is_float = |role: Role, tensor: &Tensor| role == Role::Weight || tensor.kind() == Kind::Float;
    let floats: Vec<_> = parameters.iter().filter(|entry| is_float(entry.role, &entry.tensor)).collect();
    let finite: Vec<bool> = guard("checking weights", || {
        let each: Vec<Tensor> = floats.iter().map(|entry| entry.tensor.detach().isfinite().all()).collect();
        Vec::<bool>::try_from(Tensor::stack(&each, 0)).expect("a vector of booleans")
    })?;
    Ok(floats.iter().zip(finite).find(|(_, finite)| !finite).map(|(entry, _)| entry.name.clone()))
}
