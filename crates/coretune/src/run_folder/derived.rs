//! `metrics.csv`: the records as a table, one row each, empty where a record has no such figure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::MetricsRecord;

/// Columns that come first, in this order; the others follow by name.
const LEADING: [&str; 7] = ["kind", "step", "epoch", "split", "loss", "top1", "lr"];

/// The table as CSV.
pub(super) fn table(records: &[MetricsRecord]) -> Vec<u8> {
    let rows: Vec<_> = records.iter().map(fields).collect();
    let others: BTreeSet<&str> = rows.iter().flat_map(Map::keys).map(String::as_str).collect();
    let others = others.into_iter().filter(|name| !LEADING.contains(name));
    let columns: Vec<&str> = LEADING.into_iter().chain(others).collect();
    let mut lines = vec![columns.iter().map(ToString::to_string).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|&name| cell(row.get(name))).collect()));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).expect("memory takes every row, and all have the same length");
    }
    writer.into_inner().expect("memory takes every row")
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
