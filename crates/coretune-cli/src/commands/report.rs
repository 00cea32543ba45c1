//! `coretune report RUN...`: a page about one run or several, or about a comparison of methods.

use std::path::{Path, PathBuf};

use coretune::compare::Comparison;
use coretune::config::{Configuration, Layers, RunConfig, SegmentationConfig};
use coretune::report::{self, Source};
use coretune::run_folder::{RunFolder, RunKind};

use crate::args::{Flags, Report};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;

pub(crate) fn run(arguments: &Report, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    if Comparison::is_in(&arguments.runs[0]) {
        return of_comparison(&printer, arguments);
    }
    let kind = kind(&arguments.runs)?;
    let path = arguments.output.clone().unwrap_or_else(|| arguments.runs[0].join(report::PAGE));
    report::check_writable(&path)?;
    let page = match kind {
        RunKind::FineTuning => of_fine_tuning(&printer, arguments, flags)?,
        RunKind::Segmentation => of_segmentation(&printer, arguments, flags)?,
        RunKind::Pretraining => of_pretraining(arguments)?,
    };
    for missing in &page.missing {
        printer.warn(format_args!("{}: {} is left out: {}", missing.run, missing.what, missing.why));
    }
    report::write(&path, &page.html).map_err(|error| Failure::from(error).on_the_way())?;
    printer.json(&serde_json::json!({ "report": path, "missing": page.missing }))?;
    printer.result("report", path.display())
}

/// The page about a comparison of methods.
fn of_comparison(printer: &Printer, arguments: &Report) -> Result<(), Failure> {
    let [folder] = &arguments.runs[..] else {
        return Err(Failure::refused("a comparison of methods has a page of its own").hint("name its folder alone"));
    };
    let comparison = Comparison::read(folder)?;
    let path = arguments.output.clone().unwrap_or_else(|| folder.join(report::PAGE));
    write_comparison(&comparison, folder, &path)?;
    printer.json(&serde_json::json!({ "report": path, "missing": [] }))?;
    printer.result("report", path.display())
}

/// Writes the page about a comparison of methods.
pub(super) fn write_comparison(comparison: &Comparison, folder: &Path, path: &Path) -> Result<(), Failure> {
    report::check_writable(path)?;
    let page = report::comparison_report(comparison, folder)?;
    report::write(path, &page).map_err(|error| Failure::from(error).on_the_way())
}

fn of_fine_tuning(printer: &Printer, arguments: &Report, flags: &Flags) -> Result<report::Report, Failure> {
    let sources = sources::<RunConfig>(arguments, flags)?;
    let mut progress = Progress::new(printer.clone());
    let page = report::report(&sources, &mut |event| progress.see(event));
    progress.clear();
    Ok(page?)
}

fn of_segmentation(printer: &Printer, arguments: &Report, flags: &Flags) -> Result<report::Report, Failure> {
    let sources = sources::<SegmentationConfig>(arguments, flags)?;
    let mut progress = Progress::new(printer.clone());
    let page = report::segmentation_report(&sources, &mut |event| progress.see(event));
    progress.clear();
    Ok(page?)
}

/// From the records alone: flags that say where the images lie now change nothing.
fn of_pretraining(arguments: &Report) -> Result<report::Report, Failure> {
    let folders: Vec<&Path> = arguments.runs.iter().map(AsRef::as_ref).collect();
    Ok(report::Report { html: report::pretraining_report(&folders)?, missing: Vec::new() })
}

/// What the runs are; all must be the same.
fn kind(folders: &[PathBuf]) -> Result<RunKind, Failure> {
    let kind_of = |folder: &PathBuf| -> Result<RunKind, Failure> { Ok(RunFolder::open_records(folder)?.kind()?) };
    let first = kind_of(&folders[0])?;
    for folder in &folders[1..] {
        let other = kind_of(folder)?;
        if other != first {
            let named = |folder: &Path, kind| format!("{} is a run of {kind}", folder.display());
            let sentence = format!("{}, and {}", named(&folders[0], first), named(folder, other));
            return Err(Failure::refused(sentence).hint("a page shows runs of one kind: make one for each"));
        }
    }
    Ok(first)
}

/// The runs with their configurations; all are of one kind.
fn sources<C: Configuration>(arguments: &Report, flags: &Flags) -> Result<Vec<Source<C>>, Failure> {
    let source = |folder: &PathBuf| -> Result<Source<C>, Failure> {
        let records = RunFolder::open_records(folder)?;
        records.expect(C::KIND)?;
        // Device and threads are this machine's, not those of the run.
        let layers = Layers::defaults_of(C::KIND).file(&records.config())?.on_this_machine();
        Ok(Source { folder: folder.clone(), config: C::of(&flags.over(layers)?)? })
    };
    arguments.runs.iter().map(source).collect()
}
