//! Whole segmentation networks: recognised, built from what the file holds, and loaded to the last tensor.

use std::collections::BTreeMap;
use std::path::PathBuf;

use coretune::checkpoints::{
    Checkpoint, CheckpointError, load_segmenter, recognise, safetensors_file, segmentation_heads,
};
use coretune::models::{
    Architecture, Backbone, DenseHeadKind, Family, Network, Normalisation, OutputStride, Segmenter, SegmenterHeads,
};
use tch::{Device, Tensor};
use tempfile::TempDir;

use crate::fixture::{expected, unpack};

fn network(width: f64, heads: &SegmenterHeads, seed: u64) -> Segmenter {
    let architecture = Architecture { width, ..Architecture::published(Family::ResNet18) };
    let backbone = Backbone::dilated(&architecture, OutputStride::Eight, seed, Device::Cpu).unwrap();
    Segmenter::new(backbone, heads, Normalisation::IMAGENET, seed).unwrap()
}

fn written(network: &Segmenter, folder: &TempDir, skipped: &str) -> PathBuf {
    let path = folder.path().join("segmenter.safetensors");
    let tensors: Vec<(String, Tensor)> = network
        .tensors("")
        .iter()
        .filter(|parameter| parameter.name != skipped)
        .map(|parameter| (parameter.name.clone(), parameter.tensor.shallow_clone()))
        .collect();
    safetensors_file::write(&path, &BTreeMap::new(), &tensors).unwrap();
    path
}

#[test]
fn torchvisions_fcn_is_read_with_both_heads() {
    let folder = TempDir::new().unwrap();
    let checkpoint = Checkpoint::open(unpack("torchvision_fcn.pth", &folder)).unwrap();
    let recognised = recognise(&checkpoint, None).unwrap();
    let heads = segmentation_heads(&checkpoint, &recognised).unwrap();
    let fcn = SegmenterHeads { kind: DenseHeadKind::Fcn, classes: 3, auxiliary: true, dropout: 0.0 };
    assert_eq!(heads, fcn);
    let network = network(1.0 / 16.0, &heads, 0);
    load_segmenter(&checkpoint, &recognised, &network, &[]).unwrap();
    let auxiliary = network.auxiliary.as_ref().unwrap();
    for parameter in network.head.parameters().iter().chain(auxiliary.parameters().iter()) {
        assert_eq!(parameter.tensor, expected("head", &parameter.name, &parameter.tensor.size()), "{}", parameter.name);
    }
}

#[test]
fn every_head_is_read_back() {
    let folder = TempDir::new().unwrap();
    for &kind in DenseHeadKind::ALL {
        for auxiliary in [false, true] {
            let heads = SegmenterHeads { kind, classes: 4, auxiliary, dropout: 0.0 };
            let original = network(0.125, &heads, 1);
            let checkpoint = Checkpoint::open(written(&original, &folder, "")).unwrap();
            let recognised = recognise(&checkpoint, None).unwrap();
            assert_eq!(segmentation_heads(&checkpoint, &recognised), Some(heads), "{kind}");
            let copy = network(0.125, &heads, 2);
            load_segmenter(&checkpoint, &recognised, &copy, &[]).unwrap();
            for (copied, original) in copy.tensors("").iter().zip(original.tensors("").iter()) {
                assert_eq!((&copied.name, &copied.tensor), (&original.name, &original.tensor), "{kind}");
            }
        }
    }
}

#[test]
fn a_head_that_lacks_a_tensor_or_has_other_classes_is_refused() {
    let folder = TempDir::new().unwrap();
    let heads = SegmenterHeads { kind: DenseHeadKind::Fcn, classes: 4, auxiliary: false, dropout: 0.0 };
    let original = network(0.125, &heads, 1);
    let load = |path: PathBuf, heads: &SegmenterHeads| {
        let checkpoint = Checkpoint::open(path).unwrap();
        let recognised = recognise(&checkpoint, None).unwrap();
        load_segmenter(&checkpoint, &recognised, &network(0.125, heads, 2), &[]).unwrap_err()
    };
    let error = load(written(&original, &folder, "classifier.1.bias"), &heads);
    assert!(
        matches!(&error, CheckpointError::Incomplete { missing, .. } if missing == &["classifier.1.bias"]),
        "{error}"
    );
    let error = load(written(&original, &folder, ""), &SegmenterHeads { classes: 5, ..heads });
    assert!(matches!(&error, CheckpointError::Shape { target, .. } if target == "classifier.4.weight"), "{error}");
}

#[test]
fn a_checkpoint_of_a_classifier_has_no_segmentation_head() {
    let folder = TempDir::new().unwrap();
    for file in ["torchvision_resnet18.pth", "coretune_run.safetensors", "core_tuning.pth"] {
        let checkpoint = Checkpoint::open(unpack(file, &folder)).unwrap();
        let recognised = recognise(&checkpoint, None).unwrap();
        assert_eq!(segmentation_heads(&checkpoint, &recognised), None, "{file}");
    }
}
