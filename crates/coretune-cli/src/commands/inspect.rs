//! `coretune inspect CKPT`: what a checkpoint holds, and what of it would be loaded.

use coretune::checkpoints::{self, LoadReport, Mismatched};
use coretune::run_folder::RunFolder;

use super::lines;
use crate::args::Inspect;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(arguments: &Inspect) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    if RunFolder::holds_run(&arguments.checkpoint) {
        let file = RunFolder::open_records(&arguments.checkpoint)?.encoder()?;
        printer.say("note", format_args!("this is a run folder; inspecting {}", lines::quoted(&file)));
    }
    let report = checkpoints::inspect(&arguments.checkpoint, arguments.encoder.as_deref())?;
    printer.json(&report)?;
    describe(&printer, &report)?;
    printer.result("try", next(arguments, &report))
}

fn describe(printer: &Printer, report: &LoadReport) -> Result<(), Failure> {
    let objects = match report.not_tensors.len() {
        0 => String::new(),
        objects => format!(", {}", lines::count(objects, "other object")),
    };
    let tensors = lines::count(report.tensors, "tensor");
    printer.result("file", format_args!("{}   {}, {tensors}{objects}", report.file, report.container))?;
    printer.result("recognised", format_args!("{}   ({})", report.method, names(&report.prefix)))?;
    printer.result("backbone", lines::backbone(report))?;
    printer.result("encoder", encoder(report))?;
    printer.result("coverage", lines::coverage(report))?;
    if !report.missing.is_empty() {
        printer.result("missing", lines::first_of(&report.missing))?;
    }
    if !report.mismatched.is_empty() {
        let shapes = |tensor: &Mismatched| format!("{} {:?} for {:?}", tensor.name, tensor.found, tensor.expected);
        let tensors: Vec<String> = report.mismatched.iter().map(shapes).collect();
        printer.result("wrong shape", lines::first_of(&tensors))?;
    }
    if !report.heads.is_empty() {
        printer.result("heads", lines::first_of(&report.heads))?;
    }
    if !report.left_out.is_empty() {
        let groups: Vec<String> = report.left_out.iter().map(|out| format!("{} {}", out.group, out.tensors)).collect();
        printer.result("left out", groups.join(", "))?;
    }
    if !report.not_tensors.is_empty() {
        let names: Vec<String> = report.not_tensors.iter().map(ToString::to_string).collect();
        printer.result("not tensors", lines::first_of(&names))?;
    }
    Ok(())
}

/// How the names of the backbone's tensors begin in the file.
fn names(prefix: &str) -> String {
    if prefix.is_empty() { "names without a prefix".into() } else { format!("names that begin with {prefix}") }
}

/// `query   (also here: key, --encoder key)`
fn encoder(report: &LoadReport) -> String {
    match report.other_encoders.as_slice() {
        [] => report.encoder.clone(),
        [first, ..] => {
            format!("{}   (also here: {}; --encoder {first})", report.encoder, report.other_encoders.join(", "))
        }
    }
}

/// The command that fine-tunes this file.
fn next(arguments: &Inspect, report: &LoadReport) -> String {
    let path = lines::quoted(&arguments.checkpoint);
    let encoder = arguments.encoder.as_ref().map_or(String::new(), |name| format!(" --encoder {name}"));
    let missing = match report.missing_patterns() {
        patterns if patterns.is_empty() => patterns,
        patterns => format!(" --allow-missing '{patterns}'"),
    };
    format!("coretune fit --pretrained-path {path}{encoder}{missing} --data-dir DIR")
}
