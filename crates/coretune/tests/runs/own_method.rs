//! A method that a program brings itself, with a frozen copy of the network and a queue of earlier features.

use std::fs;
use std::path::{Path, PathBuf};

use coretune::checkpoints::safetensors_file;
use coretune::config::{ConfigError, RunConfig};
use coretune::models::{Backbone, Mode, ModelError, Parameters, Role};
use coretune::objectives::{
    CrossEntropy, FeatureBatch, Needs, Objective, ObjectiveLoss, Pass, Queue, QueueSize, Sizes, Start,
};
use coretune::runs::{self, Changes, Event, Options, RunError};
use coretune::train;
use coretune_testing::SmallWorld;
use tch::{Kind, Tensor, no_grad};

const QUEUE: i64 = 16;

/// Cross-entropy, the distance of the features from those of the network as it was at the start, and their likeness to
/// features of earlier batches.
#[derive(Default)]
struct DistanceAndQueue {
    memory: Option<Memory>,
}

struct Memory {
    source: Backbone,
    queue: Queue,
    rows: Option<Tensor>,
}

impl DistanceAndQueue {
    fn options() -> Options {
        Options { objective: Some(Box::new(DistanceAndQueue::default())), ..Options::default() }
    }
}

impl Objective for DistanceAndQueue {
    fn name(&self) -> &'static str {
        "distance-and-queue"
    }

    fn needs(&self) -> Needs {
        Needs { forward_passes: 1, copies: 1, divisible: false, ..Needs::CLASSIFIER }
    }

    fn kept_rows(&self, _: &Sizes) -> Option<(QueueSize, &'static str)> {
        Some((QueueSize { keys: QUEUE as usize, width: 64 }, "the method's own setting"))
    }

    fn begin(&mut self, start: &Start<'_>) -> Result<(), ModelError> {
        let (source, width) = (start.network.backbone().frozen_copy()?, start.network.backbone().feature_width());
        let queue = Queue::new(width, QUEUE, start.seed, source.device())?;
        self.memory = Some(Memory { source, queue, rows: None });
        Ok(())
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let Memory { source, queue, rows } = self.memory.as_mut().expect("the trainer begins a method first");
        let batch = pass.batch()?;
        let images = pass.network.normalisation().apply(pass.images, source.device());
        let at_start = no_grad(|| source.features(&images, Mode::Evaluate));
        let distance = (batch.features - at_start).square().mean(Kind::Float);
        let likeness = batch.features.matmul(queue.keys()).mean(Kind::Float);
        *rows = Some(batch.features.detach());
        let cross_entropy = CrossEntropy { label_smoothing: 0.0 }.loss_of(&batch, &pass.heads)?;
        let figures = vec![("distance", distance.detach()), ("likeness", likeness.detach())];
        Ok(ObjectiveLoss { total: cross_entropy.total + 0.1 * distance + 0.01 * likeness, figures })
    }

    fn updated(&mut self) -> Result<(), ModelError> {
        if let Some(Memory { queue, rows, .. }) = &mut self.memory
            && let Some(rows) = rows.take()
        {
            queue.push(&rows)?;
        }
        Ok(())
    }

    fn state(&self) -> Parameters {
        let mut list = Parameters::default();
        if let Some(Memory { source, queue, .. }) = &self.memory {
            list.extend_under("source.", source.parameters());
            let _ = list.add("queue".into(), queue.keys().shallow_clone(), Role::Buffer);
            let _ = list.add("queue_ptr".into(), queue.pointer().shallow_clone(), Role::Buffer);
        }
        list
    }
}

fn config(world: &SmallWorld, run: &str) -> RunConfig {
    let output = format!("run.output={}", world.path(run).display());
    world.config(&[&output, "run.probe=false", "train.epochs=2", "run.save_steps=1"])
}

/// Trains to the end; after each step, `seen` gets its number.
fn begin(config: &RunConfig, mut seen: impl FnMut(u64)) {
    let mut observer = |event: &Event<'_, RunConfig>| {
        if let Event::Work(train::Event::Step(report)) = event {
            seen(report.step);
        }
    };
    runs::begin(config, DistanceAndQueue::options(), &mut observer).unwrap();
}

fn resume(root: &Path, options: Options) -> Result<(), RunError> {
    runs::resume::<RunConfig>(root, &Changes::none(), options, &mut |_| {}).map(|_| ())
}

fn last(root: &Path) -> Vec<u8> {
    fs::read(root.join("checkpoints/last.safetensors")).unwrap()
}

/// Copies a run folder as it is in the middle of the run, which is what a killed process leaves.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(drop).unwrap() }
    }
}

#[test]
fn killed_after_any_step_and_resumed_a_run_of_it_ends_with_the_same_bytes() {
    let world = SmallWorld::new(12, 4);
    let whole = world.path("whole");
    begin(&config(&world, "whole"), |step| copy(&whole, &world.path(&format!("killed-{step}"))));
    let (_, tensors) = safetensors_file::read(whole.join("checkpoints/last.safetensors")).unwrap();
    assert_eq!(tensors["objective.queue"].size(), [64, QUEUE]);
    for step in [1, 2, 5, 6] {
        let killed = world.path(&format!("killed-{step}"));
        let text = fs::read_to_string(killed.join("config.toml")).unwrap();
        assert!(text.contains("name = \"custom\""), "{text}");
        resume(&killed, DistanceAndQueue::options()).unwrap();
        assert!(last(&killed) == last(&whole), "killed after step {step}");
    }
    let copy = world.path("copy");
    assert!(runs::repeat::<RunConfig>(&whole, &copy, DistanceAndQueue::options(), &mut |_| {}).unwrap().equal);
}

