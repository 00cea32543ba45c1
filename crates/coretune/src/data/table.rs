//! One table: how its columns are separated, which they are, and its rows.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::{Reader, ReaderBuilder, StringRecord, Trim};

use super::columns::Columns;
use super::file_kind::has_ending_of_image;
use super::listed::listed;
use super::role::role_of;
use super::table_path::{end_beside, in_other_case, located, without_detours};
use super::table_text::{text_of, without_blanks_before_quotes};
use super::{Column, DataError, DatasetOptions, ImageSource, ReadColumns, Role, bare_names};
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
    /// The line of each row by its image, label and split.
    lines: HashMap<(PathBuf, String, usize), u64>,
    /// Rows that name an image again with the same label for the same split, which are not among the rows.
    pub(super) repeated: Vec<String>,
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
        let text = without_blanks_before_quotes(source.text, char::from(source.separator));
        let source = Source { text: &text, ..source };
        let mut reader = source.reader();
        let header = reader.headers().map_err(|error| source.broken(&error))?.clone();
        let columns = Columns::of(path, &header, options).map_err(|error| {
            let DataError::NoColumn { column, .. } = error else { return error };
            let found = source.instead_of_columns(column, &header);
            found.map_or(error, |found| DataError::NotATable { path: path.into(), found })
        })?;
        let split =
            columns.split.map_or_else(|| source.column_of_splits(&columns, &header, options), |at| Ok(Some(at)))?;
        let (splits, certain) = (split.map(|_| Vec::new()), columns.certain);
        let names: Vec<String> = header.iter().map(ToString::to_string).collect();
        let read = ReadColumns::of(file_name(path), &names, columns.image, columns.label, split);
        let (lines, repeated) = (HashMap::new(), Vec::new());
        let mut table = Table { path: path.into(), rows: Vec::new(), splits, certain, columns: read, lines, repeated };
        for record in reader.records() {
            let record = record.map_err(|error| source.broken(&error))?;
            // Spreadsheets end a table with rows of separators alone.
            if record.iter().any(|value| !value.is_empty()) {
                table.add((columns.image, columns.label, split), &record, source.line(&record))?;
            }
        }
        if table.rows.is_empty() {
            return Err(DataError::NotATable {
                path: path.into(),
                found: "it ends after the names of its columns".into(),
            });
        }
        let mut images: Vec<&mut ImageSource> = table.rows.iter_mut().map(|row| &mut row.image).collect();
        table.columns.without_endings = bare_names::complete(path, &mut images)?;
        Ok(table)
    }

    /// Adds a row with the columns of the image, the label and the split.
    fn add(
        &mut self,
        (image, label, split): (usize, usize, Option<usize>),
        record: &StringRecord,
        line: u64,
    ) -> Result<(), DataError> {
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
        let written = field(image, "the path of an image")?;
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let foreign = |what: &'static str, beside: Option<PathBuf>| DataError::ForeignPath {
            path: self.path.clone(),
            line,
            written: written.into(),
            what,
            beside,
        };
        let image = located(folder, written).map_err(|what| foreign(what, end_beside(folder, written)))?;
        let label = field(label, "a label")?.to_string();
        if self.rows.is_empty() && !image.exists() {
            if has_ending_of_image(&label) && !has_ending_of_image(written) {
                let found = format!("`{written}` for the image and `{label}` for its label");
                return Err(refused("them the other way round", found));
            }
            if let Some(beside) = in_other_case(folder, written) {
                return Err(foreign("which differs from the name of a file in upper and lower case", Some(beside)));
            }
        }
        if MISSING.iter().any(|word| label.eq_ignore_ascii_case(word)) {
            return Err(refused("a label", format!("`{label}`, which programs write for a missing value")));
        }
        let split = split.map(|column| field(column, "a split: train, val or test")).transpose()?;
        let split = split.map_or(0, |name| number_of(self.splits.get_or_insert_default(), name, line));
        match self.lines.entry((without_detours(&image), label.clone(), split)) {
            Entry::Occupied(first) => self.repeated.push(format!("`{written}` on lines {} and {line}", first.get())),
            Entry::Vacant(place) => {
                place.insert(line);
                self.rows.push(Row { image: ImageSource::File(Arc::from(image)), label, split });
            }
        }
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

