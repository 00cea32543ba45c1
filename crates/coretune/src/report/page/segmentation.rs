//! Runs that segment images: figures, classes, examples, features of pixels.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::ReportError;
use super::super::charts::{self, MOST_CLASSES, bars, scatter};
use super::super::embedding::embedding;
use super::super::gallery;
use super::super::run::SegmentationRun as Run;
use super::super::segmentation_measurements::{Example, MeasuredPixels, SegmentationMeasurements};
use super::curves::{curves, over_epochs};
use super::images::{file, list_of_files, table_of_geometry};
use super::rate_search::rate_search;
use super::section::{self, Section, chart, table, tile};
use super::{settings, words};
use crate::data::class_color;
use crate::evaluate::bootstrap::{Comparison, Interval};
use crate::evaluate::figure::{FREQUENCY_WEIGHTED_IOU, MEAN_IOU, MEAN_PIXEL_ACCURACY, OF_SEGMENTATION, PIXEL_ACCURACY};
use crate::evaluate::segmentation::paired_mean_iou;
use crate::figures::{FigureSpec, Figures, validation_name};
use crate::run_folder::{PairedDifference, SegmentationSummary};

/// Most confused pairs of classes that are listed.
const CONFUSED: usize = 10;

/// The figures of the headline and of the table of runs.
const SHOWN: [FigureSpec; 4] = [MEAN_IOU, MEAN_PIXEL_ACCURACY, FREQUENCY_WEIGHTED_IOU, PIXEL_ACCURACY];

/// The page about one run.
pub(super) fn alone(run: &Run) -> Result<Markup, ReportError> {
    Ok(section::one_run(&run.records.name, &headline(run), &sections(run)?))
}

/// The page about several.
pub(super) fn side_by_side(runs: &[Run]) -> Result<Markup, ReportError> {
    let named: Vec<_> = runs.iter().map(|run| (run.records.name.as_str(), &run.records)).collect();
    let heads = [
        "run",
        "method",
        "head",
        "seed",
        "split",
        "mean IoU",
        "95 % interval",
        "against the first",
        "mean pixel accuracy",
        "weighted IoU",
        "pixel accuracy",
        "linear probe",
        "best validation",
        "images/s",
        "time",
        "memory",
    ];
    let rows: Vec<Vec<String>> = runs.iter().map(|run| row(run, &runs[0])).collect();
    let figures = over_epochs(&named, true, "Validation ", &OF_SEGMENTATION)?;
    let comparison = html! {
        (table("Runs", &heads, &rows))
        p.quiet {
            "Differences against the first run are paired image by image where both were evaluated on the same images; "
            "a difference whose interval contains 0 is not statistically significant. One seed says little about a method."
        }
        @for note in runs.iter().filter_map(|run| other_classes(run, &runs[0])) { p.missing { (note) } }
        @for missing in runs.iter().flat_map(Run::missing) {
            p.missing { (missing.run) ": not shown: " (missing.what) ". Why: " (missing.why) "." }
        }
        h2 { "Validation" }
        div.figures { @for figure in &figures { (figure) } }
    };
    let each = |run: &Run| Ok((run.records.name.clone(), headline(run), sections(run)?));
    Ok(section::several_runs(&comparison, &runs.iter().map(each).collect::<Result<Vec<_>, ReportError>>()?))
}

