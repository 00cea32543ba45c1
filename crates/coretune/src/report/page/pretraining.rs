//! Pre-training runs: what the features were worth, epoch by epoch, and what was logged.

use maud::{Markup, html};

use super::super::ReportError;
use super::super::records::Records;
use super::curves::{curves, over_epochs};
use super::section::{self, Section, table, tile};
use super::{settings, words};
use crate::evaluate::figure::{KNN_TOP1, OF_FEATURES, RANK};
use crate::figures::FigureSpec;
use crate::run_folder::{EvaluationRecord, PretrainSummary};

type Run = Records<PretrainSummary>;

/// The page about one run.
pub(super) fn alone(run: &Run) -> Result<Markup, ReportError> {
    Ok(section::one_run(&run.name, &headline(run), &sections(run)?))
}

/// The page about several.
pub(super) fn side_by_side(runs: &[Run]) -> Result<Markup, ReportError> {
    let named: Vec<(&str, &Run)> = runs.iter().map(|run| (run.name.as_str(), run)).collect();
    let heads = ["run", "method", "model", "images", "seed", "epochs", "kNN before", "kNN", "rank", "images/s", "time"];
    let figures = over_epochs(&named, true, "", &OF_FEATURES)?;
    let comparison = html! {
        (table("Runs", &heads, &runs.iter().map(row).collect::<Vec<_>>()))
        h2 { "Features" }
        div.figures { @for figure in &figures { (figure) } }
    };
    let each = |run: &Run| Ok((run.name.clone(), headline(run), sections(run)?));
    Ok(section::several_runs(&comparison, &runs.iter().map(each).collect::<Result<Vec<_>, ReportError>>()?))
}

fn row(run: &Run) -> Vec<String> {
    let of_summary = |text: fn(&PretrainSummary) -> String| words::or_dash(run.summary.as_ref().map(text));
    let (first, last) = (first_evaluation(run), run.evaluations().last());
    vec![
        run.name.clone(),
        of_summary(|summary| summary.method.clone()),
        of_summary(|summary| summary.model.clone()),
        of_summary(|summary| summary.images.to_string()),
        of_summary(|summary| summary.seed.to_string()),
        words::or_dash(last.map(|record| record.epoch.to_string())),
        words::or_dash(shown(first, &KNN_TOP1)),
        words::or_dash(shown(last, &KNN_TOP1)),
        words::or_dash(shown(last, &RANK)),
        of_summary(|summary| format!("{:.0}", summary.images_per_second)),
        of_summary(|summary| words::duration(summary.wall_seconds)),
    ]
}

/// A figure of an evaluation, if it was measured.
fn shown(record: Option<&EvaluationRecord>, spec: &FigureSpec) -> Option<String> {
    Some(words::figure(spec, record?.figures.get(spec.name)?))
}

fn sections(run: &Run) -> Result<Vec<Section>, ReportError> {
    Ok(vec![
        curves(run, over_epochs(&[(&run.name, run)], false, "", &OF_FEATURES)?)?,
        evaluations(run),
        settings::cost(run),
        settings::configuration(run),
        settings::provenance(run),
    ])
}

/// Method, data, what the features were worth before and after.
fn headline(run: &Run) -> Markup {
    let (first, last) = (first_evaluation(run), run.evaluations().last());
    let start = start(run);
    let before = |spec| shown(first, spec).map(|value| format!("{start} {value}"));
    html! {
        p { (what_was_run(run)) }
        dl.headline {
            @if let Some(record) = last {
                @if let Some(top1) = shown(last, &KNN_TOP1) {
                    (tile(&format!("{} on {} images", KNN_TOP1.label, record.split), &top1, before(&KNN_TOP1)))
                }
                @if let Some(rank) = shown(last, &RANK) { (tile(RANK.title, &rank, before(&RANK))) }
                (tile("epochs", &record.epoch.to_string(), Some(format!("{} steps", record.step))))
            }
            @if let Some(summary) = &run.summary {
                @let speed = format!("{:.0} images/s in training", summary.images_per_second);
                (tile("time", &words::duration(summary.wall_seconds), Some(speed)))
            }
        }
        p.verdict { (verdict(start, first, last)) }
    }
}

fn what_was_run(run: &Run) -> String {
    match &run.summary {
        Some(PretrainSummary { method, model, data, images, steps, seed, .. }) => {
            format!("{method} of {model} on the {images} images of {data}, without labels; {steps} steps, seed {seed}.")
        }
        None => "This run has not finished: there is no summary.json yet.".into(),
    }
}

/// What the run started from.
fn start(run: &Run) -> &'static str {
    let config: toml::Table = run.config.parse().unwrap_or_default();
    let path = config.get("checkpoint").and_then(|section| section.get("path")).and_then(toml::Value::as_str);
    if path.is_none_or(|path| path == "off") { "random weights" } else { "the checkpoint" }
}

/// Whether the features improved on those of the start, in a sentence.
fn verdict(start: &str, first: Option<&EvaluationRecord>, last: Option<&EvaluationRecord>) -> String {
    let top1 = |record: Option<&EvaluationRecord>| record?.figures.get(KNN_TOP1.name);
    match (top1(first), top1(last)) {
        _ if last.is_some_and(|record| record.step == 0) => {
            format!("So far only the features of {start} have been evaluated.")
        }
        (Some(before), Some(after)) => format!(
            "Pre-training is worth {:+.1} points to the nearest neighbours, over {start}.",
            100.0 * (after - before)
        ),
        (None, Some(_)) => {
            format!("The features of {start} were not evaluated, so it is open what pre-training is worth.")
        }
        _ if last.is_none() => "The features were not evaluated, so it is open what pre-training is worth.".into(),
        _ => "There were no labels to measure the features with.".into(),
    }
}

/// The evaluation before the first step.
fn first_evaluation(run: &Run) -> Option<&EvaluationRecord> {
    run.evaluations().find(|record| record.step == 0)
}

/// Every evaluation, with every figure.
fn evaluations(run: &Run) -> Section {
    let row = |record: &EvaluationRecord| {
        let mut row = vec![record.epoch.to_string(), record.split.clone()];
        row.extend(OF_FEATURES.iter().map(|spec| words::or_dash(shown(Some(record), spec))));
        row.push(words::duration(record.seconds));
        row
    };
    let rows: Vec<_> = run.evaluations().map(row).collect();
    let heads: Vec<&str> = ["epoch", "images"]
        .into_iter()
        .chain(OF_FEATURES.iter().map(|spec| spec.label))
        .chain(["time since the start"])
        .collect();
    let body = if rows.is_empty() {
        Err("the features were not evaluated".into())
    } else {
        Ok(table("Frozen features while training", &heads, &rows))
    };
    Section { id: "evaluations", title: "Features", body }
}
