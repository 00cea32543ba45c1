//! `coretune pretrain`: a contrastive checkpoint from images without labels.

use std::path::Path;

use coretune::config::{Layers, PretrainConfig};
use coretune::engine::device_name;
use coretune::evaluate::figure::{KNN_TOP1, RANK};
use coretune::pretrain::PretrainTask;
use coretune::run_folder::{EvaluationRecord, PretrainSummary};
use coretune::runs::Prepared;

use super::training::{self, Shown};
use super::{lines, ranks};
use crate::args::{Flags, Training};
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(arguments: &Training, flags: &Flags) -> Result<(), Failure> {
    ranks::speak_as_started();
    training::run::<PretrainConfig>(arguments, flags)
}

impl Shown for PretrainConfig {
    const ESTIMATED: &'static str = "training and evaluations of the features";

    fn unused(&self, layers: &Layers) -> Vec<String> {
        layers.unused(self.pretrain.method())
    }

    fn show_found(printer: &Printer, task: &PretrainTask) {
        let config = &task.config;
        let images = lines::count(task.images.len(), "image");
        printer.say("data", format_args!("{}: {images}", config.data.dir.display()));
        lines::columns(printer, &task.columns);
        lines::left_out(printer, &task.left_out);
        if let Some(report) = task.report() {
            let head = if task.starts_from_head() { ", projection head" } else { "" };
            printer.say("checkpoint", format_args!("{}, {}{head}", report.method, lines::coverage(report)));
            lines::from_random_values(printer, report);
        }
        for note in &task.notes {
            printer.warn(note);
        }
        let (family, width) = (task.architecture.family, task.architecture.width);
        printer.say("model", format_args!("{family}, width {width}, {} pixels", task.input.img_size));
        show_method(printer, task);
        printer.say("machine", lines::computes(&device_name(task.device), task.precision));
    }

    fn before_training(_: &PretrainTask) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn show_result(printer: &Printer, summary: &PretrainSummary, root: &Path) -> Result<(), Failure> {
        printer.json(summary)?;
        let run = lines::quoted(root);
        printer.result("result", worth(summary))?;
        printer.result("saved", format_args!("{run}   {}", lines::count(summary.epochs as usize, "epoch")))?;
        lines::device_memory(printer, summary.peak_device_bytes)?;
        printer.result("next", format_args!("coretune probe {run} --data-dir LABELLED"))
    }

    fn in_short(summary: &PretrainSummary) -> String {
        worth(summary)
    }
}

/// `moco-v2   tau 0.2; sgd, lr 0.03 cosine; 20 epochs of 390 steps`, and which images no epoch uses.
fn show_method(printer: &Printer, task: &PretrainTask) {
    let (config, train) = (&task.config, &task.config.train);
    // A batch that the images do not fill was refused before.
    let steps_per_epoch = task.steps_per_epoch().unwrap_or_default();
    let steps = lines::count(steps_per_epoch as usize, "step");
    let (method, epochs) = (&config.pretrain.method, lines::count(train.epochs, "epoch"));
    let (opt, lr, sched) = (train.opt.name(), train.lr, train.sched.name());
    let (temperature, ranks) = (config.temperature(), lines::ranks(train));
    printer.say(
        "method",
        format_args!("{method}   tau {temperature}; {opt}, lr {lr} {sched}; {epochs} of {steps}{ranks}"),
    );
    if let Some(unused) = lines::left_out_of_epoch(task.images.len(), train.effective_batch(), steps_per_epoch) {
        printer.say("note", unused);
    }
}

/// `kNN 61.2 % on test, effective rank 83.4`
fn worth(summary: &PretrainSummary) -> String {
    let Some(EvaluationRecord { split, figures, .. }) = &summary.probe else {
        return "the features were not evaluated".into();
    };
    let rank = figures.get(RANK.name).map_or_else(String::new, |rank| format!("{} {}", RANK.title, RANK.show(rank)));
    match figures.get(KNN_TOP1.name) {
        Some(top1) => format!("{} on {split}, {rank}", KNN_TOP1.labelled(top1)),
        None => format!("{rank} (there are no labels for more)"),
    }
}
