//! `coretune export RUN --output FILE`: a trained model for other programs.

use coretune::export::{self, Exported, ExportedEncoder, ExportedSegmenter, Format, Parity, Request};
use coretune::saved_models::is_segmentation;
use serde::Serialize;

use super::lines;
use crate::args::{Export, Size};
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(arguments: &Export) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let asked = arguments.to.as_deref().and_then(Format::named);
    let request = Request {
        format: Format::choose(asked, &arguments.output)?,
        output: arguments.output.clone(),
        with_projection: arguments.with_projection,
        force: arguments.force,
    };
    if export::is_pretraining(&arguments.run)? {
        return tell_encoder(&printer, &export::export_pretrained(&arguments.run, &request)?);
    }
    if is_segmentation(&arguments.run)? {
        let size = arguments.size.map(|Size(size)| size);
        return tell_segmenter(&printer, &request, &export::export_segmentation(&arguments.run, size, &request)?);
    }
    if arguments.size.is_some() {
        let run = lines::quoted(&arguments.run);
        return Err(Failure::refused(format!("{run} classifies images of one size, so --size does not apply"))
            .hint("leave out --size"));
    }
    let exported = export::export(&arguments.run, &request)?;
    for note in &exported.notes {
        printer.warn(note);
    }
    let preprocess = exported.metadata.get("preprocess").map_or("", String::as_str);
    printer.json(&Reported { parity: &exported.parity, preprocess })?;
    tell(&printer, &exported)
}

/// The comparison, and how an image becomes the input.
#[derive(Serialize)]
struct Reported<'a> {
    #[serde(flatten)]
    parity: &'a Parity,
    preprocess: &'a str,
}

fn tell(printer: &Printer, exported: &Exported) -> Result<(), Failure> {
    let parity = &exported.parity;
    let megabytes = exported.bytes as f64 / 1e6;
    printer.result("exported", format_args!("{}   {}, {megabytes:.1} MB", parity.file, parity.format))?;
    let (images, side) = (parity.images.count, parity.images.size);
    let (difference, tolerance) = (parity.relative_difference, parity.tolerance);
    let compared = format!(
        "logits of {images} random images of {side} pixels differ by {difference:.1e} of the largest, both in f32"
    );
    printer.result("read back", format_args!("{compared} (at most {tolerance:.0e})"))?;
    printer.result("kept in", lines::quoted(&exported.parity_file))?;
    let script = lines::quoted(&exported.preprocess_file);
    printer
        .result("preprocess", format_args!("{script}   preprocess(path) makes the input from an image file, in Python"))
}

/// The network of a segmentation run, and how far the file is from it.
fn tell_segmenter(printer: &Printer, request: &Request, exported: &ExportedSegmenter) -> Result<(), Failure> {
    let ExportedSegmenter { bytes, relative_difference } = exported;
    printer.json(&serde_json::json!({
        "file": request.output, "format": request.format, "bytes": bytes, "relative_difference": relative_difference,
    }))?;
    let megabytes = *bytes as f64 / 1e6;
    let file = lines::quoted(&request.output);
    printer.result("exported", format_args!("{file}   {}, {megabytes:.1} MB", request.format))?;
    let compared = "logits of the pixels of random images differ by";
    printer.result("read back", format_args!("{compared} {relative_difference:.1e} of the largest"))
}

/// The encoder of a pre-training run, and what it was recognised as.
fn tell_encoder(printer: &Printer, exported: &ExportedEncoder) -> Result<(), Failure> {
    let ExportedEncoder { output, bytes, tensors, recognised, epochs } = exported;
    printer.json(&serde_json::json!({
        "file": output, "bytes": bytes, "tensors": tensors, "recognised": recognised, "epochs": epochs,
    }))?;
    let megabytes = *bytes as f64 / 1e6;
    let epochs = lines::count(*epochs as usize, "epoch");
    printer.result("exported", format_args!("{}   after {epochs}, {megabytes:.1} MB", lines::quoted(output)))?;
    printer.result("read back", format_args!("all {tensors} tensors are equal; recognised as {recognised}"))
}
