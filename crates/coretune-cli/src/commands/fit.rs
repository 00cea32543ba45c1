//! `coretune fit`: fine-tunes a checkpoint, and says what that gained over not doing so.

use std::path::Path;

use coretune::config::{Layers, RunConfig, SettingChange};
use coretune::evaluate::bootstrap::Comparison;
use coretune::evaluate::figure::TOP1;
use coretune::fit::{self, Finished, Preparation, Task};
use coretune::run_folder::{Recording, RunFolder, RunKind, Summary};

use super::{lines, resuming};
use crate::args::{Fit, Flags};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::signals;

pub(crate) fn run(arguments: &Fit, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let typed = flags.over(arguments.layers.over(Layers::defaults())?)?;
    if arguments.going_on.resume {
        let root = resuming::output_of(&typed, || Ok(typed.validate()?.folder()))?;
        if resuming::holds_run(&printer, &root)? {
            return resume(&printer, arguments, flags, &root);
        }
    }
    let config = typed.validate()?;
    for unused in config.method.method().map(|method| typed.unused(method)).unwrap_or_default() {
        printer.say("note", unused);
    }
    begin(&printer, &config, arguments.dry_run)
}

/// Opens data and checkpoint, and shows how the look at the images goes.
pub(super) fn prepare(printer: &Printer, config: &RunConfig) -> Result<Preparation, Failure> {
    let mut progress = Progress::new(printer.clone());
    let preparation = fit::prepare_watched(config, &mut |event| progress.see(event));
    progress.clear();
    Ok(preparation?)
}

/// A new run.
fn begin(printer: &Printer, config: &RunConfig, dry_run: bool) -> Result<(), Failure> {
    if dry_run {
        let preparation = prepare(printer, config)?;
        preparation.check_memory()?;
        return self::dry_run(printer, preparation);
    }
    RunFolder::check_new(&config.folder())?;
    let preparation = prepare(printer, config)?;
    start(printer, preparation)
}

/// Repeats a run whose folder is `original`, from the same inputs.
pub(super) fn repeat(printer: &Printer, config: &RunConfig, original: &RunFolder) -> Result<(), Failure> {
    let preparation = prepare(printer, config)?;
    let (inputs, checkpoint) = (preparation.task.provenance()?, Some(config.checkpoint.path.as_path()));
    for note in resuming::other_bits(original, &inputs, &config.data.dir, checkpoint)? {
        printer.warn(note);
    }
    start(printer, preparation)
}

/// Makes the folder of a new run, and carries it out.
fn start(printer: &Printer, preparation: Preparation) -> Result<(), Failure> {
    preparation.task.steps_per_epoch()?;
    preparation.check_memory()?;
    let folder = RunFolder::create(&preparation.task.config.folder())?;
    folder.write_config(&preparation.task.config.to_toml())?;
    printer.log_to(&folder.log_file())?;
    list_skipped(printer, &preparation, &folder)?;
    resuming::record_provenance(&folder, &preparation.task.provenance()?)?;
    carry_out(printer, preparation, &folder)
}

/// Names every image that was left out in a file of the run.
fn list_skipped(printer: &Printer, preparation: &Preparation, folder: &RunFolder) -> Result<(), Failure> {
    if preparation.skipped.is_empty() {
        return Ok(());
    }
    let file = folder.write_skipped(&preparation.skipped)?;
    let images = lines::count(preparation.skipped.len(), "image");
    printer.say("skipped", format_args!("{images}, listed in {}", lines::quoted(&file)));
    Ok(())
}

/// Goes on with the run in `root`. Everything is looked at first; then the folder is written to.
fn resume(printer: &Printer, arguments: &Fit, flags: &Flags, root: &Path) -> Result<(), Failure> {
    let folder = RunFolder::resume(root)?;
    folder.expect(RunKind::FineTuning)?;
    let (config, changes) = configuration(arguments, flags, &folder)?;
    if let (Some(summary), true) = (folder.read_summary()?, changes.is_empty()) {
        return finished_already(printer, &summary, root);
    }
    resuming::refuse_to_change_a_finished(folder.read_summary()?.map(|summary| summary.epochs), config.train.epochs)?;
    let recording = Recording { log_every: config.train.log_every as u64, evaluated_every: Some(1) };
    let standing = fit::standing(&folder, recording, config.train.epochs)?;
    resuming::tell_standing(printer, root, &standing, &changes);
    let preparation = prepare(printer, &config)?;
    preparation.check_memory()?;
    let (inputs, checkpoint) = (preparation.task.provenance()?, Some(config.checkpoint.path.as_path()));
    let notes = resuming::other_bits(&folder, &inputs, &config.data.dir, checkpoint)?;

    printer.log_to(&folder.log_file())?;
    for note in notes {
        printer.warn(note);
    }
    list_skipped(printer, &preparation, &folder)?;
    resuming::record_provenance(&folder, &inputs)?;
    resuming::take_changes(&folder, &preparation.task.config.to_toml(), standing.step, &changes)?;
    carry_out(printer, preparation, &folder)
}

/// The run's own configuration under what was typed, and what that changes.
fn configuration(
    arguments: &Fit,
    flags: &Flags,
    folder: &RunFolder,
) -> Result<(RunConfig, Vec<SettingChange>), Failure> {
    let saved = Layers::defaults().file(&folder.config())?;
    let now = flags.over(arguments.layers.over(saved.clone())?)?;
    let allowed = &arguments.going_on.allow_change;
    let mut config = resuming::valid(now.validate(), (&saved, &now), allowed)?;
    let saved = saved.validate()?;
    let changes = fit::changed_settings(&saved, &config, allowed)?;
    config.run.output = saved.run.output;
    Ok((config, changes))
}

