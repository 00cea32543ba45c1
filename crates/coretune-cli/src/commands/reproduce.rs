//! `coretune reproduce RUN`: the same run again, and whether its weights come out the same.

use std::path::{Path, PathBuf};

use coretune::checkpoints::safetensors_file;
use coretune::config::Layers;
use coretune::run_folder::{ChangeRecord, RunFolder, RunKind};
use coretune::train::{StateComparison, compare_states};

use super::{fit, lines, pretrain};
use crate::args::Reproduce;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::status::Status;

pub(crate) fn run(arguments: &Reproduce) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let original = RunFolder::open(&arguments.run)?;
    let kind = original.kind()?;
    let has_ended = match kind {
        RunKind::FineTuning => original.read_summary()?.is_some(),
        RunKind::Pretraining => original.read_pretrain_summary()?.is_some(),
    };
    if !has_ended {
        let text = format!("{} has not been run to its end", arguments.run.display());
        return Err(Failure::refused(text).hint(format!("{kind} --resume --output RUN ends it first")));
    }
    refuse_changed(&original)?;
    // What is compared at the end has to be there, and whole, before anything is repeated.
    safetensors_file::check(original.last_checkpoint())?;
    let again = arguments.output.clone().unwrap_or_else(|| beside(&arguments.run));
    refuse_taken(&again, &arguments.run)?;
    repeat(&printer.words_only(), kind, &original, &again).map_err(|failure| not_resumed(failure, &again))?;
    let again = RunFolder::open(&again)?;
    let comparison = compare_states(&original.last_checkpoint(), &again.last_checkpoint())?;
    printer.json(&comparison)?;
    tell(&printer, &comparison)
}

/// A repetition that was stopped begins from the start.
fn not_resumed(failure: Failure, again: &Path) -> Failure {
    match failure.status {
        Status::Interrupted(_) => {
            failure.hint(format!("a repetition is made in one go: remove {} and begin again", lines::quoted(again)))
        }
        _ => failure,
    }
}

/// The same run once more, into another folder.
fn repeat(printer: &Printer, kind: RunKind, original: &RunFolder, again: &Path) -> Result<(), Failure> {
    match kind {
        RunKind::FineTuning => {
            let mut config = Layers::defaults().file(&original.config())?.validate()?;
            (config.run.experiment, config.run.output) = (None, Some(again.into()));
            fit::repeat(printer, &config, original)
        }
        RunKind::Pretraining => {
            let typed = Layers::defaults_of(RunKind::Pretraining).file(&original.config())?;
            let mut config = typed.validate_pretraining()?;
            (config.run.experiment, config.run.output) = (None, Some(again.into()));
            pretrain::repeat(printer, &config, original)
        }
    }
}

/// A run whose settings were changed on the way is not what its `config.toml` says, and cannot be repeated from it.
fn refuse_changed(run: &RunFolder) -> Result<(), Failure> {
    let changes = run.changes()?;
    if changes.is_empty() {
        return Ok(());
    }
    let path = lines::quoted(run.root());
    let sentence = format!("{path} cannot be repeated: its settings were changed on the way, by --allow-change");
    let failure = changes.iter().fold(Failure::refused(sentence), |failure, ChangeRecord { step, key, was, now }| {
        failure.detail("changed", format!("{key} = {was} up to step {step}, then {now}"))
    });
    let config = lines::quoted(&run.config());
    let command = run.kind()?;
    Err(failure.hint(format!("a new run of its last settings can be: {command} --config {config} --output DIR")))
}

/// The place of the repetition has to be free.
fn refuse_taken(again: &Path, run: &Path) -> Result<(), Failure> {
    if RunFolder::is_free(again)? {
        return Ok(());
    }
    let sentence = format!("{} is not empty, as after an earlier repetition", lines::quoted(again));
    let run = lines::quoted(run);
    Err(Failure::refused(sentence).hint(format!("remove it, or name another: coretune reproduce {run} --output DIR")))
}

/// `RUN-reproduced`.
fn beside(run: &Path) -> PathBuf {
    let mut name = run.file_name().map(std::ffi::OsStr::to_os_string).unwrap_or_default();
    name.push("-reproduced");
    run.with_file_name(name)
}

fn tell(printer: &Printer, comparison: &StateComparison) -> Result<(), Failure> {
    let StateComparison { tensors, different, first_different, largest_difference, .. } = comparison;
    let Some(first) = first_different else {
        return printer.result("reproduced", format_args!("all {tensors} tensors are equal, bit for bit"));
    };
    let sentence = format!("{different} of {} differ from the run", lines::count(*tensors, "tensor"));
    Err(Failure::failed(sentence)
        .detail("first", first)
        .detail("largest", format!("{largest_difference:e}"))
        .hint("the same bits need the same processor type, threads, precision and versions: see provenance.json"))
}
