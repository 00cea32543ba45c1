use std::fs;

use coretune::config::{Configuration, RunConfig};
use coretune::fit::{Finished, evaluate_run, prepare};
use coretune::run_folder::{MetricsRecord, RunFolder, Summary};
use coretune::runs::Prepared;
use coretune::train::Event;
use coretune_testing::SmallWorld;

fn fit(world: &SmallWorld, name: &str, config: &RunConfig) -> Finished {
    let preparation = prepare(config).unwrap();
    let folder = RunFolder::create(&world.path(name)).unwrap();
    folder.write_config(&preparation.task.config.to_toml()).unwrap();
    preparation.run(&folder, &mut |_| {}).unwrap()
}

fn last(world: &SmallWorld, name: &str) -> Vec<u8> {
    fs::read(world.path(name).join("checkpoints/last.safetensors")).unwrap()
}

#[test]
fn every_method_trains_and_leaves_a_complete_run_folder() {
    let world = SmallWorld::new(12, 4);
    for (name, settings) in [
        ("own", vec!["method.pairs=own"]),
        ("soft", vec!["method.pairs=soft"]),
        ("reference", vec!["method.pairs=reference"]),
        ("scl", vec!["method.name=scl"]),
        ("l2-sp", vec!["method.name=l2-sp"]),
        ("bss", vec!["method.name=bss"]),
        ("delta", vec!["method.name=delta", "method.delta_images=8"]),
        ("dr-tune", vec!["method.name=dr-tune", "method.dr_tune_bank=32"]),
        ("linear-probe", vec!["method.name=linear-probe"]),
        ("trivial", vec!["data.auto_augment=trivial", "data.random_erasing=0.5", "run.probe=true"]),
        ("rand", vec!["data.auto_augment=rand"]),
        ("flip", vec!["method.name=linear-probe", "data.tta=flip"]),
        ("rifle", vec!["method.name=rifle"]),
        ("bi-tuning", vec!["method.name=bi-tuning"]),
        ("coin", vec!["method.name=coin"]),
        ("mix-and-match", vec!["method.name=mix-and-match"]),
        ("cross-entropy", vec!["method.name=cross-entropy"]),
        ("lp-ft", vec!["method.name=cross-entropy", "method.head_init=linear-probe"]),
        ("adamw", vec!["train.opt=adamw", "train.lr=0.001", "train.clip_grad=1.0", "train.model_ema=0.9"]),
        ("balanced", vec!["data.sampler=balanced", "train.batch_size=6", "data.images_per_class=2"]),
    ] {
        let finished = fit(&world, name, &world.config(&settings));
        let test = finished.test.expect("there is a test split");
        assert_eq!(test.classification.images, 12, "{name}");
        assert!(finished.against_probe.is_some(), "{name}");
        for file in ["config.toml", "metrics.jsonl", "summary.json", "checkpoints/best.safetensors"] {
            assert!(world.path(name).join(file).is_file(), "{name} has no {file}");
        }
    }
}

/// The run is that of the probe: its classifier, its figures, no step.
/// With a rate that ruins the network at once, the best epoch is the probe that the run starts from.
#[test]
fn a_run_that_starts_from_the_probe_never_keeps_a_worse_model_than_it() {
    let world = SmallWorld::new(12, 4);
    let probe = fit(&world, "probe", &world.config(&["method.name=linear-probe"]));
    let ruined = ["method.name=cross-entropy", "method.head_init=linear-probe", "train.lr=3", "train.epochs=1"];
    let run = fit(&world, "run", &world.config(&ruined));
    assert_eq!((run.summary.best.epoch, run.summary.epochs), (0, 1));
    let top1 = |finished: &Finished| finished.test.as_ref().unwrap().classification.top1;
    assert!((top1(&run) - top1(&probe)).abs() < 1e-12);
    assert!(run.summary.above_probe.unwrap().difference.abs() < 1e-12);
    let random = fit(&world, "random", &world.config(&["method.name=cross-entropy", "train.lr=3", "train.epochs=1"]));
    assert_eq!(random.summary.best.epoch, 1, "a random classifier is no candidate");
}

