//! `coretune data check DIR`: what is wrong with labelled images, before hours are spent on them.

use coretune::config::{DataCheck, DataSection, Layers};
use coretune::data::check::{Depth, Problem, Report, Severity, check};
use coretune::data::{Dataset, Description, Format, Role};
use coretune::fit::check_usable;
use coretune::train::Event;
use serde::Serialize;

use super::lines;
use crate::args::{DataCheck as Arguments, Flags};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;

/// What is printed as JSON.
#[derive(Serialize)]
struct Page<'a> {
    /// Nothing if the data could not be opened.
    data: Option<&'a Description>,
    #[serde(flatten)]
    report: &'a Report,
    /// What to do about findings that stop a run.
    hint: Option<&'a str>,
}

pub(crate) fn run(arguments: &Arguments, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let data = flags.over(Layers::defaults())?.data_section(&arguments.dir)?;
    if arguments.near_duplicates && data.check != DataCheck::Full {
        let found =
            format!("--near-duplicates compares what images show, --data-check {} decodes none", data.check.name());
        return Err(Failure::refused(found).hint("leave out --data-check"));
    }
    let (dataset, unknown) = match Dataset::open_known(&data.dir, &data.options()) {
        Ok(opened) => opened,
        Err(error) => {
            let failure = Failure::from(coretune::train::TrainError::from(error));
            let mut report = Report::default();
            report.add_refusal(failure.in_short());
            printer.json(&Page { data: None, report: &report, hint: failure.hint.as_deref() })?;
            return Err(failure);
        }
    };
    let mut description = dataset.describe();
    description.add_unknown(&unknown);
    if description.format.lists_images() || matches!(description.format, Format::Caltech101 { .. }) {
        printer.result("layout", description.format)?;
    }
    for (role, images) in lines::splits(&description) {
        printer.result(&role, images)?;
    }
    for table in &description.columns {
        printer.result("columns", table)?;
    }
    for omission in &description.left_out {
        printer.result("left out", omission)?;
    }
    let mut report = match data.check {
        DataCheck::Full if arguments.near_duplicates => checked(&printer, &dataset, Depth::NearDuplicates, &data),
        DataCheck::Off => Report::default(),
        DataCheck::Quick => checked(&printer, &dataset, Depth::Quick, &data),
        DataCheck::Full => checked(&printer, &dataset, Depth::Full, &data),
    };
    for pixels in &report.pixels {
        printer.result("pixels", format_args!("{}: {pixels}", pixels.split))?;
    }
    report.add_unknown(&unknown);
    report.add_left_out(&dataset.left_out);
    let mut hint = None;
    // With any seed the same labels are there, and the same is refused.
    if let Err(error) = check_usable(&dataset, &data, 0) {
        report.add_refusal(error.to_string());
        hint = Failure::from(error).hint;
    }
    let hint = advice(&dataset, &description, &report).or(hint);
    printer.json(&Page { data: Some(&description), report: &report, hint: hint.as_deref() })?;
    show(&printer, &report, data.check, hint.as_deref())
}

/// What to do about findings that stop a run, where they do not say it themselves.
fn advice(dataset: &Dataset, description: &Description, report: &Report) -> Option<String> {
    let images: usize = description.splits.iter().map(|split| split.images).sum();
    let none_is_read = report.unreadable.len() == images;
    let elsewhere = || dataset.first_image_elsewhere();
    let advice = if description.format == Format::Csv && none_is_read {
        let rule = "paths in a table count from the folder of the table, with case and ending: ";
        return Some(match elsewhere() {
            Some((written, found)) => format!("{rule}write `{found}` for `{written}`, and so for all"),
            None => format!("{rule}move it, or change the paths"),
        });
    } else if description.format.lists_images() && none_is_read {
        Some("unpack the archive of the images beside the lists, as its authors distribute it")
    } else if report.stops().next().is_some()
        && report.stops().all(|finding| matches!(finding.problem, Problem::Mask(_)))
    {
        Some(if report.unreadable.is_empty() {
            "correct the masks or the file of classes"
        } else {
            "correct the masks; fit --skip-broken leaves out those of the files that cannot be trained on, with their images"
        })
    } else if report.unreadable.is_empty() {
        let stops = |problem| report.stops().any(|finding| finding.problem == problem);
        if stops(Problem::EmptyClass) {
            Some("every class needs training images: add some, or remove the folder of the class from every split")
        } else if stops(Problem::UnknownClass) {
            Some(
                "every class needs training images: rename the class, add some to train, or remove it; a folder without \
                 labels belongs elsewhere",
            )
        } else {
            None
        }
    } else {
        Some("fit --skip-broken leaves unreadable images out; fix the other problems")
    };
    advice.map(ToString::to_string)
}

fn checked(printer: &Printer, dataset: &Dataset, depth: Depth, data: &DataSection) -> Report {
    let splits: Vec<_> = [Role::Train, Role::Validation, Role::Test]
        .into_iter()
        .filter_map(|role| Some((role, dataset.split(role)?)))
        .collect();
    let img_size = data.img_size.and_then(|size| u32::try_from(size).ok());
    let mut progress = Progress::new(printer.clone());
    progress.see(&Event::Stage("check of the images"));
    let mut seen = |done, total| progress.see(&Event::Progress { done, total });
    let report = check(&splits, depth, img_size, false, &mut seen);
    progress.clear();
    report
}

/// A line for each finding; an error when one of them would stop a run.
fn show(printer: &Printer, report: &Report, check: DataCheck, advice: Option<&str>) -> Result<(), Failure> {
    for finding in &report.findings {
        let label = match finding.severity {
            Severity::Stops => "stops",
            Severity::Warns => "warning",
            Severity::Notice => "notice",
        };
        printer.result(label, finding)?;
    }
    match report.stops().count() {
        0 if report.warnings().next().is_none() && check != DataCheck::Off => {
            printer.result("sound", format_args!("no problems in {}", lines::count(report.images, "image")))
        }
        0 => Ok(()),
        count => {
            let sentence = format!("{} would stop a run", lines::count(count, "finding"));
            let failure = Failure::refused(sentence);
            Err(match advice {
                Some(advice) => failure.hint(advice),
                None => failure,
            })
        }
    }
}
