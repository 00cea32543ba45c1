//! Whole segmentation networks in checkpoints: torchvision's, and those that coretune wrote.

use super::load::{copy, is_count, read_weight};
use super::{Checkpoint, CheckpointError, LoadReport, NamePattern, Recognised, load_backbone};
use crate::models::{DenseHeadKind, Parameters, Segmenter, SegmenterHeads};

/// The heads of a segmentation network that a checkpoint holds, without dropout; `None` if it holds no such head.
pub fn segmentation_heads(checkpoint: &Checkpoint, recognised: &Recognised) -> Option<SegmenterHeads> {
    let shape = |name: &str| {
        let source = recognised.heads.get(name)?;
        Some(checkpoint.tensors().get(source)?.shape.as_slice())
    };
    let (kind, last) = if shape("classifier.details.0.weight").is_some() {
        (DenseHeadKind::DeepLabV3Plus, "classifier.4.weight")
    } else if shape("classifier.0.convs.0.0.weight").is_some() {
        (DenseHeadKind::DeepLabV3, "classifier.4.weight")
    } else if shape("classifier.0.weight").is_some() {
        (DenseHeadKind::Fcn, "classifier.4.weight")
    } else {
        (DenseHeadKind::Linear, "classifier.weight")
    };
    let &[classes, _, 1, 1] = shape(last)? else { return None };
    Some(SegmenterHeads { kind, classes, auxiliary: shape("aux_classifier.4.weight").is_some(), dropout: 0.0 })
}

/// Copies backbone and heads into a segmentation network. An auxiliary head that the network lacks is left out.
///
/// # Errors
/// Those of [`load_backbone`]; for the heads also [`CheckpointError::Incomplete`] and [`CheckpointError::Shape`].
pub fn load_segmenter(
    checkpoint: &Checkpoint,
    recognised: &Recognised,
    network: &Segmenter,
    allow_missing: &[NamePattern],
) -> Result<LoadReport, CheckpointError> {
    let report = load_backbone(checkpoint, recognised, network.backbone.parameters(), allow_missing)?;
    for head in std::iter::once(&network.head).chain(&network.auxiliary) {
        load_head(checkpoint, recognised, head.parameters(), allow_missing)?;
    }
    Ok(report)
}

fn load_head(
    checkpoint: &Checkpoint,
    recognised: &Recognised,
    parameters: &Parameters,
    allow_missing: &[NamePattern],
) -> Result<(), CheckpointError> {
    let (mut loaded, mut missing) = (0, Vec::new());
    for parameter in parameters.iter() {
        let name = &parameter.name;
        if let Some(source) = recognised.heads.get(name) {
            let value = read_weight(checkpoint, source, name)?;
            copy(checkpoint, source, &value, name, &parameter.tensor)?;
            loaded += 1;
        } else if !is_count(name) && !allow_missing.iter().any(|pattern| pattern.matches(name)) {
            missing.push(name.clone());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(CheckpointError::Incomplete {
        path: checkpoint.path().into(),
        loaded,
        expected: loaded + missing.len(),
        missing,
    })
}