fn row(run: &Run, first: &Run) -> Vec<String> {
    let summary = run.records.summary.as_ref();
    let of_summary = |text: fn(&SegmentationSummary) -> String| words::or_dash(summary.map(text));
    let shown = |spec: &FigureSpec| words::or_dash(figure(run, spec).map(|value| words::figure(spec, value)));
    let range = interval(run).map(|range| format!("{:.1} to {:.1}", 100.0 * range.low, 100.0 * range.high));
    vec![
        run.records.name.clone(),
        of_summary(|summary| summary.method.clone()),
        of_summary(|summary| summary.head.clone()),
        of_summary(|summary| summary.seed.to_string()),
        split(run),
        shown(&MEAN_IOU),
        words::or_dash(range),
        words::or_dash(against(run, first)),
        shown(&MEAN_PIXEL_ACCURACY),
        shown(&FREQUENCY_WEIGHTED_IOU),
        shown(&PIXEL_ACCURACY),
        words::or_dash(summary.and_then(|summary| summary.probe.as_ref()?.get(MEAN_IOU.name)).map(words::percent)),
        words::or_dash(summary.and_then(best_validation)),
        of_summary(|summary| format!("{:.1}", summary.images_per_second)),
        of_summary(|summary| words::duration(summary.wall_seconds)),
        of_summary(|summary| words::bytes(summary.peak_rss_bytes)),
    ]
}

