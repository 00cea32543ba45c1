//! The table as LaTeX, without packages.

use super::columns::Columns;
use crate::compare::Comparison;

/// A `table` environment.
pub(super) fn latex(comparison: &Comparison) -> String {
    let Columns { headings, rows } = Columns::of(comparison);
    let line = |cells: &mut dyn Iterator<Item = String>| {
        format!("{} \\\\\n", cells.map(|cell| escaped(&cell)).collect::<Vec<_>>().join(" & "))
    };
    let mut text = format!("\\begin{{table}}\n\\begin{{tabular}}{{{}}}\n\\hline\n", "l".repeat(headings.len()));
    text += &line(&mut headings.into_iter().map(ToString::to_string));
    text += "\\hline\n";
    for row in rows {
        text += &line(&mut row.into_iter());
    }
    text + &format!("\\hline\n\\end{{tabular}}\n\\caption{{{}}}\n\\end{{table}}\n", escaped(&comparison.caption()))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', letter]),
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '±' => escaped += "$\\pm$",
            '<' => escaped += "$<$",
            '>' => escaped += "$>$",
            letter => escaped.push(letter),
        }
    }
    escaped
}