/// Whether a line has the names of both columns, with this sign between its values.
fn has_both(line: &str, separator: u8) -> bool {
    let names: StringRecord = line.split(char::from(separator)).map(|name| name.trim().trim_matches('"')).collect();
    Columns::found_in(&names, &DatasetOptions::default()) == 2
}

/// Whether a value says yes or no.
fn is_mark(value: &str) -> bool {
    ["0", "1", "0.0", "1.0", "true", "false", "yes", "no", "t", "f", "y", "n"].contains(&value.to_lowercase().as_str())
}

/// Names that splits have beside those that say their role.
const OTHER_SPLITS: [&str; 16] = [
    "holdout",
    "hold-out",
    "hold_out",
    "eval",
    "evaluation",
    "validate",
    "trainval",
    "train_val",
    "extra",
    "unlabeled",
    "unlabelled",
    "public",
    "private",
    "publictest",
    "privatetest",
    "none",
];

/// Distinct values that a column of splits has at most.
const MOST_SPLITS: usize = 8;

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
        let (comments, text) = without_comments(text, options);
        let skipped = u64::from(declared.is_some()) + comments;
        let source = |separator| Source { path, text, skipped, separator };
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

    /// What the text is in which no columns were found, if it is known.
    fn instead_of_columns(&self, missing: Column, header: &StringRecord) -> Option<String> {
        if let Some(content) = content_of(self.text.as_bytes()) {
            return Some(format!("it is {}", content.name));
        }
        if self.text.trim_start().starts_with("[{") || self.text.trim_start().starts_with("[[") {
            return Some("it is JSON".into());
        }
        if let Some(line) = self.line_of_header() {
            return Some(format!("the names of its columns are on line {line}, below a title"));
        }
        let only = header.get(0).filter(|_| header.len() == 1).unwrap_or_default();
        if let Some(sign) = SEPARATORS.into_iter().find(|&sign| has_both(only, sign)) {
            let [own, sign] = [self.separator, sign].map(|sign| char::from(sign).escape_debug().to_string());
            return Some(if self.text.trim_start().starts_with('"') {
                "each line is in quotes as a whole, and so one value".into()
            } else {
                format!("its first line says that `{own}` separates its values, but `{sign}` does")
            });
        }
        if is_separated_by_blanks(header) {
            return Some("blanks separate its values, not commas, semicolons or tabs".into());
        }
        let other = SEPARATORS.iter().map(|&sign| char::from(sign)).find(|&sign| {
            sign != char::from(self.separator) && header.len() > 1 && header.iter().any(|name| name.contains(sign))
        });
        if let Some(other) = other {
            let own = char::from(self.separator);
            return Some(format!(
                "two signs separate the names of its columns, `{own}` and `{}`",
                other.escape_debug()
            ));
        }
        self.columns_of_marks(header).filter(|_| missing == Column::Label).map(|classes| {
            format!("it has no column of labels, but one of 0 and 1 for each class: {}", listed(&classes))
        })
    }

    /// The line, among the first ones, that has the names of both columns although it is not the first.
    fn line_of_header(&self) -> Option<u64> {
        const LINES: usize = 6;
        let mut lines = (1 + self.skipped..).zip(self.text.lines()).take(LINES).skip(1);
        lines.find(|(_, line)| SEPARATORS.iter().any(|&sign| has_both(line, sign))).map(|(line, _)| line)
    }

    /// The columns of which every value is 0 or 1, if there are several.
    fn columns_of_marks(&self, header: &StringRecord) -> Option<Vec<String>> {
        let is_mark = |value: &str| ["0", "1", "0.0", "1.0"].contains(&value);
        let records: Vec<StringRecord> = self.reader().records().take(100).filter_map(Result::ok).collect();
        let all = |at: usize| records.iter().all(|record| record.get(at).is_some_and(is_mark));
        let classes: Vec<String> =
            (0..header.len()).filter(|&at| all(at)).filter_map(|at| header.get(at)).map(ToString::to_string).collect();
        (!records.is_empty() && classes.len() > 1).then_some(classes)
    }

    /// The column without the name `split` whose values are names of splits, if there is one.
    fn column_of_splits(
        &self,
        columns: &Columns,
        header: &StringRecord,
        options: &DatasetOptions,
    ) -> Result<Option<usize>, DataError> {
        let (path, names) = (self.path.to_path_buf(), |found: &[usize]| -> Vec<String> {
            found.iter().filter_map(|&at| header.get(at)).map(ToString::to_string).collect()
        });
        let mut values: HashMap<usize, BTreeSet<String>> = HashMap::new();
        for record in self.reader().records() {
            let record = record.map_err(|error| self.broken(&error))?;
            for &at in columns.maybe_split.iter().chain(&columns.others).chain(&columns.marks) {
                let values = values.entry(at).or_default();
                let value = record.get(at).unwrap_or_default();
                if values.len() <= MOST_SPLITS
                    && !values.contains(value)
                    && record.iter().any(|value| !value.is_empty())
                {
                    values.insert(value.to_string());
                }
            }
        }
        let of = |at: &usize| values.get(at).cloned().unwrap_or_default();
        let named = columns.maybe_split.iter().filter(|at| are_splits(&of(at), options));
        let otherwise = columns.others.iter().filter(|at| are_names_of_splits(&of(at)));
        let splits: Vec<usize> = named.chain(otherwise).copied().collect();
        match splits[..] {
            [] => {}
            [only] => return Ok(Some(only)),
            _ => return Err(DataError::SplitColumns { path, columns: names(&splits) }),
        }
        let marked = |at: &&usize| of(at).len() > 1 && of(at).iter().all(|value| is_mark(value));
        match columns.marks.iter().find(marked) {
            Some(at) => {
                let (column, values) = (names(&[*at]).concat(), of(at).into_iter().collect());
                Err(DataError::SplitMarks { path, column, values })
            }
            None => Ok(None),
        }
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
                expected: format!(
                    "{expected_len}, as in the header (between `{}`; a value with that sign in it needs quotes)",
                    char::from(self.separator).escape_debug()
                ),
                found: match pos.as_ref().and_then(|pos| self.text.get(pos.byte() as usize..)) {
                    Some(rest) if rest.trim_start().starts_with('#') => "a comment".into(),
                    _ => format!("{len} {}", if *len == 1 { "value" } else { "values" }),
                },
            },
            _ => DataError::malformed(self.path, "rows of CSV in UTF-8", error.to_string()),
        }
    }
}

