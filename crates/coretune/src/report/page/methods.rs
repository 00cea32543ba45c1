//! The page about a comparison of methods.

use maud::{Markup, html};

use super::super::ReportError;
use super::super::charts::{Axes, Drawing, Line, lines, lines_over_log};
use super::section::{chart, table};
use super::words::sentence_case;
use crate::compare::{Comparison, Row};

/// Verdict, table, remarks and figures.
pub(super) fn methods(comparison: &Comparison) -> Result<Markup, ReportError> {
    let (headings, rows) = comparison.cells();
    let (figure, calibration) = (comparison.task.figure(), calibration(comparison)?);
    let below: Vec<String> = comparison.notes.iter().cloned().chain(comparison.remarks()).collect();
    Ok(html! {
        h1 { "Comparison of methods" }
        p { (comparison.data) ", from " (comparison.checkpoint) "." }
        @for sentence in &comparison.verdict { p.verdict { (sentence) } }
        (table("Methods", &headings, &rows))
        p.quiet { (comparison.caption()) }
        @for sentence in &below { p.missing { (sentence) } }
        h2 { "Accuracy" }
        div.figures {
            @if let Some(drawing) = accuracy_against_labels(comparison)? {
                (chart(&drawing, "Accuracy against labels", &html! { (sentence_case(figure)) ", mean over seeds, at each labelled budget." }))
            }
            @if let Some(drawing) = accuracy_against_cost(comparison)? {
                @let caption = html! { (sentence_case(figure)) ", mean over seeds, against the mean time of a run; a point for each labelled budget." };
                (chart(&drawing, "Accuracy against cost", &caption))
            }
        }
        @if !calibration.is_empty() {
            h2 { "Calibration" }
            div.figures { @for figure in &calibration { (figure) } }
        }
    })
}

/// A curve for each method over the labelled budgets; none with a single budget.
fn accuracy_against_labels(comparison: &Comparison) -> Result<Option<Drawing>, ReportError> {
    let curves = curves(comparison, |row| row.labels_per_class.map(|labels| labels as f64));
    if curves.iter().all(|curve| curve.points.len() < 2) {
        return Ok(None);
    }
    let axes = Axes { x: "labels per class", y: &figure(comparison), square: false };
    lines_over_log(&axes, &curves).map(Some)
}

/// A point for each row; none before a run has finished.
fn accuracy_against_cost(comparison: &Comparison) -> Result<Option<Drawing>, ReportError> {
    let curves = curves(comparison, |row| row.seconds.filter(|seconds| *seconds > 0.0));
    if curves.is_empty() {
        return Ok(None);
    }
    let axes = Axes { x: "seconds of a run", y: &figure(comparison), square: false };
    lines_over_log(&axes, &curves).map(Some)
}

fn figure(comparison: &Comparison) -> String {
    format!("{} {}, %", comparison.split, comparison.task.figure())
}

/// Top-1 or mean IoU of each method over a figure of its rows.
fn curves(comparison: &Comparison, x: impl Fn(&Row) -> Option<f64>) -> Vec<Line> {
    let of_method = |name: &str| {
        let rows = comparison.rows.iter().filter(|row| row.method == name);
        let points = rows.filter_map(|row| Some((x(row)?, 100.0 * row.figure()?.mean)));
        Line { name: name.into(), points: points.collect() }
    };
    let curves = comparison.methods().into_iter().map(of_method);
    curves.filter(|curve| !curve.points.is_empty()).collect()
}

/// A reliability diagram of all methods for each budget.
fn calibration(comparison: &Comparison) -> Result<Vec<Markup>, ReportError> {
    let mut budgets: Vec<Option<usize>> = comparison.rows.iter().map(|row| row.labels_per_class).collect();
    budgets.dedup();
    let mut figures = Vec::new();
    for budget in budgets {
        let rows = comparison.rows.iter().filter(|row| row.labels_per_class == budget && !row.calibration.is_empty());
        let curves: Vec<Line> = rows.map(reliability).collect();
        if curves.is_empty() {
            continue;
        }
        let drawing = lines(&Axes { x: "confidence", y: "accuracy", square: true }, &curves)?;
        let at = budget.map(|labels| format!(" with {labels} labels per class")).unwrap_or_default();
        let caption = html! {
            "Accuracy in 15 bins of confidence after temperature scaling" (at)
            ", images of all seeds; on the dashed line confidence equals accuracy."
        };
        figures.push(chart(&drawing, "Reliability diagram", &caption));
    }
    Ok(figures)
}

fn reliability(row: &Row) -> Line {
    let filled = row.calibration.iter().filter(|bin| bin.images > 0);
    Line { name: row.method.clone(), points: filled.map(|bin| (bin.confidence, bin.accuracy)).collect() }
}
