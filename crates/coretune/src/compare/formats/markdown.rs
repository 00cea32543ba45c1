//! The table as Markdown.

use super::columns::Columns;
use crate::compare::Comparison;

/// Caption, table, verdict and remarks.
pub(super) fn markdown(comparison: &Comparison) -> String {
    let Columns { headings, rows } = Columns::of(comparison);
    let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
    let mut text = format!("{}\n\n", comparison.caption());
    text += &line(&mut headings.iter().map(ToString::to_string));
    text += &line(&mut headings.iter().map(|_| "---".to_string()));
    for row in rows {
        text += &line(&mut row.into_iter().map(|cell| cell.replace('|', "\\|")));
    }
    text.extend(["\n", &comparison.verdict.join("\n"), "\n"]);
    let below: Vec<String> = comparison.notes.iter().cloned().chain(comparison.remarks()).collect();
    if !below.is_empty() {
        text.extend(["\n- ", &below.join("\n- "), "\n"]);
    }
    text
}
