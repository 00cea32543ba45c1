//! `coretune predict RUN INPUT...`: what a trained model says of images.

use std::ffi::OsString;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};

use coretune::config::{Layers, Origin};
use coretune::files::PartialFile;
use coretune::models::TestViews;
use coretune::predict::{self, Options, Predictor, Rows};
use coretune::run_folder::RunFolder;
use coretune::saved_models::is_segmentation;
use coretune::train::Event;

use super::{lines, predict_masks};
use crate::args::{Flags, Predict};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::status::Status;

pub(crate) fn run(arguments: &Predict, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(false);
    let layers = flags.over(defaults(&arguments.run)?)?;
    let machine = layers.run_section();
    let files = predict::expand(&with_stdin(&arguments.inputs)?)?;
    if is_segmentation(&arguments.run)? {
        return predict_masks::run(&printer, (arguments, flags), &machine, &files);
    }
    let batch = layers.get("train.batch_size").and_then(toml::Value::as_integer).unwrap_or(1);
    let options = Options {
        top_k: arguments.top_k.into(),
        batch_size: batch as usize,
        workers: machine.reading_threads(),
        tta: given(&layers),
        calibrated: !arguments.uncalibrated,
    };
    let predictor = Predictor::open(&arguments.run, &machine, options)?;
    if arguments.masks.is_some() || arguments.overlays.is_some() {
        let run = lines::quoted(&arguments.run);
        return Err(Failure::refused(format!("{run} classifies whole images, so it gives no masks"))
            .hint("leave out --masks and --overlays, or give a run of coretune fit --task segmentation"));
    }
    let of_pixels = ["segmentation.window", "segmentation.window_overlap", "segmentation.scales"];
    let is_given = |key: &str| layers.origin(key).is_some_and(|origin| *origin != Origin::Default);
    if let Some(key) = of_pixels.into_iter().find(|key| is_given(key)) {
        let (run, flag) = (lines::quoted(&arguments.run), key.replace("segmentation.", "--").replace('_', "-"));
        return Err(Failure::refused(format!("{run} classifies whole images, so it does not read {flag}"))
            .hint(format!("leave out {flag}, or give a run of coretune fit --task segmentation")));
    }
    for note in &predictor.notes {
        printer.say("note", note);
    }
    let broken = write_to(&printer, arguments.output.as_deref(), &mut |sink| {
        write_rows(&printer, &predictor, &files, arguments, sink)
    })?;
    judge(&printer, broken, files.len())
}

/// The defaults, in the precision of the run; a single file says nothing of that.
fn defaults(run: &Path) -> Result<Layers, Failure> {
    let Ok(folder) = RunFolder::open_records(run) else { return Ok(Layers::defaults()) };
    let of_run = Layers::defaults_of(folder.kind()?).file(&folder.config());
    // Predictions do not need the configuration.
    Ok(of_run.map_or_else(|_| Layers::defaults(), |of_run| Layers::defaults().in_precision_of(&of_run)))
}

/// Fails if no image could be read, and warns if some could not.
pub(super) fn judge(printer: &Printer, broken: usize, images: usize) -> Result<(), Failure> {
    match broken {
        0 => Ok(()),
        _ if broken == images => Err(Failure::failed("no image could be read").hint("the rows say why")),
        _ => {
            let images = lines::count(images, "image");
            printer.warn(format_args!("{broken} of {images} could not be read: their rows say why"));
            Ok(())
        }
    }
}

/// The views that a flag names, if one does.
fn given(layers: &Layers) -> Option<TestViews> {
    let is_default = layers.origin("data.tta").is_none_or(|origin| *origin == Origin::Default);
    let word = layers.get("data.tta").and_then(toml::Value::as_str).filter(|_| !is_default);
    word.and_then(|word| word.parse().ok())
}

/// The inputs, with the lines of stdin in place of `-`.
fn with_stdin(inputs: &[OsString]) -> Result<Vec<OsString>, Failure> {
    let mut all = Vec::new();
    for input in inputs {
        if input != "-" {
            all.push(input.clone());
            continue;
        }
        for line in io::stdin().lock().split(b'\n') {
            let line = line.map_err(|error| {
                Failure::refused("the list on stdin cannot be read").detail("cause", error.to_string())
            })?;
            let line = line.strip_suffix(b"\r").unwrap_or(&line).to_vec();
            if !line.is_empty() {
                all.push(from_bytes(line));
            }
        }
    }
    Ok(all)
}

/// A path as the system has it: not every name is UTF-8.
fn from_bytes(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

/// Writes the table to stdout, or to a new file, which is whole or not there; gives what `write` does.
pub(super) fn write_to(
    printer: &Printer,
    path: Option<&Path>,
    write: &mut dyn FnMut(&mut dyn Write) -> Result<usize, Failure>,
) -> Result<usize, Failure> {
    let Some(path) = path else { return write(&mut io::stdout().lock()) };
    if path.exists() {
        return Err(
            Failure::refused(format!("{} exists already", path.display())).hint("name another file: --output FILE")
        );
    }
    let partial = PartialFile::of(path);
    let refused = |error: io::Error| Failure {
        status: Status::Refused,
        ..Failure::refused(format!("{} cannot be written", path.display())).detail("cause", error.to_string())
    };
    let mut sink = BufWriter::new(partial.create().map_err(refused)?);
    let broken = write(&mut sink)?;
    sink.into_inner().map_err(io::IntoInnerError::into_error)?;
    partial.keep()?;
    printer.say("written", lines::quoted(path));
    Ok(broken)
}

/// One row for each file; gives how many could not be read.
fn write_rows(
    printer: &Printer,
    predictor: &Predictor,
    files: &[PathBuf],
    arguments: &Predict,
    sink: impl Write,
) -> Result<usize, Failure> {
    let mut rows = match arguments.format.as_str() {
        "jsonl" => Rows::json_lines(sink),
        _ => Rows::csv(sink, predictor.top_k())?,
    };
    let mut broken = 0;
    let mut progress = Progress::new(printer.clone());
    progress.see(&Event::Stage("predictions"));
    let mut take = |prediction: predict::Prediction| {
        broken += usize::from(prediction.outcome.is_err());
        Ok(rows.write(&prediction)?)
    };
    let outcome = predictor.predict(files, &mut take, &mut |event| progress.see(event));
    progress.clear();
    outcome?;
    Ok(broken)
}
