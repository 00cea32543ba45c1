//! Times training steps as `fit` makes them: forward, objective, backward, update. Prints a JSON line per case, with the keys of
//! `benches/peers/step.py`, which times the same step in PyTorch.
//!
//!     cargo bench -p coretune --bench training_step
//!     cargo bench -p coretune --bench training_step -- --model resnet18 --size 32 --batch 64 --objective cross-entropy
//!     cargo bench -p coretune --bench training_step -- --model resnet18 --size 64 --batch 64 --part 8
//!
//! `--calls true` counts the calls into libtorch's dispatcher of one step instead of timing it: those at the outermost level,
//! without views and detach. `--small-stem true` makes a network for images of 32 pixels, `--device cuda` computes on a GPU.
//! `--part` makes the step in parts of so many images, with the gradient of the whole batch. `--checkpointing true` computes residual
//! blocks again in the backward pass.
//!
//! Medians over steps, so that a disturbed step does not count. Medians of runs that alternate with the other side's
//! (`benches/peers/compare.py`) are what may be compared.

use std::error::Error;
use std::time::Instant;

use coretune::data::Batch;
use coretune::engine::{Amp, DeviceChoice, Precision, peak_rss_bytes, threads, versions};
use coretune::losses::Focus;
use coretune::models::{Architecture, Backbone, Family, Linear, Model, Normalisation, ProjectionHead, Stem};
use coretune::objectives::{CoreTuning, CrossEntropy, Objective, PairScheme};
use coretune::train::{Accumulation, LayerRates, Optimizer, Rule, StepInput, step};
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// What to time.
#[derive(Debug, Clone)]
struct Case {
    architecture: Architecture,
    size: i64,
    batch: i64,
    classes: i64,
    objective: String,
    precision: Precision,
    device: Device,
    calls: bool,
    part: Option<usize>,
    checkpointing: bool,
    steps: usize,
    warm_up: usize,
}

impl Case {
    fn new(family: Family, width: f64, size: i64, batch: i64) -> Self {
        let architecture = Architecture { family, stem: Stem::Imagenet, width };
        let (objective, precision) = ("core-tuning".into(), Precision::F32);
        Case {
            architecture,
            size,
            batch,
            classes: 10,
            objective,
            precision,
            device: Device::Cpu,
            calls: false,
            part: None,
            checkpointing: false,
            steps: 20,
            warm_up: 3,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    if coretune_testing::prints_help(include_str!("training_step.rs")) {
        return Ok(());
    }
    // As the command line does.
    coretune_native::keep_freed_memory();
    let mut cases = vec![Case::new(Family::MobileNetV2Small, 0.5, 32, 64), Case::new(Family::ResNet50, 1.0, 224, 8)];
    // `cargo bench` adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        if name == "--threads" {
            threads::set(value.parse()?)?;
        } else if name == "--model" {
            cases = vec![Case::new(value.parse()?, 1.0, 32, 64)];
        } else {
            cases.iter_mut().try_for_each(|case| set(case, &name, &value))?;
        }
    }
    cases.iter().try_for_each(time)
}

/// Calls that compute nothing.
const VIEWS: [&str; 28] = [
    "view",
    "_unsafe_view",
    "reshape",
    "permute",
    "transpose",
    "t",
    "expand",
    "expand_as",
    "unsqueeze",
    "squeeze",
    "select",
    "slice",
    "narrow",
    "split",
    "split_with_sizes",
    "chunk",
    "unbind",
    "as_strided",
    "alias",
    "detach",
    "detach_",
    "numpy_T",
    "view_as",
    "flatten",
    "unflatten",
    "diagonal",
    "_reshape_alias",
    "lift_fresh",
];

/// Changes one setting of a case.
fn set(case: &mut Case, name: &str, value: &str) -> Result<(), Box<dyn Error>> {
    match name {
        "--width" => case.architecture.width = value.parse()?,
        "--size" => case.size = value.parse()?,
        "--batch" => case.batch = value.parse()?,
        "--classes" => case.classes = value.parse()?,
        "--objective" => case.objective = value.into(),
        "--precision" if value == "f32" => case.precision = Precision::F32,
        "--precision" => case.precision = Precision::resolve(value.parse::<Amp>()?, case.device).0,
        "--device" => case.device = value.parse::<DeviceChoice>()?.resolve()?.0,
        "--calls" => case.calls = value.parse()?,
        "--small-stem" if value == "true" => case.architecture.stem = Stem::Small,
        "--small-stem" => case.architecture.stem = Stem::Imagenet,
        "--checkpointing" => case.checkpointing = value.parse()?,
        "--part" => case.part = Some(value.parse()?),
        "--steps" => case.steps = value.parse()?,
        "--warm-up" => case.warm_up = value.parse()?,
        _ => return Err(format!("{name} is no setting").into()),
    }
    Ok(())
}

