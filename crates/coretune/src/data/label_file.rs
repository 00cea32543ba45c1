//! Files beside folders of images that may hold the labels.

use std::fmt;
use std::path::Path;

use super::listed::listed;
use super::role::role_of;

/// A file that may hold the labels of the images beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelFile {
    /// Its name.
    pub name: String,
    /// What it is, by its ending.
    pub kind: LabelFileKind,
    /// Whether it names the images; else only its own name says that it holds labels.
    pub names_images: bool,
    /// The column that names them, of a table.
    pub column: Option<String>,
    /// The folders with images beside it; none if the images lie in none.
    pub folders: Vec<String>,
}

/// What such a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelFileKind {
    /// CSV or TSV.
    Table,
    /// Lines of words.
    Text,
    /// JSON, as a whole or in lines.
    Json,
    /// A workbook of a spreadsheet.
    Workbook,
}

/// Words in the name of a file that holds labels.
const WORDS: [&str; 8] =
    ["label", "annotation", "metadata", "ground_truth", "groundtruth", "target", "diagnos", "solution"];

/// Names of files that never hold labels.
const OTHERS: [&str; 5] = ["readme", "license", "licence", "requirements", "classes"];

impl LabelFileKind {
    pub(super) fn of(name: &str) -> Option<Self> {
        let path = Path::new(name);
        let stem = path.file_stem()?.to_str()?.to_lowercase();
        match path.extension()?.to_str()?.to_lowercase().as_str() {
            _ if OTHERS.contains(&stem.as_str()) => None,
            "csv" | "tsv" => Some(LabelFileKind::Table),
            "txt" | "lst" | "list" => Some(LabelFileKind::Text),
            "json" | "jsonl" | "ndjson" => Some(LabelFileKind::Json),
            "xlsx" | "xls" | "ods" => Some(LabelFileKind::Workbook),
            _ => None,
        }
    }
}

impl fmt::Display for LabelFile {
    /// ``images in the folders `a`, `b`, and the file `labels.txt` names them: either could say the classes``
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folders = listed(&self.folders);
        match self.folders.len() {
            0 => write!(f, "images in no folder of a class")?,
            1 => write!(f, "images in the folder {folders}")?,
            _ => write!(f, "images in the folders {folders}")?,
        }
        let says = if self.names_images { "names them" } else { "may hold their labels" };
        write!(f, ", and the file `{}` {says}", self.name)?;
        if self.folders.is_empty() { Ok(()) } else { f.write_str(": either could say the classes") }
    }
}

/// Whether a file may hold labels by its name.
pub(super) fn may_hold_labels(name: &str) -> bool {
    let is_split = || Path::new(name).file_stem().and_then(|stem| role_of(stem.to_str()?)).is_some();
    match LabelFileKind::of(name) {
        None => name.to_lowercase().ends_with(".xml"),
        Some(LabelFileKind::Text) => says_labels(name) || is_split(),
        Some(_) => true,
    }
}

/// Whether a name has the word labels or a similar one in it.
pub(super) fn says_labels(name: &str) -> bool {
    let name = name.to_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}