#[test]
fn the_default_batch_is_reduced_to_the_training_images() {
    let world = SmallWorld::new(12, 4);
    let images = |preparation: &coretune::fit::Preparation| preparation.task.splits.train.len();
    let with = |settings: &[&str]| prepare(&world.config(settings)).unwrap();
    let few = with(&["train.batch_size=64"]);
    assert_eq!(few.task.config.train.batch_size, images(&few));
    assert!(few.notes.iter().any(|note| note.starts_with("a batch has")), "{:?}", few.notes);
    let given = with(&["train.batch_size=63"]);
    assert_eq!(given.task.config.train.batch_size, 63, "what was given stays, and is refused");
    assert!(given.task.steps_per_epoch().is_err());
}

#[test]
fn the_linear_probe_is_a_run_without_steps_whose_figures_are_the_probes() {
    let world = SmallWorld::new(12, 4);
    // A batch that the images do not fill is of no matter.
    let config = world.config(&["method.name=linear-probe", "train.batch_size=64"]);
    let flipped = fit(&world, "flipped", &world.config(&["method.name=linear-probe", "data.tta=flip"]));
    assert!(flipped.against_probe.as_ref().unwrap().difference.abs() < 1e-9, "the probe sees the same views");
    let finished = fit(&world, "run", &config);
    let moved = flipped.test.unwrap().calibration.nll - finished.test.as_ref().unwrap().calibration.nll;
    assert!(moved.abs() > 1e-6, "the mirror image changes the logits");
    let (summary, test) = (&finished.summary, finished.test.as_ref().unwrap());
    assert_eq!((summary.method.as_str(), summary.steps), ("linear-probe", 0));
    let probe = summary.probe.as_ref().unwrap().get("linear_top1").unwrap();
    assert!((test.classification.top1 - probe).abs() < 1e-9, "{} {probe}", test.classification.top1);
    assert!(finished.against_probe.unwrap().difference.abs() < 1e-9);
    let (_, before) = coretune::checkpoints::safetensors_file::read(world.checkpoint()).unwrap();
    let (_, best) =
        coretune::checkpoints::safetensors_file::read(world.path("run").join("checkpoints/best.safetensors")).unwrap();
    assert!(before.iter().all(|(name, weight)| weight.equal(&best[&format!("backbone.{name}")])));
    assert!(best.contains_key("classifier.bias"));
    let again = evaluate_run(&world.path("run"), &config, coretune::data::Role::Test, &mut |_| {}).unwrap();
    assert_eq!(Some(again.figures), finished.test);
    let refused = |settings: &[&str]| {
        let all = ["checkpoint.path=none", "data.dir=none", "method.name=linear-probe"].iter().chain(settings);
        let layers = all.fold(coretune::config::Layers::defaults(), |layers, text| layers.assignment(text).unwrap());
        layers.validate().unwrap_err().to_string()
    };
    assert!(refused(&["method.head_init=random"]).contains("method.head_init"));
    assert!(refused(&["run.probe=false"]).contains("run.probe"));
}

#[test]
fn a_method_that_reads_the_probe_is_refused_without_it() {
    let world = SmallWorld::new(12, 4);
    let error = prepare(&world.config(&["method.name=delta", "run.probe=false"])).err().unwrap().to_string();
    assert_eq!(error, "delta needs the linear probe, which is not measured");
    assert!(prepare(&world.config(&["method.name=delta", "run.probe=false", "method.delta_channels=uniform"])).is_ok());
}

#[test]
fn colours_are_learnt() {
    let world = SmallWorld::new(20, 10);
    let finished = fit(&world, "run", &world.config(&["train.epochs=6"]));
    let top1 = finished.test.unwrap().classification.top1;
    assert!(top1 > 0.9, "top-1 {top1}");
}

