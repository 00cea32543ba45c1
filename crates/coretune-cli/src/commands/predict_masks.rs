//! `coretune predict` with a run that segments images: areas as rows, and masks and overlays as files.

use std::io::Write;
use std::path::{Path, PathBuf};

use coretune::config::{Layers, RunKind, RunSection};
use coretune::models::PixelViews;
use coretune::predict::{AreaRows, MaskFiles, MaskPrediction, MaskPredictor, PredictError};
use coretune::run_folder::RunFolder;
use coretune::train::Event;

use super::predict::{judge, write_to};
use crate::args::{Flags, Predict};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;

pub(super) fn run(
    printer: &Printer,
    (arguments, flags): (&Predict, &Flags),
    machine: &RunSection,
    files: &[PathBuf],
) -> Result<(), Failure> {
    let views = views(&arguments.run, flags)?;
    let predictor = MaskPredictor::open(&arguments.run, machine, views, machine.reading_threads())?;
    for note in &predictor.notes {
        printer.say("note", note);
    }
    let folder = |folder: &Option<PathBuf>| folder.as_ref().map(|folder| MaskFiles::create(folder, files)).transpose();
    let (masks, overlays) = (folder(&arguments.masks)?, folder(&arguments.overlays)?);
    let keep = |prediction: &MaskPrediction| -> Result<(), PredictError> {
        let Ok(segmented) = &prediction.outcome else { return Ok(()) };
        if let Some(masks) = &masks {
            masks.write_mask(&prediction.path, &segmented.mask, predictor.legend())?;
        }
        if let Some(overlays) = &overlays {
            overlays.write_image(&prediction.path, &segmented.overlay(predictor.legend()))?;
        }
        Ok(())
    };
    let broken = write_to(printer, arguments.output.as_deref(), &mut |sink| {
        write_rows(printer, &predictor, files, arguments, &keep, sink)
    })?;
    judge(printer, broken, files.len())
}

/// How the run was evaluated, with the flags over it. A single file says nothing of that.
fn views(run: &Path, flags: &Flags) -> Result<PixelViews, Failure> {
    let defaults = Layers::defaults_of(RunKind::Segmentation);
    let of_run = if run.is_dir() { defaults.file(&RunFolder::open_records(run)?.config())? } else { defaults };
    Ok(flags.over(of_run)?.pixel_views())
}

/// One row for each file; gives how many could not be read.
fn write_rows(
    printer: &Printer,
    predictor: &MaskPredictor,
    files: &[PathBuf],
    arguments: &Predict,
    keep: &dyn Fn(&MaskPrediction) -> Result<(), PredictError>,
    sink: &mut dyn Write,
) -> Result<usize, Failure> {
    let mut rows = match arguments.format.as_str() {
        "jsonl" => AreaRows::json_lines(sink, predictor.classes()),
        _ => AreaRows::csv(sink, predictor.classes())?,
    };
    let mut broken = 0;
    let mut progress = Progress::new(printer.clone());
    progress.see(&Event::Stage("masks"));
    let mut take = |prediction: MaskPrediction| {
        broken += usize::from(prediction.outcome.is_err());
        keep(&prediction)?;
        Ok(rows.write(&prediction)?)
    };
    let outcome = predictor.predict(files, &mut take, &mut |event| progress.see(event));
    progress.clear();
    outcome?;
    Ok(broken)
}
