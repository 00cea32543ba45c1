//! What is not exported, and that nothing is left behind.

use std::collections::BTreeMap;
use std::path::Path;

use coretune::checkpoints::{CheckpointError, safetensors_file};
use coretune::export::{ExportError, Format};
use coretune::models::{Architecture, Family, Stem};
use coretune::saved_models::{ModelDescription, SavedModelError};
use coretune::train::TrainError;
use tch::no_grad;

use crate::saved_model::{SavedModel, described};

fn description() -> ModelDescription {
    described(Architecture { family: Family::ResNet18, stem: Stem::Small, width: 1.0 / 16.0 })
}

fn world_of(edit: impl FnOnce(&mut ModelDescription)) -> SavedModel {
    let mut description = description();
    edit(&mut description);
    SavedModel::new(&description)
}

#[test]
fn a_description_that_cannot_be_true_is_refused() {
    let refused = |saved: &SavedModel, what| {
        let error = saved.export(Format::Onnx, false).unwrap_err();
        let ExportError::Model(inner) = &error else { panic!("{error}") };
        let TrainError::SavedModel(inner) = &**inner else { panic!("{error}") };
        assert!(matches!(&**inner, SavedModelError::Description { name, .. } if *name == what), "{error}");
        assert!(error.is_refusal() && error.hint().is_some());
        assert_eq!(saved.names(), ["model.safetensors"]);
    };
    refused(&world_of(|description| description.img_size = 1_000_000_000), "img_size");
    refused(&world_of(|description| description.img_size = -1), "img_size");
    refused(&world_of(|description| description.std[1] = 0.0), "std");
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    for format in Format::ALL {
        let saved = SavedModel::new(&description());
        let broken = saved.model.classifier.weight.shallow_clone();
        let _ = no_grad(|| broken.get(0).fill_(f64::NAN));
        coretune::saved_models::save_model(&saved.path("model.safetensors"), &saved.model, &description()).unwrap();
        let error = saved.export(format, false).unwrap_err();
        assert!(
            matches!(&error, ExportError::Model(inner) if matches!(**inner, TrainError::Checkpoint(CheckpointError::NotFinite { .. }))),
            "{error}"
        );
        assert_eq!(saved.names(), ["model.safetensors"]);
    }
}

#[test]
fn a_projection_head_that_is_not_there_cannot_be_kept() {
    let saved = SavedModel::new(&description());
    for format in [Format::Safetensors, Format::Torch] {
        let error = saved.export(format, true).unwrap_err();
        assert!(matches!(error, ExportError::NoProjection { .. }), "{error}");
    }
    assert!(matches!(saved.export(Format::Onnx, true).unwrap_err(), ExportError::ProjectionInOnnx));
}

#[test]
fn a_file_that_is_no_model_of_ours_is_refused() {
    let saved = SavedModel::new(&description());
    let tensors = [("conv1.weight".to_string(), tch::Tensor::from(1.0f32))];
    safetensors_file::write(saved.path("model.safetensors"), &BTreeMap::new(), &tensors).unwrap();
    assert!(saved.export(Format::Torch, false).unwrap_err().is_refusal());
}

#[test]
fn the_ending_of_a_name_says_the_format() {
    let choose = |asked, name: &str| Format::choose(asked, Path::new(name));
    for (name, format) in [
        ("a.safetensors", Format::Safetensors),
        ("a.pth", Format::Torch),
        ("a.PT", Format::Torch),
        ("a.pth.tar", Format::Torch),
        ("a.onnx", Format::Onnx),
    ] {
        assert_eq!(choose(None, name).unwrap(), format);
        assert_eq!(choose(Some(format), name).unwrap(), format);
    }
    assert_eq!(choose(Some(Format::Onnx), "a.model").unwrap(), Format::Onnx);
    assert!(matches!(choose(None, "a.model"), Err(ExportError::NoFormat { .. })));
    assert!(matches!(choose(None, "a"), Err(ExportError::NoFormat { .. })));
    assert!(matches!(choose(Some(Format::Onnx), "a.pth"), Err(ExportError::OtherFormat { .. })));
}
