//! `coretune reproduce RUN`: the same run again, and whether its weights come out the same.

use std::path::PathBuf;

use coretune::config::Typed;
use coretune::run_folder::RunFolder;
use coretune::train::{StateComparison, compare_states};

use super::{fit, lines};
use crate::args::Reproduce;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(arguments: &Reproduce) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let original = RunFolder::open(&arguments.run)?;
    if original.read_summary()?.is_none() {
        let text = format!("{} has not been run to its end", arguments.run.display());
        return Err(Failure::refused(text).hint("coretune fit --resume --output RUN ends it first"));
    }
    let mut config = Typed::defaults().file(&original.config())?.validate()?;
    config.run.experiment = None;
    config.run.output = Some(arguments.output.clone().unwrap_or_else(|| beside(&arguments.run)));
    let again = config.folder();
    fit::begin(&printer.words_only(), &config, false)?;
    let again = RunFolder::open(&again)?;
    let comparison = compare_states(&original.last_checkpoint(), &again.last_checkpoint())?;
    printer.json(&comparison)?;
    tell(&printer, &comparison)
}

/// `RUN-reproduced`.
fn beside(run: &std::path::Path) -> PathBuf {
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