/// The difference in mean IoU to the first run, if both were evaluated on the same images.
fn against(run: &Run, first: &Run) -> Option<String> {
    let (Ok(own), Ok(other)) = (&run.measurements, &first.measurements) else { return None };
    let names = |measured: &SegmentationMeasurements| {
        measured.evaluated.images.images().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    if std::ptr::eq(run, first) || names(own) != names(other) || own.evaluated.classes != other.evaluated.classes {
        return None;
    }
    let (images, others) = (own.evaluated.measured.images(), other.evaluated.measured.images());
    let (difference, interval) = paired_mean_iou(images, others, run.seed).ok()?;
    Some(words::difference(&compared(difference, interval)))
}

/// A sentence if a run has other classes than the first.
fn other_classes(run: &Run, first: &Run) -> Option<String> {
    let classes = |run: &Run| -> Option<BTreeSet<String>> {
        let recorded = run.records.summary.as_ref().map(|summary| summary.class_iou.keys().cloned().collect());
        recorded.or_else(|| Some(run.measurements.as_ref().ok()?.evaluated.classes.iter().cloned().collect()))
    };
    let (own, other) = (classes(run)?, classes(first)?);
    (own != other).then(|| {
        format!(
            "{} has {} classes, {} has {}, not the same ones: their figures cannot be compared.",
            run.records.name,
            own.len(),
            first.records.name,
            other.len()
        )
    })
}

/// A difference as the words about it take it.
fn compared(difference: f64, interval: Interval) -> Comparison {
    Comparison { difference, interval, only_first: 0, only_second: 0 }
}

/// A figure of the evaluation split: measured now if that was possible, else as the run recorded it.
fn figure(run: &Run, spec: &FigureSpec) -> Option<f64> {
    match &run.measurements {
        Ok(measurements) => measurements.evaluated.figures().get(spec.name),
        Err(_) => recorded(run)?.get(spec.name),
    }
}

/// The figures of the test split as the run recorded them.
fn recorded(run: &Run) -> Option<&Figures> {
    run.records.summary.as_ref()?.test.as_ref()
}

fn interval(run: &Run) -> Option<Interval> {
    match &run.measurements {
        Ok(measurements) => Some(measurements.interval),
        Err(_) => run.records.summary.as_ref()?.mean_iou_interval.map(|[low, high]| Interval { low, high }),
    }
}

/// Name of the evaluation split.
fn split(run: &Run) -> String {
    match &run.measurements {
        Ok(measurements) => measurements.evaluated.role.to_string(),
        Err(_) => if recorded(run).is_some() { "test" } else { "validation" }.into(),
    }
}

/// `52.1 % (epoch 6)`
fn best_validation(summary: &SegmentationSummary) -> Option<String> {
    let iou = summary.best.figures.get(&validation_name(MEAN_IOU.name))?;
    Some(format!("{} (epoch {})", words::figure(&MEAN_IOU, iou), summary.best.epoch))
}

fn sections(run: &Run) -> Result<Vec<Section>, ReportError> {
    let validation = over_epochs(&[(&run.records.name, &run.records)], false, "Validation ", &OF_SEGMENTATION)?;
    let others = vec![
        curves(&run.records, validation)?,
        classes(run)?,
        confusion(run)?,
        examples(run),
        features(run)?,
        settings::cost(&run.records),
        settings::configuration(&run.records),
        settings::provenance(&run.records),
    ];
    Ok(rate_search(&run.records.folder).into_iter().chain(others).collect())
}

/// Method, data, result, probe, verdict, and what is missing.
fn headline(run: &Run) -> Markup {
    let summary = run.records.summary.as_ref();
    let probe = summary.and_then(|summary| {
        let of_random = summary.probe_of_random_weights.as_ref().and_then(|figures| figures.get(MEAN_IOU.name));
        Some((summary.probe.as_ref()?.get(MEAN_IOU.name)?, of_random))
    });
    html! {
        p { (what_was_run(run)) }
        dl.headline {
            @for spec in &SHOWN {
                @if let Some(value) = figure(run, spec) {
                    @let range = interval(run).filter(|_| spec.name == MEAN_IOU.name).as_ref().map(words::interval);
                    (tile(&format!("{} {}", split(run), spec.label), &words::figure(spec, value), range))
                }
            }
            @if let Some((probe, random)) = probe {
                @let beside = random.map(|random| format!("mean IoU; random weights {}", words::percent(random)));
                (tile("linear probe", &words::percent(probe), beside))
            }
            @if let Some(summary) = summary {
                (tile("best epoch", &format!("{} of {}", summary.best.epoch, summary.epochs), validation(summary)))
                @let speed = format!("{:.1} images/s in training", summary.images_per_second);
                (tile("time", &words::duration(summary.wall_seconds), Some(speed)))
            }
        }
        p.verdict { (verdict(run)) }
        @if let Some(note) = other_figure(run) { p.missing { (note) } }
        @for missing in run.missing() { p.missing { "Not shown: " (missing.what) ". Why: " (missing.why) "." } }
    }
}

fn validation(summary: &SegmentationSummary) -> Option<String> {
    let iou = summary.best.figures.get(&validation_name(MEAN_IOU.name))?;
    Some(format!("validation {} {}", MEAN_IOU.label, words::figure(&MEAN_IOU, iou)))
}

fn what_was_run(run: &Run) -> String {
    match &run.records.summary {
        Some(SegmentationSummary { method, model, head, data, seed, steps, .. }) => {
            format!("{model} with the head {head} on {data}, method {method}: {steps} steps, seed {seed}.")
        }
        None => "This run has not finished: there is no summary.json yet.".into(),
    }
}

fn verdict(run: &Run) -> String {
    let Some(summary) = &run.records.summary else { return String::new() };
    if summary.steps == 0 {
        return "This run is the linear probe: nothing was trained.".into();
    }
    match (summary.above_probe, &run.measurements) {
        (None, _) => "The linear probe was not measured, so it is open whether fine-tuning was worth it.".into(),
        (Some(PairedDifference { difference, low, high }), measurements) => {
            let images = measurements.as_ref().map_or(0, |measured| measured.evaluated.measured.images().len());
            let sentence = words::verdict(&compared(difference, Interval { low, high }), images);
            if images == 0 { sentence.replace(" on 0 images", "") } else { sentence }
        }
    }
}

/// A sentence if the mean IoU measured now differs from the recorded one.
fn other_figure(run: &Run) -> Option<String> {
    let recorded = recorded(run)?.get(MEAN_IOU.name)?;
    let measured = run.measurements.as_ref().ok()?.figures.mean_iou;
    ((recorded - measured).abs() > 5e-4).then(|| {
        format!(
            "The run recorded a test mean IoU of {}; measured again it is {}: other images, another processor or another version.",
            words::percent(recorded),
            words::percent(measured)
        )
    })
}

/// IoU of each class: measured now with all that belongs to it, else as the run recorded it.
fn classes(run: &Run) -> Result<Section, ReportError> {
    let body = match (&run.measurements, &run.records.summary) {
        (Ok(measurements), _) => Ok(measured_classes(measurements)?),
        (Err(_), Some(summary)) => {
            let figures: Vec<_> = summary.class_iou.iter().map(|(name, iou)| (name.clone(), *iou)).collect();
            Ok(iou_bars(&figures)?)
        }
        (Err(why), None) => Err(why.clone()),
    };
    Ok(Section { id: "classes", title: "Classes", body })
}

fn iou_bars(figures: &[(String, Option<f64>)]) -> Result<Markup, ReportError> {
    let caption = html! { "Intersection over union of each class; – for a class without a labelled pixel." };
    Ok(chart(&bars(figures)?, "IoU of each class", &caption))
}

fn measured_classes(measurements: &SegmentationMeasurements) -> Result<Markup, ReportError> {
    let evaluated = &measurements.evaluated;
    let of_classes = evaluated.measured.confusion().of_classes();
    let labelled = of_classes.iter().map(|class| class.truth).sum::<u64>().max(1) as f64;
    let named = || evaluated.classes.iter().zip(&of_classes);
    let figures: Vec<_> = named().map(|(name, class)| (name.clone(), class.iou())).collect();
    let rows: Vec<Vec<String>> = named()
        .map(|(name, class)| {
            vec![
                name.clone(),
                words::percent(class.truth as f64 / labelled),
                words::or_dash(class.iou().map(words::percent)),
                words::or_dash(class.accuracy().map(words::percent)),
                words::percent(class.predicted as f64 / labelled),
            ]
        })
        .collect();
    let heads = ["class", "labelled pixels", "IoU", "accuracy", "predicted pixels"];
    Ok(html! {
        div.figures {
            (iou_bars(&figures)?)
            (table(&format!("Per class, {} split", evaluated.role), &heads, &rows))
        }
    })
}

fn confusion(run: &Run) -> Result<Section, ReportError> {
    let body = match &run.measurements {
        Err(why) => Err(why.clone()),
        Ok(measurements) => Ok(confusion_figures(measurements)?),
    };
    Ok(Section { id: "confusion", title: "Confusion matrix", body })
}

fn confusion_figures(measurements: &SegmentationMeasurements) -> Result<Markup, ReportError> {
    let (names, counts) = (&measurements.evaluated.classes, measurements.evaluated.measured.confusion().rows());
    let figure = if names.len() <= MOST_CLASSES {
        let caption = html! { "Rows: true class; columns: predicted class. Percent of the pixels of the true class." };
        let drawing = charts::confusion(&counts, names, |_, share| format!("{:.0}", 100.0 * share))?;
        chart(&drawing, "Confusion matrix", &caption)
    } else {
        html! { p.quiet { (names.len()) " classes are too many for a readable matrix." } }
    };
    let mut pairs: Vec<(usize, usize, u64)> = Vec::new();
    for (truth, row) in counts.iter().enumerate() {
        let others = row.iter().enumerate().filter(|&(other, &pixels)| other != truth && pixels > 0);
        pairs.extend(others.map(|(other, &pixels)| (truth, other, pixels)));
    }
    pairs.sort_by_key(|&(truth, other, pixels)| (std::cmp::Reverse(pixels), truth, other));
    let row = |&(truth, other, pixels): &(usize, usize, u64)| {
        let fraction = pixels as f64 / counts[truth].iter().sum::<u64>().max(1) as f64;
        vec![names[truth].clone(), names[other].clone(), pixels.to_string(), words::percent(fraction)]
    };
    let rows: Vec<Vec<String>> = pairs.iter().take(CONFUSED).map(row).collect();
    Ok(html! {
        (figure)
        @if rows.is_empty() { p { "Every labelled pixel was predicted correctly." } }
        @else { (table("Most confused", &["class", "predicted as", "pixels", "fraction of the class"], &rows)) }
    })
}

fn examples(run: &Run) -> Section {
    let body = run.measurements.as_ref().map_err(Clone::clone).map(example_gallery);
    Section { id: "examples", title: "Examples", body }
}

fn example_gallery(measurements: &SegmentationMeasurements) -> Markup {
    let evaluated = &measurements.evaluated;
    html! {
        p.quiet {
            "Images of the " (evaluated.role) " split with the lowest, median and highest mean IoU of their own classes: "
            "image, truth, prediction, and wrong pixels in red. Hatched pixels take no part."
        }
        ul.swatches {
            @for (class, name) in evaluated.classes.iter().enumerate() {
                @let [red, green, blue] = class_color(class as u8);
                li { span style={ "background:rgb(" (red) "," (green) "," (blue) ")" } {} (name) }
            }
        }
        div.examples { @for example in &measurements.examples { (example_figure(example)) } }
        (list_of_files(measurements.examples.iter().map(|example| &*example.path)))
    }
}

fn example_figure(example: &Example) -> Markup {
    const WHAT: [&str; 4] = ["image", "truth", "prediction", "errors"];
    html! {
        figure {
            @match &example.pictures {
                Ok(pictures) => div.four {
                    @for (what, uri) in WHAT.iter().zip(pictures) {
                        @let class = if uri.starts_with("data:image/png") { "small" } else { "scaled" };
                        img class=(class) src=(uri) title=(example.path) alt={ (what) " of " (gallery::short(&example.path)) };
                    }
                },
                Err(why) => p.missing { "Not shown: " (why) "." },
            }
            figcaption {
                b { (file(&example.path)) } ": mean IoU " (words::percent(example.mean_iou)) " (" (example.rank) ")"
            }
        }
    }
}

fn features(run: &Run) -> Result<Section, ReportError> {
    let body = match &run.measurements {
        Err(why) => Err(why.clone()),
        Ok(measurements) => Ok(feature_figures(measurements, run.seed)?),
    };
    Ok(Section { id: "features", title: "Features before and after", body })
}

fn feature_figures(measurements: &SegmentationMeasurements, seed: u64) -> Result<Markup, ReportError> {
    let drawn = measurements.drawn(seed);
    let before = match &measurements.frozen {
        Ok(pixels) => embedded(measurements, pixels, &drawn, "Frozen checkpoint")?,
        Err(why) => html! { p.missing { "The frozen checkpoint is not shown: " (why) "." } },
    };
    let after = embedded(measurements, &measurements.after, &drawn, "Fine-tuned")?;
    let frozen = measurements.frozen.as_ref().ok().map(|pixels| &pixels.geometry);
    let caption = "Geometry of the features of these pixels: squared distances within the classes and between them; less within / between is better separated";
    Ok(html! {
        p.quiet {
            "t-SNE of the features of " (drawn.len()) " labelled positions of the " (measurements.evaluated.role)
            " split, chosen by the seed; colour and shape are the true class. Before: the last map of the frozen backbone; "
            "after: the input of the last convolution, which the method acts on."
        }
        div.figures { (before) (after) }
        (table_of_geometry(caption, frozen, &measurements.after.geometry))
    })
}

fn embedded(
    measurements: &SegmentationMeasurements,
    pixels: &MeasuredPixels,
    drawn: &[usize],
    title: &str,
) -> Result<Markup, ReportError> {
    let rows = gallery::rows(&pixels.features.rows, drawn).map_err(|error| error.to_string());
    let points = match rows.and_then(|rows| embedding(&rows)) {
        Ok(points) => points,
        Err(why) => return Ok(html! { p.missing { (title) " is not shown: " (why) "." } }),
    };
    let classes: Vec<usize> = drawn.iter().map(|&row| pixels.features.labels[row] as usize).collect();
    let drawing = scatter(&points, &classes, &measurements.evaluated.classes)?;
    Ok(chart(&drawing, &format!("{title}: t-SNE of the features of pixels"), &html! { b { (title) "." } }))
}
