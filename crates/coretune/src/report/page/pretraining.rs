//! Pre-training runs: what the features were worth, epoch by epoch, and what was logged.

use maud::{Markup, html};

use super::super::ReportError;
use super::super::records::Records;
use super::curves::{Figure, curves, over_epochs};
use super::section::{self, Section, table, tile};
use super::{settings, words};
use crate::run_folder::{PretrainSummary, ProbeRecord};

type Run = Records<PretrainSummary>;

/// What the looks at the features give, in the order of their figures.
const FIGURES: [Figure<PretrainSummary>; 4] = [
    Figure {
        title: "Nearest neighbours",
        y: "top-1, %",
        own: "kNN",
        caption: "Accuracy of the nearest neighbours of frozen features (E7), which no label has trained.",
        curve: |run| run.look_curve(|look| look.knn_top1.map(|top1| 100.0 * top1)),
    },
    Figure {
        title: "Effective rank",
        y: "dimensions",
        own: "rank",
        caption: "Dimensions that the features use (RankMe); falling to few of them is a collapse.",
        curve: |run| run.look_curve(|look| Some(look.rank)),
    },
    Figure {
        title: "Alignment",
        y: "squared distance",
        own: "alignment",
        caption: "Mean squared distance of two images of a class (E3); smaller is closer.",
        curve: |run| run.look_curve(|look| look.alignment),
    },
    Figure {
        title: "Uniformity",
        y: "log of the mean potential",
        own: "uniformity",
        caption: "E3; smaller is more even over the sphere.",
        curve: |run| run.look_curve(|look| look.uniformity),
    },
];

/// The page about one run.
pub(super) fn alone(run: &Run) -> Result<Markup, ReportError> {
    Ok(section::one_run(&run.name, &headline(run), &sections(run)?))
}

/// The page about several.
pub(super) fn side_by_side(runs: &[Run]) -> Result<Markup, ReportError> {
    let named: Vec<(&str, &Run)> = runs.iter().map(|run| (run.name.as_str(), run)).collect();
    let heads = ["run", "method", "model", "images", "seed", "epochs", "kNN before", "kNN", "rank", "images/s", "time"];
    let figures = over_epochs(&named, true, &FIGURES)?;
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
    let (first, last) = (first_look(run), run.looks().last());
    vec![
        run.name.clone(),
        of_summary(|summary| summary.method.clone()),
        of_summary(|summary| summary.model.clone()),
        of_summary(|summary| summary.images.to_string()),
        of_summary(|summary| summary.seed.to_string()),
        words::or_dash(last.map(|look| look.epoch.to_string())),
        words::or_dash(first.and_then(|look| look.knn_top1).map(words::percent)),
        words::or_dash(last.and_then(|look| look.knn_top1).map(words::percent)),
        words::or_dash(last.map(|look| format!("{:.0}", look.rank))),
        of_summary(|summary| format!("{:.0}", summary.images_per_second)),
        of_summary(|summary| words::duration(summary.wall_seconds)),
    ]
}

fn sections(run: &Run) -> Result<Vec<Section>, ReportError> {
    Ok(vec![
        curves(run, over_epochs(&[(&run.name, run)], false, &FIGURES)?)?,
        looks(run),
        settings::cost(run),
        settings::configuration(run),
        settings::provenance(run),
    ])
}

/// Method, data, what the features were worth before and after.
fn headline(run: &Run) -> Markup {
    let (first, last) = (first_look(run), run.looks().last());
    html! {
        p { (what_was_run(run)) }
        dl.headline {
            @if let Some(look) = last {
                @if let Some(top1) = look.knn_top1 {
                    @let before = first.and_then(|look| look.knn_top1);
                    @let remark = before.map(|top1| format!("random weights {}", words::percent(top1)));
                    (tile(&format!("kNN on {} images", look.split), &words::percent(top1), remark))
                }
                @let before = first.map(|look| format!("random weights {:.0}", look.rank));
                (tile("effective rank", &format!("{:.0}", look.rank), before))
                (tile("epochs", &look.epoch.to_string(), Some(format!("{} steps", look.step))))
            }
            @if let Some(summary) = &run.summary {
                @let speed = format!("{:.0} images/s in training", summary.images_per_second);
                (tile("time", &words::duration(summary.wall_seconds), Some(speed)))
            }
        }
        p.verdict { (verdict(first, last)) }
    }
}

fn what_was_run(run: &Run) -> String {
    match &run.summary {
        Some(PretrainSummary { method, model, data, images, steps, seed, .. }) => {
            format!("{method} of {model} on the {images} images of {data}, without labels; {steps} steps, seed {seed}.")
        }
        None => "This run has not been run to its end: there is no summary.json yet.".into(),
    }
}

/// Whether the features got better, in a sentence.
fn verdict(first: Option<&ProbeRecord>, last: Option<&ProbeRecord>) -> String {
    match (first.and_then(|look| look.knn_top1), last.and_then(|look| look.knn_top1)) {
        _ if last.is_some_and(|look| look.step == 0) => "Only random weights have been looked at so far.".into(),
        (Some(before), Some(after)) => format!(
            "Pre-training is worth {:+.1} points to the nearest neighbours, over random weights.",
            100.0 * (after - before)
        ),
        (None, Some(_)) => {
            "The features of random weights were not looked at, so what pre-training is worth is open.".into()
        }
        _ if last.is_none() => "The features were not looked at, so what pre-training is worth is open.".into(),
        _ => "There were no labels to measure the features with.".into(),
    }
}

/// The look before the first step.
fn first_look(run: &Run) -> Option<&ProbeRecord> {
    run.looks().find(|look| look.step == 0)
}

fn looks(run: &Run) -> Section {
    let digits = |figure: Option<f64>| words::or_dash(figure.map(|figure| format!("{figure:.2}")));
    let row = |look: &ProbeRecord| {
        vec![
            look.epoch.to_string(),
            look.split.clone(),
            words::or_dash(look.knn_top1.map(words::percent)),
            format!("{:.1}", look.rank),
            digits(look.alignment),
            digits(look.uniformity),
            words::duration(look.seconds),
        ]
    };
    let rows: Vec<_> = run.looks().map(row).collect();
    let heads = ["epoch", "images", "kNN", "rank", "alignment", "uniformity", "time since the start"];
    let body = if rows.is_empty() {
        Err("the features were not looked at".into())
    } else {
        Ok(table("Frozen features while training", &heads, &rows))
    };
    Section { id: "looks", title: "Features", body }
}