#[test]
fn the_same_run_gives_the_same_bytes_whatever_the_number_of_workers() {
    let world = SmallWorld::new(12, 4);
    let with = |name: &str, workers: &str| {
        fit(&world, name, &world.config(&[workers, "run.probe=false"]));
        last(&world, name)
    };
    let one = with("one", "run.workers=1");
    assert_eq!(one, with("again", "run.workers=1"));
    assert_eq!(one, with("three", "run.workers=3"));
}

/// Ten labelled images of one class and five of each of the others, of which a tenth validates; then four of each.
#[test]
fn balanced_class_weights_are_those_of_the_labelled_budget_and_change_the_weights() {
    let world = SmallWorld::new(10, 4);
    for (class, image) in ["green", "red"].into_iter().flat_map(|class| (5..10).map(move |image| (class, image))) {
        fs::remove_file(world.data().join("train").join(class).join(format!("{image}.ppm"))).unwrap();
    }
    let run = |name: &str, more: &[&str]| {
        let settings = [&["run.probe=false", "train.epochs=1", "method.name=cross-entropy"], more].concat();
        fit(&world, name, &world.config(&settings)).summary.class_weights
    };
    let weights = run("weighted", &["train.class_weights=balanced"]).unwrap();
    for (class, expected) in [("blue", 0.6), ("green", 1.2), ("red", 1.2)] {
        assert!((weights[class] - expected).abs() < 1e-12, "{weights:?}");
    }
    let config = fs::read_to_string(world.path("weighted/config.toml")).unwrap();
    assert!(config.contains("class_weights = \"balanced\""), "{config}");
    assert_eq!(run("plain", &[]), None);
    assert_ne!(last(&world, "plain"), last(&world, "weighted"));

    let equal = run("equal", &["train.class_weights=balanced", "data.per_class=4", "data.val_per_class=1"]).unwrap();
    assert!(equal.values().all(|weight| (weight - 1.0).abs() < 1e-12), "{equal:?}");
}

#[test]
fn another_seed_gives_another_model() {
    let world = SmallWorld::new(12, 4);
    fit(&world, "zero", &world.config(&["run.probe=false", "train.seed=0"]));
    fit(&world, "one", &world.config(&["run.probe=false", "train.seed=1"]));
    assert_ne!(last(&world, "zero"), last(&world, "one"));
}

#[test]
fn the_resolved_copy_of_the_configuration_repeats_the_run() {
    let world = SmallWorld::new(12, 4);
    let config = world.config(&["run.probe=false"]);
    fit(&world, "first", &config);
    let copy = coretune::config::Layers::defaults().file(&world.path("first").join("config.toml")).unwrap();
    fit(&world, "second", &copy.validate().unwrap());
    assert_eq!(last(&world, "first"), last(&world, "second"));
}

#[test]
fn a_run_can_be_evaluated_again_and_gives_the_same_figures() {
    let world = SmallWorld::new(12, 4);
    let config = world.config(&[]);
    let finished = fit(&world, "run", &config);
    let again = evaluate_run(&world.path("run"), &config, coretune::data::Role::Test, &mut |_| {}).unwrap();
    assert_eq!(Some(again.figures), finished.test);
}

#[test]
fn without_a_test_split_the_test_block_is_null_and_validation_judges() {
    let world = SmallWorld::new(12, 4);
    fs::remove_dir_all(world.data().join("test")).unwrap();
    let finished = fit(&world, "run", &world.config(&[]));
    assert!(finished.test.is_none() && finished.summary.test.is_none());
    assert!(finished.against_probe.is_some());
}

