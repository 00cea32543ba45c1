//! Pre-training that starts from a checkpoint: what is taken from it, and what is not.

use std::path::Path;

use coretune::checkpoints::safetensors_file;
use coretune::config::{Configuration, Layers, PretrainConfig};
use coretune::figures::Figures;
use coretune::models::Family;
use coretune::pretrain::PretrainTask;
use coretune::report::pretraining_report;
use coretune::run_folder::{MetricsRecord, PretrainSummary, RunFolder, RunKind};
use coretune::runs::{Job, Options, Prepared, RunError};
use coretune::train::{Event, TrainError};
use coretune_testing::SmallWorld;

/// A learning rate at which no weight moves, and no weight decay.
const STILL: [&str; 3] = ["train.lr=1e-30", "train.weight_decay=0", "train.epochs=1"];

fn two_classes() -> SmallWorld {
    SmallWorld::of_classes(&[("a", [60, 120, 180]), ("b", [180, 120, 60])], 24, 8)
}

fn from(path: &Path) -> String {
    format!("checkpoint.path={:?}", path.display().to_string())
}

fn prepared(config: &PretrainConfig) -> Result<PretrainTask, RunError> {
    config.prepare(Options::default(), &mut |_| {})
}

fn folder(world: &SmallWorld, name: &str) -> RunFolder {
    RunFolder::create(&world.path(name)).unwrap()
}

fn run(world: &SmallWorld, name: &str, settings: &[&str]) -> RunFolder {
    let folder = folder(world, name);
    let task = prepared(&world.pretraining(settings)).unwrap();
    folder.write_config(&task.config.to_toml()).unwrap();
    task.run(&folder, &mut |_| {}).unwrap();
    folder
}

fn tensors(folder: &RunFolder) -> std::collections::BTreeMap<String, tch::Tensor> {
    safetensors_file::read(folder.last_checkpoint()).unwrap().1.into_iter().collect()
}

fn evaluations(folder: &RunFolder) -> Vec<Figures> {
    let figures = |record| match record {
        MetricsRecord::Probe(record) => Some(record.figures),
        _ => None,
    };
    folder.metrics().unwrap().into_iter().filter_map(figures).collect()
}

#[test]
fn backbone_and_projection_head_start_as_the_checkpoint_ended_and_the_momentum_encoder_as_a_copy() {
    let world = two_classes();
    let first = run(&world, "first", &["train.epochs=2"]);
    let start = from(first.root());
    let again = run(&world, "again", &[&[start.as_str()], &STILL[..]].concat());
    assert_eq!(evaluations(&again)[0], *evaluations(&first).last().unwrap());

    let (was, is) = (tensors(&first), tensors(&again));
    let mut compared = 0;
    for (name, tensor) in &was {
        if let Some(rest) = name.strip_prefix("module.encoder_q.")
            && !rest.contains("running_")
            && !rest.contains("num_batches")
        {
            assert!(tensor.equal(&is[name]), "{name}");
            assert!(tensor.equal(&is[&format!("module.encoder_k.{rest}")]), "the key encoder's {rest}");
            compared += 1;
        }
    }
    assert!(compared > 60 && was["module.queue"].ne_tensor(&is["module.queue"]).any().int64_value(&[]) == 1);
    let summary = again.read_summary::<PretrainSummary>().unwrap().unwrap();
    assert_eq!((summary.checkpoint.as_deref(), summary.coverage), (Some("last.safetensors"), Some(1.0)));
    let without = first.read_summary::<PretrainSummary>().unwrap().unwrap();
    assert_eq!((without.checkpoint, without.coverage), (None, None));
}

#[test]
fn the_network_and_its_input_are_those_of_the_checkpoint_unless_the_configuration_names_others() {
    let world = two_classes();
    let first = run(&world, "first", &["train.epochs=1", "data.img_size=24", "data.mean=0.5,0.4,0.3"]);
    let task = prepared(&world.pretraining(&[&from(first.root()), "model.width=auto"])).unwrap();
    assert_eq!((task.architecture.family, task.architecture.width), (Family::ResNet18, 0.125));
    assert_eq!((task.input.img_size, task.input.mean), (24, [0.5, 0.4, 0.3]));
    assert_eq!(task.config.model.name, Some(Family::ResNet18));
    let other = prepared(&world.pretraining(&[&from(first.root()), "data.img_size=16"])).unwrap();
    assert_eq!(other.input.img_size, 16);
    let refused = prepared(&world.pretraining(&[&from(first.root()), "model.name=resnet34"])).err().unwrap();
    assert!(refused.to_string().contains("last.safetensors"), "{refused}");
}

