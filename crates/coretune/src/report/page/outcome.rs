//! How good the model is: headline, classes, confusion, calibration.

use maud::{Markup, html};

use super::super::ReportError;
use super::super::charts::{self, Axes, Line, MOST_CLASSES, lines};
use super::super::measurements::Measurements;
use super::super::run::Run;
use super::section::{Section, chart, table, tile};
use super::words;
use crate::evaluate::bootstrap::Interval;
use crate::evaluate::calibration::reliability as bins;
use crate::evaluate::features::Outputs;
use crate::evaluate::figure::{KNN_TOP1, LINEAR_TOP1, TOP1};
use crate::figures::validation_name;
use crate::fit::Calibrated;
use crate::run_folder::Summary;

/// Most confused pairs that are listed.
const CONFUSED: usize = 10;

/// Top-1 of a run on its evaluation split.
pub(super) struct Accuracy {
    pub(super) split: String,
    pub(super) top1: f64,
    pub(super) interval: Option<Interval>,
}

/// The result: measured now if that was possible, else as the run recorded it.
pub(super) fn top1(run: &Run) -> Option<Accuracy> {
    if let Ok(Measurements { evaluated, figures, .. }) = &run.measurements {
        let classification = &figures.classification;
        let (split, top1) = (evaluated.role.to_string(), classification.top1);
        return Some(Accuracy { split, top1, interval: Some(classification.top1_interval) });
    }
    let summary = run.records.summary.as_ref()?;
    let (split, top1) = match &summary.test {
        Some(test) => ("test", test.get(TOP1.name)?),
        None => ("validation", summary.best.figures.get(&validation_name(TOP1.name))?),
    };
    Some(Accuracy { split: split.into(), top1, interval: None })
}

/// Top-1 of linear probe and nearest neighbours on the same images.
pub(super) fn probe(run: &Run) -> Option<(f64, f64)> {
    let frozen = run.measurements.as_ref().ok().and_then(|measurements| measurements.frozen.as_ref().ok());
    let measured = frozen.and_then(|frozen| frozen.probe.as_ref()).map(|probe| (probe.linear_top1, probe.knn_top1));
    let recorded = || {
        let probe = run.records.summary.as_ref()?.probe.as_ref()?;
        Some((probe.get(LINEAR_TOP1.name)?, probe.get(KNN_TOP1.name)?))
    };
    measured.or_else(recorded)
}

/// Method, data, result, probe, verdict, and what is missing.
pub(super) fn headline(run: &Run) -> Markup {
    let top1 = top1(run);
    html! {
        p { (what_was_run(run)) }
        dl.headline {
            @if let Some(Accuracy { split, top1, interval }) = &top1 {
                (tile(&format!("{split} top-1"), &words::percent(*top1), interval.as_ref().map(words::interval)))
            }
            @if let Some((linear, knn)) = probe(run) {
                @let beside = format!("frozen features; kNN {}", words::percent(knn));
                (tile("linear probe", &words::percent(linear), Some(beside)))
            }
            @if let Some(summary) = &run.records.summary {
                (tile("best epoch", &best_epoch(summary), validation(summary)))
                @let speed = format!("{:.0} images/s in training", summary.images_per_second);
                (tile("time", &words::duration(summary.wall_seconds), Some(speed)))
            }
        }
        p.verdict { (verdict(run)) }
        p.quiet { "95 %: an interval that holds the true value in 95 of 100 such test sets (bootstrap over the images)." }
        @if let Some(note) = other_figure(run) { p.missing { (note) } }
        @for missing in run.missing() { p.missing { "Not shown: " (missing.what) ". Why: " (missing.why) "." } }
    }
}

/// `21 of 25`; epoch 0 is the linear probe that training started from.
fn best_epoch(summary: &Summary) -> String {
    match summary.best.epoch {
        0 if summary.epochs > 0 => format!("0 of {} (the linear probe)", summary.epochs),
        epoch => format!("{epoch} of {}", summary.epochs),
    }
}