#[test]
fn only_a_program_that_brings_it_resumes_it_and_only_with_it_was_it_begun() {
    let world = SmallWorld::new(12, 4);
    let (own, known) = (world.path("own"), world.path("known"));
    begin(&config(&world, "own"), |_| {});
    fs::remove_file(own.join("summary.json")).unwrap();
    let before = last(&own);
    let mut events = 0;
    let error = runs::resume::<RunConfig>(&own, &Changes::none(), Options::default(), &mut |_| events += 1);
    assert!(matches!(error, Err(RunError::NoObjective)));
    assert!(events == 0 && last(&own) == before && !own.join("summary.json").exists());

    runs::begin(&config(&world, "known"), Options::default(), &mut |_| {}).unwrap();
    let RunError::Config(error) = resume(&known, DistanceAndQueue::options()).unwrap_err() else { panic!() };
    let ConfigError::FixedOnResume { changes } = *error else { panic!("{error}") };
    assert!(changes.iter().any(|change| change.key == "method.name"), "{changes:?}");
}

#[test]
fn without_its_objective_a_run_of_it_is_refused_before_anything_is_written() {
    let world = SmallWorld::new(12, 4);
    let config = world.config(&[&format!("run.output={}", world.path("run").display()), "method.name=custom"]);
    let error = runs::begin(&config, Options::default(), &mut |_| {}).err().unwrap();
    assert!(matches!(error, RunError::NoObjective) && error.is_refusal(), "{error}");
    assert!(!world.path("run").exists());
    assert!(matches!(runs::dry_run(&config, Options::default(), &mut |_| {}), Err(RunError::NoObjective)));
}

/// Cross-entropy of the first views, and the distance of both views' features.
struct TwoViews;

impl Objective for TwoViews {
    fn name(&self) -> &'static str {
        "two-views"
    }

    fn needs(&self) -> Needs {
        Needs { views: 2, gradient_passes: 2, ..Needs::CLASSIFIER }
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let batch = pass.batch()?;
        let [first, second] = &batch.features.chunk(2, 0)[..] else { panic!("two views") };
        assert_eq!(first.size()[0], batch.labels.len() as i64);
        let classes = CrossEntropy { label_smoothing: 0.0 };
        let cross_entropy = classes.loss_of(&FeatureBatch { features: first, ..batch }, &pass.heads)?;
        let distance = (first - second).square().mean(Kind::Float);
        let figures = vec![("distance", distance.detach())];
        Ok(ObjectiveLoss { total: cross_entropy.total + distance, figures })
    }
}

fn two_views() -> Options {
    Options { objective: Some(Box::new(TwoViews)), ..Options::default() }
}

#[test]
fn fine_tuning_gives_a_method_the_views_that_it_needs_in_parts_of_a_batch_too() {
    let world = SmallWorld::new(12, 4);
    let config = config(&world, "run");
    runs::dry_run(&config, two_views(), &mut |_| {}).unwrap();
    runs::begin(&config, two_views(), &mut |_| {}).unwrap();
    let metrics = fs::read_to_string(world.path("run").join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("\"distance\":") && !metrics.contains("\"distance\":0.0,"), "{metrics}");

    let parts = ["train.batch_size=4", "train.grad_accum_steps=2"];
    let output = format!("run.output={}", world.path("parts").display());
    let frozen = "model.freeze_batch_norm=true";
    let output_of = |run: &str| format!("run.output={}", world.path(run).display());
    for (run, settings) in [("whole", ["train.batch_size=8", "train.grad_accum_steps=1"]), ("in-parts", parts)] {
        let config = world.config(&[&output_of(run), settings[0], settings[1], frozen, "train.epochs=1"]);
        runs::begin(&config, two_views(), &mut |_| {}).unwrap();
    }
    let losses = |run: &str| {
        let metrics = fs::read_to_string(world.path(run).join("metrics.jsonl")).unwrap();
        let first: serde_json::Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
        [&first["loss"], &first["distance"]].map(|value| value.as_f64().unwrap())
    };
    let (whole, in_parts) = (losses("whole"), losses("in-parts"));
    assert!(whole.iter().zip(in_parts).all(|(a, b)| (a - b).abs() < 1e-4 * a.abs()), "{whole:?}, {in_parts:?}");
    for (own, accumulation) in [(two_views(), "split"), (DistanceAndQueue::options(), "exact")] {
        let accumulation = format!("train.accumulation={accumulation}");
        let config = world.config(&[&output, parts[0], parts[1], &accumulation]);
        let error = runs::begin(&config, own, &mut |_| {}).err().unwrap();
        assert!(error.is_refusal() && error.to_string().contains("cannot compute a batch in parts"), "{error}");
        assert!(error.hint().is_some() && !world.path("parts").exists());
    }
}

#[test]
fn another_method_of_a_program_does_not_resume_a_run() {
    let world = SmallWorld::new(12, 4);
    begin(&config(&world, "run"), |_| {});
    let root = world.path("run");
    fs::remove_file(root.join("summary.json")).unwrap();
    let error = resume(&root, two_views()).unwrap_err();
    assert!(matches!(error, RunError::OtherMethod { .. }) && error.is_refusal(), "{error}");
    assert!(error.to_string().contains("`distance-and-queue`, this program brings `two-views`"), "{error}");
}