#[test]
fn frozen_stages_do_not_move_and_the_others_do() {
    let world = SmallWorld::new(12, 4);
    let config = world.config(&["model.frozen_stages=2", "run.probe=false"]);
    fit(&world, "run", &config);
    let (_, before) = coretune::checkpoints::safetensors_file::read(world.checkpoint()).unwrap();
    let (_, after) =
        coretune::checkpoints::safetensors_file::read(world.path("run").join("checkpoints/last.safetensors")).unwrap();
    for (name, weight) in &before {
        let moved = !weight.equal(&after[&format!("backbone.{name}")]);
        let frozen = ["conv1", "bn1", "layer1"].iter().any(|stage| name.split('.').next() == Some(stage));
        assert_eq!(moved, !frozen, "{name}");
    }
}

#[test]
fn every_step_is_logged_with_its_terms_and_told_to_the_observer() {
    let world = SmallWorld::new(12, 4);
    let config = world.config(&["run.probe=false"]);
    let preparation = prepare(&config).unwrap();
    let folder = RunFolder::create(&world.path("run")).unwrap();
    let mut steps = Vec::new();
    let mut observer = |event: &Event| {
        if let Event::Step(report) = event {
            steps.push(report.step);
        }
    };
    preparation.train(&folder, None, &mut observer).unwrap();
    // 12 images per class less 2 for validation make 3 batches of 8.
    assert_eq!(steps, (1..=6).collect::<Vec<_>>());
    let lines = fs::read_to_string(world.path("run").join("metrics.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    for field in ["step", "loss", "classification", "contrastive", "lr", "positives_per_anchor", "data_wait_share"] {
        assert!(first[field].is_number(), "{field} in {first}");
    }
    let sum = first["classification"].as_f64().unwrap() + first["contrastive"].as_f64().unwrap();
    assert!((first["loss"].as_f64().unwrap() - sum).abs() < 1e-5);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_says_where() {
    let world = SmallWorld::new(12, 4);
    let preparation = prepare(&world.config(&["run.probe=false", "train.lr=1e30"])).unwrap();
    let folder = RunFolder::create(&world.path("run")).unwrap();
    let error = preparation.train(&folder, None, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("at step"), "{error}");
    assert!(!world.path("run").join("checkpoints/last.safetensors").exists());
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_computed() {
    let world = SmallWorld::new(12, 4);
    let preparation = prepare(&world.config(&["train.batch_size=63", "run.probe=false"])).unwrap();
    let folder = RunFolder::create(&world.path("run")).unwrap();
    let error = preparation.train(&folder, None, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("63") && error.contains("30"), "{error}");
    for class in ["green", "red"] {
        fs::remove_dir_all(world.data().join("train").join(class)).unwrap();
        fs::remove_dir_all(world.data().join("test").join(class)).unwrap();
    }
    let error = prepare(&world.config(&[])).err().expect("one class").to_string();
    assert!(error.contains("one class, blue"), "{error}");
}

/// With a learning rate that moves nothing the first epoch stays the best one.
#[test]
fn early_stopping_ends_a_run_after_so_many_epochs_without_a_better_one() {
    let world = SmallWorld::new(12, 4);
    let config = world.config(&[
        "train.epochs=9",
        "train.early_stopping=2",
        "train.lr=1e-30",
        "train.weight_decay=0",
        "model.freeze_batch_norm=true",
        "run.probe=false",
    ]);
    let mut ended_early = None;
    let preparation = prepare(&config).unwrap();
    let folder = RunFolder::create(&world.path("run")).unwrap();
    folder.write_config(&preparation.task.config.to_toml()).unwrap();
    let mut observer = |event: &Event| {
        if let Event::Trained { early, .. } = event {
            ended_early = Some(*early);
        }
    };
    preparation.train(&folder, None, &mut observer).unwrap();
    assert_eq!(ended_early, Some(true));
    let summary = folder.read_summary::<Summary>().unwrap().unwrap();
    assert_eq!((summary.epochs, summary.best.epoch), (3, 1));
    let last = folder.metrics().unwrap().iter().map(MetricsRecord::step).max();
    assert_eq!(last, Some(summary.steps));
}
