//! The table in the formats that people read and programs parse.

mod columns;
mod latex;
mod markdown;
mod rows;
mod text;

use std::path::Path;

use super::{CompareError, Comparison};
use crate::files::write_whole;

pub(super) use columns::{p_text, points};

/// Writes `table.md`, `table.csv`, `table.json` and `table.tex`, each whole or not at all.
pub(super) fn write(comparison: &Comparison, output: &Path) -> Result<(), CompareError> {
    let json = serde_json::to_string_pretty(comparison).expect("numbers and texts have a spelling in JSON") + "\n";
    let files = [
        ("table.md", markdown::markdown(comparison)),
        ("table.csv", rows::csv(comparison)),
        ("table.json", json),
        ("table.tex", latex::latex(comparison)),
    ];
    for (name, text) in files {
        let path = output.join(name);
        write_whole(&path, text.as_bytes()).map_err(|source| CompareError::Io { path, action: "written", source })?;
    }
    Ok(())
}
