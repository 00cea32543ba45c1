//! A run that was stopped and goes on is the run that was left alone.

use std::fs;
use std::path::Path;

use coretune::config::{Configuration, RunConfig};
use coretune::engine::Stop;
use coretune::fit::{Finished, prepare};
use coretune::run_folder::{Provenance, RunFolder, Summary};
use coretune::runs::{Job, Options, Prepared, RunError, changed_settings, compare_provenance};
use coretune::train::{Event, TrainError};
use coretune_testing::SmallWorld;
use serde_json::Value;

/// Runs in `folder` until the event after which `stops` says so, or to the end.
fn run(folder: &RunFolder, config: &RunConfig, stops: impl Fn(&Event) -> bool) -> Result<Finished, RunError> {
    let stop = Stop::default();
    let options = Options { stop: stop.clone(), ..Options::default() };
    let preparation = config.prepare(options, &mut |_| {}).unwrap();
    folder.write_config(&preparation.task.config.to_toml()).unwrap();
    let mut observer = |event: &Event| {
        if stops(event) {
            stop.request();
        }
    };
    preparation.run(folder, &mut observer)
}

fn is_step(event: &Event, number: u64) -> bool {
    matches!(event, Event::Step(report) if report.step == number)
}

/// The metrics without what depends on the clock.
fn timeless_metrics(root: &Path) -> Vec<Value> {
    let text = fs::read_to_string(root.join("metrics.jsonl")).unwrap();
    let timeless = |line: &str| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let fields = record.as_object_mut().unwrap();
        fields.retain(|name, _| !["seconds", "images_per_second", "data_wait_share"].contains(&name.as_str()));
        record
    };
    text.lines().map(timeless).collect()
}

fn checkpoints(root: &Path) -> [Vec<u8>; 2] {
    ["last", "best"].map(|name| fs::read(root.join(format!("checkpoints/{name}.safetensors"))).unwrap())
}

/// Stops a run after each of `steps` and resumes it: it must end as the run that was left alone.
fn assert_resumes(world: &SmallWorld, name: &str, settings: &[&str], steps: &[u64]) {
    let config = world.config(settings);
    let whole = RunFolder::create(&world.path(&format!("{name}-whole"))).unwrap();
    run(&whole, &config, |_| false).unwrap();
    for &step in steps {
        let folder = RunFolder::create(&world.path(&format!("{name}-{step}"))).unwrap();
        let error = run(&folder, &config, |event| is_step(event, step)).unwrap_err();
        let RunError::Train(TrainError::Interrupted { saved: Some(saved) }) = &error else {
            panic!("{name}, {step}: {error}")
        };
        assert!(saved.step >= step && saved.path == folder.last_checkpoint(), "{saved:?}");
        assert!(folder.read_summary::<Summary>().unwrap().is_none());
        run(&folder, &config, |_| false).unwrap();
        assert!(checkpoints(folder.root()) == checkpoints(whole.root()), "{name}, stopped after step {step}");
        assert_eq!(timeless_metrics(folder.root()), timeless_metrics(whole.root()), "{name}, {step}");
    }
}

/// 30 images in batches of 8 are three steps an epoch: stopped within an epoch, at its end, and in a later one.
#[test]
fn stopped_after_any_step_it_ends_with_the_same_bytes_and_metrics() {
    let world = SmallWorld::new(12, 4);
    for (name, settings) in [
        ("core-tuning", vec!["run.probe=false"]),
        ("average", vec!["run.probe=false", "train.model_ema=0.9", "train.opt=adamw", "train.lr=0.001"]),
        ("corrected average", vec!["run.probe=false", "train.model_ema=0.9", "train.model_ema_warmup=true"]),
        ("balanced", vec!["data.sampler=balanced", "train.batch_size=6", "data.images_per_class=2", "method.name=scl"]),
        ("lp-ft", vec!["method.name=cross-entropy", "method.head_init=linear-probe", "train.log_every=2"]),
    ] {
        assert_resumes(&world, name, &settings, &[1, 2, 3, 5]);
    }
}

/// Methods that have state of their own, or whose loss depends on the number of the step.
#[test]
fn a_method_with_a_state_or_a_schedule_ends_with_the_same_bytes() {
    let world = SmallWorld::new(12, 4);
    for method in ["l2-sp", "rifle", "bi-tuning", "coin"] {
        assert_resumes(&world, method, &["run.probe=false", &format!("method.name={method}")], &[2, 5]);
    }
    // A rotation of the bank is kept over a stop.
    let settings =
        ["run.probe=false", "method.name=dr-tune", "method.dr_tune_bank=20", "method.dr_tune_rotate_every=4"];
    assert_resumes(&world, "dr-tune", &settings, &[2, 5]);
    assert_resumes(&world, "delta", &["method.name=delta", "method.delta_images=8"], &[2, 5]);
}

/// Images mixed with each other, a pull towards the start, and two passes in a step, over a stop.
#[test]
fn mixed_images_regularisers_and_sharpness_aware_steps_end_with_the_same_bytes() {
    let world = SmallWorld::new(12, 4);
    for (name, settings) in [
        ("mixed", ["method.name=cross-entropy", "data.mixup=0.2", "data.cutmix=1.0"]),
        ("spd", ["method.name=scl", "method.regulariser=spd", "method.regulariser_weight=0.5"]),
        ("delta", ["method.name=cross-entropy", "method.regulariser=delta", "method.regulariser_weight=0.01"]),
        ("sharp", ["method.name=core-tuning", "train.sam=0.05", "method.memory=10"]),
    ] {
        assert_resumes(&world, name, &[&["run.probe=false"], &settings[..]].concat(), &[2, 5]);
    }
}