fn finished_already(printer: &Printer, summary: &Summary, root: &Path) -> Result<(), Failure> {
    printer.json(summary)?;
    let accuracy = match summary.test.as_ref().and_then(|test| test.get(TOP1.name)) {
        Some(top1) => format!("test {}", TOP1.labelled(top1)),
        None => lines::best_validation(summary),
    };
    printer.result("finished", format_args!("{} is done already: {accuracy}", lines::quoted(root)))
}

/// Probe, training, evaluation; the result in words or JSON.
fn carry_out(printer: &Printer, preparation: Preparation, folder: &RunFolder) -> Result<(), Failure> {
    signals::ask_to_stop(&preparation.task.stop)?;
    lines::found(printer, &preparation);
    let mut progress = Progress::new(printer.clone());
    let outcome = fine_tune(printer, preparation, folder, &mut progress);
    progress.clear();
    let finished = outcome.inspect_err(|failure| printer.log("error", &failure.sentence))?;
    printer.json(&finished.summary)?;
    tell(printer, &finished, folder.root())
}

/// Probe first, then training.
fn fine_tune(
    printer: &Printer,
    preparation: Preparation,
    folder: &RunFolder,
    progress: &mut Progress,
) -> Result<Finished, Failure> {
    let task = &preparation.task;
    let steps = task.steps_per_epoch()?;
    let mut probe = || task.probe(&preparation.backbone, &mut |event| progress.see(event));
    let frozen = if task.config.run.probe { Some(probe()?) } else { None };
    progress.clear();
    if let Some(figures) = &frozen {
        printer.say("frozen", lines::frozen(figures));
    }
    say_method(printer, task, steps);
    printer.say("machine", lines::machine(task));
    let finished = preparation.run(folder, frozen.as_ref(), &mut |event| progress.see(event));
    finished.map_err(|error| Failure::from(error).on_the_way())
}

/// What is done to the weights, and what of the images is not used for it.
fn say_method(printer: &Printer, task: &Task, steps: u64) {
    printer.say("method", lines::method(&task.config, steps));
    if let Some(unused) = lines::unused(task, steps) {
        printer.say("note", unused);
    }
}

/// The result beside the linear probe, where it lies, and what comes next.
fn tell(printer: &Printer, finished: &Finished, root: &Path) -> Result<(), Failure> {
    let summary = &finished.summary;
    let accuracy = match &finished.test {
        Some(test) => {
            let figures = &test.classification;
            format!("test top-1 {} ({})", lines::percent(figures.top1), lines::interval(&figures.top1_interval))
        }
        None => format!("{} (there is no test split)", lines::best_validation(summary)),
    };
    let against = finished.against_probe.as_ref().map_or_else(String::new, |comparison| {
        let images = finished.test.as_ref().map(|test| test.classification.images);
        format!("; {}", verdict(comparison, images))
    });
    printer.result("result", accuracy + &against)?;
    let path = lines::quoted(root);
    printer.result("saved", format_args!("{path}   best: epoch {}", summary.best.epoch))?;
    printer
        .result("next", format_args!("coretune report {path}     coretune evaluate {path} --split {}", split(finished)))
}

fn split(finished: &Finished) -> &'static str {
    if finished.test.is_some() { "test" } else { "val" }
}

/// `3.4 points above the linear probe, more than chance on 240 images? no (95 %: -0.9 to 7.6)`
fn verdict(comparison: &Comparison, images: Option<usize>) -> String {
    let points = 100.0 * comparison.difference;
    let side = if points < 0.0 { "below" } else { "above" };
    let certain = comparison.interval.low > 0.0 || comparison.interval.high < 0.0;
    let answer = if certain { "yes" } else { "no" };
    let images = images.map_or_else(|| "these".into(), |images| images.to_string());
    let interval = lines::interval(&comparison.interval);
    format!(
        "{:.1} points {side} the linear probe, more than chance on {images} images? {answer} ({interval})",
        points.abs()
    )
}

/// What would be done, and what it would take.
fn dry_run(printer: &Printer, preparation: Preparation) -> Result<(), Failure> {
    let steps = preparation.task.steps_per_epoch()?;
    lines::found(printer, &preparation);
    for split in &preparation.data.splits {
        printer.say("images", lines::split(split));
    }
    say_method(printer, &preparation.task, steps);
    printer.say("machine", lines::machine(&preparation.task));
    let config = preparation.task.config.clone();
    let estimate = preparation.estimate()?;
    lines::estimate(printer, &estimate, "probe, training, validation and test");
    printer.json(&serde_json::json!({ "config": config, "estimate": estimate }))?;
    printer.line(config.to_toml().trim_end())
}

#[cfg(test)]
mod tests {
    use coretune::evaluate::bootstrap::Interval;

    use super::*;

    fn comparison(difference: f64, low: f64, high: f64) -> Comparison {
        Comparison { difference, interval: Interval { low, high }, only_first: 0, only_second: 0 }
    }

    #[test]
    fn the_verdict_says_distance_direction_and_whether_it_is_more_than_chance() {
        assert_eq!(
            verdict(&comparison(0.034, -0.009, 0.076), Some(240)),
            "3.4 points above the linear probe, more than chance on 240 images? no (95 %: -0.9 to 7.6)"
        );
        assert!(verdict(&comparison(0.034, 0.002, 0.076), Some(240)).contains("? yes"));
        assert!(verdict(&comparison(-0.05, -0.08, -0.02), None).starts_with("5.0 points below the linear probe"));
        assert!(verdict(&comparison(-0.05, -0.08, -0.02), None).contains("? yes"));
    }
}