/// Whether these values of a column are those of a column of splits: all are names of splits, or `options` name one of
/// them, or one trains by its name and the others have names that splits have too.
fn are_splits(values: &BTreeSet<String>, options: &DatasetOptions) -> bool {
    let asked = [&options.train_split, &options.val_split, &options.test_split];
    let is_asked = |value: &String| asked.iter().any(|name| name.as_ref() == Some(value));
    let is_other = |value: &String| value.is_empty() || OTHER_SPLITS.contains(&value.to_lowercase().as_str());
    let has_train = values.iter().any(|value| role_of(value) == Some(Role::Train));
    let all = |is_split: &dyn Fn(&String) -> bool| !values.is_empty() && values.iter().all(is_split);
    values.len() <= MOST_SPLITS
        && (values.iter().any(is_asked) || all(&|value| role_of(value).is_some() || (has_train && is_other(value))))
}

/// Whether these values of a column with any name are those of a column of splits.
fn are_names_of_splits(values: &BTreeSet<String>) -> bool {
    let roles: Option<Vec<Role>> = values.iter().map(|value| role_of(value)).collect();
    roles.is_some_and(|roles| roles.len() > 1 && roles.contains(&Role::Train))
}

/// The number of lines of comments before the header, and the text after them. A header may begin with `#` itself.
fn without_comments<'a>(text: &'a str, options: &DatasetOptions) -> (u64, &'a str) {
    let (mut comments, mut rest) = (0, text);
    while let Some(behind) = rest.strip_prefix('#') {
        let (line, below) = behind.split_once('\n').unwrap_or((behind, ""));
        let is_header = |separator: &u8| {
            let names: StringRecord = line.split(char::from(*separator)).map(str::trim).collect();
            Columns::found_in(&names, options) == 2
        };
        if SEPARATORS.iter().any(is_header) {
            return (comments, behind);
        }
        if below.is_empty() {
            break;
        }
        (comments, rest) = (comments + 1, below);
    }
    (comments, rest)
}

/// The separator that a first line such as `sep=;` declares, and the text after that line.
fn without_declaration(text: &str) -> (Option<u8>, &str) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    match first.trim_end_matches('\r').strip_prefix("sep=").map(str::as_bytes) {
        Some(&[separator]) => (Some(separator), rest),
        _ => (None, text),
    }
}
