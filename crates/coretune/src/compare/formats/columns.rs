//! The columns that people read, as text.

use crate::compare::{ComparedTask, Comparison, Row, Spread};
use crate::evaluate::bootstrap::Interval;

/// The heading of each column, and each row's cells.
pub(super) struct Columns {
    pub(super) headings: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

type Cell = fn(&Row) -> String;

const NONE: &str = "-";

impl Columns {
    /// The columns of a comparison; the budget is left out if there is only one.
    pub(super) fn of(comparison: &Comparison) -> Self {
        let several_budgets = comparison.rows.iter().any(|row| row.labels_per_class.is_some());
        let few_seeds = comparison.rows.iter().any(|row| row.t_interval.is_some() && !draws_seeds(row));
        let pixels = comparison.task == ComparedTask::Segmentation;
        let all: [(&str, bool, Cell); 16] = [
            ("method", true, |row| row.method.clone()),
            ("labels/class", several_budgets, |row| row.labels_per_class.map_or(NONE.into(), |n| n.to_string())),
            ("settings", comparison.rows.iter().any(|row| !row.settings.is_empty()), settings),
            ("seeds", true, |row| row.seeds.len().to_string()),
            ("top-1 %", !pixels, |row| spread(row.top1.as_ref(), 100.0, 2)),
            ("mean IoU %", pixels, |row| spread(row.mean_iou.as_ref(), 100.0, 2)),
            ("difference", true, |row| row.difference.as_ref().map_or(NONE.into(), |d| points(d.mean))),
            ("95 % interval", true, |row| interval(row.difference.as_ref().map(|difference| difference.interval))),
            ("t over seeds", few_seeds, |row| interval(row.interval_over_seeds())),
            ("smallest visible difference", few_seeds, |row| {
                let least = row.interval_over_seeds().and(row.detectable);
                least.map_or(NONE.into(), |least| format!("{:.2}", 100.0 * least))
            }),
            ("p (Holm)", true, |row| row.p_holm.map_or(NONE.into(), |p| p_text(p).trim_start_matches("= ").into())),
            ("ECE %", !pixels, |row| spread(row.ece.as_ref(), 100.0, 1)),
            ("mean pixel accuracy %", pixels, |row| spread(row.mean_pixel_accuracy.as_ref(), 100.0, 2)),
            ("weighted IoU %", pixels, |row| spread(row.frequency_weighted_iou.as_ref(), 100.0, 2)),
            ("s/run", true, |row| row.seconds.map_or(NONE.into(), |seconds| format!("{seconds:.1}"))),
            ("GB", true, |row| row.memory_bytes.map_or(NONE.into(), |bytes| format!("{:.2}", bytes as f64 / 1e9))),
        ];
        let shown: Vec<_> = all.into_iter().filter(|(_, shown, _)| *shown).collect();
        Columns {
            headings: shown.iter().map(|(heading, _, _)| *heading).collect(),
            rows: comparison.rows.iter().map(|row| shown.iter().map(|(_, _, cell)| cell(row)).collect()).collect(),
        }
    }
}

impl Comparison {
    /// The headings of the columns that people read, and the cells of each row.
    pub fn cells(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let Columns { headings, rows } = Columns::of(self);
        (headings, rows)
    }

    /// The remarks of all rows, each with the row that it is about.
    pub fn remarks(&self) -> Vec<String> {
        remarks(self)
    }

    /// What the table is of.
    pub fn caption(&self) -> String {
        caption(self)
    }
}

fn remarks(comparison: &Comparison) -> Vec<String> {
    let of_row = |row: &Row| {
        let budget = row.labels_per_class.map(|labels| format!(" at {labels} labels per class")).unwrap_or_default();
        let name = format!("{}{budget}", row.method);
        row.remarks.iter().map(|remark| format!("{name}: {remark}")).collect::<Vec<_>>()
    };
    comparison.rows.iter().flat_map(of_row).collect()
}

fn caption(comparison: &Comparison) -> String {
    let figure = match comparison.task {
        ComparedTask::Classification => "Top-1",
        ComparedTask::Segmentation => "Mean IoU",
    };
    format!(
        "{figure} on {} {} images, mean and standard deviation over seeds; difference to {} in points, paired by seed and \
         image, with the interval of {} bootstrap draws.",
        comparison.images,
        comparison.split,
        comparison.baseline,
        crate::compare::statistics::DRAWS
    )
}

fn draws_seeds(row: &Row) -> bool {
    row.difference.as_ref().is_some_and(|difference| difference.seeds_drawn)
}

fn settings(row: &Row) -> String {
    let name = |key: &str| key.split_once('.').map_or(key.to_string(), |(_, name)| name.to_string());
    let parts: Vec<String> = row.settings.iter().map(|(key, value)| format!("{}={value}", name(key))).collect();
    if parts.is_empty() { NONE.into() } else { parts.join(" ") }
}

fn spread(spread: Option<&Spread>, factor: f64, digits: usize) -> String {
    let Some(Spread { mean, sd, .. }) = spread else { return NONE.into() };
    match sd {
        Some(sd) => format!("{:.digits$} ± {:.digits$}", factor * mean, factor * sd),
        None => format!("{:.digits$}", factor * mean),
    }
}

fn interval(interval: Option<Interval>) -> String {
    interval.map_or(NONE.into(), |Interval { low, high }| format!("{} to {}", points(low), points(high)))
}

/// A difference of fractions in points, with its sign.
pub(in crate::compare) fn points(difference: f64) -> String {
    let text = format!("{:+.2}", 100.0 * difference);
    if text == "-0.00" { "+0.00".into() } else { text }
}

/// A p-value: `= 0.031`, or `< 0.001`.
pub(in crate::compare) fn p_text(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("= {p:.3}") }
}
