//! `coretune reproduce RUN`: the same run again, and whether its weights are the same.

use std::path::{Path, PathBuf};

use coretune::config::{PretrainConfig, RunConfig, SegmentationConfig};
use coretune::run_folder::{RunFolder, RunKind};
use coretune::runs;
use coretune::train::StateComparison;

use super::lines;
use super::training::{Screen, Shown};
use crate::args::Reproduce;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::status::Status;

pub(crate) fn run(arguments: &Reproduce) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let copy = arguments.output.clone().unwrap_or_else(|| beside(&arguments.run));
    let words = printer.words_only();
    let comparison = match RunFolder::open(&arguments.run)?.kind()? {
        RunKind::FineTuning => repeat::<RunConfig>(&words, &arguments.run, &copy),
        RunKind::Pretraining => repeat::<PretrainConfig>(&words, &arguments.run, &copy),
        RunKind::Segmentation => repeat::<SegmentationConfig>(&words, &arguments.run, &copy),
    }?;
    printer.json(&comparison)?;
    show(&printer, &comparison)
}

/// The same run once more, in the folder `copy`. A repetition that was stopped begins from the start.
fn repeat<J: Shown>(printer: &Printer, run: &Path, copy: &Path) -> Result<StateComparison, Failure> {
    let mut screen = Screen::new(printer);
    let comparison = runs::repeat::<J>(run, copy, screen.options(), &mut |event| screen.see(event));
    screen.outcome(comparison).map_err(|failure| match failure.status {
        Status::Interrupted(_) => {
            failure.hint(format!("a repetition cannot be resumed: remove {} and start again", lines::quoted(copy)))
        }
        _ => failure,
    })
}

/// `RUN-reproduced`.
fn beside(run: &Path) -> PathBuf {
    let mut name = run.file_name().map(std::ffi::OsStr::to_os_string).unwrap_or_default();
    name.push("-reproduced");
    run.with_file_name(name)
}

fn show(printer: &Printer, comparison: &StateComparison) -> Result<(), Failure> {
    let StateComparison { tensors, different, first_different, largest_difference, .. } = comparison;
    let Some(first) = first_different else {
        return printer.result("reproduced", format_args!("all {tensors} tensors are bit-identical"));
    };
    let sentence = format!("{different} of {} differ from the run", lines::count(*tensors, "tensor"));
    Err(Failure::failed(sentence).detail("first", first).detail("largest", format!("{largest_difference:e}")).hint(
        "bit-identical weights need the same processor type, threads, precision and versions: see provenance.json",
    ))
}
