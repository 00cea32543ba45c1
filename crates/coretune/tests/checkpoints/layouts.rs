//! Every layout is recognised, covered in full, and lands where it belongs.

use std::collections::BTreeMap;

use coretune::checkpoints::{
    Checkpoint, CheckpointError, LoadReport, inspect, load_backbone, load_heads, recognise, safetensors_file,
};
use coretune::models::{Architecture, Backbone, Family, Stem};
use tch::Device;
use tempfile::TempDir;

use crate::fixture::{assert_values, expected, unpack, zeroed};

/// What a fixture must be recognised as.
struct Expected {
    file: &'static str,
    container: &'static str,
    layout: &'static str,
    family: Family,
    stem: Stem,
    /// The encoder taken without being asked, then the others.
    encoders: &'static [&'static str],
    prefix: &'static str,
}

const fn expect(
    file: &'static str,
    container: &'static str,
    layout: &'static str,
    network: (Family, Stem),
    encoders: &'static [&'static str],
    prefix: &'static str,
) -> Expected {
    Expected { file, container, layout, family: network.0, stem: network.1, encoders, prefix }
}

const R18: (Family, Stem) = (Family::ResNet18, Stem::Imagenet);
const R18_SMALL: (Family, Stem) = (Family::ResNet18, Stem::Small);
const R50: (Family, Stem) = (Family::ResNet50, Stem::Imagenet);
const R50_SMALL: (Family, Stem) = (Family::ResNet50, Stem::Small);
const MOBILENET: (Family, Stem) = (Family::MobileNetV2Small, Stem::Small);

const ZIP: &str = "torch zip";
const LEGACY: &str = "torch legacy";
const ONE: &[&str] = &["backbone"];

const FILES: &[Expected] = &[
    expect("torchvision_resnet18.pth", ZIP, "torchvision", R18, ONE, ""),
    expect("torchvision_resnet18.npz", "npz", "torchvision", R18, ONE, ""),
    expect("torchvision_resnet18.tar", "torch tar", "torchvision", R18, ONE, ""),
    expect("barlow_release_resnet50.pth", LEGACY, "torchvision", R50, ONE, ""),
    expect("timm_resnet50.safetensors", "safetensors", "torchvision", R50, ONE, ""),
    expect("timm_ema.pth.tar", ZIP, "torchvision", R18, &["backbone", "ema"], "state_dict._orig_mod."),
    expect("moco_v2.pth.tar", LEGACY, "moco", R18, &["query", "key"], "state_dict.module.encoder_q."),
    expect("moco_v1_resnet50.pth.tar", ZIP, "moco", R50, &["query"], "state_dict.module.encoder_q."),
    expect("moco_v3.pth.tar", ZIP, "moco-v3", R18, &["base", "momentum"], "state_dict.module.base_encoder."),
    expect("infomin.pth", LEGACY, "pycontrast", R50, &["encoder"], "model.module.encoder."),
    expect("sup_contrast.pth", ZIP, "pycontrast", R18_SMALL, &["encoder"], "model.encoder.module."),
    expect("pixpro.pth", ZIP, "pixpro", R18, &["query", "key"], "model.module.encoder."),
    expect("simsiam.pth.tar", ZIP, "simsiam", R50, &["encoder"], "state_dict.module.encoder."),
    expect("swav.pth.tar", LEGACY, "swav", R50, ONE, "module."),
    expect("deepcluster_v2.pth.tar", ZIP, "swav", R18, ONE, "module."),
    expect("dino.pth", ZIP, "dino", R18, &["teacher", "student"], "teacher.backbone."),
    expect("barlow_full.pth", ZIP, "barlow-twins", R50, ONE, "model.module.backbone."),
    expect("vissl.torch", ZIP, "vissl", R50, &["trunk"], "classy_state_dict.base_model.model.trunk._feature_blocks."),
    expect("lightly.ckpt", ZIP, "lightly", R18, &["backbone", "momentum"], "state_dict.backbone."),
    expect("lightly_cifar.ckpt", ZIP, "lightly", R18_SMALL, ONE, "state_dict.backbone."),
    expect("solo_learn.ckpt", ZIP, "solo-learn", R18_SMALL, &["backbone", "momentum"], "state_dict.backbone."),
    expect("solo_learn_encoder.ckpt", LEGACY, "solo-learn", R18, ONE, "state_dict.encoder."),
    expect("openmmlab.pth", ZIP, "openmmlab", R50, ONE, "state_dict.backbone."),
    expect("lightning.ckpt", ZIP, "lightning", R18, &["encoder"], "state_dict.encoder."),
    expect("lightning_byol.ckpt", ZIP, "lightning", R18, &["online", "target"], "state_dict.online_network.encoder."),
    expect("hugging_face.safetensors", "safetensors", "hugging-face", R50, ONE, "resnet."),
    expect("hugging_face_base.bin", ZIP, "hugging-face", R18, ONE, ""),
    expect("simclr_converted.pth", ZIP, "simclr-converted", R50, &["resnet"], "resnet."),
    expect("simclr_v2_converted.pth", ZIP, "simclr-converted", R50, &["resnet"], "resnet."),
    expect("simclr_leftthomas.pth", LEGACY, "simclr-leftthomas", R50_SMALL, ONE, "f."),
    expect("simclr_leftthomas_mobilenet.pth", LEGACY, "simclr-leftthomas", MOBILENET, ONE, ""),
    expect("core_tuning.pth", LEGACY, "core-tuning", R50, &["extractor"], "state_dict.module.extractor."),
    expect("torchvision_fcn.pth", ZIP, "segmentation", R18, ONE, "model.backbone."),
    expect("coretune_run.safetensors", "safetensors", "coretune", R18, &["trained", "average"], "backbone."),
];

