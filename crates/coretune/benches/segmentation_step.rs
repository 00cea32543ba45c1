//! Times steps of segmentation as `fit` makes them (forward, cross-entropy of all pixels, method, backward, update), and
//! evaluation as `evaluate` does it. Prints a JSON line per case, with the keys of `benches/peers/segmentation_step.py`, which
//! times the same in PyTorch.
//!
//!     cargo bench -p coretune --bench segmentation_step
//!     cargo bench -p coretune --bench segmentation_step -- --model resnet50 --width 1 --objective core-tuning --steps 5
//!     cargo bench -p coretune --bench segmentation_step -- --objective cross-entropy,core-tuning --steps 40
//!     cargo bench -p coretune --bench segmentation_step -- --objective evaluate
//!
//! Several objectives alternate step by step, so that a disturbance meets all of them. Medians over steps, so that a disturbed
//! step does not count.

use std::cell::RefCell;
use std::error::Error;
use std::time::Instant;

use coretune::data::Batch;
use coretune::engine::{Amp, Precision, peak_rss_bytes, threads, versions};
use coretune::evaluate::Measure;
use coretune::evaluate::segmentation::SegmentationMeasure;
use coretune::losses::{Focus, labelled_pixels};
use coretune::models::{
    Architecture, Backbone, DenseHeadKind, Family, Normalisation, OutputStride, PixelViews, ProjectionHead, Segmenter,
    SegmenterHeads, Stem,
};
use coretune::objectives::{CoreTuning, CrossEntropy, Objective, PairScheme};
use coretune::segment::PixelRows;
use coretune::train::{LayerRates, Optimizer, Rule, StepInput, step};
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// Side of the squares of which masks are made, pixels.
const SQUARE: i64 = 40;

/// What to time.
#[derive(Debug, Clone)]
struct Case {
    architecture: Architecture,
    stride: OutputStride,
    size: [i64; 2],
    batch: i64,
    classes: i64,
    objectives: Vec<String>,
    precision: Precision,
    per_class: usize,
    steps: usize,
    warm_up: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    if coretune_testing::prints_help(include_str!("segmentation_step.rs")) {
        return Ok(());
    }
    // As the command line does.
    coretune_native::keep_freed_memory();
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Imagenet, width: 0.5 };
    let mut case = Case {
        architecture,
        stride: OutputStride::Sixteen,
        size: [160, 160],
        batch: 8,
        classes: 11,
        objectives: vec!["cross-entropy".into()],
        precision: Precision::F32,
        per_class: 16,
        steps: 10,
        warm_up: 2,
    };
    // `cargo bench` adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        set(&mut case, &name, &value)?;
    }
    if case.objectives == ["evaluate"] { evaluate(&case) } else { train(&case) }
}

/// Changes one setting of the case.
fn set(case: &mut Case, name: &str, value: &str) -> Result<(), Box<dyn Error>> {
    match name {
        "--model" => case.architecture.family = value.parse()?,
        "--width" => case.architecture.width = value.parse()?,
        "--output-stride" => case.stride = OutputStride::of(value.parse()?).ok_or("8, 16 or 32")?,
        "--size" => case.size = [value.parse()?; 2],
        "--batch" => case.batch = value.parse()?,
        "--classes" => case.classes = value.parse()?,
        "--objective" => case.objectives = value.split(',').map(String::from).collect(),
        "--precision" if value == "f32" => case.precision = Precision::F32,
        "--precision" => case.precision = Precision::resolve(value.parse::<Amp>()?, Device::Cpu).0,
        "--pixels-per-class" => case.per_class = value.parse()?,
        "--threads" => threads::set(value.parse()?)?,
        "--steps" => case.steps = value.parse()?,
        "--warm-up" => case.warm_up = value.parse()?,
        _ => return Err(format!("{name} is no setting").into()),
    }
    Ok(())
}

