//! What was logged while training.

use maud::{Markup, html};

use super::super::charts::{Axes, Line, lines};
use super::super::records::Curve;
use super::super::{ReportError, Run};
use super::section::{Section, chart};

/// Curves that share a figure.
struct Group {
    title: &'static str,
    y: &'static str,
    holds: fn(&str) -> bool,
    caption: &'static str,
}

/// Every figure of `metrics.jsonl` is in the last group that holds it; the first takes the terms of the loss, whatever an
/// objective calls them.
const GROUPS: [Group; 6] = [
    Group {
        title: "Loss and its terms",
        y: "loss",
        holds: |_| true,
        caption: "Training loss and its terms before their weights (M5 to M7).",
    },
    Group {
        title: "Cosines of the hardest pairs",
        y: "cosine",
        holds: |name| name.ends_with("_cosine"),
        caption: "Mean cosine of anchors with their hardest positive and negative in the batch (M1).",
    },
    Group { title: "Learning rate", y: "learning rate", holds: |name| name == "lr", caption: "" },
    Group {
        title: "Positives in the batch",
        y: "images",
        holds: |name| name == "positives_per_anchor" || name == "anchors_without_positives",
        caption: "Other images of the anchor's class in the batch, and images alone in their class.",
    },
    Group {
        title: "Speed",
        y: "images / s",
        holds: |name| name == "images_per_second",
        caption: "Training images per second.",
    },
    Group {
        title: "Waiting for images",
        y: "share of the time",
        holds: |name| name == "data_wait_share",
        caption: "Near 0 when the loader keeps up.",
    },
];

pub(super) fn training(run: &Run) -> Result<Section, ReportError> {
    Ok(Section { id: "curves", title: "Curves", body: body(run)? })
}

fn body(run: &Run) -> Result<Result<Markup, String>, ReportError> {
    if run.records.metrics.is_empty() {
        return Ok(Err("metrics.jsonl holds no line".into()));
    }
    let mut figures = validation(&[(&run.records.name, run)], false)?;
    let mut groups: Vec<Vec<Line>> = GROUPS.iter().map(|_| Vec::new()).collect();
    for (name, points) in terms(run) {
        if let Some(group) = GROUPS.iter().rposition(|group| (group.holds)(&name)) {
            groups[group].push(Line { name: name.replace('_', " "), points });
        }
    }
    for (group, curves) in GROUPS.iter().zip(groups) {
        if !curves.is_empty() {
            let drawing = lines(&Axes { x: "step", y: group.y, square: false }, &curves)?;
            // A single curve has no legend; where it is two figures in one, that must be said.
            let equal = curves.iter().find(|curve| curves.len() == 1 && curve.name.contains(" = "));
            figures.push(chart(
                &drawing,
                group.title,
                &html! {
                    b { (group.title) ". " } (group.caption)
                    @if let Some(curve) = equal { " Here " (curve.name) "." }
                },
            ));
        }
    }
    Ok(Ok(html! { div.figures { @for figure in &figures { (figure) } } }))
}

/// The curves of the steps by name, the loss first; a term that is the whole loss stands with it.
fn terms(run: &Run) -> Vec<(String, Curve)> {
    let mut curves = run.records.step_curves();
    let loss = curves.remove("loss").unwrap_or_default();
    let (same, others): (Vec<_>, Vec<_>) = curves.into_iter().partition(|(_, points)| *points == loss);
    let names: Vec<&str> = std::iter::once("loss").chain(same.iter().map(|(name, _)| name.as_str())).collect();
    let all = std::iter::once((names.join(" = "), loss)).chain(others);
    all.filter(|(_, points)| !points.is_empty()).collect()
}

/// Validation accuracy and loss of these runs.
pub(super) fn validation(runs: &[(&str, &Run)], several: bool) -> Result<Vec<Markup>, ReportError> {
    let mut figures = Vec::new();
    let line = |name: &str, points: Curve| Line { name: name.into(), points };
    let with = |pick: fn(&Run) -> Curve, own: &str| -> Vec<Line> {
        let curve = |(name, run): &(&str, &Run)| line(if several { name } else { own }, pick(run));
        runs.iter().map(curve).filter(|line| !line.points.is_empty()).collect()
    };
    let top1 = with(|run| run.records.validation_curve(|record| 100.0 * record.top1), "top-1");
    let loss = with(|run| run.records.validation_curve(|record| record.loss), "loss");
    for (title, y, curves) in
        [("Validation top-1", "top-1, %", top1), ("Validation cross-entropy", "mean cross-entropy", loss)]
    {
        if !curves.is_empty() {
            let drawing = lines(&Axes { x: "epoch", y, square: false }, &curves)?;
            figures.push(chart(&drawing, title, &html! { b { (title) "." } }));
        }
    }
    Ok(figures)
}