/// Loads one encoder of a file into a model and checks every value.
fn load(expected: &Expected, encoder: Option<&str>, values_of: &str) -> LoadReport {
    let folder = TempDir::new().unwrap();
    let checkpoint = Checkpoint::open(unpack(expected.file, &folder)).unwrap();
    let recognised = recognise(&checkpoint, encoder).unwrap_or_else(|error| panic!("{}: {error}", expected.file));
    let backbone = zeroed(&recognised.architecture);
    let report = load_backbone(&checkpoint, &recognised, backbone.parameters(), &[]).unwrap();
    if expected.container != "torch tar" {
        assert_values(backbone.parameters(), values_of, 0.0);
    }
    report
}

#[test]
fn every_layout_is_recognised_with_full_coverage_and_the_right_values() {
    for expected in FILES {
        let report = load(expected, None, expected.encoders[0]);
        let file = expected.file;
        assert_eq!(report.container, expected.container, "{file}");
        assert_eq!(report.layout, expected.layout, "{file}");
        assert_eq!(report.encoder, expected.encoders[0], "{file}");
        assert_eq!(report.other_encoders, expected.encoders[1..], "{file}");
        assert_eq!(report.prefix, expected.prefix, "{file}");
        assert_eq!((report.architecture, report.stem), (expected.family, expected.stem), "{file}");
        let width = if expected.family == Family::MobileNetV2Small { 0.25 } else { 1.0 / 16.0 };
        assert!((report.width - width).abs() < 1e-12, "{file}: width {}", report.width);
        assert!((report.coverage - 1.0).abs() < 1e-12, "{file}: coverage {}", report.coverage);
        assert!(report.missing.is_empty(), "{file}: {:?}", report.missing);
        let left_out: usize = report.left_out.iter().map(|group| group.tensors).sum();
        assert_eq!(report.loaded.len() + report.heads.len() + left_out, report.tensors, "{file}");
        assert!(
            report.left_out.iter().all(|group| group.group != "other tensors"),
            "{file}: {:?} names groups for all",
            report.left_out
        );
    }
}

#[test]
fn every_fixture_is_tested() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints/fixtures");
    let others = ["unknown_two.pth", "torchvision_half.pth", "stem_of_21_characters.pth"];
    let tested: Vec<&str> = FILES.iter().map(|file| file.file).chain(others).collect();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(tested.contains(&name.trim_end_matches(".gz")), "{name}");
    }
}

