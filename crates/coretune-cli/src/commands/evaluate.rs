//! `coretune evaluate RUN`: figures of a finished run on a split (E1, E3, E4).

use coretune::config::Layers;
use coretune::data::Role;
use coretune::fit::{self, Evaluation, RunEvaluation};
use coretune::run_folder::{RunFolder, RunKind};

use super::lines;
use crate::args::{Evaluate, Flags};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;

pub(crate) fn run(arguments: &Evaluate, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let role = match arguments.split.as_str() {
        "train" => Role::Train,
        "test" => Role::Test,
        _ => Role::Validation,
    };
    let folder = RunFolder::open(&arguments.run)?;
    folder.expect(RunKind::FineTuning)?;
    // Device, precision and threads are this machine's, not those of the run.
    let config = flags.over(Layers::defaults().file(&folder.config())?.without("run"))?.validate()?;
    let mut progress = Progress::new(printer.clone());
    let evaluation = fit::evaluate_run(&arguments.run, &config, role, &mut |event| progress.see(event));
    progress.clear();
    let evaluation = evaluation?;
    printer.json(&evaluation)?;
    tell(&printer, &evaluation)
}

fn tell(printer: &Printer, evaluation: &RunEvaluation) -> Result<(), Failure> {
    let Evaluation { classification, calibration, geometry } = &evaluation.figures;
    printer.result("split", format_args!("{}, {}", evaluation.split, lines::count(classification.images, "image")))?;
    let (top1, interval) = (lines::percent(classification.top1), lines::interval(&classification.top1_interval));
    printer.result("top-1", format_args!("{top1} ({interval})"))?;
    printer.result("top-5", lines::percent(classification.top5))?;
    let mean = &classification.macro_mean;
    let [precision, recall, f1] = [mean.precision, mean.recall, mean.f1].map(lines::percent);
    printer.result("class mean", format_args!("precision {precision}, recall {recall}, F1 {f1}"))?;
    printer.result(
        "calibration",
        format_args!("error {:.3}, negative log-likelihood {:.3}", calibration.ece, calibration.nll),
    )?;
    if let (Some(temperature), Some(ece), Some(nll)) =
        (calibration.temperature, calibration.ece_calibrated, calibration.nll_calibrated)
    {
        let text = format!(
            "error {ece:.3}, negative log-likelihood {nll:.3}   (temperature {temperature:.2} from validation)"
        );
        printer.result("calibrated", text)?;
    }
    if let Some(ratio) = geometry.within_between() {
        let (within, between) = (geometry.within, geometry.between);
        printer.result("geometry", format_args!("within {within:.3} / between {between:.3} = {ratio:.2}"))?;
    }
    class_table(printer, evaluation)
}

/// A line for each class: images, precision, recall, F1.
fn class_table(printer: &Printer, evaluation: &RunEvaluation) -> Result<(), Failure> {
    let names = &evaluation.class_names;
    let width = names.iter().map(|name| name.chars().count()).chain([5]).max().unwrap_or(5);
    printer.line(&format!("\n{:width$}  images  precision  recall     F1", "class"))?;
    for (name, scores) in names.iter().zip(&evaluation.figures.classification.classes) {
        let [precision, recall, f1] = [scores.precision, scores.recall, scores.f1].map(|share| 100.0 * share);
        printer
            .line(&format!("{name:width$}  {:>6}  {precision:>7.1} %  {recall:>4.1} %  {f1:>4.1}", scores.support))?;
    }
    Ok(())
}
