//! What is in the files, and that it is the same each time.

use std::collections::BTreeSet;
use std::fs;

use coretune::checkpoints::{Checkpoint, inspect, load_heads, recognise, safetensors_file};
use coretune::export::Format;
use coretune::models::{Architecture, Family, Mode, Stem};
use coretune::saved_models::ModelDescription;
use tch::{Kind, Tensor, no_grad};

use crate::saved_model::{SavedModel, described, equal};

fn description() -> ModelDescription {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Imagenet, width: 1.0 / 16.0 };
    ModelDescription { projection_width: Some(8), ..described(architecture) }
}

#[test]
fn safetensors_has_torchvisions_names_and_no_projection_head() {
    let saved = SavedModel::new(&description());
    saved.export(Format::Safetensors, false).unwrap();
    let (metadata, tensors) = safetensors_file::read(saved.path("export.safetensors")).unwrap();
    let backbone = saved.model.backbone.parameters().iter().map(|parameter| parameter.name.as_str());
    let expected: BTreeSet<&str> = backbone.chain(["fc.weight", "fc.bias"]).collect();
    assert_eq!(tensors.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected);
    assert!(expected.contains("layer1.0.bn1.num_batches_tracked") && expected.contains("layer2.0.downsample.0.weight"));
    for parameter in saved.model.backbone.parameters().iter() {
        assert!(equal(&tensors[&parameter.name], &parameter.tensor), "{}", parameter.name);
    }
    assert!(equal(&tensors["fc.bias"], &Tensor::zeros([3], (Kind::Float, tch::Device::Cpu))));
    for (key, value) in [
        ("architecture", "resnet18"),
        ("classes", r#"["ä b","two","three"]"#),
        ("mean", "[0.4,0.5,0.6]"),
        ("std", "[0.2,0.25,0.3]"),
        ("img_size", "32"),
        ("crop_pct", "0.875"),
        ("interpolation", "bicubic"),
        ("resize_mode", "crop"),
        ("coretune_version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(metadata[key], value);
    }
}

#[test]
fn the_projection_head_is_kept_where_asked_for() {
    let saved = SavedModel::new(&description());
    saved.export(Format::Safetensors, true).unwrap();
    let (_, tensors) = safetensors_file::read(saved.path("export.safetensors")).unwrap();
    let projection = saved.model.projection.as_ref().unwrap().parameters();
    for layer in projection.iter() {
        assert!(equal(&tensors[&format!("projection.{}", layer.name)], &layer.tensor), "{}", layer.name);
    }
}

#[test]
fn the_mobilenets_classifier_has_the_name_of_its_common_implementation() {
    let architecture = Architecture { family: Family::MobileNetV2Small, stem: Stem::Small, width: 0.25 };
    let saved = SavedModel::new(&described(architecture));
    saved.export(Format::Safetensors, false).unwrap();
    let (_, tensors) = safetensors_file::read(saved.path("export.safetensors")).unwrap();
    assert!(tensors.contains_key("linear.weight") && tensors.contains_key("layers.16.bn3.running_mean"));
}

#[test]
fn a_torch_file_is_recognised_as_the_published_layout_with_full_coverage_and_both_heads() {
    for family in [Family::ResNet50, Family::MobileNetV2Small] {
        let architecture = Architecture { family, stem: Stem::Small, width: 1.0 / 8.0 };
        let saved = SavedModel::new(&ModelDescription { projection_width: Some(8), ..described(architecture) });
        let path = saved.export(Format::Torch, false).unwrap().output;
        let report = inspect(&path, None).unwrap();
        assert_eq!((report.container, report.layout, report.architecture), ("torch zip", "core-tuning", family));
        assert_eq!((report.missing.len(), report.left_out.len()), (0, 0), "{:?}", report.left_out);
        assert_eq!(report.loaded.len(), saved.model.backbone.parameters().len());

        let checkpoint = Checkpoint::open(&path).unwrap();
        let heads = load_heads(&checkpoint, &recognise(&checkpoint, None).unwrap()).unwrap();
        assert_eq!(heads.len(), 6);
        for parameter in saved.model.parameters().iter() {
            if let Some(head) = heads.get(&parameter.name) {
                assert!(equal(head, &parameter.tensor), "{}", parameter.name);
            }
        }
    }
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let saved = SavedModel::new(&description());
    for format in Format::ALL {
        let exported = saved.export(format, false).unwrap();
        let files = || [&exported.output, &exported.parity_file].map(|file| fs::read(file).unwrap());
        let first = files();
        saved.export(format, false).unwrap();
        assert!(first == files(), "{format}");
        assert_eq!(exported.parity.blake3, blake3::hash(&first[0]).to_hex().to_string());
        assert_eq!(exported.bytes, first[0].len() as u64);
    }
}

#[test]
fn the_parity_files_let_others_repeat_the_comparison() {
    let saved = SavedModel::new(&description());
    let exported = saved.export(Format::Onnx, false).unwrap();
    let (_, tensors) = safetensors_file::read(saved.path("export.onnx.parity.safetensors")).unwrap();
    let images = &tensors["images"];
    assert_eq!((images.size(), images.kind()), (vec![4, 3, 32, 32], Kind::Uint8));
    let nhwc = images.permute([0, 2, 3, 1]).contiguous();
    let logits = no_grad(|| saved.model.logits(&nhwc, Mode::Evaluate)).unwrap();
    assert!(equal(&logits, &tensors["logits"]));
    assert!(!equal(&logits.get(0), &logits.get(1)), "the images must tell something apart");

    let report: serde_json::Value = serde_json::from_slice(&fs::read(&exported.parity_file).unwrap()).unwrap();
    assert_eq!(report["images"], serde_json::json!({ "seed": 0, "count": 4, "size": 32 }));
    assert!((report["first_logits"][1].as_f64().unwrap() - logits.double_value(&[0, 1])).abs() < 1e-6);
    for key in ["max_abs_difference", "largest_logit", "relative_difference", "tolerance", "versions"] {
        assert!(report.get(key).is_some(), "{key}");
    }
}
