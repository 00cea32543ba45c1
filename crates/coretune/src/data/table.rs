//! One table: how its columns are separated, which they are, and its rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::{Reader, ReaderBuilder, StringRecord, Trim};

use super::columns::Columns;
use super::file_kind::has_ending_of_image;
use super::role::role_of;
use super::table_text::text_of;
use super::{DataError, DatasetOptions, ImageSource, ReadColumns};
use crate::files::content_of;

/// A table that was read.
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) rows: Vec<Row>,
    /// The values of the column of splits, if there is one.
    pub(super) splits: Option<Vec<SplitValue>>,
    /// Whether its columns have the names that the documentation asks for, or were named.
    pub(super) certain: bool,
    pub(super) columns: ReadColumns,
}

pub(super) struct Row {
    pub(super) image: ImageSource,
    pub(super) label: String,
    /// Position among the values of the column of splits.
    pub(super) split: usize,
}

/// A value of the column of splits, and the line where it comes first.
pub(super) struct SplitValue {
    pub(super) name: String,
    pub(super) line: u64,
}

/// Signs between the values of a row, the usual one first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What programs write where a value is missing. `None` is not among them: in some data it is a class.
const MISSING: [&str; 4] = ["nan", "<na>", "#n/a", "#na"];

/// The text of a table and how to read it.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
    /// Lines before the header.
    skipped: u64,
    separator: u8,
}

impl Table {
    pub(super) fn read(path: &Path, options: &DatasetOptions) -> Result<Self, DataError> {
        let text = text_of(path)?;
        let source = Source::of(path, &text, options)?;
        let mut reader = source.reader();
        let header = reader.headers().map_err(|error| source.broken(&error))?.clone();
        let columns =
            Columns::of(path, &header, options).map_err(|error| match (error, content_of(text.as_bytes())) {
                (DataError::NoColumn { .. }, Some(content)) => {
                    DataError::NotATable { path: path.into(), found: format!("it is {}", content.name) }
                }
                (DataError::NoColumn { .. }, None) if is_separated_by_blanks(&header) => {
                    let found = "blanks separate its values, not commas, semicolons or tabs";
                    DataError::NotATable { path: path.into(), found: found.into() }
                }
                (error, _) => error,
            })?;
        let split = match columns.maybe_split {
            Some(maybe) if source.all_are_splits(maybe, options)? => Some(maybe),
            _ => columns.split,
        };
        let (splits, certain) = (split.map(|_| Vec::new()), columns.certain);
        let names: Vec<String> = header.iter().map(ToString::to_string).collect();
        let read = ReadColumns::of(file_name(path), &names, columns.image, columns.label, split);
        let mut table = Table { path: path.into(), rows: Vec::new(), splits, certain, columns: read };
        for record in reader.records() {
            let record = record.map_err(|error| source.broken(&error))?;
            // Spreadsheets end a table with rows of separators alone.
            if record.iter().any(|value| !value.is_empty()) {
                table.add(&Columns { split, ..columns }, &record, source.line(&record))?;
            }
        }
        Ok(table)
    }

    fn add(&mut self, columns: &Columns, record: &StringRecord, line: u64) -> Result<(), DataError> {
        let refused = |expected: &str, found: String| DataError::Line {
            path: self.path.clone(),
            line,
            expected: expected.into(),
            found,
        };
        let field = |column: usize, expected: &str| match record.get(column) {
            Some(text) if text.contains(['\n', '\r']) => {
                let found = format!("a value of several lines, from {:?}", text.lines().next().unwrap_or_default());
                Err(refused(&format!("{expected} (is a quote not closed?)"), found))
            }
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(refused(expected, "nothing".into())),
        };
        let written = field(columns.image, "the path of an image")?;
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let image = located(folder, written).map_err(|what| {
            refused(
                "a path from the folder of the table, or an absolute one of this machine",
                format!("`{written}`, {what}"),
            )
        })?;
        let label = field(columns.label, "a label")?.to_string();
        if MISSING.iter().any(|word| label.eq_ignore_ascii_case(word)) {
            return Err(refused("a label", format!("`{label}`, which programs write for a missing value")));
        }
        let split = columns.split.map(|column| field(column, "a split: train, val or test")).transpose()?;
        let split = split.map_or(0, |name| number_of(self.splits.get_or_insert_default(), name, line));
        self.rows.push(Row { image: ImageSource::File(Arc::from(image)), label, split });
        Ok(())
    }

