//! The model that is exported.

use std::path::{Path, PathBuf};

use tch::{Device, Tensor, no_grad};

use super::ExportError;
use crate::engine::shape;
use crate::models::{Mode, Model};
use crate::run_folder::{RunFolder, Summary};
use crate::saved_models::{ModelDescription, load_model};
use crate::train::unfinished;

/// A model, on the CPU in f32, and what is known of it.
#[derive(Debug)]
pub(super) struct Source {
    /// The file that it was read from.
    pub(super) file: PathBuf,
    pub(super) model: Model,
    pub(super) description: ModelDescription,
    /// Fitted on the validation split; none for a file without its run.
    pub(super) temperature: Option<f64>,
    /// The epoch that it is from; none for a file without its run.
    pub(super) epoch: Option<u64>,
    pub(super) notes: Vec<String>,
}

impl Source {
    /// Opens a run folder (its best epoch) or a model file of ours.
    pub(super) fn open(run: &Path) -> Result<Self, ExportError> {
        if run.is_file() {
            return Source::of_file(run.into());
        }
        let folder = RunFolder::open(run)?;
        let mut source = Source::of_file(folder.best_model()?)?;
        source.notes.extend(unfinished(&folder)?);
        if let Some(summary) = folder.read_summary::<Summary>()? {
            source.epoch = Some(summary.best.epoch);
            source.temperature = summary.temperature.filter(|&temperature| shape::is_positive(temperature));
        }
        Ok(source)
    }

    fn of_file(file: PathBuf) -> Result<Self, ExportError> {
        let (model, description) = load_model(&file, Device::Cpu)?;
        Ok(Source { file, model, description, temperature: None, epoch: None, notes: Vec::new() })
    }

    /// Logits f32 `[n, classes]` of images u8 `[n, h, w, 3]`.
    pub(super) fn logits(&self, images: &Tensor) -> Result<Tensor, ExportError> {
        logits(&self.model, images)
    }
}

/// Logits without graph.
pub(super) fn logits(model: &Model, images: &Tensor) -> Result<Tensor, ExportError> {
    Ok(no_grad(|| model.logits(images, Mode::Evaluate))?)
}