#[test]
fn the_encoder_asked_for_is_taken() {
    for expected in FILES.iter().filter(|expected| expected.encoders.len() == 2) {
        let other = expected.encoders[1];
        let report = load(expected, Some(other), other);
        assert_eq!(report.encoder, other, "{}", expected.file);
        assert_eq!(report.other_encoders, [expected.encoders[0]], "{}", expected.file);
    }
}

#[test]
fn an_encoder_can_be_named_by_its_prefix() {
    let moco = FILES.iter().find(|expected| expected.file == "moco_v2.pth.tar").unwrap();
    for prefix in ["state_dict.module.encoder_k.", "state_dict.encoder_k"] {
        assert_eq!(load(moco, Some(prefix), "key").encoder, "key");
    }
}

#[test]
fn an_encoder_that_is_not_there_is_refused_with_those_that_are() {
    let folder = TempDir::new().unwrap();
    let error = inspect(unpack("moco_v2.pth.tar", &folder), Some("teacher")).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::UnknownEncoder { present, .. } if present == &["query", "key"]),
        "{error}"
    );
    assert!(error.hint().unwrap().to_string().contains("checkpoint.encoder = query"));
}

#[test]
fn two_backbones_without_a_layout_need_a_choice() {
    let folder = TempDir::new().unwrap();
    let path = unpack("unknown_two.pth", &folder);
    let error = inspect(&path, None).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::Ambiguous { prefixes, .. } if prefixes == &["left.net", "right.net"]),
        "{error}"
    );
    assert_eq!(error.hint().unwrap().to_string(), "choose one: checkpoint.encoder = left.net");

    let checkpoint = Checkpoint::open(&path).unwrap();
    let recognised = recognise(&checkpoint, Some("right.net")).unwrap();
    let backbone = zeroed(&recognised.architecture);
    let report = load_backbone(&checkpoint, &recognised, backbone.parameters(), &[]).unwrap();
    assert_values(backbone.parameters(), "right", 0.0);
    assert_eq!((report.layout, report.left_out[0].group.as_str()), ("unknown", "other encoder"));
}

#[test]
fn the_report_of_moco_tells_what_was_left_out_and_what_is_no_tensor() {
    let folder = TempDir::new().unwrap();
    let report = inspect(unpack("moco_v2.pth.tar", &folder), None).unwrap();
    let counted = |group: &str| report.left_out.iter().find(|found| found.group == group).map(|found| found.tensors);
    assert_eq!(counted("projection head"), Some(4));
    assert_eq!(counted("queue"), Some(2));
    assert_eq!(counted("other encoder"), Some(report.loaded.len() + 4));
    assert_eq!(counted("training state"), Some(2));
    let others: Vec<String> = report.not_tensors.iter().map(ToString::to_string).collect();
    assert_eq!(others, ["arch (str)", "epoch (int)", "optimizer.param_groups (list)"]);
    assert_eq!((report.features, report.expected()), (32, 120));
}

#[test]
fn objects_of_python_classes_are_named_and_not_built() {
    let folder = TempDir::new().unwrap();
    let named = |file: &str| -> Vec<String> {
        let checkpoint = Checkpoint::open(unpack(file, &folder)).unwrap();
        checkpoint.others().iter().map(ToString::to_string).collect()
    };
    assert!(named("infomin.pth").contains(&"opt (argparse.Namespace)".to_string()));
    assert!(named("timm_ema.pth.tar").contains(&"metric (numpy scalar)".to_string()));
    assert_eq!(named("torchvision_resnet18.npz"), ["note (numpy array of |O)"]);
}

#[test]
fn counters_of_a_profiler_are_left_out_by_name() {
    let folder = TempDir::new().unwrap();
    let report = inspect(unpack("simclr_leftthomas_mobilenet.pth", &folder), None).unwrap();
    let counters = report.left_out.iter().find(|group| group.group == "operation counters").unwrap();
    assert_eq!(counters.tensors, 4);
    assert_eq!(report.features, 320);
}

