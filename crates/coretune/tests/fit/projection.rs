//! A run whose projection head is the checkpoint's own, with batch norm.

use std::collections::BTreeMap;
use std::path::Path;

use coretune::checkpoints::safetensors_file;
use coretune::config::Layers;
use coretune::fit::prepare;
use coretune::models::Network;
use coretune::run_folder::RunFolder;
use coretune::saved_models::load_model;
use coretune_testing::SmallWorld;
use tch::{Device, Kind, Tensor};

/// The small world's encoder with a head as BYOL has it, named as solo-learn does; without the tensors of `left_out`.
fn with_head(world: &SmallWorld, left_out: &str) -> BTreeMap<String, Tensor> {
    let (_, encoder) = safetensors_file::read(world.checkpoint()).unwrap();
    tch::manual_seed(5);
    let rows = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu)) * 0.1;
    let mut tensors: BTreeMap<String, Tensor> =
        encoder.into_iter().map(|(name, tensor)| (format!("backbone.{name}"), tensor)).collect();
    for (name, tensor) in [
        ("0.weight", rows(&[32, 64])),
        ("0.bias", rows(&[32])),
        ("1.weight", rows(&[32]) + 1.0),
        ("1.bias", rows(&[32])),
        ("1.running_mean", rows(&[32])),
        ("1.running_var", rows(&[32]).abs() + 0.5),
        ("3.weight", rows(&[8, 32])),
        ("3.bias", rows(&[8])),
    ] {
        if !name.starts_with(left_out) {
            tensors.insert(format!("projector.{name}"), tensor);
        }
    }
    tensors
}

fn write(path: &Path, tensors: &BTreeMap<String, Tensor>) {
    let list: Vec<(String, Tensor)> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
    safetensors_file::write(path, &BTreeMap::new(), &list).unwrap();
}

#[test]
fn batch_norm_of_the_head_keeps_its_statistics_and_its_weights_are_trained_at_the_heads_rate() {
    let world = SmallWorld::new(12, 4);
    let tensors = with_head(&world, "none");
    let path = world.path("byol.safetensors");
    write(&path, &tensors);
    let start = format!("checkpoint.path={:?}", path.display().to_string());
    let run = |name: &str, factor: &str| {
        let own = [&*start, "run.probe=false", "method.projection=checkpoint", factor];
        let preparation = prepare(&world.config(&own)).unwrap();
        assert_eq!(preparation.task.config.method.contrast_dim, 8);
        let folder = RunFolder::create(&world.path(name)).unwrap();
        preparation.train(&folder, None, &mut |_| {}).unwrap();
        let last = safetensors_file::read(folder.last_checkpoint()).unwrap().1;
        // The description in the file is enough to build the head again.
        let (model, description) = load_model(&folder.last_checkpoint(), Device::Cpu).unwrap();
        assert_eq!(description.projection_width, Some(8));
        let head = model.projection().unwrap();
        assert!(!head.is_plain() && head.forms().len() == 3);
        assert!(head.parameters().get("3.bias").unwrap().tensor.equal(&last["projection.3.bias"]));
        last
    };
    let (trained, still) = (run("trained", "train.head_lr_factor=1"), run("still", "train.head_lr_factor=1e-30"));
    for name in ["0.weight", "1.weight", "1.bias", "3.bias", "1.running_mean", "1.running_var"] {
        let (ours, theirs) = (format!("projection.{name}"), &tensors[&format!("projector.{name}")]);
        let is_statistic = name.contains("running");
        assert_eq!(trained[&ours].equal(theirs), is_statistic, "{name}");
        assert!(still[&ours].equal(theirs), "{name} moves at the head's rate");
    }
}

/// The probe of other rows is another probe, and one of features is the one of before.
#[test]
fn the_probe_reads_stages_the_head_or_ten_crops() {
    let world = SmallWorld::new(12, 4);
    let path = world.path("byol.safetensors");
    write(&path, &with_head(&world, "none"));
    let start = format!("checkpoint.path={:?}", path.display().to_string());
    let width = |settings: &[&str]| {
        let own = [&[&*start, "method.name=cross-entropy"], settings].concat();
        let preparation = prepare(&world.config(&own)).unwrap();
        let probe = preparation.task.probe(&preparation.backbone, &mut |_| {}).unwrap().probe;
        (probe.weight.size()[1], probe.weight)
    };
    let (plain, features) = width(&[]);
    assert_eq!(plain, 64);
    assert_eq!(width(&["run.probe_rows=stages"]).0, 8 + 16 + 32 + 64);
    assert_eq!(width(&["run.probe_rows=projector"]).0, 32);
    let (crops, of_crops) = width(&["run.probe_views=ten-crop"]);
    assert!(crops == 64 && !of_crops.equal(&features));
    let refused = ["checkpoint.path=x", "data.dir=x", "run.probe_rows=stages", "method.head_init=linear-probe"];
    let layers = refused.iter().fold(Layers::defaults(), |layers, text| layers.assignment(text).unwrap());
    assert!(layers.validate().unwrap_err().to_string().contains("probe_rows"));
}

#[test]
fn a_head_of_other_layers_is_refused_with_what_was_found() {
    let world = SmallWorld::new(12, 4);
    let path = world.path("damaged.safetensors");
    write(&path, &with_head(&world, "1.running"));
    let start = format!("checkpoint.path={:?}", path.display().to_string());
    let error = prepare(&world.config(&[&start, "method.projection=checkpoint"])).err().unwrap().to_string();
    assert!(
        error.contains("found projector.0.bias [32], projector.0.weight [32, 64], projector.1.bias [32]"),
        "{error}"
    );
}
