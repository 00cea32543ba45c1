//! A segmentation network on disk that can be used without the run it came from.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::Device;

use super::SavedModelError;
use super::classifier::undescribed;
use super::named_tensors::{copy_into, first_not_finite, tensors_of};
use super::recorded_input::RecordedInput;
use crate::checkpoints::{Checkpoint, CheckpointError, safetensors_file};
use crate::data::{BitDepthRange, MaskLegend};
use crate::models::{
    Architecture, Backbone, DenseHeadKind, ModelError, Network, Normalisation, OutputStride, ProjectionHead, Segmenter,
    SegmenterHeads,
};
use crate::run_folder::{RunFolder, RunKind};

/// All that is needed beside the weights: the network, the classes, and how an image becomes its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmenterDescription {
    /// The backbone.
    pub architecture: Architecture,
    /// Pixels between two positions of the last map, at most.
    pub output_stride: i64,
    /// What lies between the last map and the logits.
    pub head: DenseHeadKind,
    /// Whether an auxiliary head is kept.
    pub auxiliary: bool,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Mean of red, green, blue, of pixels in [0, 1].
    pub mean: [f64; 3],
    /// Their standard deviation.
    pub std: [f64; 3],
    /// Height and width of the crops that it was trained on, pixels. Images of any size are segmented.
    pub img_size: i64,
    /// The values of 16-bit images that become black and white; `None`: all values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_depth_range: Option<BitDepthRange>,
    /// Number and colour of each class in the masks of the run; `None`: [`MaskLegend::usual`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask_legend: Option<MaskLegend>,
    /// Widths of the hidden layer and of the output of the projection head, where it is kept.
    pub projection: Option<[i64; 2]>,
}

impl SegmenterDescription {
    /// A network of this description with random weights.
    ///
    /// # Errors
    /// [`ModelError`] for a network that cannot be built.
    pub fn build(&self, seed: u64, device: Device) -> Result<Segmenter, ModelError> {
        let output_stride = OutputStride::of(self.output_stride).unwrap_or_default();
        let backbone = Backbone::dilated(&self.architecture, output_stride, seed, device)?;
        let heads = SegmenterHeads {
            kind: self.head,
            classes: self.classes.len() as i64,
            auxiliary: self.auxiliary,
            dropout: 0.0,
        };
        let normalisation = Normalisation { mean: self.mean, std: self.std };
        let network = Segmenter::new(backbone, &heads, normalisation, seed)?;
        let Some([hidden, outputs]) = self.projection else { return Ok(network) };
        let width = network.embedding_width();
        network.with_projection(ProjectionHead::with_hidden(width, hidden, outputs, seed, device)?)
    }

    /// How masks of this network are written.
    pub fn legend(&self) -> MaskLegend {
        self.mask_legend.clone().unwrap_or_else(|| MaskLegend::usual(self.classes.len()))
    }

    fn check(&self, path: &Path) -> Result<(), SavedModelError> {
        RecordedInput { mean: self.mean, std: self.std, img_size: self.img_size }.check(path)?;
        let refused = |name, expected, found| SavedModelError::Description { path: path.into(), name, expected, found };
        if OutputStride::of(self.output_stride).is_none() {
            return Err(refused("output_stride", "8, 16 or 32", self.output_stride.to_string()));
        }
        match &self.mask_legend {
            Some(legend) if !legend.has(self.classes.len()) => {
                let found = format!("{} and {}", legend.values.len(), legend.colors.len());
                Err(refused("mask_legend", "a value and a colour for each class", found))
            }
            _ => Ok(()),
        }
    }

    /// Metadata of a file with the state of training, if any; one key with one text, so that the bytes are the same each time.
    pub(crate) fn metadata(&self, progress: &impl Serialize) -> BTreeMap<String, String> {
        let value = serde_json::json!({ "segmenter": self, "progress": progress });
        BTreeMap::from([
            ("format".to_string(), "pt".to_string()),
            (safetensors_file::DESCRIPTION.to_string(), value.to_string()),
        ])
    }
}

/// Writes the weights and the description of a segmentation network.
///
/// # Errors
/// [`SavedModelError::Checkpoint`] when it cannot be written.
pub fn save_segmenter(
    path: &Path,
    network: &Segmenter,
    description: &SegmenterDescription,
) -> Result<(), SavedModelError> {
    let tensors = tensors_of(&network.tensors(""));
    Ok(safetensors_file::write_with_digest(path, &description.metadata(&None::<()>), &tensors)?)
}

/// Whether `run` is the folder of a run that segments images, or a file of its network. What is neither is reported by
/// what reads it.
///
/// # Errors
/// [`SavedModelError::RunFolder`] when the configuration of the folder cannot be read.
pub fn is_segmentation(run: &Path) -> Result<bool, SavedModelError> {
    if run.is_dir() {
        return Ok(RunFolder::holds_run(run) && RunFolder::open_records(run)?.kind()? == RunKind::Segmentation);
    }
    let described = |checkpoint: Checkpoint| checkpoint.metadata().get(safetensors_file::DESCRIPTION).cloned();
    let text = Checkpoint::open(run).ok().and_then(described).unwrap_or_default();
    Ok(serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value["segmenter"].is_object()))
}

/// Reads a network that [`save_segmenter`] or a run wrote; what else is in the file (the optimizer's memory) is left alone.
///
/// # Errors
/// [`SavedModelError::NotARunCheckpoint`] for a file that describes no segmentation network, and for damaged ones as
/// [`load_model`](super::load_model).
pub fn load_segmenter(path: &Path, device: Device) -> Result<(Segmenter, SegmenterDescription), SavedModelError> {
    let not_ours = |found: String| SavedModelError::NotARunCheckpoint { path: path.into(), found };
    let (metadata, tensors) = safetensors_file::read(path).map_err(|error| match error {
        CheckpointError::NotACheckpoint { found, .. } => not_ours(found),
        error => error.into(),
    })?;
    let text = metadata.get(safetensors_file::DESCRIPTION).ok_or_else(|| not_ours(undescribed(&metadata)))?;
    let mut value: serde_json::Value = serde_json::from_str(text).map_err(|error| not_ours(error.to_string()))?;
    let description: SegmenterDescription =
        serde_json::from_value(value["segmenter"].take()).map_err(|error| not_ours(error.to_string()))?;
    description.check(path)?;
    let network = description.build(0, device)?;
    copy_into(&network.tensors(""), &tensors, path)?;
    match first_not_finite(&network.tensors(""))? {
        Some(name) => Err(CheckpointError::NotFinite { path: path.into(), name }.into()),
        None => Ok((network, description)),
    }
}