#[test]
fn the_published_core_tuning_checkpoint_keeps_its_heads() {
    for (file, width) in [("core_tuning.pth", 128), ("coretune_run.safetensors", 32)] {
        let folder = TempDir::new().unwrap();
        let checkpoint = Checkpoint::open(unpack(file, &folder)).unwrap();
        let recognised = recognise(&checkpoint, None).unwrap();
        let heads = load_heads(&checkpoint, &recognised).unwrap();
        let names: Vec<&str> = heads.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "classifier.bias",
                "classifier.weight",
                "projection.0.bias",
                "projection.0.weight",
                "projection.2.bias",
                "projection.2.weight"
            ]
        );
        assert_eq!(heads["classifier.weight"].size(), [10, width]);
        for (name, head) in &heads {
            assert!(head.equal(&expected("head", name, &head.size())), "{file}: {name}");
        }
    }
}

#[test]
fn old_files_without_batch_counts_are_whole() {
    let folder = TempDir::new().unwrap();
    let report = inspect(unpack("torchvision_resnet18.tar", &folder), None).unwrap();
    assert_eq!((report.loaded.len(), report.missing.len()), (100, 0));
}

#[test]
fn half_and_double_precision_become_single() {
    let folder = TempDir::new().unwrap();
    let checkpoint = Checkpoint::open(unpack("torchvision_half.pth", &folder)).unwrap();
    let recognised = recognise(&checkpoint, None).unwrap();
    let backbone = zeroed(&recognised.architecture);
    load_backbone(&checkpoint, &recognised, backbone.parameters(), &[]).unwrap();
    // bfloat16 has 8 bits of mantissa.
    assert_values(backbone.parameters(), "backbone", 1.0 / 256.0);
    assert!(backbone.parameters().iter().all(|p| matches!(p.tensor.kind(), tch::Kind::Float | tch::Kind::Int64)));
}

#[test]
fn every_family_is_recognised_by_its_names_and_shapes() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("weights.safetensors");
    for (index, family) in Family::ALL.iter().copied().enumerate() {
        let stem = if family == Family::MobileNetV2Small || index % 2 == 0 { Stem::Small } else { Stem::Imagenet };
        for width in [1.0 / 16.0, 3.0 / 16.0] {
            let architecture = Architecture { family, stem, width };
            let backbone = zeroed(&architecture);
            let tensors: Vec<_> =
                backbone.parameters().iter().map(|entry| (entry.name.clone(), entry.tensor.shallow_clone())).collect();
            safetensors_file::write(&path, &BTreeMap::new(), &tensors).unwrap();
            let checkpoint = Checkpoint::open(&path).unwrap();
            assert_eq!(recognise(&checkpoint, None).unwrap().architecture, architecture);
        }
    }
}

#[test]
fn the_report_is_json_with_the_promised_keys() {
    let folder = TempDir::new().unwrap();
    let report = inspect(unpack("dino.pth", &folder), None).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    for key in [
        "layout",
        "method",
        "architecture",
        "width",
        "encoder",
        "coverage",
        "loaded",
        "missing",
        "left_out",
        "not_tensors",
    ] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert_eq!(json["architecture"], "resnet18");
    assert_eq!(json["coverage"], 1.0);
    assert_eq!(json["encoder"], "teacher");
    assert_eq!(json["loaded"]["conv1.weight"], "teacher.backbone.conv1.weight");
}

#[test]
fn an_average_beside_the_model_is_not_taken_for_a_layer_of_a_wrapper() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("weights.safetensors");
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Imagenet, width: 1.0 / 16.0 };
    let backbone = Backbone::new(&architecture, 0, Device::Cpu).unwrap();
    let tensors: Vec<_> = ["model", "model_ema"]
        .iter()
        .flat_map(|key| backbone.parameters().iter().map(move |entry| (format!("{key}.{}", entry.name), entry)))
        .map(|(name, entry)| (name, entry.tensor.shallow_clone()))
        .collect();
    safetensors_file::write(&path, &BTreeMap::new(), &tensors).unwrap();
    let report = inspect(&path, Some("auto")).unwrap();
    assert_eq!((report.layout, report.encoder.as_str()), ("torchvision", "backbone"));
    assert_eq!(report.other_encoders, ["ema"]);
}
