//! The table for a terminal.

use super::columns::Columns;
use crate::compare::Comparison;

impl Comparison {
    /// The table for a terminal, with the remarks below it.
    pub fn to_text(&self) -> String {
        text(self)
    }
}

fn text(comparison: &Comparison) -> String {
    let Columns { headings, rows } = Columns::of(comparison);
    let headings: Vec<String> = headings.into_iter().map(ToString::to_string).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&headings).chain(&rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    for remark in comparison.remarks() {
        text.extend(["  ", &remark, "\n"]);
    }
    text
}
