//! What was logged while training.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::ReportError;
use super::super::charts::{Axes, Line, lines};
use super::super::records::{Curve, Records};
use super::super::run::Run;
use super::section::{Section, chart};
use super::words;
use crate::evaluate::figure::OF_CLASSIFICATION;
use crate::figures::{FigureSpec, Unit};
use crate::objectives::figure;

/// Curves that share a chart.
struct Group {
    title: &'static str,
    y: &'static str,
    holds: fn(&str) -> bool,
    caption: &'static str,
}

/// Every figure of a step is in the last group that holds it; the first takes the terms of the loss, whatever their
/// names are.
const GROUPS: [Group; 12] = [
    Group {
        title: "Loss and its terms",
        y: "loss",
        holds: |_| true,
        caption: "Training loss and its terms, before their weights.",
    },
    Group {
        title: "Cosines of the hardest pairs",
        y: "cosine",
        holds: |name| name.ends_with("_cosine"),
        caption: "Mean cosine of anchors with their hardest positive and negative in the batch.",
    },
    Group {
        title: "Hardest positives in another image",
        y: "fraction of positions",
        holds: |name| name == figure::HARDEST_POSITIVE_ELSEWHERE,
        caption: "Fraction of the positions whose hardest positive comes from another image.",
    },
    Group {
        title: "Labelled pixels",
        y: "fraction of pixels",
        holds: |name| name == "labelled_fraction",
        caption: "Fraction of the pixels of a step that have a label, padding of the crops included.",
    },
    Group {
        title: "Rows of the contrast",
        y: "positions",
        holds: |name| name == "rows",
        caption: "Positions of the maps that the contrastive loss takes from a step.",
    },
    Group {
        title: "Cosine of two views",
        y: "cosine",
        holds: |name| name == figure::POSITIVE_COSINE,
        caption: "Mean cosine of the projections of two views of an image.",
    },
    Group {
        title: "Nearest view",
        y: "fraction of images",
        holds: |name| name == figure::ACCURACY,
        caption: "Fraction of images whose other view is nearer than every negative.",
    },
    Group {
        title: "Spread of the projections",
        y: "spread",
        holds: |name| name == figure::SPREAD,
        caption: "1 if they lie evenly on the sphere, 0 if all of them coincide: a collapse.",
    },
    Group { title: "Learning rate", y: "learning rate", holds: |name| name == "lr", caption: "" },
    Group {
        title: "Positives in the batch",
        y: "anchors",
        holds: |name| name == "positives_per_anchor" || name == "anchors_without_positives",
        caption: "Other anchors of the same class in the batch, and anchors alone in their class. An anchor is an image, \
                  in segmentation a position of a map.",
    },
    Group {
        title: "Speed",
        y: "images / s",
        holds: |name| name == "images_per_second",
        caption: "Training images per second.",
    },
    Group {
        title: "Waiting for images",
        y: "fraction of the time",
        holds: |name| name == "data_wait_share",
        caption: "Near 0 if the loader keeps up.",
    },
];

/// The curves of fine-tuning: validation first.
pub(super) fn training(run: &Run) -> Result<Section, ReportError> {
    curves(&run.records, validation(&[(&run.records.name, run)], false)?)
}

/// The curves of the steps, after the charts `first`.
pub(super) fn curves<S>(records: &Records<S>, first: Vec<Markup>) -> Result<Section, ReportError> {
    let is_empty = records.metrics.is_empty();
    let body = if is_empty { Err("metrics.jsonl is empty".into()) } else { Ok(body(records, first)?) };
    Ok(Section { id: "curves", title: "Curves", body })
}

