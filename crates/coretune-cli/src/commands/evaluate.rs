//! `coretune evaluate RUN`: figures of a finished run on a split (E1 to E4).

use coretune::config::Layers;
use coretune::data::Role;
use coretune::evaluate::figure::{MEAN_PIXEL_ACCURACY, PIXEL_ACCURACY, WITHIN_BETWEEN};
use coretune::evaluate::segmentation::PixelFigures;
use coretune::files::write_whole;
use coretune::fit::{self, Evaluation, RunEvaluation};
use coretune::run_folder::{RunFolder, RunKind};
use coretune::segment::{SegmentationEvaluation, evaluate_segmentation};

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
    if let Some(path) = arguments.logits.as_ref().filter(|path| path.exists()) {
        return Err(
            Failure::refused(format!("{} exists already", path.display())).hint("name another file: --logits FILE")
        );
    }
    let folder = RunFolder::open(&arguments.run)?;
    if folder.kind()? == RunKind::Segmentation {
        return of_segmentation(&printer, arguments, role, flags);
    }
    folder.expect(RunKind::FineTuning)?;
    // Device and threads are this machine's, not those of the run.
    let config = flags.over(Layers::defaults().file(&folder.config())?.on_this_machine())?.validate()?;
    let mut progress = Progress::new(printer.clone());
    let outputs = fit::run_outputs(&arguments.run, &config, Some(role), &mut |event| progress.see(event));
    progress.clear();
    let outputs = outputs?;
    if let Some(path) = &arguments.logits {
        write_whole(path, &outputs.logits_table()?)?;
        printer.say("logits", lines::quoted(path));
    }
    let evaluation = outputs.evaluation(&arguments.run)?;
    printer.json(&evaluation)?;
    tell(&printer, &evaluation)
}

/// The same of a run that segments images (E2).
fn of_segmentation(printer: &Printer, arguments: &Evaluate, role: Role, flags: &Flags) -> Result<(), Failure> {
    let folder = RunFolder::open(&arguments.run)?;
    let layers = Layers::defaults_of(RunKind::Segmentation).file(&folder.config())?.on_this_machine();
    let config = flags.over(layers)?.validate_segmentation()?;
    let mut progress = Progress::new(printer.clone());
    let evaluation = evaluate_segmentation(&arguments.run, &config, role, &mut |event| progress.see(event));
    progress.clear();
    let evaluation = evaluation?;
    printer.json(&evaluation)?;
    printer.result("split", format_args!("{}, {}", evaluation.split, lines::count(evaluation.images, "image")))?;
    let (iou, interval) = (evaluation.figures.mean_iou, lines::interval(&evaluation.mean_iou_interval));
    printer.result("mean IoU", format_args!("{} ({interval})", lines::percent(iou)))?;
    let PixelFigures { frequency_weighted_iou, pixel_accuracy, mean_pixel_accuracy, .. } = &evaluation.figures;
    printer.result(
        "weighted IoU",
        format_args!("{}   (classes weighted by their pixels)", lines::percent(*frequency_weighted_iou)),
    )?;
    let [pixels, mean] = [(PIXEL_ACCURACY, pixel_accuracy), (MEAN_PIXEL_ACCURACY, mean_pixel_accuracy)]
        .map(|(figure, value)| figure.labelled(*value));
    printer.result("accuracy", format_args!("{pixels}, {mean}   (the mean over classes)"))?;
    pixel_table(printer, &evaluation)
}

/// A line for each class: labelled pixels, IoU, accuracy.
fn pixel_table(printer: &Printer, evaluation: &SegmentationEvaluation) -> Result<(), Failure> {
    let names = evaluation.classes.iter().map(|class| class.name.chars().count());
    let width = names.chain([5]).max().unwrap_or(5);
    printer.line(&format!("\n{:width$}       pixels      IoU  accuracy", "class"))?;
    let shown = |figure: Option<f64>| figure.map_or("-".to_string(), |figure| format!("{:.1} %", 100.0 * figure));
    for class in &evaluation.classes {
        let (iou, accuracy) = (shown(class.iou), shown(class.accuracy));
        printer.line(&format!("{:width$}  {:>11}  {iou:>7}  {accuracy:>8}", class.name, class.pixels))?;
    }
    Ok(())
}

/// Top-k of so many classes is 100 %.
const FIRST: usize = 5;

fn tell(printer: &Printer, evaluation: &RunEvaluation) -> Result<(), Failure> {
    let Evaluation { classification, calibration, geometry } = &evaluation.figures;
    printer.result("split", format_args!("{}, {}", evaluation.split, lines::count(classification.images, "image")))?;
    let (top1, interval) = (lines::percent(classification.top1), lines::interval(&classification.top1_interval));
    printer.result("top-1", format_args!("{top1} ({interval})"))?;
    if evaluation.class_names.len() > FIRST {
        printer.result("top-5", lines::percent(classification.top5))?;
    }
    let mean = &classification.macro_mean;
    let [precision, recall, f1] = [mean.precision, mean.recall, mean.f1].map(lines::percent);
    printer.result("class mean", format_args!("precision {precision}, recall {recall}, F1 {f1}"))?;
    printer.result(
        "calibration",
        format_args!("ECE {:.3}, negative log-likelihood {:.3}   (as trained)", calibration.ece, calibration.nll),
    )?;
    if let (Some(temperature), Some(ece), Some(nll)) =
        (calibration.temperature, calibration.ece_calibrated, calibration.nll_calibrated)
    {
        let text = format!(
            "ECE {ece:.3}, negative log-likelihood {nll:.3}   (temperature {temperature:.2}, fitted on validation)"
        );
        printer.result("scaled", text)?;
    }
    if let Some(ratio) = geometry.within_between() {
        let (within, between) = (geometry.within, geometry.between);
        let text = "spread of the features within classes / between classes; smaller is tighter";
        printer.result(
            "geometry",
            format_args!("{} {within:.3} / {between:.3} = {ratio:.2}   ({text})", WITHIN_BETWEEN.label),
        )?;
    }
    class_table(printer, evaluation)
}

/// A line for each class: images, precision, recall, F1.
fn class_table(printer: &Printer, evaluation: &RunEvaluation) -> Result<(), Failure> {
    let names = &evaluation.class_names;
    let width = names.iter().map(|name| name.chars().count()).chain([5]).max().unwrap_or(5);
    printer.line(&format!("\n{:width$}  images  precision   recall       F1", "class"))?;
    for (name, scores) in names.iter().zip(&evaluation.figures.classification.classes) {
        let [precision, recall, f1] = [scores.precision, scores.recall, scores.f1].map(lines::percent);
        printer.line(&format!("{name:width$}  {:>6}  {precision:>9}  {recall:>7}  {f1:>7}", scores.support))?;
    }
    Ok(())
}
