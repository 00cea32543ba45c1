//! What to use on this data, and how sure that is: one sentence.

use super::ComparedTask;
use super::formats::{p_text, points};
use super::statistics::{SEEDS_TO_DRAW, SeedsNeeded, seeds_needed};
use super::table::Row;

/// The sentence about rows of one budget.
pub(super) fn verdict(rows: &[&Row], baseline: &str, task: ComparedTask) -> String {
    let budget = rows.first().and_then(|row| row.labels_per_class);
    let at = budget.map(|labels| format!("With {labels} labels per class: ")).unwrap_or_default();
    let compared = || rows.iter().copied().filter(|row| row.difference.is_some());
    if rows.iter().all(|row| row.method != baseline || row.figure().is_none()) {
        return format!("{at}there is no verdict, since {baseline}, the baseline, has not finished a run.");
    }
    let ahead = |row: &&Row| row.difference.as_ref().is_some_and(|difference| difference.mean > 0.0);
    let better = compared().filter(ahead).filter(|row| row.is_decided());
    if let Some(best) = better.max_by(|a, b| height(a).total_cmp(&height(b))) {
        return format!("{at}use {}: {}.", best.method, evidence(best, baseline, task));
    }
    match compared().max_by(|a, b| height(a).total_cmp(&height(b))) {
        None => format!("{at}use {baseline}: nothing else has finished a run."),
        Some(best) if best.is_decided() => {
            format!(
                "{at}use {baseline}: every other row is below it; the best of them is {}: {}.",
                best.method,
                evidence(best, baseline, task)
            )
        }
        Some(best) => format!(
            "{at}use {baseline}: no other row is better by more than chance; the best of them is {}: {}; {}.",
            best.method,
            evidence(best, baseline, task),
            what_would_decide(best)
        ),
    }
}

/// The mean of the figure that rows are compared by.
fn height(row: &Row) -> f64 {
    row.figure().map_or(f64::NEG_INFINITY, |spread| spread.mean)
}

/// The difference with its interval, p-value and seeds.
fn evidence(row: &Row, baseline: &str, task: ComparedTask) -> String {
    let Some(difference) = &row.difference else { return String::new() };
    let (seeds, figure) = (difference.of_seeds.len(), task.figure());
    let (low, high) = (points(difference.interval.low), points(difference.interval.high));
    let p = p_text(row.p_holm.unwrap_or(1.0));
    let mut text = format!(
        "its {figure} differs from {baseline} by {} points (95 % interval {low} to {high}, p {p} after Holm, {})",
        points(difference.mean),
        if seeds == 1 { "1 seed".into() } else { format!("{seeds} seeds") }
    );
    let open_over_seeds = row.t_interval.filter(|interval| interval.low <= 0.0 && interval.high >= 0.0);
    if let Some(interval) = open_over_seeds.filter(|_| seeds < SEEDS_TO_DRAW && row.is_decided()) {
        let (low, high) = (points(interval.low), points(interval.high));
        let decide = what_would_decide(row);
        text.push_str(", which holds for these seeds; over other seeds it may not (t interval ");
        text.extend([&low, " to ", &high, "), and ", &decide]);
    } else if seeds == 1 && row.is_decided() {
        text += ", which holds for this seed; how much seeds differ is not known from one";
    }
    text
}

/// How many seeds would decide whether the difference holds.
fn what_would_decide(row: &Row) -> String {
    let of_seeds = row.difference.as_ref().map_or(&[][..], |difference| &difference.of_seeds);
    match seeds_needed(of_seeds) {
        SeedsNeeded::Unknown => "one seed does not tell how many would decide: give three or more".into(),
        SeedsNeeded::About(seeds) if seeds <= of_seeds.len() => "more test images would decide, not more seeds".into(),
        SeedsNeeded::About(seeds) => format!("about {seeds} seeds would decide"),
        SeedsNeeded::TooMany => format!("not even {} seeds would decide", super::statistics::MOST_SEEDS),
    }
}
