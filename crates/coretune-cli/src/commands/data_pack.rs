//! `coretune data pack DIR --output FILE`: a data set as one file.

use coretune::config::Layers;
use coretune::data::{Dataset, Packed, Storage, pack};
use coretune::train::{Event, TrainError};
use serde::Serialize;

use super::lines;
use crate::args::{DataPack, Flags};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;

/// What is printed as JSON.
#[derive(Serialize)]
struct Page {
    output: String,
    store: Storage,
    images: usize,
    classes: usize,
    bytes: u64,
}

pub(crate) fn run(arguments: &DataPack, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    check_output(arguments)?;
    let data = flags.over(Layers::defaults())?.data_section(&arguments.dir)?;
    let (dir, options) = (&data.dir, data.options());
    let dataset =
        if arguments.unlabelled { Dataset::open_unlabelled(dir, &options) } else { Dataset::open(dir, &options) };
    let dataset = dataset.map_err(TrainError::from)?;
    for (role, images) in lines::splits(&dataset.describe()) {
        printer.say(&role, images);
    }
    lines::left_out(&printer, &dataset.left_out.omissions());
    let mut progress = Progress::new(printer.clone());
    progress.see(&Event::Stage("packing"));
    let packed = pack(&dataset, &arguments.output, arguments.store, &mut |done, total| {
        progress.see(&Event::Progress { done, total });
    });
    progress.clear();
    let Packed { images, bytes } = packed.map_err(TrainError::from)?;
    let output = arguments.output.display().to_string();
    printer.json(&Page { output, store: arguments.store, images, classes: dataset.classes.len(), bytes })?;
    let megabytes = bytes as f64 / 1e6;
    let file = lines::quoted(&arguments.output);
    printer.result("packed", format_args!("{file}   {}, {megabytes:.1} MB", lines::count(images, "image")))
}

/// Refuses a name that is taken, or that is not recognised as that of a data set later.
fn check_output(arguments: &DataPack) -> Result<(), Failure> {
    let file = lines::quoted(&arguments.output);
    if arguments.output.extension().is_none_or(|ending| ending != "parquet") {
        let refused = Failure::refused(format!("{file} does not end in .parquet"));
        return Err(refused.hint("a packed data set is a parquet file, and its name says so"));
    }
    if arguments.output.exists() {
        return Err(Failure::refused(format!("{file} exists already")).hint("remove it, or give another name"));
    }
    Ok(())
}
