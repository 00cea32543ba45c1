use std::fs;
use std::path::Path;

use coretune::config::{ConfigError, Layers, PretrainConfig, RunConfig};
use coretune::engine::Stop;
use coretune::run_folder::RunFolder;
use coretune::runs::{self, Changes, Event, Job, Options, Resumed, RunError};
use coretune::train;
use coretune_testing::SmallWorld;

/// The names of events other than those of the work, and of the work that shows where it belongs.
fn name<J: Job>(event: &Event<'_, J>) -> Option<&'static str> {
    match event {
        Event::Resumed { .. } => Some("resumed"),
        Event::SettingChanged(_) => Some("changed"),
        Event::Warning(_) => Some("warning"),
        Event::FolderOpened(_) => Some("folder"),
        Event::ImagesSkipped { .. } => Some("skipped"),
        Event::Prepared(_) => Some("prepared"),
        Event::Work(train::Event::Measured(_)) => Some("measured"),
        Event::Work(train::Event::Trained { .. }) => Some("trained"),
        Event::Work(_) => None,
    }
}

fn output(world: &SmallWorld, run: &str) -> String {
    format!("run.output={}", world.path(run).display())
}

#[test]
fn a_run_reports_its_life_in_order() {
    let world = SmallWorld::new(12, 4);
    fs::write(world.data().join("train/red/0.ppm"), "not an image").unwrap();
    let mut seen = Vec::new();
    let config = world.config(&[&output(&world, "run"), "train.epochs=1", "data.skip_broken=true"]);
    let finished = runs::begin(&config, Options::default(), &mut |event| seen.extend(name(event))).unwrap();
    assert_eq!(seen, ["folder", "skipped", "prepared", "measured", "trained"]);
    assert_eq!(RunFolder::open(&world.path("run")).unwrap().read_summary().unwrap(), Some(finished.summary));
}

#[test]
fn a_refused_run_leaves_no_folder() {
    let world = SmallWorld::new(12, 4);
    let config = world.config(&[&output(&world, "run"), "train.batch_size=65"]);
    let error = runs::begin(&config, Options::default(), &mut |_| {}).err().unwrap();
    assert!(error.is_refusal() && error.to_string().contains("does not fit"), "{error}");
    assert!(!world.path("run").exists());
}

#[test]
fn a_dry_run_gives_the_resolved_configuration_and_writes_nothing() {
    let world = SmallWorld::new(12, 4);
    let config = world.config(&[&output(&world, "run"), "run.probe=false"]);
    let (resolved, estimate) = runs::dry_run(&config, Options::default(), &mut |_| {}).unwrap();
    assert_eq!((resolved.model.num_classes, resolved.data.img_size), (Some(3), Some(16)));
    assert!(estimate.steps > 0 && estimate.seconds > 0.0);
    assert!(!world.path("run").exists());
}

/// Begins a run, and asks it to stop after its first step.
fn begin_and_stop<J: Job>(config: &J) -> RunError {
    begin_and_stop_at(config, |event| matches!(event, train::Event::Step(_)))
}

/// Begins a run, and asks it to stop when something happens.
fn begin_and_stop_at<J: Job>(config: &J, is_time: impl Fn(&train::Event) -> bool) -> RunError {
    let stop = Stop::default();
    let options = Options { stop: stop.clone(), ..Options::default() };
    let mut observer = |event: &Event<'_, J>| {
        if let Event::Work(event) = event
            && is_time(event)
        {
            stop.request();
        }
    };
    runs::begin(config, options, &mut observer).err().unwrap()
}

fn resume<J: Job>(root: &Path, changes: &Changes<'_>) -> Result<Resumed<J>, RunError> {
    runs::resume(root, changes, Options::default(), &mut |_| {})
}

fn last(world: &SmallWorld, run: &str) -> Vec<u8> {
    fs::read(world.path(run).join("checkpoints/last.safetensors")).unwrap()
}