#[test]
fn a_method_with_pairs_by_class_refuses_mixed_images_in_a_sentence() {
    let world = SmallWorld::new(12, 4);
    let refused = |settings: &[&str]| {
        let error = world.config(settings).prepare(Options::default(), &mut |_| {}).err().unwrap();
        (error.to_string(), format!("{:?}", error.hint()))
    };
    let (text, hint) = refused(&["data.cutmix=1.0", "method.name=core-tuning"]);
    assert!(text.starts_with("core-tuning needs the class of each image"), "{text}");
    assert!(hint.contains("data.cutmix"), "{hint}");
}

/// The averages of gradients, the memory and the first part of a run, over a stop.
#[test]
fn core_tuning_with_every_extra_ends_with_the_same_bytes() {
    let world = SmallWorld::new(12, 4);
    let extras = [
        "run.probe=false",
        "method.eta_ratio=0.3",
        "method.eta_schedule=cosine",
        "method.memory=10",
        "method.projection_first=0.34",
        "method.two_views=true",
        "method.mixed_weight=0.3",
        "method.hard_positive_floor=0.5",
    ];
    assert_resumes(&world, "extras", &extras, &[1, 3, 5]);
}

#[test]
fn stopped_while_it_validates_it_validates_again() {
    let world = SmallWorld::new(12, 4);
    let config = world.config(&["run.probe=false", "train.model_ema=0.9"]);
    let whole = RunFolder::create(&world.path("whole")).unwrap();
    run(&whole, &config, |_| false).unwrap();
    let folder = RunFolder::create(&world.path("stopped")).unwrap();
    // The report of the last step of an epoch is the last thing that is told before validation.
    let error = run(&folder, &config, |event| is_step(event, 3)).unwrap_err();
    assert!(error.to_string().contains("after step 3"), "{error}");
    assert_eq!(timeless_metrics(folder.root()).len(), 3, "no evaluation yet");
    run(&folder, &config, |_| false).unwrap();
    assert!(checkpoints(folder.root()) == checkpoints(whole.root()));
    assert_eq!(timeless_metrics(folder.root()), timeless_metrics(whole.root()));
}

#[test]
fn stopped_in_the_probe_nothing_is_lost_and_nothing_is_there() {
    let world = SmallWorld::new(12, 4);
    let preparation = prepare(&world.config(&[])).unwrap();
    preparation.task.stop.request();
    let error = preparation.task.probe_random(&mut |_| {}).unwrap_err();
    assert!(matches!(error, RunError::Train(TrainError::Interrupted { saved: None })), "{error}");
}

#[test]
fn a_state_of_another_run_is_refused_by_name() {
    let world = SmallWorld::new(12, 4);
    let folder = RunFolder::create(&world.path("run")).unwrap();
    run(&folder, &world.config(&["run.probe=false", "train.model_ema=0.9"]), |event| is_step(event, 2)).unwrap_err();
    let refused = |settings: &[&str]| run(&folder, &world.config(settings), |_| false).unwrap_err().to_string();
    let text = refused(&["run.probe=false"]);
    assert!(text.contains("average.") && text.contains("expected nothing"), "{text}");
    let text = refused(&["run.probe=false", "train.model_ema=0.9", "train.opt=adamw"]);
    assert!(text.contains("last.safetensors"), "{text}");
    let text = refused(&["run.probe=false", "train.model_ema=0.9", "method.contrast_dim=32"]);
    assert!(text.contains("projection"), "{text}");
}

#[test]
fn settings_that_change_the_result_need_to_be_allowed_by_name() {
    let world = SmallWorld::new(12, 4);
    let saved = world.config(&[]);
    let changes = |settings: &[&str], allowed: &[&str]| {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        changed_settings(&saved, &world.config(settings), &allowed)
    };
    assert!(changes(&["run.workers=7", "run.save_steps=5", "train.log_every=3"], &[]).unwrap().is_empty());
    let error = changes(&["train.epochs=9", "train.lr=0.5"], &["train.lr"]).unwrap_err();
    assert_eq!(error.details(), [("changed", "train.epochs = 2, now 9".to_string())]);
    assert!(error.hint().unwrap().to_string().contains("allow-change train.epochs"));
    assert_eq!(changes(&["train.epochs=9"], &["train.epochs"]).unwrap().len(), 1);
    let error = changes(&[], &["train.epoch"]).unwrap_err();
    assert!(
        error.to_string().contains("train.epoch") && error.hint().unwrap().to_string().contains("train.epochs"),
        "{error}"
    );
    assert!(changes(&["run.threads=3"], &[]).is_err() && changes(&["run.amp=bf16"], &[]).is_err());
}

#[test]
fn other_images_or_another_checkpoint_are_refused_and_another_machine_is_told() {
    let world = SmallWorld::new(12, 4);
    let provenance = || prepare(&world.config(&[])).unwrap().provenance().unwrap();
    let compare = |recorded: &Provenance, now: &Provenance| compare_provenance(recorded, now, Path::new("data"), None);
    let recorded = provenance();
    assert!(compare(&recorded, &provenance()).unwrap().is_empty());
    let mut elsewhere = recorded.clone();
    elsewhere.machine.cpu = "another".into();
    elsewhere.machine.threads += 1;
    assert_eq!(compare(&elsewhere, &recorded).unwrap().len(), 2);
    fs::copy(world.data().join("test/red/0.ppm"), world.data().join("test/red/1.ppm")).unwrap();
    let error = compare(&recorded, &provenance()).unwrap_err();
    assert!(error.to_string().starts_with("test data") && error.hint().is_some(), "{error}");
}
