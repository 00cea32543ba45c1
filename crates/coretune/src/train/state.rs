//! Everything that a later process needs to resume a run: written, verified, read back.
//!
//! The state is a list of named tensors (weights, optimizer, averages) and a [`Progress`]. It holds no state of random
//! generators and no position of a sampler: every draw and every batch is a function of (seed, epoch, step).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use tch::Kind;

use super::learner::Learner;
use super::{Progress, TrainError};
use crate::checkpoints::Checkpoint;
use crate::checkpoints::safetensors_file::{self, DESCRIPTION};
use crate::engine::guard;
use crate::saved_models::{SavedModelError, copy_named};

/// Writes the state of `learner` after `progress` to a file; equal states give equal bytes.
pub(super) fn save(path: &Path, learner: &impl Learner, progress: &Progress) -> Result<(), TrainError> {
    Ok(safetensors_file::write_with_digest(path, &learner.metadata(progress), &learner.state())?)
}

/// Reads a saved state into `learner`, which a run of the same configuration has made; gives its progress.
///
/// # Errors
/// [`SavedModelError::NotARunCheckpoint`] when the file holds no state of a run; [`SavedModelError::TensorMismatch`] when its
/// tensors are not those of this run.
pub(super) fn load(path: &Path, learner: &mut impl Learner) -> Result<Progress, TrainError> {
    let (metadata, tensors) = safetensors_file::read(path)?;
    let progress = progress_of(&metadata, path)?;
    let state = learner.state();
    if let Some(name) = tensors.keys().find(|name| !state.iter().any(|(known, _)| known == *name)) {
        let (name, expected, found) = (name.clone(), "nothing".into(), format!("{:?}", tensors[name].size()));
        return Err(SavedModelError::TensorMismatch { path: path.into(), name, expected, found }.into());
    }
    for (name, target) in &state {
        copy_named(name, target, &tensors, path)?;
    }
    learner.loaded(progress.step);
    Ok(progress)
}

fn progress_of(metadata: &BTreeMap<String, String>, path: &Path) -> Result<Progress, SavedModelError> {
    let not_ours = |found: String| SavedModelError::NotARunCheckpoint { path: path.into(), found };
    let text = metadata.get(DESCRIPTION).ok_or_else(|| not_ours(format!("no metadata {DESCRIPTION:?}")))?;
    let mut value: serde_json::Value = serde_json::from_str(text).map_err(|error| not_ours(error.to_string()))?;
    let progress: Option<Progress> =
        serde_json::from_value(value["progress"].take()).map_err(|error| not_ours(error.to_string()))?;
    progress.ok_or_else(|| not_ours("a model without the state of its training".into()))
}

/// The progress of the run whose state this file holds.
///
/// # Errors
/// [`SavedModelError::NotARunCheckpoint`] when it holds none.
pub fn saved_progress(path: &Path) -> Result<Progress, TrainError> {
    Ok(progress_of(Checkpoint::open(path)?.metadata(), path)?)
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
///
/// # Errors
/// [`TrainError::Checkpoint`] for a file that cannot be read.
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
