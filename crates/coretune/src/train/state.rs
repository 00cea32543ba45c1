//! Everything that a later process needs to go on with a run: written, verified, read back.
//!
//! The state is a list of named tensors (weights, optimizer, averages) and a [`Progress`]. There is no state of random
//! generators and no position of a sampler in it: every draw and every batch is a function of (seed, epoch, step).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use super::learner::Learner;
use super::saved_model::KEY;
use super::{Progress, TrainError, Trainer};
use crate::checkpoints::{Checkpoint, safetensors_file};
use crate::engine::guard;
use crate::models::{Parameters, Role};

impl<L: Learner> Trainer<'_, L> {
    /// Writes the state to `last.safetensors`, once it is known to be sound and the metrics up to here are on the disk.
    pub(super) fn save_state(&self) -> Result<(), TrainError> {
        self.check_finite()?;
        self.folder.sync_metrics()?;
        let metadata = self.learner.metadata(&self.progress);
        Ok(safetensors_file::write_with_digest(self.folder.last_checkpoint(), &metadata, &self.learner.state())?)
    }

    /// Goes on from a state that a run of the same configuration has saved.
    ///
    /// # Errors
    /// [`TrainError::NotARunCheckpoint`] when the file holds no state of a run; [`TrainError::TensorMismatch`] when its
    /// tensors are not those of this run.
    pub fn load_state(&mut self, path: &Path) -> Result<(), TrainError> {
        let (metadata, tensors) = safetensors_file::read(path)?;
        let progress = progress_of(&metadata, path)?;
        let state = self.learner.state();
        if let Some(name) = tensors.keys().find(|name| !state.iter().any(|(known, _)| known == *name)) {
            let (name, expected, found) = (name.clone(), "nothing".into(), format!("{:?}", tensors[name].size()));
            return Err(TrainError::TensorMismatch { path: path.into(), name, expected, found });
        }
        for (name, target) in &state {
            copy_named(name, target, &tensors, path)?;
        }
        self.learner.loaded(progress.step);
        self.progress = progress;
        Ok(())
    }

    /// Refuses weights that are no numbers any more: what is saved can always be gone on from.
    pub(super) fn check_finite(&self) -> Result<(), TrainError> {
        match first_not_finite(&self.learner.parameters())? {
            None => Ok(()),
            Some(tensor) => Err(self.diverged(format!("{tensor} holds NaN or infinity"))),
        }
    }
}

fn progress_of(metadata: &BTreeMap<String, String>, path: &Path) -> Result<Progress, TrainError> {
    let not_ours = |found: String| TrainError::NotARunCheckpoint { path: path.into(), found };
    let text = metadata.get(KEY).ok_or_else(|| not_ours(format!("no metadata {KEY:?}")))?;
    let mut value: serde_json::Value = serde_json::from_str(text).map_err(|error| not_ours(error.to_string()))?;
    let progress: Option<Progress> =
        serde_json::from_value(value["progress"].take()).map_err(|error| not_ours(error.to_string()))?;
    progress.ok_or_else(|| not_ours("a model without the state of its training".into()))
}

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

/// How far the run came whose state this file holds.
///
/// # Errors
/// [`TrainError::NotARunCheckpoint`] when it holds none.
pub fn saved_progress(path: &Path) -> Result<Progress, TrainError> {
    progress_of(Checkpoint::open(path)?.metadata(), path)
}

/// Two saved states, tensor by tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StateComparison {
    /// Whether the files are equal, byte for byte.
    pub equal: bool,
    /// Tensors in either.
    pub tensors: usize,
    /// Tensors that are not equal, or missing in one of them.
    pub different: usize,
    /// The first of these by name.
    pub first_different: Option<String>,
    /// Largest absolute difference of two elements, over the tensors that are in both.
    pub largest_difference: f64,
}

/// Compares two files of states.
pub fn compare_states(first: &Path, second: &Path) -> Result<StateComparison, TrainError> {
    let (first_text, first) = safetensors_file::read(first)?;
    let (second_text, second) = safetensors_file::read(second)?;
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let (mut different, mut largest_difference) = (Vec::new(), 0.0f64);
    for name in &names {
        match (first.get(*name), second.get(*name)) {
            (Some(a), Some(b)) if a.size() == b.size() && a.kind() == b.kind() => {
                if !guard("comparing tensors", || a.equal(b))? {
                    let distance = guard("comparing tensors", || {
                        (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
                    })?;
                    largest_difference = largest_difference.max(distance);
                    different.push((*name).clone());
                }
            }
            _ => different.push((*name).clone()),
        }
    }
    Ok(StateComparison {
        equal: different.is_empty() && first_text == second_text,
        tensors: names.len(),
        different: different.len(),
        first_different: different.into_iter().next(),
        largest_difference,
    })
}
