//! A trained model for other programs: their formats, and the proof that each file computes the same.
//!
//! [`export`] writes the file beside its name, reads it back, compares it with the model in memory on fixed images, keeps
//! the comparison ([`Parity`]) beside it, and only then gives the file its name.

mod candidate;
mod error;
mod format;
mod metadata;
mod naming;
mod onnx;
mod parity;
mod preprocessing;
mod pretrained;
mod request;
mod segmenter;
mod source;
pub mod torch_zip_writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::Tensor;

use crate::checkpoints::safetensors_file;

use candidate::Candidate;
pub use error::ExportError;
pub use format::Format;
use naming::Naming;
pub use parity::{Parity, ParityImages};
pub use pretrained::{ExportedEncoder, export_pretrained, is_pretraining};
pub use request::Request;
pub use segmenter::{ExportedSegmenter, export_segmentation, export_segmenter};
use source::Source;
use torch_zip_writer::Object;

/// An export that was written and found to compute the same.
#[derive(Debug)]
pub struct Exported {
    /// The file.
    pub output: PathBuf,
    /// Its size, bytes.
    pub bytes: u64,
    /// The comparison, as stored in `parity_file`.
    pub parity: Parity,
    /// `<output>.parity.json`.
    pub parity_file: PathBuf,
    /// `<output>.preprocess.py`: the Python function that prepares an image.
    pub preprocess_file: PathBuf,
    /// What is stored beside the weights, by name; `preprocess` is that function too.
    pub metadata: BTreeMap<String, String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Writes the model of `run`, a run folder (its best epoch) or a model file of ours, as `request` asks.
///
/// # Errors
/// Before anything is written: what [`ExportError::is_refusal`] says. [`ExportError::Differs`] when the file that was
/// written does not compute what the model computes; it is removed then.
pub fn export(run: &Path, request: &Request) -> Result<Exported, ExportError> {
    candidate::check_target(request)?;
    let source = Source::open(run)?;
    candidate::check_is_not(&source.file, &request.output)?;
    let naming = naming(&source, request)?;
    let metadata = metadata::of(&source, request.format)?;

    let candidate = Candidate::beside(&request.output);
    write(candidate.path(), &source, request.format, &naming, &metadata)?;
    let images = parity::images(source.description.img_size)?;
    let expected = source.logits(&images)?;
    let found = read_back(candidate.path(), &source, request.format, &naming, &images)?;
    let parity = Parity::compare(&source, request, candidate.path(), &expected, &found)?;
    let parity_file = parity.write(&request.output, &images, &expected)?;
    let preprocess = metadata.get("preprocess").map_or("", String::as_str);
    let preprocess_file = preprocessing::write(&request.output, preprocess)?;
    let bytes = candidate.become_file(&request.output)?;
    let (output, notes) = (request.output.clone(), source.notes);
    Ok(Exported { output, bytes, parity, parity_file, preprocess_file, metadata, notes })
}

/// What the tensors are called, where the format names them as other programs do.
fn naming(source: &Source, request: &Request) -> Result<Naming, ExportError> {
    let has_projection = source.model.projection.as_ref().is_some_and(crate::models::ProjectionHead::is_plain);
    if request.with_projection && request.format == Format::Onnx {
        return Err(ExportError::ProjectionInOnnx);
    }
    if request.with_projection && !has_projection {
        return Err(ExportError::NoProjection { path: source.file.clone() });
    }
    Ok(match request.format {
        Format::Torch => Naming::core_tuning(has_projection),
        Format::Safetensors | Format::Onnx => {
            Naming::torchvision(source.description.architecture.family, request.with_projection)
        }
    })
}

fn write(
    path: &Path,
    source: &Source,
    format: Format,
    naming: &Naming,
    metadata: &BTreeMap<String, String>,
) -> Result<(), ExportError> {
    match format {
        Format::Safetensors => Ok(safetensors_file::write(path, metadata, &naming.tensors(&source.model)?)?),
        Format::Torch => {
            let tensors = naming.tensors(&source.model)?;
            Ok(torch_zip_writer::write(path, &core_tuning_checkpoint(source, tensors, metadata))?)
        }
        Format::Onnx => onnx::write(path, source, metadata),
    }
}

/// The published script's dictionary, without its optimizer, and with a `coretune` of our own.
fn core_tuning_checkpoint(
    source: &Source,
    tensors: Vec<(String, Tensor)>,
    metadata: &BTreeMap<String, String>,
) -> Object {
    let described = metadata.iter().map(|(key, value)| (key.clone(), Object::Text(value.clone()))).collect();
    let epoch = source.epoch.map(|epoch| ("epoch".to_string(), Object::Int(epoch as i64)));
    let state = ("state_dict".to_string(), Object::state_dict(tensors));
    Object::Dict(epoch.into_iter().chain([state, ("coretune".to_string(), Object::Dict(described))]).collect())
}

/// The logits of what was written.
fn read_back(
    path: &Path,
    source: &Source,
    format: Format,
    naming: &Naming,
    images: &Tensor,
) -> Result<Tensor, ExportError> {
    match format {
        Format::Safetensors | Format::Torch => {
            let model = naming.read_back(path, source)?;
            source::logits(&model, images)
        }
        Format::Onnx => onnx::logits(path, images, source.temperature),
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tempfile::TempDir;

    use super::*;
    use crate::models::{Architecture, Family, Stem};
    use crate::saved_models::ModelDescription;
    use crate::transforms::{Interpolation, ResizeMode};

    pub(super) fn source(seed: u64) -> Source {
        let description = ModelDescription {
            architecture: Architecture { family: Family::ResNet18, stem: Stem::Imagenet, width: 1.0 / 16.0 },
            classes: vec!["a".into(), "b".into()],
            mean: [0.5; 3],
            std: [0.25; 3],
            img_size: 32,
            crop_pct: 1.0,
            interpolation: Interpolation::Bilinear,
            bit_depth_range: None,
            resize_mode: ResizeMode::Crop,
            classifier_bias: false,
            projection_width: None,
            projection_layers: None,
        };
        let model = description.build(seed, Device::Cpu).unwrap();
        let file = "model.safetensors".into();
        Source { file, model, description, temperature: Some(2.0), epoch: None, notes: Vec::new() }
    }

    /// What comes of comparing the file that was written of `written` with the model of `meant`.
    fn compared(written: &Source, meant: &Source, format: Format) -> Result<Parity, ExportError> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        let request = Request { format, output: path.clone(), with_projection: false, force: false };
        let naming = naming(meant, &request)?;
        write(&path, written, format, &naming, &metadata::of(written, format)?)?;
        let images = parity::images(32)?;
        let found = read_back(&path, meant, format, &naming, &images)?;
        Parity::compare(meant, &request, &path, &meant.logits(&images)?, &found)
    }

    #[test]
    fn a_file_of_another_model_is_found_out_in_every_format() {
        for format in Format::ALL {
            assert!(compared(&source(1), &source(1), format).is_ok());
            let error = compared(&source(1), &source(2), format).unwrap_err();
            assert!(matches!(error, ExportError::Differs { .. }) && !error.is_refusal(), "{format}: {error}");
        }
    }

    #[test]
    fn a_wrong_normalisation_is_found_out_where_the_file_holds_one() {
        let mut other = source(1);
        other.model.normalisation.std[2] *= 1.01;
        assert!(matches!(compared(&other, &source(1), Format::Onnx), Err(ExportError::Differs { .. })));
    }

    #[test]
    fn a_file_that_did_not_pass_is_gone() {
        let folder = TempDir::new().unwrap();
        let candidate = Candidate::beside(&folder.path().join("a.onnx"));
        std::fs::write(candidate.path(), b"not verified").unwrap();
        assert!(candidate.path().is_file());
        drop(candidate);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