/// A head of another width, and none at all: the head is that of a run without a checkpoint, and a note says so.
#[test]
fn a_head_of_another_form_is_drawn_at_random_and_reported() {
    let world = two_classes();
    let still = |name: &str, settings: &[&str]| tensors(&run(&world, name, &[settings, &STILL[..]].concat()));
    let random = still("random", &[]);
    let narrow = run(&world, "narrow", &["train.epochs=1", "pretrain.dim=12"]);
    for (name, path, text) in [
        ("other", narrow.root(), "has 12 outputs, pretrain.dim is 128"),
        ("none", &world.checkpoint(), "no such layers"),
    ] {
        let settings = [from(path)];
        let task = prepared(&world.pretraining(&[&settings[0]])).unwrap();
        assert!(task.report().unwrap().missing.is_empty() && !task.starts_from_head());
        assert!(task.notes.iter().any(|note| note.contains(text)), "{:?}", task.notes);
        let found = still(name, &[&settings[0]]);
        for layer in ["module.encoder_q.fc.0.weight", "module.encoder_q.fc.2.bias"] {
            assert!(found[layer].equal(&random[layer]), "{name}: {layer}");
        }
        assert!(!found["module.encoder_q.conv1.weight"].equal(&random["module.encoder_q.conv1.weight"]));
    }
    let both = prepared(&world.pretraining(&[&from(narrow.root()), "pretrain.dim=12"])).unwrap();
    assert!(both.starts_from_head());
}

#[test]
fn a_stopped_run_from_a_checkpoint_ends_with_the_same_bytes() {
    let world = two_classes();
    let first = run(&world, "first", &["train.epochs=1"]);
    let settings = [from(first.root()), "pretrain.method=simclr".into()];
    let settings = settings.each_ref().map(String::as_str);
    let whole = run(&world, "whole", &settings);
    let stopped = folder(&world, "stopped");
    let task = prepared(&world.pretraining(&settings)).unwrap();
    let stop = task.stop.clone();
    let mut steps = 0;
    let error = task.run(&stopped, &mut |event| {
        if let Event::Step(_) = event {
            steps += 1;
            if steps == 7 {
                stop.request();
            }
        }
    });
    assert!(matches!(error, Err(RunError::Train(TrainError::Interrupted { saved: Some(_) }))), "{error:?}");
    prepared(&world.pretraining(&settings)).unwrap().run(&stopped, &mut |_| {}).unwrap();
    let bytes = |folder: &RunFolder| std::fs::read(folder.last_checkpoint()).unwrap();
    assert!(bytes(&stopped) == bytes(&whole));
}

#[test]
fn the_report_compares_with_the_checkpoint() {
    let world = two_classes();
    let start = from(&world.checkpoint());
    let page = pretraining_report(&[run(&world, "run", &[&start]).root()]).unwrap();
    assert!(page.contains("over the checkpoint.") && !page.contains("random weights"), "no comparison");
}

#[test]
fn a_checkpoint_that_does_not_fit_or_is_not_there_is_refused_and_a_run_without_needs_none() {
    let world = two_classes();
    let missing = prepared(&world.pretraining(&["checkpoint.path=nowhere.pth"])).err().unwrap();
    assert!(missing.to_string().contains("nowhere.pth"), "{missing}");
    let layers = Layers::defaults_of(RunKind::Pretraining).assignment("data.dir=x").unwrap();
    let config = layers.validate_pretraining().unwrap();
    assert_eq!(config.checkpoint.given(), None);
    assert!(config.to_toml().contains("path = \"off\""), "{}", config.to_toml());
}

/// Of classes of one image each, none can be set aside to evaluate the features: evaluations off need none.
#[test]
fn without_evaluations_no_image_is_set_aside() {
    let names: Vec<String> = (0..8).map(|class| format!("class {class}")).collect();
    let classes: Vec<(&str, [u8; 3])> = names.iter().map(|name| (name.as_str(), [90; 3])).collect();
    let world = SmallWorld::of_classes(&classes, 1, 0);
    let refused = prepared(&world.pretraining(&[])).err().unwrap();
    assert!(refused.to_string().contains("no class has two of the 8 training images"), "{refused}");
    assert!(refused.hint().unwrap().to_string().contains("pretrain.probe_epochs"));
    let folder = run(&world, "run", &["pretrain.probe_epochs=off"]);
    assert!(evaluations(&folder).is_empty());
    assert_eq!(folder.read_summary::<PretrainSummary>().unwrap().unwrap().probe, None);
}
