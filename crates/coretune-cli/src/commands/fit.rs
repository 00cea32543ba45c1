//! `coretune fit`: fine-tunes a checkpoint, and reports what that gained over the frozen checkpoint.

use std::path::Path;

use coretune::config::{Layers, RunConfig, RunKind, SegmentationConfig};
use coretune::data::holds_masks;
use coretune::evaluate::figure::TOP1;
use coretune::fit::{Finished, Preparation};
use coretune::run_folder::{RunFolder, Summary};
use coretune::runs;
use coretune::train::TrainError;

use super::training::{self, Shown};
use super::{lines, ranks, rate_search};
use crate::args::{Fit, Flags, Training};
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(arguments: &Fit, flags: &Flags) -> Result<(), Failure> {
    ranks::speak_as_started();
    let training = &arguments.training;
    let without_auto = flags.without("train.lr", "auto");
    match kind(arguments, without_auto.as_ref().unwrap_or(flags))? {
        RunKind::Segmentation => at_best_rate::<SegmentationConfig>(training, flags),
        RunKind::FineTuning | RunKind::Pretraining => at_best_rate::<RunConfig>(training, flags),
    }
}

/// A run, at the learning rate that is searched first if the flags ask for it.
fn at_best_rate<J: Shown>(training: &Training, flags: &Flags) -> Result<(), Failure> {
    let flags = rate_search::with_rate::<J>(training, flags)?;
    let ended = training::run::<J>(training, &flags);
    rate_search::keep::<J>(training, &flags)?;
    ended
}

/// The kind of run that is asked for: by the task, by the run that is resumed, or by the images.
fn kind(arguments: &Fit, flags: &Flags) -> Result<RunKind, Failure> {
    match arguments.task.as_str() {
        "segmentation" => return Ok(RunKind::Segmentation),
        "classification" => return Ok(RunKind::FineTuning),
        _ => {}
    }
    let training = &arguments.training;
    let given = flags.over(training.layers.over(Layers::defaults())?)?;
    if training.resuming.resume {
        let root = runs::folder_of::<RunConfig>(&given)?;
        if runs::is_begun(&root)? {
            return Ok(RunFolder::open(&root)?.kind()?);
        }
    }
    kind_by_data(&given)
}

/// The kind of run by the images: segmentation if they have masks.
pub(super) fn kind_by_data(given: &Layers) -> Result<RunKind, Failure> {
    let Some(dir) = given.get("data.dir").and_then(|dir| dir.as_str()) else { return Ok(RunKind::FineTuning) };
    // What is wrong with the settings is reported when all are read.
    let Ok(section) = given.data_section(Path::new(dir)) else { return Ok(RunKind::FineTuning) };
    let has_masks = holds_masks(Path::new(dir), &section.options()).map_err(TrainError::from)?;
    Ok(if has_masks { RunKind::Segmentation } else { RunKind::FineTuning })
}

impl Shown for RunConfig {
    const ESTIMATED: &'static str = "probe, training, validation and test";

    fn unused(&self, layers: &Layers) -> Vec<String> {
        self.method.method().map(|method| layers.unused(method)).unwrap_or_default()
    }

    fn show_found(printer: &Printer, preparation: &Preparation) {
        lines::found(printer, preparation);
    }

    fn show_images(printer: &Printer, preparation: &Preparation) {
        for (role, images) in lines::splits(&preparation.data) {
            printer.say(&role, images);
        }
    }

    fn before_training(preparation: &Preparation) -> Vec<(&'static str, String)> {
        let task = &preparation.task;
        // A batch that the images do not fill was refused before.
        let steps = task.steps_per_epoch().unwrap_or_default();
        let method = (
            "method",
            if task.trains { lines::method(&task.config, steps) } else { lines::untrained(task.config.method.word()) },
        );
        let weights = task.class_weights().filter(|_| task.trains);
        let weights = weights.map(|weights| ("weights", lines::class_weights(&task.classes, &weights)));
        let notes = [lines::unused(task, steps), lines::few_validation_images(task)].into_iter().flatten();
        let notes = notes.filter(|_| task.trains).map(|note| ("note", note));
        [method].into_iter().chain(weights).chain(notes).chain([("machine", lines::machine(task))]).collect()
    }

    fn advice(preparation: &Preparation) -> Option<String> {
        let task = &preparation.task;
        lines::first_try(task.splits.train.len() / task.classes.len().max(1))
    }

    fn show_result(printer: &Printer, finished: &Finished, root: &Path) -> Result<(), Failure> {
        printer.json(&finished.summary)?;
        show(printer, finished, root)
    }

    fn in_short(summary: &Summary) -> String {
        match summary.test.as_ref().and_then(|test| test.get(TOP1.name)) {
            Some(top1) => format!("test {}", TOP1.labelled(top1)),
            None => lines::best_validation(summary),
        }
    }
}

/// The result beside the linear probe, its folder, and the commands that come next.
fn show(printer: &Printer, finished: &Finished, root: &Path) -> Result<(), Failure> {
    let summary = &finished.summary;
    let accuracy = match &finished.test {
        Some(test) => {
            let figures = &test.classification;
            format!("test top-1 {} ({})", lines::percent(figures.top1), lines::interval(&figures.top1_interval))
        }
        None => format!("{} (there is no test split)", lines::best_validation(summary)),
    };
    let trained = finished.against_probe.as_ref().filter(|_| summary.steps > 0);
    let against = trained.map_or_else(String::new, |comparison| {
        let images = finished.test.as_ref().map(|test| test.classification.images);
        format!("; {}", lines::above_probe(comparison.difference, &comparison.interval, "points", images))
    });
    printer.result("result", accuracy + &against)?;
    let path = lines::quoted(root);
    if trained.is_some_and(|comparison| comparison.interval.high < 0.0) {
        let advice = "fine-tuning did worse than the frozen features: --method linear-probe saves the probe as a model, and \
                      --head-init linear-probe starts from it";
        printer.result("advice", advice)?;
    }
    let best = match summary.best.epoch {
        0 => "the linear probe that training started from".into(),
        epoch => format!("epoch {epoch}"),
    };
    printer.result("saved", format_args!("{path}   best: {best}"))?;
    lines::device_memory(printer, summary.peak_device_bytes)?;
    printer
        .result("next", format_args!("coretune report {path}     coretune evaluate {path} --split {}", split(finished)))
}

fn split(finished: &Finished) -> &'static str {
    if finished.test.is_some() { "test" } else { "val" }
}
