//! What contrastive pre-training has made, for other programs.

use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

use super::candidate::{self, Candidate};
use super::torch_zip_writer::{self, Object};
use super::{ExportError, Format, Request};
use crate::checkpoints::{Checkpoint, check_coverage, recognise, safetensors_file};
use crate::engine::guard;
use crate::pretrain::PretrainedDescription;
use crate::run_folder::{RunFolder, RunKind};
use crate::saved_models::SavedModelError;
use crate::train::Progress;

/// A pre-trained encoder that was written and read back.
#[derive(Debug)]
pub struct ExportedEncoder {
    /// The file.
    pub output: PathBuf,
    /// Its size, bytes.
    pub bytes: u64,
    /// Tensors in it.
    pub tensors: usize,
    /// What the file is recognised as.
    pub recognised: String,
    /// Epochs that it was trained for.
    pub epochs: u64,
}

/// Whether `run` is a folder of pre-training.
///
/// # Errors
/// [`ExportError::RunFolder`] when its configuration cannot be read.
pub fn is_pretraining(run: &Path) -> Result<bool, ExportError> {
    Ok(run.is_dir() && RunFolder::holds_run(run) && RunFolder::open_records(run)?.kind()? == RunKind::Pretraining)
}

/// Writes the encoder of a pre-training run, finished or not, under the names of its method: as a torch file
/// with all of the method's tensors (`state_dict`, with `epoch` and `arch`), as a safetensors file with the trained
/// encoder alone. Either is read back, compared bit for bit and recognised like a stranger's before it gets its name.
///
/// # Errors
/// Before anything is written: what [`ExportError::is_refusal`] says. [`ExportError::Differs`] when the file that was
/// written does not hold what was meant; it is removed then.
pub fn export_pretrained(run: &Path, request: &Request) -> Result<ExportedEncoder, ExportError> {
    candidate::check_target(request)?;
    let state = RunFolder::open_records(run)?.encoder()?;
    let encoder = Pretrained::read(&state)?;
    let candidate = Candidate::beside(&request.output);
    let tensors = match request.format {
        Format::Onnx => return Err(ExportError::NoClassifier { path: run.into() }),
        Format::Torch => encoder.write_torch(candidate.path())?,
        Format::Safetensors => encoder.write_safetensors(candidate.path(), request.with_projection)?,
    };
    let recognised = read_back(candidate.path(), request.format, &tensors)?;
    let bytes = candidate.become_file(&request.output)?;
    let epochs = encoder.progress.epochs;
    Ok(ExportedEncoder { output: request.output.clone(), bytes, tensors: tensors.len(), recognised, epochs })
}

/// The state of a pre-training run without its optimizer.
struct Pretrained {
    description: PretrainedDescription,
    progress: Progress,
    tensors: Vec<(String, Tensor)>,
}

impl Pretrained {
    fn read(state: &Path) -> Result<Self, ExportError> {
        let not_ours = |found: String| SavedModelError::NotARunCheckpoint { path: state.into(), found };
        let (metadata, tensors) = safetensors_file::read(state)?;
        let text = metadata
            .get(safetensors_file::DESCRIPTION)
            .ok_or_else(|| not_ours(format!("no metadata {:?}", safetensors_file::DESCRIPTION)))?;
        let mut value: serde_json::Value = serde_json::from_str(text).map_err(|error| not_ours(error.to_string()))?;
        let [description, progress] = ["pretrained", "progress"].map(|key| value[key].take());
        let description = serde_json::from_value(description).map_err(|error| not_ours(error.to_string()))?;
        let progress = serde_json::from_value(progress).map_err(|error| not_ours(error.to_string()))?;
        let tensors = tensors.into_iter().filter(|(name, _)| !name.starts_with("optimizer.")).collect();
        Ok(Pretrained { description, progress, tensors })
    }

    /// The whole method, as its authors' scripts save it.
    fn write_torch(&self, path: &Path) -> Result<Vec<(String, Tensor)>, ExportError> {
        let tensors = copies(&self.tensors);
        let root = Object::Dict(vec![
            ("epoch".into(), Object::Int(self.progress.epochs as i64)),
            ("arch".into(), Object::Text(self.description.architecture.family.to_string())),
            ("state_dict".into(), Object::state_dict(copies(&self.tensors))),
            ("coretune".into(), Object::Text(self.described())),
        ]);
        torch_zip_writer::write(path, &root)?;
        Ok(tensors.into_iter().map(|(name, tensor)| (format!("state_dict.{name}"), tensor)).collect())
    }

    /// The encoder that gradients trained, with its head where that is asked for.
    fn write_safetensors(&self, path: &Path, with_head: bool) -> Result<Vec<(String, Tensor)>, ExportError> {
        let is_of_encoder = |name: &str| {
            ["module.encoder_q.", "backbone."]
                .iter()
                .filter_map(|prefix| name.strip_prefix(prefix))
                .any(|inner| with_head || !inner.starts_with("fc."))
        };
        let tensors: Vec<_> = copies(&self.tensors).into_iter().filter(|(name, _)| is_of_encoder(name)).collect();
        let metadata =
            [("format".to_string(), "pt".to_string()), (safetensors_file::DESCRIPTION.to_string(), self.described())];
        safetensors_file::write(path, &metadata.into(), &tensors)?;
        Ok(tensors)
    }

    fn described(&self) -> String {
        serde_json::json!({ "pretrained": self.description, "epochs": self.progress.epochs }).to_string()
    }
}

fn copies(tensors: &[(String, Tensor)]) -> Vec<(String, Tensor)> {
    tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
}

/// Compares every tensor of the file, and lets it be recognised as any other file would be.
fn read_back(path: &Path, format: Format, expected: &[(String, Tensor)]) -> Result<String, ExportError> {
    let differs = |expected: String, found: String| ExportError::Differs { format, expected, found };
    let checkpoint = Checkpoint::open(path)?;
    if checkpoint.tensors().len() != expected.len() {
        let found = format!("it holds {} tensors", checkpoint.tensors().len());
        return Err(differs(expected.len().to_string(), found));
    }
    for (name, tensor) in expected {
        let found = checkpoint.read_as_stored(name)?;
        let equal = guard("comparing a tensor", || {
            found.kind() == tensor.kind() && found.size() == tensor.size() && found.equal(tensor)
        })?;
        if !equal {
            return Err(differs("the same values".into(), format!("another value in {name}")));
        }
        if tensor.kind() == Kind::Float
            && !guard("checking a tensor", || tensor.isfinite().all().int64_value(&[]) != 0)?
        {
            return Err(differs("finite values".into(), format!("{name} holds NaN or infinity")));
        }
    }
    let recognised = recognise(&checkpoint, None)?;
    check_coverage(&checkpoint, &recognised, &recognised.architecture, &[])?;
    Ok(recognised.method.to_string())
}
