//! What to use on this data, and how sure that is: one sentence, and the row that it recommends.

use super::ComparedTask;
use super::formats::{p_text, points};
use super::statistics::{SEEDS_TO_DRAW, SeedsNeeded, seeds_needed};
use super::table::Row;

/// A recommendation.
pub(super) struct Verdict<'a> {
    pub(super) sentence: String,
    /// The row to use; none while the baseline has not finished a run.
    pub(super) recommended: Option<&'a Row>,
}

/// What the rows were measured on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Basis<'a> {
    /// The row that the others are compared with.
    pub(super) baseline: &'a str,
    pub(super) task: ComparedTask,
    /// Images of the split that the figures are of.
    pub(super) images: usize,
}

/// Runs that take at most this many times as long as the shortest cost the same.
const SAME_COST: f64 = 1.1;

/// The verdict about rows of one budget.
pub(super) fn verdict<'a>(rows: &[&'a Row], basis: Basis<'_>) -> Verdict<'a> {
    let baseline = basis.baseline;
    let budget = rows.first().and_then(|row| row.labels_per_class);
    let at = budget.map(|labels| format!("With {labels} labels per class: ")).unwrap_or_default();
    let found = rows.iter().copied().find(|row| row.method == baseline && row.figure().is_some());
    let Some(of_baseline) = found else {
        let sentence = format!("{at}there is no verdict, since {baseline}, the baseline, has not finished a run.");
        return Verdict { sentence, recommended: None };
    };
    let compared: Vec<&Row> = rows.iter().copied().filter(|row| row.difference.is_some()).collect();
    let ahead = |row: &&&Row| row.is_decided() && row.difference.as_ref().is_some_and(|d| d.mean > 0.0);
    if let Some(best) = highest(compared.iter().filter(ahead).copied()) {
        let sentence = format!("{at}use {}: {}.", best.method, evidence(best, basis));
        return Verdict { sentence, recommended: Some(best) };
    }
    let open: Vec<&Row> = compared.iter().copied().filter(|row| !row.is_decided()).collect();
    if !open.is_empty() {
        let (recommended, sentence) = undecided(of_baseline, &open, open.len() < compared.len(), basis);
        return Verdict { sentence: format!("{at}{sentence}."), recommended: Some(recommended) };
    }
    let sentence = match highest(compared.into_iter()) {
        None => format!("{at}use {baseline}: nothing else has finished a run."),
        Some(best) => format!(
            "{at}use {baseline}: every other row is below it; the best of them is {}: {}.",
            best.method,
            evidence(best, basis)
        ),
    };
    Verdict { sentence, recommended: Some(of_baseline) }
}

/// The row to use if nothing is above the baseline by more than chance and the `open` rows are not below it either:
/// one of the cheapest of them, and the sentence that says so.
fn undecided<'a>(baseline: &'a Row, open: &[&'a Row], others_are_below: bool, basis: Basis<'_>) -> (&'a Row, String) {
    // The baseline is the last, so that it is taken before others that are as high.
    let all: Vec<&Row> = open.iter().copied().chain([baseline]).collect();
    let best = highest(all.iter().copied()).unwrap_or(baseline);
    let nearest = highest(open.iter().copied()).unwrap_or(baseline);
    let seeds = nearest.difference.as_ref().map_or(0, |difference| difference.of_seeds.len());
    let these = if others_are_below { names(&all) } else { "these methods".into() };
    let (seeds, images, figure) = (count(seeds, "seed"), count(basis.images, "image"), basis.task.figure());
    let first = if best.method == nearest.method {
        format!("the highest in {figure} is {}", best.method)
    } else {
        format!("the highest in {figure} is {}, then {}", best.method, nearest.method)
    };
    let cheapest = cheapest(&all).unwrap_or(baseline);
    let seconds = |row: &Row| row.seconds.unwrap_or_default();
    let cost = if cheapest.method == best.method {
        format!("use {}: none of these is cheaper", best.method)
    } else {
        let (method, less, more) = (&cheapest.method, seconds(cheapest), seconds(best));
        format!("for cost use {method}: {less:.1} s a run against {more:.1} s")
    };
    let (difference, decide) = (short_difference(nearest, basis.baseline), what_would_decide(nearest));
    let sentence =
        format!("open: {seeds} and {images} do not tell {these} apart; {first}, {difference}; {decide}; {cost}");
    (cheapest, sentence)
}

/// `+5.00 points (-8.33 to +18.33) against cross-entropy`
fn short_difference(row: &Row, baseline: &str) -> String {
    let Some(difference) = &row.difference else { return String::new() };
    let [mean, low, high] = [difference.mean, difference.interval.low, difference.interval.high].map(points);
    format!("{mean} points ({low} to {high}) against {baseline}")
}

/// Of the rows that cost as little as the cheapest, the highest.
fn cheapest<'a>(rows: &[&'a Row]) -> Option<&'a Row> {
    let least = rows.iter().filter_map(|row| row.seconds).reduce(f64::min)?;
    highest(rows.iter().copied().filter(|row| row.seconds.is_some_and(|seconds| seconds <= SAME_COST * least)))
}

/// The row with the highest figure, the last of them on ties.
fn highest<'a>(rows: impl Iterator<Item = &'a Row>) -> Option<&'a Row> {
    rows.max_by(|a, b| height(a).total_cmp(&height(b)))
}

fn names(rows: &[&Row]) -> String {
    let names: Vec<&str> = rows.iter().map(|row| &*row.method).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    }
}

fn count(number: usize, of: &str) -> String {
    if number == 1 { format!("1 {of}") } else { format!("{number} {of}s") }
}

/// The mean of the figure that rows are compared by.
fn height(row: &Row) -> f64 {
    row.figure().map_or(f64::NEG_INFINITY, |spread| spread.mean)
}

/// The difference with its interval, p-value and seeds.
fn evidence(row: &Row, basis: Basis<'_>) -> String {
    let Some(difference) = &row.difference else { return String::new() };
    let (seeds, figure, baseline) = (difference.of_seeds.len(), basis.task.figure(), basis.baseline);
    let (low, high) = (points(difference.interval.low), points(difference.interval.high));
    let p = p_text(row.p_holm.unwrap_or(1.0));
    let mut text = format!(
        "its {figure} differs from {baseline} by {} points (95 % interval {low} to {high}, p {p} after Holm, {})",
        points(difference.mean),
        count(seeds, "seed")
    );
    let open_over_seeds = row.interval_over_seeds().filter(|interval| interval.low <= 0.0 && interval.high >= 0.0);
    if let Some(interval) = open_over_seeds.filter(|_| seeds < SEEDS_TO_DRAW && row.is_decided()) {
        let (low, high) = (points(interval.low), points(interval.high));
        let decide = what_would_decide(row);
        text.push_str(", which holds for these seeds; over other seeds it may not (t interval ");
        text.extend([&low, " to ", &high, "), and ", &decide]);
    } else if row.is_decided() && seeds == 1 {
        text += ", which holds for this seed; how much seeds differ is not known from one";
    } else if row.is_decided() && seeds == 2 {
        text += ", which holds for these seeds; two are too few to show how much seeds differ";
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