    pub(super) fn refused(&self, split: &SplitValue, expected: String) -> DataError {
        let found = format!("the split `{}`", split.name);
        DataError::Line { path: self.path.clone(), line: split.line, expected, found }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether the first line is one value, with blanks between words that are the names of columns or a row.
fn is_separated_by_blanks(header: &StringRecord) -> bool {
    let words: Vec<&str> = header.iter().flat_map(str::split_whitespace).collect();
    let names = StringRecord::from(words.clone());
    let is_image = words.iter().any(|word| has_ending_of_image(word));
    header.len() == 1 && words.len() > 1 && (is_image || Columns::found_in(&names, &DatasetOptions::default()) == 2)
}

/// The file that a table means by `written`, or what `written` is instead of a path of this machine. A backslash separates
/// folders, unless a file has it in its name.
fn located(folder: &Path, written: &str) -> Result<PathBuf, &'static str> {
    let as_written = folder.join(written);
    let is_elsewhere = |written: &str| {
        let scheme = written.split_once("://").map_or("", |(scheme, _)| scheme);
        let mut letters = written.chars();
        let drive = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
            && letters.next() == Some(':')
            && matches!(letters.next(), Some('\\' | '/'));
        if !scheme.is_empty() && scheme.chars().all(char::is_alphanumeric) {
            Some("an address")
        } else if drive || written.starts_with("\\\\") {
            Some("a path of Windows with its drive or server")
        } else {
            None
        }
    };
    match is_elsewhere(written) {
        Some(what) if !as_written.exists() => Err(what),
        None if written.contains('\\') && !as_written.exists() => Ok(folder.join(written.replace('\\', "/"))),
        _ => Ok(as_written),
    }
}

/// Position of `name` among the values, to which it is added when it is new.
fn number_of(values: &mut Vec<SplitValue>, name: &str, line: u64) -> usize {
    values.iter().position(|value| value.name == name).unwrap_or_else(|| {
        values.push(SplitValue { name: name.into(), line });
        values.len() - 1
    })
}

impl<'a> Source<'a> {
    /// The separator is the one with which the header has the most of the two columns, then the most columns at all.
    fn of(path: &'a Path, text: &'a str, options: &DatasetOptions) -> Result<Self, DataError> {
        let (declared, text) = without_declaration(text);
        let source = |separator| Source { path, text, skipped: u64::from(declared.is_some()), separator };
        if let Some(separator) = declared {
            return Ok(source(separator));
        }
        let mut best = (source(SEPARATORS[0]), (0, 0));
        for separator in SEPARATORS {
            let source = source(separator);
            let header = source.reader().headers().map_err(|error| source.broken(&error))?.clone();
            let found = (Columns::found_in(&header, options), header.len());
            if found > best.1 {
                best = (source, found);
            }
        }
        Ok(best.0)
    }

    fn reader(&self) -> Reader<&'a [u8]> {
        ReaderBuilder::new().trim(Trim::All).delimiter(self.separator).from_reader(self.text.as_bytes())
    }

    /// Whether every row has the name of a split in this column, or one that `options` name.
    fn all_are_splits(&self, column: usize, options: &DatasetOptions) -> Result<bool, DataError> {
        let asked = [&options.train_split, &options.val_split, &options.test_split];
        for record in self.reader().records() {
            let record = record.map_err(|error| self.broken(&error))?;
            let value = record.get(column).unwrap_or_default();
            let is_split = role_of(value).is_some() || asked.iter().any(|name| name.as_deref() == Some(value));
            if !is_split && record.iter().any(|value| !value.is_empty()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn line(&self, record: &StringRecord) -> u64 {
        self.skipped + record.position().map_or(0, csv::Position::line)
    }

    fn broken(&self, error: &csv::Error) -> DataError {
        let path = self.path.to_path_buf();
        match error.kind() {
            csv::ErrorKind::UnequalLengths { pos, expected_len, len } => DataError::Line {
                path,
                line: self.skipped + pos.as_ref().map_or(0, csv::Position::line),
                expected: format!("{expected_len}, as in the header (a value with a separator in it needs quotes)"),
                found: format!("{len} {}", if *len == 1 { "value" } else { "values" }),
            },
            _ => DataError::malformed(self.path, "rows of CSV in UTF-8", error.to_string()),
        }
    }
}

/// The separator that a first line such as `sep=;` declares, and the text after that line.
fn without_declaration(text: &str) -> (Option<u8>, &str) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    match first.trim_end_matches('\r').strip_prefix("sep=").map(str::as_bytes) {
        Some(&[separator]) => (Some(separator), rest),
        _ => (None, text),
    }
}
