//! The programs in `examples/`, run in a small world.

use std::collections::BTreeMap;

use coretune::checkpoints::safetensors_file;
use coretune::models::{
    Architecture, Backbone, DenseHeadKind, Family, Network, Normalisation, OutputStride, Segmenter, SegmenterHeads,
};
use coretune_testing::SmallWorld;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

#[path = "../../examples/custom_objective.rs"]
#[allow(dead_code, reason = "the tests call what `main` calls")]
mod custom_objective;
#[path = "../../examples/decode_images.rs"]
#[allow(dead_code, reason = "the tests call what `main` calls")]
mod decode_images;
#[path = "../../examples/fine_tune.rs"]
#[allow(dead_code, reason = "the tests call what `main` calls")]
mod fine_tune;
#[path = "../../examples/inspect_checkpoint.rs"]
#[allow(dead_code, reason = "the tests call what `main` calls")]
mod inspect_checkpoint;
#[path = "../../examples/segmentation_maps.rs"]
#[allow(dead_code, reason = "the tests call what `main` calls")]
mod segmentation_maps;

/// Arguments for a run of one epoch in the folder of this name.
fn arguments(world: &SmallWorld, run: &str) -> Vec<String> {
    let paths = [world.checkpoint(), world.data(), world.path(run)].map(|path| path.display().to_string());
    let settings = ["data.img_size=16", "train.epochs=1", "train.batch_size=8", "run.device=cpu"].map(String::from);
    paths.into_iter().chain(settings).collect()
}

fn summary(world: &SmallWorld, run: &str) -> Value {
    serde_json::from_slice(&std::fs::read(world.path(run).join("summary.json")).unwrap()).unwrap()
}

#[test]
fn a_program_fine_tunes_and_a_second_call_finds_the_run_finished() {
    let world = SmallWorld::new(12, 4);
    let arguments = arguments(&world, "run");
    fine_tune::fine_tune(&arguments).unwrap();
    let first = summary(&world, "run");
    assert_eq!(first["epochs"], 1);
    assert!(first["probe"]["linear_top1"].is_number() && first["test"]["top1"].is_number(), "{first}");
    fine_tune::fine_tune(&arguments).unwrap();
    assert_eq!(summary(&world, "run"), first);
}

#[test]
fn a_program_trains_with_a_method_of_its_own() {
    let world = SmallWorld::new(12, 4);
    custom_objective::fine_tune(&arguments(&world, "run")).unwrap();
    assert_eq!(summary(&world, "run")["method"], "custom");
    let metrics = std::fs::read_to_string(world.path("run").join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("\"distance\":"), "{metrics}");
}

#[test]
fn a_program_inspects_a_checkpoint() {
    let world = SmallWorld::new(12, 4);
    inspect_checkpoint::inspect(&[world.checkpoint().display().to_string()]).unwrap();
    assert!(inspect_checkpoint::inspect(&[world.data().display().to_string()]).is_err());
}

#[test]
fn a_program_decodes_images() {
    let world = SmallWorld::new(12, 4);
    let (output, image) = (world.path("decoded").display().to_string(), world.data().join("train/blue/0.ppm"));
    decode_images::decode(&[output, image.display().to_string()]).unwrap();
    assert!(world.path("decoded/0.png").is_file());
    assert!(decode_images::decode(&[]).is_err());
}

#[test]
fn a_program_computes_the_maps_of_a_segmentation_network() {
    let world = SmallWorld::new(12, 4);
    let architecture = Architecture { width: 0.125, ..Architecture::published(Family::ResNet18) };
    let backbone = Backbone::dilated(&architecture, OutputStride::Eight, 0, Device::Cpu).unwrap();
    let heads = SegmenterHeads { kind: DenseHeadKind::Fcn, classes: 3, auxiliary: true, dropout: 0.0 };
    let network = Segmenter::new(backbone, &heads, Normalisation::IMAGENET, 0).unwrap();
    let write = |name: &str, tensors: Vec<(String, Tensor)>| {
        safetensors_file::write(world.path(name), &BTreeMap::new(), &tensors).unwrap();
        world.path(name).display().to_string()
    };
    let weights = network.tensors("").iter().map(|p| (p.name.clone(), p.tensor.shallow_clone())).collect();
    let checkpoint = write("network.safetensors", weights);
    let images = Tensor::randint(256, [1, 40, 32, 3], (Kind::Uint8, Device::Cpu));
    let images = write("images.safetensors", vec![("images".into(), images)]);
    let output = world.path("maps.safetensors").display().to_string();
    assert!(segmentation_maps::compute(&[checkpoint.clone(), "7".into(), images.clone(), output.clone()]).is_err());
    segmentation_maps::compute(&[checkpoint, "8".into(), images, output.clone()]).unwrap();
    let (_, maps) = safetensors_file::read(&output).unwrap();
    assert_eq!(maps["logits"].size(), [1, 3, 5, 4]);
    assert_eq!(maps["pixels"].size(), [1, 3, 40, 32]);
    assert!(world.path("maps.onnx").is_file());
    assert_eq!(maps["network.classifier.4.bias"], network.head.classifier().bias.as_ref().unwrap().detach());
}
