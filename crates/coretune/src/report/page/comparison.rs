//! Several runs side by side.

use maud::{Markup, html};

use super::super::ReportError;
use super::super::run::Run;
use super::section::table;
use super::{curves, outcome, words};
use crate::evaluate::bootstrap::paired_comparison;
use crate::evaluate::figure::{ECE, ECE_CALIBRATED, TOP1, WITHIN_BETWEEN};
use crate::figures::{FigureSpec, validation_name};
use crate::run_folder::Summary;

/// The table, and the validation curves of all runs.
pub(super) fn comparison(runs: &[Run]) -> Result<Markup, ReportError> {
    let named: Vec<(&str, &Run)> = runs.iter().map(|run| (run.records.name.as_str(), run)).collect();
    let rows: Vec<Vec<String>> = runs.iter().map(|run| row(run, &runs[0])).collect();
    let heads = [
        "run",
        "method",
        "seed",
        "split",
        "top-1",
        "95 % interval",
        "against the first",
        "linear probe",
        "ECE",
        "ECE scaled",
        "within / between",
        "best validation",
        "images/s",
        "time",
        "memory",
    ];
    let figures = curves::validation(&named, true)?;
    Ok(html! {
        (table("Runs", &heads, &rows))
        p.quiet {
            "Differences against the first run are paired image by image where both were evaluated on the same images; "
            "a difference whose interval contains 0 is not statistically significant. One seed says little about a method."
        }
        @for run in runs {
            @for missing in run.missing() {
                p.missing { (missing.run) ": not shown: " (missing.what) ". Why: " (missing.why) "." }
            }
        }
        h2 { "Validation" }
        div.figures { @for figure in &figures { (figure) } }
    })
}

fn row(run: &Run, first: &Run) -> Vec<String> {
    let summary = run.records.summary.as_ref();
    let top1 = outcome::top1(run);
    let of_summary = |text: fn(&Summary) -> String| words::or_dash(summary.map(text));
    let interval = top1.as_ref().and_then(|top1| top1.interval);
    let figure = |spec: &FigureSpec| words::or_dash(test_figure(run, spec).map(|value| words::figure(spec, value)));
    vec![
        run.records.name.clone(),
        of_summary(|summary| summary.method.clone()),
        of_summary(|summary| summary.seed.to_string()),
        words::or_dash(top1.as_ref().map(|top1| top1.split.clone())),
        words::or_dash(top1.as_ref().map(|top1| words::percent(top1.top1))),
        words::or_dash(interval.map(|range| format!("{:.1} to {:.1}", 100.0 * range.low, 100.0 * range.high))),
        words::or_dash(against(run, first)),
        words::or_dash(outcome::probe(run).map(|(linear, _)| words::percent(linear))),
        figure(&ECE),
        figure(&ECE_CALIBRATED),
        figure(&WITHIN_BETWEEN),
        words::or_dash(summary.and_then(best_validation)),
        of_summary(|summary| format!("{:.0}", summary.images_per_second)),
        of_summary(|summary| words::duration(summary.wall_seconds)),
        of_summary(|summary| words::bytes(summary.peak_rss_bytes)),
    ]
}

/// The difference to the first run, if both were evaluated on the same images.
fn against(run: &Run, first: &Run) -> Option<String> {
    let (Ok(own), Ok(other)) = (&run.measurements, &first.measurements) else { return None };
    let same = own.evaluated.role == other.evaluated.role
        && own.evaluated.outputs.labels == other.evaluated.outputs.labels
        && own.evaluated.class_names == other.evaluated.class_names;
    if std::ptr::eq(run, first) || !same {
        return None;
    }
    let comparison = paired_comparison(&own.correct, &other.correct, own.evaluated.seed).ok()?;
    Some(words::difference(&comparison))
}

/// `74.1 % (epoch 6)`
fn best_validation(summary: &Summary) -> Option<String> {
    let top1 = summary.best.figures.get(&validation_name(TOP1.name))?;
    Some(format!("{} (epoch {})", words::figure(&TOP1, top1), summary.best.epoch))
}

/// A figure of the evaluation split: measured now if that was possible, else as the run recorded it.
fn test_figure(run: &Run, spec: &FigureSpec) -> Option<f64> {
    match &run.measurements {
        Ok(measurements) => measurements.figures.by_name().get(spec.name),
        Err(_) => run.records.summary.as_ref()?.test.as_ref()?.get(spec.name),
    }
}
