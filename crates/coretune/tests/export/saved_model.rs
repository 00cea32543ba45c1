//! Small models with statistics that matter, in files of ours.

use std::path::{Path, PathBuf};

use coretune::export::{ExportError, Exported, Format, Request, export};
use coretune::models::{Architecture, Model, Role};
use coretune::saved_models::{ModelDescription, save_model};
use coretune::transforms::{Interpolation, ResizeMode};
use tch::{Device, Tensor, no_grad};
use tempfile::TempDir;

pub(crate) fn described(architecture: Architecture) -> ModelDescription {
    ModelDescription {
        architecture,
        classes: ["ä b", "two", "three"].map(String::from).to_vec(),
        mean: [0.4, 0.5, 0.6],
        std: [0.2, 0.25, 0.3],
        img_size: 32,
        crop_pct: 0.875,
        interpolation: Interpolation::Bicubic,
        bit_depth_range: None,
        resize_mode: ResizeMode::Crop,
        classifier_bias: false,
        projection_width: None,
        projection_layers: None,
    }
}

/// A model of random weights whose batch norms are far from the identity.
pub(crate) fn model(description: &ModelDescription) -> Model {
    let model = description.build(3, Device::Cpu).unwrap();
    tch::manual_seed(5);
    for parameter in model.parameters().iter() {
        let mut tensor = parameter.tensor.shallow_clone();
        let name = parameter.name.as_str();
        no_grad(|| match parameter.role {
            Role::Buffer if name.ends_with("num_batches_tracked") => drop(tensor.fill_(7)),
            Role::Buffer if name.ends_with("running_var") => drop(tensor.uniform_(0.5, 1.5)),
            Role::Buffer => drop(tensor.uniform_(-0.3, 0.3)),
            Role::Weight if tensor.dim() == 1 => tensor.copy_(&(tensor.rand_like() + 0.5)),
            Role::Weight => {}
        });
    }
    model
}

/// A folder with the model in `model.safetensors`.
pub(crate) struct SavedModel {
    pub(crate) folder: TempDir,
    pub(crate) model: Model,
}

impl SavedModel {
    pub(crate) fn new(description: &ModelDescription) -> Self {
        let saved = SavedModel { folder: TempDir::new().unwrap(), model: model(description) };
        save_model(&saved.path("model.safetensors"), &saved.model, description).unwrap();
        saved
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn export(&self, format: Format, with_projection: bool) -> Result<Exported, ExportError> {
        let output = self.path(&format!("export.{}", format.extension()));
        let request = Request { format, output, with_projection, force: true };
        export(&self.path("model.safetensors"), &request)
    }

    /// Names in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Whether both hold the same values.
pub(crate) fn equal(a: &Tensor, b: &Tensor) -> bool {
    a.size() == b.size() && a.equal(b)
}
