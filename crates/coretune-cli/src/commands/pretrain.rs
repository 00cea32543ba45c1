//! `coretune pretrain`: a contrastive checkpoint from images without labels.

use std::path::Path;

use coretune::config::{Layers, PretrainConfig, SettingChange};
use coretune::engine::{device_name, threads};
use coretune::evaluate::figure::{KNN_TOP1, RANK};
use coretune::fit;
use coretune::pretrain::PretrainTask;
use coretune::run_folder::{EvaluationRecord, PretrainSummary, Recording, RunFolder, RunKind};

use super::{lines, resuming};
use crate::args::{Flags, Pretrain};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::signals;

pub(crate) fn run(arguments: &Pretrain, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let typed = flags.over(arguments.layers.over(Layers::defaults_of(RunKind::Pretraining))?)?;
    if arguments.going_on.resume {
        let root = resuming::output_of(&typed, || Ok(typed.validate_pretraining()?.folder()))?;
        if resuming::holds_run(&printer, &root)? {
            return resume(&printer, arguments, flags, &root);
        }
    }
    let config = typed.validate_pretraining()?;
    for unused in typed.unused(config.pretrain.method()) {
        printer.say("note", unused);
    }
    if arguments.dry_run { dry_run(&printer, &config) } else { begin(&printer, &config) }
}

/// Opens the images, and shows how the look at them goes.
fn prepare(printer: &Printer, config: &PretrainConfig) -> Result<PretrainTask, Failure> {
    let mut progress = Progress::new(printer.clone());
    let task = PretrainTask::prepare(config, &mut |event| progress.see(event));
    progress.clear();
    Ok(task?)
}

/// A new run.
fn begin(printer: &Printer, config: &PretrainConfig) -> Result<(), Failure> {
    RunFolder::check_new(&config.folder())?;
    start(printer, &prepare(printer, config)?)
}

/// Repeats a run whose folder is `original`, from the same inputs.
pub(super) fn repeat(printer: &Printer, config: &PretrainConfig, original: &RunFolder) -> Result<(), Failure> {
    let task = prepare(printer, config)?;
    for note in resuming::other_bits(original, &task.provenance()?, &config.data.dir, None)? {
        printer.warn(note);
    }
    start(printer, &task)
}

/// Makes the folder of a new run, and carries it out.
fn start(printer: &Printer, task: &PretrainTask) -> Result<(), Failure> {
    task.check_memory()?;
    let folder = RunFolder::create(&task.config.folder())?;
    folder.write_config(&task.config.to_toml())?;
    printer.log_to(&folder.log_file())?;
    folder.write_provenance(&task.provenance()?)?;
    carry_out(printer, task, &folder)
}

/// Goes on with the run in `root`. Everything is looked at first; then the folder is written to.
fn resume(printer: &Printer, arguments: &Pretrain, flags: &Flags, root: &Path) -> Result<(), Failure> {
    let folder = RunFolder::resume(root)?;
    folder.expect(RunKind::Pretraining)?;
    let (config, changes) = configuration(arguments, flags, &folder)?;
    if let (Some(summary), true) = (folder.read_pretrain_summary()?, changes.is_empty()) {
        printer.json(&summary)?;
        return printer
            .result("finished", format_args!("{} is done already: {}", lines::quoted(root), worth(&summary)));
    }
    let finished = folder.read_pretrain_summary()?.map(|summary| summary.epochs);
    resuming::refuse_to_change_a_finished(finished, config.train.epochs)?;
    let log_every = config.train.log_every as u64;
    let recording = Recording { log_every, evaluated_every: config.pretrain.probe_epochs };
    let standing = fit::standing(&folder, recording, config.train.epochs)?;
    resuming::tell_standing(printer, root, &standing, &changes);
    let task = prepare(printer, &config)?;
    task.check_memory()?;
    let inputs = task.provenance()?;
    let notes = resuming::other_bits(&folder, &inputs, &config.data.dir, None)?;

    printer.log_to(&folder.log_file())?;
    for note in notes {
        printer.warn(note);
    }
    resuming::record_provenance(&folder, &inputs)?;
    resuming::take_changes(&folder, &task.config.to_toml(), standing.step, &changes)?;
    carry_out(printer, &task, &folder)
}

/// The run's own configuration under what was typed, and what that changes.
fn configuration(
    arguments: &Pretrain,
    flags: &Flags,
    folder: &RunFolder,
) -> Result<(PretrainConfig, Vec<SettingChange>), Failure> {
    let saved = Layers::defaults_of(RunKind::Pretraining).file(&folder.config())?;
    let now = flags.over(arguments.layers.over(saved.clone())?)?;
    let allowed = &arguments.going_on.allow_change;
    let mut config = resuming::valid(now.validate_pretraining(), (&saved, &now), allowed)?;
    let saved = saved.validate_pretraining()?;
    let changes = fit::changed_entries(saved.to_table(), config.to_table(), allowed)?;
    config.run.output = saved.run.output;
    Ok((config, changes))
}

/// What would be done, and what it would take.
fn dry_run(printer: &Printer, config: &PretrainConfig) -> Result<(), Failure> {
    let task = prepare(printer, config)?;
    task.check_memory()?;
    found(printer, &task)?;
    let estimate = task.estimate()?;
    lines::estimate(printer, &estimate, "training and evaluations of the features");
    printer.json(&serde_json::json!({ "config": task.config.to_table(), "estimate": estimate }))?;
    printer.line(task.config.to_toml().trim_end())
}

/// Training; the result in words or JSON.
fn carry_out(printer: &Printer, task: &PretrainTask, folder: &RunFolder) -> Result<(), Failure> {
    signals::ask_to_stop(&task.stop)?;
    found(printer, task)?;
    let mut progress = Progress::new(printer.clone());
    let outcome = task.run(folder, &mut |event| progress.see(event));
    progress.clear();
    let summary = outcome
        .map_err(|error| Failure::from(error).on_the_way())
        .inspect_err(|failure| printer.log("error", &failure.sentence))?;
    printer.json(&summary)?;
    let run = lines::quoted(folder.root());
    printer.result("result", worth(&summary))?;
    printer.result("saved", format_args!("{run}   {}", lines::count(summary.epochs as usize, "epoch")))?;
    printer.result("next", format_args!("coretune probe {run} --data-dir LABELLED"))
}

/// Says what was found before anything is computed.
fn found(printer: &Printer, task: &PretrainTask) -> Result<(), Failure> {
    let config = &task.config;
    let images = lines::count(task.images.len(), "image");
    printer.say("data", format_args!("{}: {images}", config.data.dir.display()));
    for note in &task.notes {
        printer.warn(note);
    }
    let (family, width) = (task.architecture.family, task.architecture.width);
    printer.say("model", format_args!("{family}, width {width}, {} pixels", task.input.img_size));
    let train = &config.train;
    let steps_per_epoch = task.steps_per_epoch()?;
    let steps = lines::count(steps_per_epoch as usize, "step");
    let (method, epochs) = (&config.pretrain.method, lines::count(train.epochs, "epoch"));
    let (opt, lr, sched) = (train.opt.name(), train.lr, train.sched.name());
    let temperature = config.temperature();
    printer.say("method", format_args!("{method}   tau {temperature}; {opt}, lr {lr} {sched}; {epochs} of {steps}"));
    if let Some(unused) = lines::left_out_of_epoch(task.images.len(), train.batch_size, steps_per_epoch) {
        printer.say("note", unused);
    }
    let device = device_name(task.device);
    printer.say("machine", format_args!("{device}, {}, {}", lines::count(threads::get(), "thread"), task.precision));
    Ok(())
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
