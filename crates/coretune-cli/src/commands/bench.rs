//! `coretune bench`: what this machine gives.

use coretune::bench::{self, FailedBatch, Reading, Report, Request, Timing};
use coretune::config::reading_threads;
use coretune::engine::{Amp, DeviceChoice, DeviceError, Precision, UnknownDevice, threads};
use coretune::models::{Architecture, Family, Stem};
use coretune::objectives::{CoreTuning, CrossEntropy, Objective};

use super::lines;
use crate::args::Bench;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::status::Status;

/// Images up to this size have the small stem unless told otherwise, pixels.
const SMALL: i64 = 64;

pub(crate) fn run(arguments: &Bench) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let choice: DeviceChoice =
        arguments.device.parse().map_err(|error: UnknownDevice| Failure::refused(error.to_string()))?;
    let unusable = |error: DeviceError| Failure::because(Status::Refused, &error, error.hint().as_ref());
    let (device, note) = choice.resolve().map_err(unusable)?;
    if let Some(count) = arguments.threads {
        threads::set(count.into()).map_err(|error| Failure::refused(error.to_string()))?;
    }
    let amp: Amp = arguments.amp.parse().expect("the command line takes these names alone");
    let (precision, warning) = Precision::resolve(amp, device);
    for text in note.iter().chain(&warning) {
        printer.warn(text);
    }
    let stem = match arguments.stem.as_deref() {
        Some("small") => Stem::Small,
        None if arguments.img_size <= SMALL => Stem::Small,
        Some(_) | None => Stem::Imagenet,
    };
    let family: Family = arguments.model.parse().expect("the command line takes these names alone");
    let automatic = || reading_threads(device.is_cuda(), threads::get());
    let request = Request {
        architecture: Architecture { family, stem, width: arguments.width },
        img_size: arguments.img_size,
        classes: arguments.classes,
        batch: arguments.batch_size.map(|batch| batch as usize),
        objective: if arguments.method == "cross-entropy" { cross_entropy } else { core_tuning },
        device,
        precision,
        steps: arguments.steps as usize,
        images: arguments.data_dir.clone(),
        workers: arguments.workers.map_or_else(automatic, usize::from),
    };
    printer.say("bench", format_args!("{}, {} pixels", arguments.model, arguments.img_size));
    let report = bench::measure(&request)?;
    printer.json(&report)?;
    tell(&printer, &report)
}

fn cross_entropy() -> Box<dyn Objective> {
    Box::new(CrossEntropy { label_smoothing: 0.0 })
}

fn core_tuning() -> Box<dyn Objective> {
    Box::new(CoreTuning::PUBLISHED)
}

fn tell(printer: &Printer, report: &Report) -> Result<(), Failure> {
    let Report { device, processor, precision, threads, libtorch, .. } = report;
    printer.result(
        "machine",
        format_args!("{device}, {processor}, {precision}, {}, libtorch {libtorch}", lines::count(*threads, "thread")),
    )?;
    for timing in &report.batches {
        printer.result("batch", line(timing))?;
    }
    if let Some(FailedBatch { batch, error }) = &report.failed {
        printer.result("batch", format_args!("{batch:<6}failed: {error}"))?;
    }
    printer.result("best", format_args!("--batch-size {}", report.best_batch))?;
    let Some(Reading { images_per_second_of_a_thread, enough_workers, workers, waiting }) = report.reading else {
        return Ok(());
    };
    printer.result("reading", format_args!("{images_per_second_of_a_thread:.0} images/s with one thread"))?;
    printer.result(
        "waiting",
        format_args!("{:.0} % of the time with --workers {workers}; {enough_workers} keep up", 100.0 * waiting),
    )
}

/// `64   210 images/s, 305 ms: copy 0 %, forward 31 %, loss 2 %, backward 64 %, update 3 %; 2 transfers, 576 calls`.
fn line(timing: &Timing) -> String {
    let phases = &timing.phases;
    let parts = [
        ("copy", phases.copy),
        ("forward", phases.forward),
        ("loss", phases.loss),
        ("backward", phases.backward),
        ("update", phases.update),
    ];
    let sum: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
    let parts = parts.map(|(name, seconds)| format!("{name} {:.0} %", 100.0 * seconds / sum.max(f64::MIN_POSITIVE)));
    format!(
        "{:<6}{:.1} images/s, {:.1} ms: {}; {} transfers, {} calls",
        timing.batch,
        timing.images_per_second,
        1e3 * timing.seconds_per_step,
        parts.join(", "),
        timing.transfers,
        timing.calls
    )
}
