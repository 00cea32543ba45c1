//! Segmentation networks: the file computes what the network computes.

use std::collections::BTreeMap;

use coretune::checkpoints::{Checkpoint, safetensors_file};
use coretune::data::MaskLegend;
use coretune::export::{ExportError, ExportedSegmenter, Format, Request, export_segmentation, export_segmenter};
use coretune::models::{
    Architecture, Backbone, DenseHeadKind, Family, Mode, Normalisation, OutputStride, ProjectionHead, Segmenter,
    SegmenterHeads,
};
use coretune::saved_models::{SegmenterDescription, is_segmentation, load_segmenter, save_segmenter};
use tch::{Device, Kind, Tensor, no_grad};
use tempfile::TempDir;

/// A network whose running averages are far from the identity.
fn network(kind: DenseHeadKind, family: Family, output_stride: OutputStride) -> Segmenter {
    let architecture = Architecture { width: 0.125, ..Architecture::published(family) };
    let backbone = Backbone::dilated(&architecture, output_stride, 1, Device::Cpu).unwrap();
    let heads = SegmenterHeads { kind, classes: 3, auxiliary: true, dropout: 0.5 };
    let network = Segmenter::new(backbone, &heads, Normalisation::IMAGENET, 2).unwrap();
    let images = Tensor::randint(256, [4, 64, 64, 3], (Kind::Uint8, Device::Cpu));
    for _ in 0..3 {
        no_grad(|| network.forward(&images, Mode::Train, None, true)).unwrap();
    }
    let projection = ProjectionHead::new(network.embedding_width(), 8, 0, Device::Cpu).unwrap();
    network.with_projection(projection).unwrap()
}

fn export(network: &Segmenter, folder: &TempDir, format: Format) -> Result<ExportedSegmenter, ExportError> {
    let output = folder.path().join(format!("network.{}", format.extension()));
    let request = Request { output, format, with_projection: false, force: true };
    export_segmenter(network, [72, 56], &BTreeMap::new(), &request)
}

#[test]
fn every_head_computes_the_same_as_a_graph_and_from_its_tensors() {
    let folder = TempDir::new().unwrap();
    for &kind in DenseHeadKind::ALL {
        for output_stride in OutputStride::ALL {
            let network = network(kind, Family::ResNet18, output_stride);
            for format in [Format::Onnx, Format::Safetensors] {
                let exported = export(&network, &folder, format).unwrap();
                assert!(exported.relative_difference <= 1e-5, "{kind} {output_stride:?} {format}: {exported:?}");
            }
        }
    }
}

#[test]
fn dilated_bottlenecks_compute_the_same_as_a_graph() {
    let folder = TempDir::new().unwrap();
    for family in [Family::ResNet50, Family::ResNeXt50] {
        export(&network(DenseHeadKind::Fcn, family, OutputStride::Eight), &folder, Format::Onnx).unwrap();
    }
}

#[test]
fn the_projection_head_is_dropped_and_the_auxiliary_head_kept() {
    let folder = TempDir::new().unwrap();
    export(&network(DenseHeadKind::Fcn, Family::ResNet18, OutputStride::Sixteen), &folder, Format::Safetensors)
        .unwrap();
    let (_, tensors) = safetensors_file::read(folder.path().join("network.safetensors")).unwrap();
    let with = |prefix: &str| tensors.keys().filter(|name| name.starts_with(prefix)).count();
    assert_eq!((with("projection."), with("classifier."), with("aux_classifier.")), (0, 8, 8));
    assert_eq!(with("backbone.") + 16, tensors.len());
    let (_, compared) = safetensors_file::read(folder.path().join("network.safetensors.parity.safetensors")).unwrap();
    assert_eq!((compared["images"].size(), compared["logits"].size()), (vec![4, 3, 72, 56], vec![4, 3, 72, 56]));
}

#[test]
fn a_saved_network_is_exported_with_its_description() {
    let folder = TempDir::new().unwrap();
    let network = network(DenseHeadKind::DeepLabV3, Family::ResNet18, OutputStride::Sixteen);
    let description = SegmenterDescription {
        bit_depth_range: None,
        mask_legend: Some(MaskLegend { values: vec![1, 4, 9], colors: vec![[0; 3], [1; 3], [2; 3]] }),
        architecture: *network.backbone.architecture(),
        output_stride: 16,
        head: DenseHeadKind::DeepLabV3,
        auxiliary: true,
        classes: ["road", "sky", "tree"].map(String::from).to_vec(),
        mean: network.normalisation.mean,
        std: network.normalisation.std,
        img_size: 48,
        projection: Some([256, 8]),
    };
    let saved = folder.path().join("best.safetensors");
    save_segmenter(&saved, &network, &description).unwrap();
    assert!(is_segmentation(&saved).unwrap());
    assert_eq!(load_segmenter(&saved, Device::Cpu).unwrap().1, description);
    let plain = SegmenterDescription { mask_legend: None, ..description.clone() };
    assert_eq!(plain.legend(), MaskLegend::usual(3), "runs from before write the positions of the classes");
    let short = MaskLegend { values: vec![1], colors: vec![[0; 3]] };
    let wrong = folder.path().join("wrong.safetensors");
    save_segmenter(&wrong, &network, &SegmenterDescription { mask_legend: Some(short), ..description.clone() })
        .unwrap();
    let refused = load_segmenter(&wrong, Device::Cpu).unwrap_err().to_string();
    assert!(refused.contains("mask_legend 1 and 1, expected a value and a colour for each class"), "{refused}");
    let request = |format: Format, with_projection| {
        let output = folder.path().join(format!("network.{}", format.extension()));
        Request { output, format, with_projection, force: true }
    };
    export_segmentation(&saved, None, &request(Format::Onnx, false)).unwrap();
    export_segmentation(&saved, None, &request(Format::Safetensors, true)).unwrap();
    let checkpoint = Checkpoint::open(folder.path().join("network.safetensors")).unwrap();
    assert_eq!(checkpoint.metadata()["classes"], r#"["road","sky","tree"]"#);
    assert_eq!(checkpoint.metadata()["output_stride"], "16");
    assert!(checkpoint.metadata()["mask_legend"].contains(r#""values":[1,4,9]"#));
    let not_ours = load_segmenter(checkpoint.path(), Device::Cpu).unwrap_err().to_string();
    assert!(not_ours.contains("it is an export for other programs"), "{not_ours}");
    assert!(checkpoint.tensors().contains_key("projection.2.weight"));
    assert!(!is_segmentation(checkpoint.path()).unwrap(), "it is a checkpoint for others");
    let over_itself = Request { output: saved.clone(), ..request(Format::Safetensors, false) };
    assert!(matches!(export_segmentation(&saved, None, &over_itself), Err(ExportError::Target { .. })));
}

#[test]
fn the_layout_of_the_published_script_has_no_place_for_it() {
    let folder = TempDir::new().unwrap();
    let network = network(DenseHeadKind::Linear, Family::ResNet18, OutputStride::Sixteen);
    assert!(matches!(export(&network, &folder, Format::Torch), Err(ExportError::SegmenterInTorch)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
