//! The table in the formats that people read and programs parse.

mod columns;
mod latex;
mod markdown;
mod rows;
mod text;

use std::fs;
use std::path::Path;

use super::best::link_best;
use super::identity::runs_folder;
use super::{CompareError, Comparison};
use crate::files::write_whole;

pub(super) use columns::{p_text, points};

/// The name of the table that programs read back.
const JSON: &str = "table.json";

impl Comparison {
    /// Whether a folder is that of a comparison.
    pub fn is_in(folder: &Path) -> bool {
        runs_folder(folder).is_dir() && folder.join(JSON).is_file()
    }

    /// The result of the comparison in a folder, as it was written last.
    ///
    /// # Errors
    /// [`CompareError::NotAComparison`] when the folder holds no such result, [`CompareError::Io`] when it cannot be
    /// read.
    pub fn read(folder: &Path) -> Result<Self, CompareError> {
        let path = folder.join(JSON);
        let text = fs::read_to_string(&path);
        let text = text.map_err(|source| CompareError::Io { path: path.clone(), action: "read", source })?;
        serde_json::from_str(&text).map_err(|error| CompareError::NotAComparison {
            path: folder.into(),
            found: format!("{JSON} is not the table of a comparison: {error}"),
        })
    }
}

/// Writes `table.md`, `table.csv`, `table.json` and `table.tex`, each whole or not at all, and the link to the best run.
pub(super) fn write(comparison: &Comparison, output: &Path) -> Result<(), CompareError> {
    let json = serde_json::to_string_pretty(comparison).expect("numbers and texts have a spelling in JSON") + "\n";
    let files = [
        ("table.md", markdown::markdown(comparison)),
        ("table.csv", rows::csv(comparison)),
        (JSON, json),
        ("table.tex", latex::latex(comparison)),
    ];
    for (name, text) in files {
        let path = output.join(name);
        write_whole(&path, text.as_bytes()).map_err(|source| CompareError::Io { path, action: "written", source })?;
    }
    link_best(comparison, output)
}