fn body<S>(records: &Records<S>, mut figures: Vec<Markup>) -> Result<Markup, ReportError> {
    let mut groups: Vec<Vec<Line>> = GROUPS.iter().map(|_| Vec::new()).collect();
    for (name, points) in terms(records) {
        if let Some(group) = GROUPS.iter().rposition(|group| (group.holds)(&name)) {
            groups[group].push(Line { name: name.replace('_', " "), points });
        }
    }
    for (group, curves) in GROUPS.iter().zip(groups) {
        if !curves.is_empty() {
            let drawing = lines(&Axes { x: "step", y: group.y, square: false }, &curves)?;
            // A single curve has no legend: that it is two figures in one is part of the caption.
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
    Ok(html! { div.figures { @for figure in &figures { (figure) } } })
}

/// The curves of the steps by name, the loss first; a term that equals the loss shares its curve.
fn terms<S>(records: &Records<S>) -> Vec<(String, Curve)> {
    let mut curves = records.step_curves();
    let loss = curves.remove("loss").unwrap_or_default();
    let (same, others): (Vec<_>, Vec<_>) = curves.into_iter().partition(|(_, points)| *points == loss);
    let names: Vec<&str> = std::iter::once("loss").chain(same.iter().map(|(name, _)| name.as_str())).collect();
    let all = std::iter::once((names.join(" = "), loss)).chain(others);
    all.filter(|(_, points)| !points.is_empty()).collect()
}

/// The figures of validation of these runs.
pub(super) fn validation(runs: &[(&str, &Run)], several: bool) -> Result<Vec<Markup>, ReportError> {
    let records: Vec<_> = runs.iter().map(|(name, run)| (*name, &run.records)).collect();
    over_epochs(&records, several, "Validation ", &OF_CLASSIFICATION)
}

/// Figures over the epochs of these runs, each titled with `before` in front: those that have a spec in its order, then
/// all others. One that no run has measured is left out.
pub(super) fn over_epochs<S>(
    runs: &[(&str, &Records<S>)],
    several: bool,
    before: &str,
    specs: &[FigureSpec],
) -> Result<Vec<Markup>, ReportError> {
    let without_spec = |name: &&str| !specs.iter().any(|spec| spec.name == *name);
    let measured: BTreeSet<&str> = runs.iter().flat_map(|(_, records)| records.evaluated_figures()).collect();
    let known = specs.iter().map(|spec| Plot::of_spec(spec, before));
    let others = measured.into_iter().filter(without_spec).map(|name| Plot::of_name(name, before));
    let charts = known.chain(others).map(|plot| plot.chart(runs, several));
    charts.filter_map(Result::transpose).collect()
}

/// One figure over the epochs.
struct Plot<'a> {
    name: &'a str,
    /// Name of the curve of a run that is shown alone.
    label: &'a str,
    title: String,
    y: String,
    caption: &'a str,
    /// What the values are multiplied with.
    scale: f64,
}

impl<'a> Plot<'a> {
    fn of_spec(spec: &'a FigureSpec, before: &str) -> Self {
        let (y, scale) = match spec.unit {
            Unit::Fraction => (format!("{}, %", spec.label), 100.0),
            Unit::Number("") => (spec.label.to_string(), 1.0),
            Unit::Number(unit) => (unit.to_string(), 1.0),
        };
        let title = words::sentence_case(&format!("{before}{}", spec.title));
        Plot { name: spec.name, label: spec.label, title, y, caption: spec.about, scale }
    }

    /// A figure without a spec: only its name is known.
    fn of_name(name: &'a str, before: &str) -> Self {
        let title = words::sentence_case(&format!("{before}{}", name.replace('_', " ")));
        Plot { name, label: name, title, y: name.replace('_', " "), caption: "", scale: 1.0 }
    }

    fn chart<S>(&self, runs: &[(&str, &Records<S>)], several: bool) -> Result<Option<Markup>, ReportError> {
        let curve = |(name, records): &(&str, &Records<S>)| Line {
            name: if several { *name } else { self.label }.into(),
            points: records.epoch_curve(self.name).into_iter().map(|(epoch, y)| (epoch, self.scale * y)).collect(),
        };
        // A run keeps its colour and its name in every chart, also where it has no curve.
        let curves: Vec<Line> = runs.iter().map(curve).collect();
        if curves.iter().all(|curve| curve.points.is_empty()) {
            return Ok(None);
        }
        let drawing = lines(&Axes { x: "epoch", y: &self.y, square: false }, &curves)?;
        Ok(Some(chart(&drawing, &self.title, &html! { b { (self.title) ". " } (self.caption) })))
    }
}
