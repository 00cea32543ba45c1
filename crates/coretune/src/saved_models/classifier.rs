//! A classifier on disk that can be used without the run it came from.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::SavedModelError;
use super::named_tensors::{check_named, copy_into, first_not_finite, tensors_of};
use super::recorded_input::RecordedInput;
use crate::checkpoints::{CheckpointError, safetensors_file};
use crate::data::BitDepthRange;
use crate::models::{Architecture, Backbone, HeadLayerForm, Linear, Model, ModelError, Normalisation, ProjectionHead};
use crate::transforms::{Framing, Interpolation, ResizeMode, Transform, TransformError, mean_color};

/// All that is needed beside the weights: the network, the classes, and how an image becomes its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelDescription {
    /// The backbone.
    pub architecture: Architecture,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Mean of red, green, blue, of pixels in [0, 1].
    pub mean: [f64; 3],
    /// Their standard deviation.
    pub std: [f64; 3],
    /// Height and width of the input, pixels.
    pub img_size: i64,
    /// Share of the resized side that evaluation keeps.
    pub crop_pct: f64,
    /// Resampling.
    pub interpolation: Interpolation,
    /// Values of 16-bit images that become black and white, unless all are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_depth_range: Option<BitDepthRange>,
    /// What happens to images that are not square.
    #[serde(default)]
    pub resize_mode: ResizeMode,
    /// Whether the classifier has a bias.
    pub classifier_bias: bool,
    /// Width of the projections, where the projection head is kept.
    pub projection_width: Option<i64>,
    /// The layers of the projection head, unless it is Linear(D, D) - ReLU - Linear(D, d).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection_layers: Option<Vec<HeadLayerForm>>,
}

impl ModelDescription {
    /// Metadata of a file with the state of training, if any; one key with one text, so that the bytes are the same each time.
    pub(crate) fn metadata(&self, progress: &impl Serialize) -> BTreeMap<String, String> {
        let value = serde_json::json!({ "model": self, "progress": progress });
        BTreeMap::from([
            ("format".to_string(), "pt".to_string()),
            (safetensors_file::DESCRIPTION.to_string(), value.to_string()),
        ])
    }

    /// How an image becomes a square.
    pub fn framing(&self) -> Framing {
        let ModelDescription { img_size, resize_mode, mean, interpolation, .. } = *self;
        Framing { size: img_size as u32, mode: resize_mode, fill: mean_color(mean), interpolation }
    }

    /// What is done to an image that the model evaluates.
    ///
    /// # Errors
    /// [`TransformError::Setting`] when the size or the crop is out of range.
    pub fn evaluation_transform(&self) -> Result<Transform, TransformError> {
        self.framing().evaluate(self.crop_pct)
    }

    fn input(&self) -> RecordedInput {
        RecordedInput { mean: self.mean, std: self.std, img_size: self.img_size }
    }

    /// Refuses tensors that are not those of the described model, before memory is taken for it.
    fn check_against(&self, tensors: &BTreeMap<String, Tensor>, path: &Path) -> Result<(), SavedModelError> {
        let backbone = Backbone::outline(&self.architecture)?;
        for parameter in backbone.parameters().iter() {
            check_named(&format!("backbone.{}", parameter.name), &parameter.tensor.size(), tensors, path)?;
        }
        let features = backbone.feature_width();
        check_named("classifier.weight", &[self.classes.len() as i64, features], tensors, path)?;
        match (&self.projection_layers, self.projection_width) {
            (Some(forms), _) => {
                for form in forms {
                    for (part, shape) in form.tensors() {
                        check_named(&format!("projection.{}.{part}", form.place), &shape, tensors, path)?;
                    }
                }
                Ok(())
            }
            (None, Some(width)) => check_named("projection.2.weight", &[width, features], tensors, path),
            (None, None) => Ok(()),
        }
    }

    fn projection(&self, features: i64, seed: u64, device: Device) -> Result<Option<ProjectionHead>, ModelError> {
        match &self.projection_layers {
            Some(forms) => ProjectionHead::of_layers(forms, seed, device).map(Some),
            None => self.projection_width.map(|width| ProjectionHead::new(features, width, seed, device)).transpose(),
        }
    }

    /// A model of this description with random weights.
    ///
    /// # Errors
    /// [`SavedModelError::Model`] for a network that cannot be built.
    pub fn build(&self, seed: u64, device: Device) -> Result<Model, SavedModelError> {
        let backbone = Backbone::new(&self.architecture, seed, device)?;
        let features = backbone.feature_width();
        let mut classifier = Linear::classifier(features, self.classes.len() as i64, seed, device)?;
        if self.classifier_bias {
            let bias = Tensor::zeros([self.classes.len() as i64], (tch::Kind::Float, device));
            classifier = Linear::from_values(&classifier.weight, Some(&bias), device)?;
        }
        let projection = self.projection(features, seed, device)?;
        let normalisation = Normalisation { mean: self.mean, std: self.std };
        Ok(Model::new(backbone, classifier, projection, normalisation)?)
    }
}

/// Writes the weights and the description of a model.
///
/// # Errors
/// [`SavedModelError::Checkpoint`] when it cannot be written.
pub fn save_model(path: &Path, model: &Model, description: &ModelDescription) -> Result<(), SavedModelError> {
    let metadata = description.metadata(&None::<()>);
    Ok(safetensors_file::write_with_digest(path, &metadata, &tensors_of(&model.parameters()))?)
}

/// What a file without a description of ours is: an export names the version that wrote it.
pub(super) fn undescribed(metadata: &BTreeMap<String, String>) -> String {
    let is_export = metadata.contains_key("coretune_version");
    let found = if is_export { "it is an export for other programs" } else { "it does not say which model it holds" };
    found.into()
}

/// Reads a model that [`save_model`] or a run wrote; what else is in the file (the optimizer's memory) is left alone.
///
/// # Errors
/// [`SavedModelError::NotARunCheckpoint`] for a file that describes no model; [`SavedModelError::Description`] and
/// [`SavedModelError::TensorMismatch`] for one that was altered; [`SavedModelError::Checkpoint`] for one that cannot be read or
/// holds NaN.
pub fn load_model(path: &Path, device: Device) -> Result<(Model, ModelDescription), SavedModelError> {
    let not_ours = |found: String| SavedModelError::NotARunCheckpoint { path: path.into(), found };
    let (metadata, tensors) = safetensors_file::read(path).map_err(|error| match error {
        CheckpointError::NotACheckpoint { found, .. } => not_ours(found),
        error => error.into(),
    })?;
    let text = metadata.get(safetensors_file::DESCRIPTION).ok_or_else(|| not_ours(undescribed(&metadata)))?;
    let mut value: serde_json::Value = serde_json::from_str(text).map_err(|error| not_ours(error.to_string()))?;
    let description: ModelDescription =
        serde_json::from_value(value["model"].take()).map_err(|error| not_ours(error.to_string()))?;
    description.input().check(path)?;
    description.check_against(&tensors, path)?;
    let model = description.build(0, device)?;
    copy_into(&model.parameters(), &tensors, path)?;
    match first_not_finite(&model.parameters())? {
        Some(name) => Err(CheckpointError::NotFinite { path: path.into(), name }.into()),
        None => Ok((model, description)),
    }
}
