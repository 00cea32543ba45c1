//! Finds the backbone in a checkpoint: which source wrote it, which encoders it has, which network it is.

mod encoder;
mod left_out;
mod network;
mod place;
mod recognised;
mod search;

pub(super) use self::network::outline;
pub use self::recognised::{LeftOut, Mismatched, Recognised};
use self::search::Search;
use super::layouts::LAYOUTS;
use super::safetensors_file::DESCRIPTION;
use super::{Checkpoint, CheckpointError};

/// Recognises a checkpoint from names and shapes.
///
/// `encoder` is a name such as `query` or `teacher`, or a prefix of tensor names; without it, or with `auto`, the
/// layout's usual one is taken.
///
/// # Errors
/// [`CheckpointError::Unrecognised`], [`CheckpointError::OtherNetwork`], [`CheckpointError::Unmerged`],
/// [`CheckpointError::Ambiguous`], [`CheckpointError::UnknownEncoder`],
/// [`CheckpointError::UnknownArchitecture`], [`CheckpointError::NotATensor`], [`CheckpointError::Duplicate`] and
/// [`CheckpointError::Mismatched`] when most tensors have another shape than the network's.
pub fn recognise(checkpoint: &Checkpoint, encoder: Option<&str>) -> Result<Recognised, CheckpointError> {
    let recognised = recognise_by_names(checkpoint, encoder)?;
    Ok(Recognised { method: described_method(checkpoint).unwrap_or(recognised.method), ..recognised })
}

/// The method of pre-training that a file of coretune records: the tensor names alone may be those of several methods.
fn described_method(checkpoint: &Checkpoint) -> Option<&'static str> {
    let text = checkpoint.metadata().get(DESCRIPTION)?;
    let described: serde_json::Value = serde_json::from_str(text).ok()?;
    let method = described["pretrained"]["method"].as_str()?;
    // `moco-v2` is the method of the layout `moco`.
    let named_alike = LAYOUTS.iter().filter(|layout| method.starts_with(layout.name));
    named_alike.max_by_key(|layout| layout.name.len()).map(|layout| layout.method)
}

fn recognise_by_names(checkpoint: &Checkpoint, encoder: Option<&str>) -> Result<Recognised, CheckpointError> {
    let encoder = encoder.filter(|&encoder| encoder != "auto");
    let search = Search::of(checkpoint);
    // An unknown network under the first prefix that fits says more than "nothing recognised" at the end.
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
    Err(near_miss.unwrap_or_else(|| search.unrecognised()))
}