/// `validation top-1 74.1 %`
fn validation(summary: &Summary) -> Option<String> {
    let top1 = summary.best.figures.get(&validation_name(TOP1.name))?;
    Some(format!("validation {} {}", TOP1.label, words::figure(&TOP1, top1)))
}

fn what_was_run(run: &Run) -> String {
    match &run.records.summary {
        Some(Summary { method, model, data, seed, steps, .. }) => {
            format!("{model} on {data}, method {method}: {steps} steps, seed {seed}.")
        }
        None => "This run has not finished: there is no summary.json yet.".into(),
    }
}

fn verdict(run: &Run) -> String {
    if run.records.summary.as_ref().is_some_and(|summary| summary.steps == 0) {
        return "No step was trained: this model is the linear probe itself.".into();
    }
    if let Ok(Measurements { figures, frozen: Ok(frozen), .. }) = &run.measurements
        && let Some(probe) = &frozen.probe
    {
        return words::verdict(&probe.comparison, figures.classification.images);
    }
    match (top1(run), probe(run)) {
        (Some(Accuracy { top1, .. }), Some((linear, _))) => format!(
            "Fine-tuning differs from the linear probe by {:+.1} points; the records alone cannot show whether that is statistically significant.",
            100.0 * (top1 - linear)
        ),
        (_, None) => "The linear probe was not measured, so it is open whether fine-tuning was worth it.".into(),
        (None, Some(_)) => String::new(),
    }
}

/// A sentence if the figure measured now differs from the recorded one.
fn other_figure(run: &Run) -> Option<String> {
    let recorded = run.records.summary.as_ref()?.test.as_ref()?.get(TOP1.name)?;
    let measured = run.measurements.as_ref().ok()?.figures.classification.top1;
    ((recorded - measured).abs() > 5e-4).then(|| {
        format!(
            "The run recorded a test top-1 of {}; measured again it is {}: other images, another processor or another version.",
            words::percent(recorded),
            words::percent(measured)
        )
    })
}

pub(super) fn classes(run: &Run) -> Section {
    let body = run.measurements.as_ref().map_err(Clone::clone).map(class_table);
    Section { id: "classes", title: "Classes", body }
}

fn class_table(measurements: &Measurements) -> Markup {
    let (names, classification) = (measurements.class_names(), &measurements.figures.classification);
    let row = |(class, name): (usize, &String)| {
        let scores = &classification.classes[class];
        let mut row = vec![name.clone(), scores.support.to_string()];
        row.extend([scores.precision, scores.recall, scores.f1].map(words::percent));
        row.push(words::or_dash(taken_for(&classification.confusion[class], class).map(|other| names[other].clone())));
        row
    };
    let mut rows: Vec<Vec<String>> = names.iter().enumerate().map(row).collect();
    let mean = &classification.macro_mean;
    let mut last = vec!["mean over classes".to_string(), mean.support.to_string()];
    last.extend([mean.precision, mean.recall, mean.f1].map(words::percent));
    last.push(String::new());
    rows.push(last);
    let heads = ["class", "images", "precision", "recall", "F1", "most often confused with"];
    table(&format!("Per class, {} split", measurements.evaluated.role), &heads, &rows)
}

/// The class that images of `class` are most often confused with.
fn taken_for(row: &[u64], class: usize) -> Option<usize> {
    let others = (0..row.len()).filter(|&other| other != class && row[other] > 0);
    others.max_by_key(|&other| (row[other], std::cmp::Reverse(other)))
}

pub(super) fn confusion(run: &Run) -> Result<Section, ReportError> {
    let body = match &run.measurements {
        Err(why) => Err(why.clone()),
        Ok(measurements) => Ok(confusion_figures(measurements)?),
    };
    Ok(Section { id: "confusion", title: "Confusion matrix", body })
}