/// Runs a case and prints its line.
fn time(case: &Case) -> Result<(), Box<dyn Error>> {
    let mut training = Training::new(case)?;
    for _ in 0..case.warm_up {
        training.step()?;
    }
    if case.calls {
        let (made, mut calls) = coretune_native::dispatcher_calls(|| training.step())?;
        made?;
        calls.retain(|name, _| !VIEWS.contains(&name.trim_start_matches("aten::")));
        println!("{}", json!({ "implementation": "coretune", "calls": calls.values().sum::<u64>(), "by_name": calls }));
        return Ok(());
    }
    let mut seconds = Vec::with_capacity(case.steps);
    for _ in 0..case.steps {
        let start = Instant::now();
        training.step()?;
        if case.device.is_cuda() {
            tch::Cuda::synchronize(0);
        }
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let median = f64::midpoint(seconds[(seconds.len() - 1) / 2], seconds[seconds.len() / 2]);
    let line = json!({
        "implementation": format!("coretune, libtorch {}", versions().libtorch),
        "model": case.architecture.family.name(),
        "width": case.architecture.width,
        "size": case.size,
        "batch": case.batch,
        "objective": case.objective,
        "precision": case.precision,
        "part": case.part,
        "checkpointing": case.checkpointing,
        "peak_rss_mb": peak_rss_bytes() / 1_000_000,
        "threads": threads::get(),
        "steps": case.steps,
        "seconds_per_step": (median * 1e6).round() / 1e6,
        "images_per_second": (case.batch as f64 / median * 100.0).round() / 100.0,
    });
    println!("{line}");
    Ok(())
}

/// A model in training on one batch.
struct Training {
    model: Model,
    objective: Box<dyn Objective>,
    optimizer: Optimizer,
    batch: Batch,
    accumulation: Accumulation,
}

impl Training {
    fn new(case: &Case) -> Result<Self, Box<dyn Error>> {
        let objective = objective(&case.objective)?;
        let mut backbone = Backbone::new(&case.architecture, 0, case.device)?;
        backbone.set_precision(case.precision);
        backbone.set_activation_checkpointing(case.checkpointing);
        let width = backbone.feature_width();
        let classifier = Linear::classifier(width, case.classes, 0, case.device)?;
        let projection =
            objective.needs().projection.then(|| ProjectionHead::new(width, ProjectionHead::WIDTH, 0, case.device));
        let model = Model::new(backbone, classifier, projection.transpose()?, Normalisation::IMAGENET)?;
        let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
        let optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 1e-4, None);
        let batch = Batch {
            images: Tensor::randint(256, [case.batch, case.size, case.size, 3], (Kind::Uint8, Device::Cpu)),
            masks: None,
            labels: (0..case.batch).map(|index| index % case.classes).collect(),
            indices: (0..case.batch as usize).collect(),
        };
        let accumulation = case.part.map_or(Accumulation::Whole, |part| Accumulation::Exact { part });
        Ok(Training { model, objective, optimizer, batch, accumulation })
    }

    fn step(&mut self) -> Result<(), Box<dyn Error>> {
        let draw = (0, self.optimizer.updates());
        let input = StepInput::new(&self.model, self.objective.as_mut(), &self.batch, draw);
        step(input.accumulated(self.accumulation), &mut self.optimizer, 0.01)?;
        Ok(())
    }
}

fn objective(name: &str) -> Result<Box<dyn Objective>, Box<dyn Error>> {
    match name {
        "cross-entropy" => Ok(Box::new(CrossEntropy { label_smoothing: 0.0 })),
        "core-tuning" => Ok(Box::new(CoreTuning {
            pairs: PairScheme::Own,
            eta: 1.0,
            alpha: 1.0,
            temperature: 0.07,
            focus: Focus { exponent: 1.0, detached: false },
            label_smoothing: 0.0,
            ..CoreTuning::PUBLISHED
        })),
        other => Err(format!("{other} is no objective of this bench").into()),
    }
}