/// Steps of every objective in turn.
fn train(case: &Case) -> Result<(), Box<dyn Error>> {
    let mut trainings = case.objectives.iter().map(|name| Training::new(case, name)).collect::<Result<Vec<_>, _>>()?;
    let mut seconds = vec![Vec::with_capacity(case.steps); trainings.len()];
    for number in 0..case.warm_up + case.steps {
        for (training, seconds) in trainings.iter_mut().zip(&mut seconds) {
            let start = Instant::now();
            training.step()?;
            if number >= case.warm_up {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
    }
    for (name, seconds) in case.objectives.iter().zip(seconds) {
        print(case, name, seconds, case.batch);
    }
    Ok(())
}

/// Logits of single images of 320 x 240 pixels, and their place in the confusion matrix.
fn evaluate(case: &Case) -> Result<(), Box<dyn Error>> {
    let network = network(case)?;
    let batch = batch(1, [240, 320], case.classes);
    let masks = batch.masks.as_ref().ok_or("the batch has masks")?;
    let mut measure = SegmentationMeasure::new(case.classes as usize);
    let mut seconds = Vec::with_capacity(case.steps);
    for number in 0..case.warm_up + case.steps {
        let start = Instant::now();
        let logits = PixelViews::default().logits(&network, &batch.images)?;
        measure.add(&logits, masks)?;
        if number >= case.warm_up {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    print(&Case { size: [240, 320], batch: 1, ..case.clone() }, "evaluate", seconds, 1);
    Ok(())
}

fn print(case: &Case, objective: &str, mut seconds: Vec<f64>, images: i64) {
    seconds.sort_by(f64::total_cmp);
    let median = f64::midpoint(seconds[(seconds.len() - 1) / 2], seconds[seconds.len() / 2]);
    let line = json!({
        "implementation": format!("coretune, libtorch {}", versions().libtorch),
        "model": case.architecture.family.name(),
        "width": case.architecture.width,
        "size": case.size,
        "batch": case.batch,
        "objective": objective,
        "precision": case.precision,
        "threads": threads::get(),
        "steps": case.steps,
        "seconds_per_step": (median * 1e6).round() / 1e6,
        "images_per_second": (images as f64 / median * 100.0).round() / 100.0,
        "peak_rss_mb": peak_rss_bytes() / 1_000_000,
    });
    println!("{line}");
}

/// A network in training on one batch.
struct Training {
    network: Segmenter,
    objective: Box<dyn Objective>,
    optimizer: Optimizer,
    batch: Batch,
    per_class: usize,
}

impl Training {
    fn new(case: &Case, name: &str) -> Result<Self, Box<dyn Error>> {
        let objective = objective(name)?;
        let mut network = network(case)?;
        if objective.needs().projection {
            let head = ProjectionHead::with_hidden(network.embedding_width(), 256, 128, 0, Device::Cpu)?;
            network = network.with_projection(head)?;
        }
        let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
        let optimizer = Optimizer::new(&network, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 1e-4, None);
        let batch = batch(case.batch, case.size, case.classes);
        Ok(Training { network, objective, optimizer, batch, per_class: case.per_class })
    }

    fn step(&mut self) -> Result<(), Box<dyn Error>> {
        let draw = (0, self.optimizer.updates());
        let masks = self.batch.masks.as_ref().ok_or("the batch has masks")?;
        let rows = PixelRows {
            network: &self.network,
            batch: &self.batch,
            masks,
            labelled: labelled_pixels(masks)?,
            draw,
            per_class: self.per_class,
            label_smoothing: 0.0,
            weights: None,
            sampled: RefCell::default(),
        };
        let whole = StepInput::new(&self.network, self.objective.as_mut(), &self.batch, draw);
        let input = StepInput { rows: Some(&rows), ..whole };
        step(input, &mut self.optimizer, 0.01)?;
        Ok(())
    }
}

fn network(case: &Case) -> Result<Segmenter, Box<dyn Error>> {
    let mut backbone = Backbone::dilated(&case.architecture, case.stride, 0, Device::Cpu)?;
    backbone.set_precision(case.precision);
    let heads =
        SegmenterHeads { kind: DenseHeadKind::DeepLabV3, classes: case.classes, auxiliary: false, dropout: 0.0 };
    Ok(Segmenter::new(backbone, &heads, Normalisation::IMAGENET, 0)?)
}

/// Random images whose masks are squares of one class each, every twelfth of them ignored.
fn batch(images: i64, [height, width]: [i64; 2], classes: i64) -> Batch {
    let class = |image: i64, y: i64, x: i64| {
        let square = 7 * image + 3 * (y / SQUARE) + 5 * (x / SQUARE);
        if square % 12 == 11 { 255 } else { (square % classes) as u8 }
    };
    let pixels =
        (0..images).flat_map(|image| (0..height).flat_map(move |y| (0..width).map(move |x| class(image, y, x))));
    let masks = Tensor::from_slice(&pixels.collect::<Vec<u8>>()).view([images, height, width]);
    Batch {
        images: Tensor::randint(256, [images, height, width, 3], (Kind::Uint8, Device::Cpu)),
        masks: Some(masks),
        labels: vec![0; images as usize],
        indices: (0..images as usize).collect(),
    }
}

fn objective(name: &str) -> Result<Box<dyn Objective>, Box<dyn Error>> {
    match name {
        "cross-entropy" => Ok(Box::new(CrossEntropy { label_smoothing: 0.0 })),
        "core-tuning" => Ok(Box::new(CoreTuning {
            pairs: PairScheme::Own,
            eta: 0.1,
            alpha: 1.0,
            temperature: 0.1,
            focus: Focus { exponent: 1.0, detached: false },
            label_smoothing: 0.0,
            ..CoreTuning::PUBLISHED
        })),
        other => Err(format!("{other} is no objective of this bench").into()),
    }
}