#[test]
fn a_stopped_run_of_either_kind_is_resumed_and_repeated_bit_for_bit() {
    let world = SmallWorld::new(12, 4);
    let fit = world.config(&[&output(&world, "fit"), "run.probe=false", "train.epochs=1"]);
    let error = begin_and_stop(&fit);
    assert!(error.is_interrupted() && !error.is_refusal(), "{error}");
    assert!(matches!(resume::<RunConfig>(&world.path("fit"), &Changes::none()).unwrap(), Resumed::Finished(_)));
    assert!(matches!(resume::<RunConfig>(&world.path("fit"), &Changes::none()).unwrap(), Resumed::FinishedBefore(_)));

    let pretraining = world.pretraining(&[&output(&world, "pretrain"), "train.epochs=1"]);
    assert!(begin_and_stop(&pretraining).is_interrupted());
    resume::<PretrainConfig>(&world.path("pretrain"), &Changes::none()).unwrap();

    let repeat = |run: &str, copy: &str| (world.path(run), world.path(copy));
    let (run, copy) = repeat("fit", "fit again");
    assert!(runs::repeat::<RunConfig>(&run, &copy, Options::default(), &mut |_| {}).unwrap().equal);
    let (run, copy) = repeat("pretrain", "pretrain again");
    assert!(runs::repeat::<PretrainConfig>(&run, &copy, Options::default(), &mut |_| {}).unwrap().equal);
    assert!(last(&world, "fit") == last(&world, "fit again"));
}

#[test]
fn a_run_that_is_stopped_in_its_last_evaluation_says_what_is_saved_and_keeps_its_speed() {
    let world = SmallWorld::new(12, 4);
    let fit = world.config(&[&output(&world, "fit"), "run.probe=false", "train.epochs=1"]);
    let error = begin_and_stop_at(&fit, |event| matches!(event, train::Event::Trained { .. }));
    assert!(error.is_interrupted(), "{error}");
    let sentence = error.to_string();
    assert!(sentence.starts_with("stopped after step ") && sentence.contains("last.safetensors"), "{sentence}");
    let Resumed::Finished(finished) = resume::<RunConfig>(&world.path("fit"), &Changes::none()).unwrap() else {
        panic!("the run had not finished")
    };
    assert!(finished.summary.images_per_second > 0.0);
}

#[test]
fn settings_change_only_when_allowed_and_what_changes_is_reported() {
    let world = SmallWorld::new(12, 4);
    let config = world.config(&[&output(&world, "run"), "run.probe=false", "train.epochs=1"]);
    assert!(begin_and_stop(&config).is_interrupted());
    let over = |saved: Layers| saved.assignment("train.epochs=2");
    let root = world.path("run");
    let error = resume::<RunConfig>(&root, &Changes { over: &over, allowed: &[] }).err().unwrap();
    let RunError::Config(error) = error else { panic!("{error}") };
    assert!(matches!(*error, ConfigError::ChangedOnResume { .. }), "{error}");

    let allowed = ["train.epochs".to_string()];
    let mut seen = Vec::new();
    let changes = Changes { over: &over, allowed: &allowed };
    runs::resume::<RunConfig>(&root, &changes, Options::default(), &mut |event| seen.extend(name(event))).unwrap();
    assert_eq!(seen, ["resumed", "changed", "folder", "prepared", "trained"]);

    let error = runs::repeat::<RunConfig>(&root, &world.path("copy"), Options::default(), &mut |_| {}).err().unwrap();
    assert!(matches!(error, RunError::SettingsChanged { .. }), "{error}");
    let [("changed", change)] = &error.details()[..] else { panic!("{:?}", error.details()) };
    assert!(change.starts_with("train.epochs = 1 up to step ") && change.ends_with(", then 2"), "{change}");

    let over = |saved: Layers| saved.assignment("train.lr=0.5");
    let allowed = ["train.lr".to_string()];
    let error = resume::<RunConfig>(&root, &Changes { over: &over, allowed: &allowed }).err().unwrap();
    assert!(matches!(error, RunError::AllEpochsMade { made: 2 }), "{error}");
}
