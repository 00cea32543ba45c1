//! Times the step of MoCo v2 as `pretrain` makes it: momentum update, keys, queries, InfoNCE, backward, update, queue. Prints a
//! JSON line with the keys of `benches/peers/moco_step.py`, which times the same step in PyTorch.
//!
//!     cargo bench -p coretune --bench pretraining_step -- --width 0.25 --size 32 --batch 256 --groups 8

use std::error::Error;
use std::time::Instant;

use coretune::data::Batch;
use coretune::engine::{threads, versions};
use coretune::models::{Architecture, Backbone, Encoder, Family, Network, Normalisation, ProjectionHead, Role, Stem};
use coretune::objectives::{MoCo, MoCoSettings, Objective, Start};
use coretune::train::{Optimizer, Rule, StepInput, TrainedWeight, step};
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// What to time; `--norm` says how the peer parts its batch norm and means nothing here.
struct Case {
    width: f64,
    size: i64,
    batch: i64,
    groups: usize,
    steps: usize,
    warm_up: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    if coretune_testing::prints_help(include_str!("pretraining_step.rs")) {
        return Ok(());
    }
    // As the command line does.
    coretune_native::keep_freed_memory();
    let mut case = Case { width: 0.25, size: 32, batch: 256, groups: 8, steps: 10, warm_up: 2 };
    // `cargo bench` adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--width" => case.width = value.parse()?,
            "--size" => case.size = value.parse()?,
            "--batch" => case.batch = value.parse()?,
            "--groups" => case.groups = value.parse()?,
            "--threads" => threads::set(value.parse()?)?,
            "--steps" => case.steps = value.parse()?,
            "--warm-up" => case.warm_up = value.parse()?,
            "--norm" => {}
            _ => return Err(format!("{name} is no setting").into()),
        }
    }
    time(&case)
}

/// Runs the case and prints its line.
fn time(case: &Case) -> Result<(), Box<dyn Error>> {
    let settings =
        MoCoSettings { temperature: 0.2, momentum: 0.99, queue_length: 4096, width: 128, groups: case.groups };
    let (encoder, mut method) = (encoder(case.width)?, MoCo::new(settings));
    method.begin(&Start { network: &encoder, seed: 0, steps: 1, probe: None })?;
    let parameters = encoder.tensors("");
    let trained = parameters.iter().filter(|parameter| parameter.role == Role::Weight).map(|parameter| TrainedWeight {
        name: parameter.name.clone(),
        weight: parameter.tensor.shallow_clone(),
        rate_factor: 1.0,
    });
    let mut optimizer = Optimizer::over(trained, Rule::Sgd { momentum: 0.9, nesterov: false }, 5e-4, None);
    let images = Tensor::randint(256, [2 * case.batch, case.size, case.size, 3], (Kind::Uint8, Device::Cpu));
    let (labels, indices) = (vec![0; case.batch as usize], vec![0; case.batch as usize]);
    let batch = Batch { images, labels, masks: None, indices };
    let mut seconds = Vec::with_capacity(case.steps);
    for number in 0..case.warm_up + case.steps {
        let start = Instant::now();
        step(StepInput::new(&encoder, &mut method, &batch, (0, number as u64)), &mut optimizer, 0.06)?;
        if number >= case.warm_up {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = f64::midpoint(seconds[(seconds.len() - 1) / 2], seconds[seconds.len() / 2]);
    let line = json!({
        "side": format!("coretune, libtorch {}", versions().libtorch),
        "width": case.width,
        "size": case.size,
        "batch": case.batch,
        "groups": case.groups,
        "threads": threads::get(),
        "steps": case.steps,
        "median_ms": 1000.0 * median,
        "images_per_second": case.batch as f64 / median,
    });
    println!("{line}");
    Ok(())
}

fn encoder(width: f64) -> Result<Encoder, Box<dyn Error>> {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width };
    let backbone = Backbone::new(&architecture, 0, Device::Cpu)?;
    let head = ProjectionHead::new(backbone.feature_width(), 128, 0, Device::Cpu)?;
    Ok(Encoder::new(backbone, head, Normalisation::IMAGENET)?)
}
