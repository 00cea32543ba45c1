//! What a load refuses, and what it says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use coretune::checkpoints::{
    Checkpoint, CheckpointError, LoadReport, NamePattern, inspect, load_backbone, recognise, safetensors_file,
};
use coretune::models::{Architecture, Family, Stem};
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

use crate::fixture::{unpack, zeroed};

const NARROW: Architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 1.0 / 16.0 };

type Tensors = Vec<(String, Tensor)>;

/// The tensors of a narrow ResNet-18 after a change, written to a file.
fn written(folder: &TempDir, change: impl FnOnce(&mut Tensors)) -> PathBuf {
    let backbone = zeroed(&NARROW);
    let mut tensors: Tensors =
        backbone.parameters().iter().map(|entry| (entry.name.clone(), entry.tensor.ones_like())).collect();
    change(&mut tensors);
    let path = folder.path().join("weights.safetensors");
    safetensors_file::write(&path, &BTreeMap::new(), &tensors).unwrap();
    path
}

fn load(path: PathBuf, allow_missing: &[&str]) -> Result<LoadReport, CheckpointError> {
    let checkpoint = Checkpoint::open(path)?;
    let recognised = recognise(&checkpoint, None)?;
    let patterns: Vec<NamePattern> = allow_missing.iter().copied().map(NamePattern::from).collect();
    load_backbone(&checkpoint, &recognised, zeroed(&NARROW).parameters(), &patterns)
}

fn tensor<'a>(tensors: &'a mut Tensors, name: &str) -> &'a mut Tensor {
    &mut tensors.iter_mut().find(|(found, _)| found == name).unwrap().1
}

#[test]
fn a_gap_is_refused_with_the_names_and_a_way_out() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, |tensors| tensors.retain(|(name, _)| !name.starts_with("layer4.1.")));
    let error = load(path.clone(), &[]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("covers 108 of 118 backbone tensors"), "{text}");
    assert!(text.contains("layer4.1.conv1.weight"), "{text}");
    assert!(
        error.hint().unwrap().to_string().contains("checkpoint.allow_missing = 'layer4.1.*'"),
        "{:?}",
        error.hint()
    );

    // inspect reports the gap and refuses nothing.
    let report = inspect(path, None).unwrap();
    assert_eq!(report.missing.len(), 10);
    assert!(report.coverage < 1.0);
}

#[test]
fn a_gap_that_is_named_is_allowed() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, |tensors| tensors.retain(|(name, _)| name != "conv1.weight"));
    assert!(load(path.clone(), &["layer4.*"]).is_err());
    // The stem decides between the two kinds of ResNet; without it the model is the ImageNet one.
    let checkpoint = Checkpoint::open(path).unwrap();
    let recognised = recognise(&checkpoint, None).unwrap();
    let report = load_backbone(&checkpoint, &recognised, zeroed(&NARROW).parameters(), &["conv1.*".into()]).unwrap();
    assert_eq!(report.missing, ["conv1.weight"]);
}

#[test]
fn a_tensor_of_another_shape_is_named() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, |tensors| {
        *tensor(tensors, "layer2.0.conv2.weight") = Tensor::ones([8, 7, 3, 3], (Kind::Float, Device::Cpu));
    });
    let error = load(path.clone(), &[]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("layer2.0.conv2.weight"), "{text}");
    assert!(text.contains("[8, 7, 3, 3]") && text.contains("[8, 8, 3, 3]"), "{text}");
    assert!(
        error.hint().unwrap().to_string().contains("checkpoint.allow_missing = 'layer2.0.conv2.weight'"),
        "{:?}",
        error.hint()
    );

    // inspect reports it and refuses nothing; a load takes it as missing where that is allowed.
    let report = inspect(path.clone(), None).unwrap();
    assert_eq!((report.missing.len(), report.mismatched.len(), report.left_out.len()), (1, 1, 0));
    assert_eq!(report.mismatched[0].found, [8, 7, 3, 3]);
    assert!(report.coverage < 1.0);
    let report = load(path, &["layer2.0.conv2.*"]).unwrap();
    assert_eq!(report.missing, ["layer2.0.conv2.weight"]);
    assert!(!report.loaded.contains_key("layer2.0.conv2.weight"));
}

#[test]
fn tensors_that_mostly_have_other_shapes_are_another_network() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, |tensors| {
        for (name, tensor) in tensors.iter_mut().filter(|(name, _)| name.contains("bn")) {
            let shape = if name.ends_with("tracked") { vec![2] } else { vec![tensor.size()[0] + 1] };
            *tensor = Tensor::ones(shape, (Kind::Float, Device::Cpu));
        }
    });
    let error = inspect(path, None).unwrap_err();
    assert!(matches!(&error, CheckpointError::Mismatched { tensors, .. } if tensors.len() > 20), "{error}");
}

#[test]
fn whole_numbers_do_not_stand_for_weights() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, |tensors| {
        let weight = tensor(tensors, "conv1.weight");
        *weight = weight.to_kind(Kind::Int);
    });
    for error in [load(path.clone(), &["*"]).unwrap_err(), inspect(path, None).unwrap_err()] {
        let text = error.to_string();
        assert!(text.contains("conv1.weight") && text.contains("holds int32, expected floating point"), "{text}");
    }
    let path = written(&folder, |tensors| {
        *tensor(tensors, "bn1.num_batches_tracked") = Tensor::from(7i32);
    });
    assert!(load(path, &[]).is_ok(), "a count of batches is a whole number");
}

