//! A segmentation network for other programs, compared like every export with what was written.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Tensor, no_grad};

use super::candidate::{Candidate, check_is_not, check_target};
use super::metadata::text;
use super::{ExportError, Format, Request, onnx, parity};
use crate::checkpoints::{Checkpoint, load_segmenter, recognise, safetensors_file};
use crate::models::{Backbone, ModelError, Network, Segmenter, SegmenterHeads};
use crate::run_folder::RunFolder;
use crate::saved_models::{SegmenterDescription, load_segmenter as load_our_segmenter};

/// An export of a segmentation network that was written and found to compute the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExportedSegmenter {
    /// Size of the file.
    pub bytes: u64,
    /// Largest difference of two logits of pixels, over the largest logit.
    pub relative_difference: f64,
}

/// Writes the network of a segmentation run, a run folder (its best epoch) or a file of ours, by [`export_segmenter`]: a
/// graph is for images of `size` (height, width), by default that of the run's crops.
///
/// # Errors
/// As [`export_segmenter`], and what keeps the network from being read.
pub fn export_segmentation(
    run: &Path,
    size: Option<[i64; 2]>,
    request: &Request,
) -> Result<ExportedSegmenter, ExportError> {
    check_target(request)?;
    let file = if run.is_file() { run.to_path_buf() } else { RunFolder::open(run)?.best_segmenter()? };
    check_is_not(&file, &request.output)?;
    let (network, description) = load_our_segmenter(&file, Device::Cpu)?;
    if request.with_projection && network.projection.is_none() {
        return Err(ExportError::NoProjection { path: file });
    }
    let size = size.unwrap_or([description.img_size; 2]);
    export_segmenter(&network, size, &metadata(&description), request)
}

/// What a program needs to know beside the weights.
fn metadata(description: &SegmenterDescription) -> BTreeMap<String, String> {
    let architecture = &description.architecture;
    let entries = [
        ("format", text(&"pt")),
        ("architecture", text(&architecture.family.name())),
        ("stem", text(&architecture.stem)),
        ("width", text(&architecture.width)),
        ("output_stride", text(&description.output_stride)),
        ("head", text(&description.head)),
        ("classes", text(&description.classes)),
        ("mean", text(&description.mean)),
        ("std", text(&description.std)),
        ("img_size", text(&description.img_size)),
        ("coretune_version", text(&env!("CARGO_PKG_VERSION"))),
    ];
    let range = description.bit_depth_range.map(|range| ("bit_depth_range", text(&range)));
    let legend = description.mask_legend.as_ref().map(|legend| ("mask_legend", text(legend)));
    entries.into_iter().chain(range).chain(legend).map(|(key, value)| (key.to_string(), value)).collect()
}

/// Writes a network in evaluation mode as `request` asks: safetensors with torchvision's names, or ONNX from images of
/// `size` (height, width) in [0, 1] to the logits of their pixels. Beside it, `<output>.parity.safetensors` holds the images
/// of the comparison and their logits.
///
/// # Errors
/// As [`super::export`]; [`ExportError::SegmenterInTorch`] for the format of the published script.
pub fn export_segmenter(
    network: &Segmenter,
    size: [i64; 2],
    metadata: &BTreeMap<String, String>,
    request: &Request,
) -> Result<ExportedSegmenter, ExportError> {
    check_target(request)?;
    if request.with_projection && request.format == Format::Onnx {
        return Err(ExportError::ProjectionInOnnx);
    }
    let candidate = Candidate::beside(&request.output);
    let images = parity::images_of(size)?;
    let expected = pixel_logits(network, &images)?;
    let found = match request.format {
        Format::Safetensors => {
            safetensors_file::write(candidate.path(), metadata, &tensors(network, request.with_projection))?;
            pixel_logits(&read_back(network, candidate.path())?, &images)?
        }
        Format::Onnx => {
            onnx::write_segmenter(candidate.path(), network, size, metadata)?;
            onnx::pixel_logits(candidate.path(), &images)?
        }
        Format::Torch => return Err(ExportError::SegmenterInTorch),
    };
    let gap = parity::gap(request.format, &expected, &found)?;
    parity::write_tensors(&request.output, &images, &expected)?;
    let bytes = candidate.become_file(&request.output)?;
    Ok(ExportedSegmenter { bytes, relative_difference: gap.relative_difference })
}

fn pixel_logits(network: &Segmenter, images: &Tensor) -> Result<Tensor, ModelError> {
    no_grad(|| network.pixel_logits(images)).map(|logits| logits.contiguous())
}

/// The tensors of the network, those of the projection head only if asked for.
fn tensors(network: &Segmenter, with_projection: bool) -> Vec<(String, Tensor)> {
    let all = network.tensors("");
    let wanted = all.iter().filter(|parameter| with_projection || !parameter.name.starts_with("projection."));
    wanted.map(|parameter| (parameter.name.clone(), parameter.tensor.detach())).collect()
}

/// The network that a file holds, of the shape of `network`.
fn read_back(network: &Segmenter, path: &Path) -> Result<Segmenter, ExportError> {
    let checkpoint = Checkpoint::open(path)?;
    let recognised = recognise(&checkpoint, None)?;
    let architecture = network.backbone.architecture();
    let backbone = match network.backbone.output_stride() {
        Some(output_stride) => Backbone::dilated(architecture, output_stride, 0, Device::Cpu)?,
        None => Backbone::new(architecture, 0, Device::Cpu)?,
    };
    let heads = SegmenterHeads {
        kind: network.head.kind(),
        classes: network.classes(),
        auxiliary: network.auxiliary.is_some(),
        dropout: 0.0,
    };
    let read = Segmenter::new(backbone, &heads, network.normalisation, 0)?;
    load_segmenter(&checkpoint, &recognised, &read, &[])?;
    Ok(read)
}
