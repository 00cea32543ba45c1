//! `coretune data check DIR`: what is wrong with labelled images, before hours are spent on them.

use coretune::config::Layers;
use coretune::data::check::{Depth, Report, Severity, check};
use coretune::data::{Dataset, DatasetOptions, Role};
use coretune::train::Event;
use toml::Value;

use super::lines;
use crate::args::{DataCheck, Flags};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;

pub(crate) fn run(arguments: &DataCheck, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let layers = flags.over(Layers::defaults())?;
    let text = |key| layers.get(key).and_then(Value::as_str).filter(|&text| text != "auto").map(String::from);
    let options = DatasetOptions {
        train_split: text("data.train_split"),
        val_split: text("data.val_split"),
        test_split: text("data.test_split"),
    };
    let (dataset, unknown) =
        Dataset::open_known(&arguments.dir, &options).map_err(coretune::train::TrainError::from)?;
    for split in &dataset.describe().splits {
        printer.result("images", lines::split(split))?;
    }
    let mut report = match text("data.check").as_deref() {
        Some("off") if unknown.is_empty() => return Ok(()),
        Some("off") => Report::default(),
        Some("quick") => look(&printer, &dataset, Depth::Quick, &layers),
        _ => look(&printer, &dataset, Depth::Full, &layers),
    };
    report.add_unknown(&unknown);
    printer.json(&report)?;
    tell(&printer, &report)
}

fn look(printer: &Printer, dataset: &Dataset, depth: Depth, layers: &Layers) -> Report {
    let splits: Vec<_> = [Role::Train, Role::Validation, Role::Test]
        .into_iter()
        .filter_map(|role| Some((role, dataset.split(role)?)))
        .collect();
    let img_size = layers.get("data.img_size").and_then(Value::as_integer).and_then(|size| u32::try_from(size).ok());
    let mut progress = Progress::new(printer.clone());
    progress.see(&Event::Stage("check of the images"));
    let mut seen = |done, total| progress.see(&Event::Progress { done, total });
    let report = check(&splits, depth, img_size, false, &mut seen);
    progress.clear();
    report
}

/// A line for each finding; an error when one of them would stop a run.
fn tell(printer: &Printer, report: &Report) -> Result<(), Failure> {
    for finding in &report.findings {
        let label = if finding.severity == Severity::Stops { "stops" } else { "warning" };
        printer.result(label, finding)?;
    }
    match report.stops().count() {
        0 if report.findings.is_empty() => {
            printer.result("sound", format_args!("no problems in {}", lines::count(report.images, "image")))
        }
        0 => Ok(()),
        count => {
            let sentence = format!("{} would stop a run", lines::count(count, "finding"));
            Err(Failure::refused(sentence)
                .hint("fit --skip-broken leaves unreadable images out; fix the other problems"))
        }
    }
}