#[test]
fn nan_and_infinity_are_refused_by_name() {
    let folder = TempDir::new().unwrap();
    for value in [f64::NAN, f64::INFINITY] {
        let path = written(&folder, |tensors| {
            let _ = tensor(tensors, "layer3.1.bn2.bias").get(5).fill_(value);
        });
        let error = load(path, &[]).unwrap_err();
        assert!(matches!(&error, CheckpointError::NotFinite { name, .. } if name == "layer3.1.bn2.bias"), "{error}");
    }
}

#[test]
fn a_file_that_was_never_filled_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, |tensors| drop(tensor(tensors, "conv1.weight").zero_()));
    let error = load(path, &[]).unwrap_err();
    assert!(matches!(&error, CheckpointError::AllZero { name, .. } if name == "conv1.weight"), "{error}");
    let path = written(&folder, |tensors| drop(tensor(tensors, "layer1.0.bn2.weight").zero_()));
    assert!(load(path, &[]).is_ok(), "the last norm of a block may be zero");
}

#[test]
fn a_network_with_extra_layers_is_not_taken_for_a_plain_one() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, |tensors| {
        tensors.push(("layer1.0.se.fc1.weight".into(), Tensor::ones([4, 4, 1, 1], (Kind::Float, Device::Cpu))));
    });
    let error = load(path, &[]).unwrap_err();
    assert!(matches!(error, CheckpointError::UnknownArchitecture { .. }), "{error}");
    assert!(error.to_string().contains("layer1.0.se.fc1.weight"), "{error}");
}

#[test]
fn a_model_of_another_architecture_is_refused_with_both_shapes() {
    let folder = TempDir::new().unwrap();
    let checkpoint = Checkpoint::open(written(&folder, |_| {})).unwrap();
    let recognised = recognise(&checkpoint, None).unwrap();
    assert!(recognised.check_fits(&checkpoint, &NARROW).is_ok());
    let other = Architecture { family: Family::ResNet50, ..NARROW };
    let error = recognised.check_fits(&checkpoint, &other).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("resnet18: layer1.0.") && text.contains("resnet50"), "{text}");
    assert!(error.hint().unwrap().to_string().contains("leave out model.name"));

    let wide = zeroed(&Architecture { width: 1.0 / 8.0, ..NARROW });
    let error = load_backbone(&checkpoint, &recognised, wide.parameters(), &[]).unwrap_err();
    assert!(matches!(error, CheckpointError::Shape { .. }), "{error}");
}

#[test]
fn a_deeper_checkpoint_does_not_pass_for_a_shallower_model() {
    let folder = TempDir::new().unwrap();
    let deep = zeroed(&Architecture { family: Family::ResNet34, ..NARROW });
    let tensors: Tensors =
        deep.parameters().iter().map(|entry| (entry.name.clone(), entry.tensor.shallow_clone())).collect();
    let path = folder.path().join("resnet34.safetensors");
    safetensors_file::write(&path, &BTreeMap::new(), &tensors).unwrap();
    let error = load(path, &[]).unwrap_err();
    assert!(matches!(error, CheckpointError::DoesNotFit { .. }), "{error}");
}

#[test]
fn weights_stay_channels_last() {
    let folder = TempDir::new().unwrap();
    let checkpoint = Checkpoint::open(written(&folder, |_| {})).unwrap();
    let recognised = recognise(&checkpoint, None).unwrap();
    let backbone = zeroed(&NARROW);
    load_backbone(&checkpoint, &recognised, backbone.parameters(), &[]).unwrap();
    let weight = &backbone.parameters().get("layer2.0.conv2.weight").unwrap().tensor;
    assert!(coretune::engine::channels_last::is(weight));
    assert!((weight.mean(Kind::Float).double_value(&[]) - 1.0).abs() < 1e-6);
}

#[test]
fn a_file_without_a_backbone_says_what_it_starts_with() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("text.safetensors");
    let tensors: Tensors = (0..3).map(|i| (format!("transformer.h.{i}.weight"), Tensor::from(1f32))).collect();
    safetensors_file::write(&path, &BTreeMap::new(), &tensors).unwrap();
    let error = inspect(path, None).unwrap_err();
    assert!(error.to_string().contains("transformer.h (3)"), "{error}");
    assert!(error.hint().unwrap().to_string().contains("checkpoint.encoder = PREFIX"));
}

#[test]
fn two_tensors_for_one_place_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, |tensors| {
        let copy = tensor(tensors, "conv1.weight").copy();
        tensors.push(("module.conv1.weight".into(), copy));
    });
    let error = inspect(path, None).unwrap_err();
    assert!(matches!(error, CheckpointError::Duplicate { .. }), "{error}");
}

#[test]
fn a_zip_whose_first_header_is_as_long_as_the_record_before_its_end_is_read() {
    let folder = TempDir::new().unwrap();
    let checkpoint = Checkpoint::open(unpack("stem_of_21_characters.pth", &folder)).unwrap();
    assert_eq!(checkpoint.tensors().len(), 1);
}

#[test]
fn a_folder_of_a_distributed_checkpoint_is_called_that() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".metadata"), b"x").unwrap();
    let message = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("distributed checkpoint") && message.contains("dcp_to_torch"), "{message}");
}
