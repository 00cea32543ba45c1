//! The table as CSV, numbers as they are.

use crate::compare::{Comparison, Row, Spread};

const HEADINGS: [&str; 32] = [
    "method",
    "labels_per_class",
    "settings",
    "trials",
    "seeds",
    "top1",
    "top1_sd",
    "nll",
    "nll_sd",
    "ece",
    "ece_sd",
    "mean_iou",
    "mean_iou_sd",
    "pixel_accuracy",
    "pixel_accuracy_sd",
    "mean_pixel_accuracy",
    "mean_pixel_accuracy_sd",
    "frequency_weighted_iou",
    "frequency_weighted_iou_sd",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "t_low",
    "t_high",
    "detectable",
    "seeds_to_decide",
    "seconds",
    "total_seconds",
    "memory_bytes",
    "remarks",
];

/// A line for each row; a cell is empty if there is no value.
pub(super) fn csv(comparison: &Comparison) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADINGS).expect("memory takes every row");
    for row in &comparison.rows {
        writer.write_record(cells(row)).expect("memory takes every row, and all have the same length");
    }
    String::from_utf8(writer.into_inner().expect("memory takes every row")).expect("texts are UTF-8")
}

fn cells(row: &Row) -> [String; HEADINGS.len()] {
    let settings: Vec<String> = row.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mean = |spread: &Option<Spread>| cell(spread.as_ref().map(|spread| spread.mean));
    let sd = |spread: &Option<Spread>| cell(spread.as_ref().and_then(|spread| spread.sd));
    let difference = row.difference.as_ref();
    [
        row.method.clone(),
        cell(row.labels_per_class),
        settings.join(" "),
        row.trials.to_string(),
        row.seeds.len().to_string(),
        mean(&row.top1),
        sd(&row.top1),
        mean(&row.nll),
        sd(&row.nll),
        mean(&row.ece),
        sd(&row.ece),
        mean(&row.mean_iou),
        sd(&row.mean_iou),
        mean(&row.pixel_accuracy),
        sd(&row.pixel_accuracy),
        mean(&row.mean_pixel_accuracy),
        sd(&row.mean_pixel_accuracy),
        mean(&row.frequency_weighted_iou),
        sd(&row.frequency_weighted_iou),
        cell(difference.map(|difference| difference.mean)),
        cell(difference.map(|difference| difference.interval.low)),
        cell(difference.map(|difference| difference.interval.high)),
        cell(difference.map(|difference| difference.p)),
        cell(row.p_holm),
        cell(row.t_interval.map(|interval| interval.low)),
        cell(row.t_interval.map(|interval| interval.high)),
        cell(row.detectable),
        cell(row.seeds_to_decide),
        cell(row.seconds),
        row.total_seconds.to_string(),
        cell(row.memory_bytes),
        row.remarks.join("; "),
    ]
}

fn cell(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