fn confusion_figures(measurements: &Measurements) -> Result<Markup, ReportError> {
    let (names, counts) = (measurements.class_names(), &measurements.figures.classification.confusion);
    let figure = if names.len() <= MOST_CLASSES {
        let caption =
            html! { "Rows: true class; columns: predicted class. Images; the colour is the fraction of the row." };
        chart(&charts::confusion(counts, names, |count, _| count.to_string())?, "Confusion matrix", &caption)
    } else {
        html! { p.quiet { (names.len()) " classes are too many for a readable matrix." } }
    };
    let mut pairs: Vec<(usize, usize, u64)> = Vec::new();
    for (truth, row) in counts.iter().enumerate() {
        pairs
            .extend(row.iter().enumerate().filter(|&(other, &n)| other != truth && n > 0).map(|(o, &n)| (truth, o, n)));
    }
    pairs.sort_by_key(|&(truth, other, count)| (std::cmp::Reverse(count), truth, other));
    let row = |&(truth, other, count): &(usize, usize, u64)| {
        let share = count as f64 / counts[truth].iter().sum::<u64>().max(1) as f64;
        vec![names[truth].clone(), names[other].clone(), count.to_string(), words::percent(share)]
    };
    let rows: Vec<Vec<String>> = pairs.iter().take(CONFUSED).map(row).collect();
    Ok(html! {
        (figure)
        @if rows.is_empty() { p { "Every image was predicted correctly." } }
        @else { (table("Most confused", &["class", "predicted as", "images", "fraction of the class"], &rows)) }
    })
}

pub(super) fn reliability(run: &Run) -> Result<Section, ReportError> {
    let body = match &run.measurements {
        Err(why) => Err(why.clone()),
        Ok(measurements) => reliability_figure(measurements)?,
    };
    Ok(Section { id: "reliability", title: "Calibration", body })
}

fn reliability_figure(measurements: &Measurements) -> Result<Result<Markup, String>, ReportError> {
    let Measurements { evaluated, figures, .. } = measurements;
    let before = points(&evaluated.outputs, 1.0);
    let after = evaluated.temperature.map(|temperature| points(&evaluated.outputs, temperature));
    let (before, after) = match (before, after.transpose()) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(why), _) | (_, Err(why)) => return Ok(Err(why)),
    };
    let mut curves = vec![Line { name: "as trained".into(), points: before }];
    curves.extend(after.map(|points| Line { name: "after temperature scaling".into(), points }));
    let drawing = lines(&Axes { x: "confidence", y: "accuracy", square: true }, &curves)?;
    let caption = html! { "Accuracy in 15 bins of confidence; on the dashed line confidence equals accuracy." };
    Ok(Ok(html! {
        div.figures {
            (chart(&drawing, "Reliability diagram", &caption))
            (calibration_table(&figures.calibration))
        }
    }))
}

/// Mean confidence and accuracy of the bins that hold images.
fn points(outputs: &Outputs, temperature: f64) -> Result<Vec<(f64, f64)>, String> {
    let bins = bins(&outputs.logits, &outputs.labels, temperature).map_err(|error| error.to_string())?;
    Ok(bins.iter().filter(|bin| bin.images > 0).map(|bin| (bin.confidence, bin.accuracy)).collect())
}

fn calibration_table(calibration: &Calibrated) -> Markup {
    let Calibrated { ece, ece_calibrated, nll, nll_calibrated, temperature } = *calibration;
    let row = |name: &str, before: f64, after: Option<f64>| {
        vec![name.to_string(), format!("{before:.4}"), words::or_dash(after.map(|after| format!("{after:.4}")))]
    };
    let rows = [
        row("expected calibration error (ECE)", ece, ece_calibrated),
        row("negative log-likelihood, nats", nll, nll_calibrated),
    ];
    html! {
        div {
            (table("Calibration: how far the confidence is from the accuracy", &["", "as trained", "temperature-scaled"], &rows))
            p.quiet {
                @match temperature {
                    Some(temperature) => { "Temperature " (format!("{temperature:.3}")) ", fitted on the validation split." },
                    None => "No temperature was fitted: the run has not finished.",
                }
            }
        }
    }
}
