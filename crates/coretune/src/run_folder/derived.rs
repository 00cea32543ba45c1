//! `metrics.csv`: the records as a table, one row each; a cell is empty if its record has no such figure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::MetricsRecord;
use crate::figures::Figures;

/// Columns that come first, in this order; then the figures of evaluations, then all others, each by name.
const LEADING: [&str; 5] = ["kind", "step", "epoch", "split", "loss"];

/// The table as CSV.
pub(super) fn table(records: &[MetricsRecord]) -> Vec<u8> {
    let rows: Vec<_> = records.iter().map(fields).collect();
    let columns = columns(records, &rows);
    let mut lines = vec![columns.iter().map(ToString::to_string).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|&name| cell(row.get(name))).collect()));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).expect("memory takes every row, and all have the same length");
    }
    writer.into_inner().expect("memory takes every row")
}

fn columns<'a>(records: &'a [MetricsRecord], rows: &'a [Map<String, Value>]) -> Vec<&'a str> {
    let evaluated: BTreeSet<&str> =
        records.iter().filter_map(MetricsRecord::evaluation).flat_map(Figures::names).collect();
    let all: BTreeSet<&str> = rows.iter().flat_map(Map::keys).map(String::as_str).collect();
    let mut columns = LEADING.to_vec();
    for names in [evaluated, ["lr"].into(), all] {
        columns.extend(names.into_iter().filter(|name| !columns.contains(name)).collect::<Vec<_>>());
    }
    columns
}

/// The fields of a record by name, as in `metrics.jsonl`.
pub(crate) fn fields(record: &MetricsRecord) -> Map<String, Value> {
    match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        _ => unreachable!("a record is an object of numbers and names"),
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
