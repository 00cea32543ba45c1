//! Finds the backbone in a checkpoint: which source wrote it, which encoders it has, which network it is.

mod left_out;
mod network;
mod place;
mod search;

use std::collections::BTreeMap;

use serde::Serialize;

pub(super) use self::network::outline;
use self::search::Search;
use super::layouts::LAYOUTS;
use super::safetensors_file::DESCRIPTION;
use super::{Checkpoint, CheckpointError};
use crate::models::Architecture;

/// What a checkpoint is.
#[derive(Debug, Clone)]
pub struct Recognised {
    /// Name of the layout, such as `moco`; `unknown` when only the backbone itself was recognised.
    pub layout: &'static str,
    /// The method in words, such as `MoCo v1/v2`.
    pub method: &'static str,
    /// The encoder taken.
    pub encoder: String,
    /// The encoders that are there too, for `--encoder`.
    pub other_encoders: Vec<String>,
    /// Prefix of the encoder's tensors in the file, wrappers included: `state_dict.module.encoder_q.`.
    pub prefix: String,
    /// The network.
    pub architecture: Architecture,
    /// Width of its features.
    pub features: i64,
    /// Name in our backbone, and name in the file.
    pub backbone: BTreeMap<String, String>,
    /// The same for the heads that have a place here (`classifier.weight`, `projection.0.weight`, ...).
    pub heads: BTreeMap<String, String>,
    /// Tensors of the backbone whose shape is not the network's; they are in no other list here.
    pub mismatched: Vec<Mismatched>,
    /// What is not used, and why.
    pub left_out: Vec<LeftOut>,
}

/// A tensor whose shape is not that of its place in the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatched {
    /// Name in the file.
    pub name: String,
    /// Name in the backbone.
    pub target: String,
    /// Shape in the backbone.
    pub expected: Vec<i64>,
    /// Shape in the file.
    pub found: Vec<i64>,
}

/// A group of tensors that are not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// What they are, such as `projection head`.
    pub group: String,
    /// How many.
    pub tensors: usize,
    /// Why.
    pub reason: String,
}

/// Recognises a checkpoint from names and shapes.
///
/// `encoder` is a name such as `query` or `teacher`, or a prefix of tensor names; without it, or with `auto`, the
/// layout's usual one is taken.
///
/// # Errors
/// [`CheckpointError::Unrecognised`], [`CheckpointError::Ambiguous`], [`CheckpointError::UnknownEncoder`],
/// [`CheckpointError::UnknownArchitecture`], [`CheckpointError::NotATensor`], [`CheckpointError::Duplicate`] and
/// [`CheckpointError::Mismatched`] when most tensors have another shape than the network's.
pub fn recognise(checkpoint: &Checkpoint, encoder: Option<&str>) -> Result<Recognised, CheckpointError> {
    let recognised = recognise_by_names(checkpoint, encoder)?;
    Ok(Recognised { method: described_method(checkpoint).unwrap_or(recognised.method), ..recognised })
}

/// The method of pre-training that a file of coretune says itself: the names of a backbone alone may be those of several.
fn described_method(checkpoint: &Checkpoint) -> Option<&'static str> {
    let text = checkpoint.metadata().get(DESCRIPTION)?;
    let described: serde_json::Value = serde_json::from_str(text).ok()?;
    match described["pretrained"]["method"].as_str()? {
        "moco-v2" => Some("MoCo v1/v2"),
        "simclr" => Some("SimCLR"),
        _ => None,
    }
}

fn recognise_by_names(checkpoint: &Checkpoint, encoder: Option<&str>) -> Result<Recognised, CheckpointError> {
    let encoder = encoder.filter(|&encoder| encoder != "auto");
    let search = Search::of(checkpoint);
    // A network that is none of ours under the first fitting prefix says more than "nothing recognised" at the end.
    let mut near_miss = None;
    for layout in LAYOUTS {
        for container in layout.containers {
            match search.in_container(layout, container) {
                Ok(found) if found.is_empty() => {}
                Ok(found) => return search.recognised(Some((layout, container)), found, encoder),
                Err(error) => near_miss = near_miss.or(Some(error)),
            }
        }
    }
    if near_miss.is_none() || encoder.is_some() {
        let found = search.anywhere()?;
        if !found.is_empty() {
            return search.recognised(None, found, encoder);
        }
    }
    Err(near_miss.unwrap_or_else(|| CheckpointError::Unrecognised {
        path: checkpoint.path().into(),
        prefixes: search.first_components(),
    }))
}
