//! CSV with the columns `image_path` and `label`, and maybe `split`.

use std::collections::HashMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::StringRecord;

use super::folder::names_in;
use super::found::{Found, Listing};
use super::left_out::{LeftOut, Reason};
use super::role::role_of;
use super::{DataError, DatasetOptions, Format, ImageSource, Role, split_names};
use crate::files::regular_file;

/// What is listed for each of [`Role::ALL`].
type Splits = [Option<Listing>; 3];

pub(super) fn read(path: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    let mut left_out = LeftOut::default();
    let splits = if path.is_dir() {
        in_folder(path, options, &mut left_out)?
    } else if is_csv(&path.to_string_lossy()) {
        Some(in_table(Table::read(path)?, options, &mut left_out)?)
    } else {
        None
    };
    Ok(splits.map(|splits| Found { format: Format::Csv, splits, classes: None, titles: HashMap::new(), left_out }))
}

fn is_csv(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

/// A file for each split, or the only file; none where no file is a CSV.
fn in_folder(folder: &Path, options: &DatasetOptions, left_out: &mut LeftOut) -> Result<Option<Splits>, DataError> {
    let mut files = names_in(folder)?;
    files.retain(|name| is_csv(name));
    if let [only] = &files[..] {
        let table = Table::read(&folder.join(only))?;
        if table.splits.is_some() || !options.names_any() {
            return in_table(table, options, left_out).map(Some);
        }
    }
    by_file_name(folder, &files, options, left_out)
}

/// `train.csv`, `val.csv`, `test.csv`; none where no name says what the file is for.
fn by_file_name(
    folder: &Path,
    files: &[String],
    options: &DatasetOptions,
    left_out: &mut LeftOut,
) -> Result<Option<Splits>, DataError> {
    if files.is_empty() {
        return Ok(None);
    }
    let stems: Vec<String> = files.iter().map(|name| name[..name.len() - ".csv".len()].to_string()).collect();
    let names = split_names::assign(folder, &stems, options)?;
    if names.iter().all(Option::is_none) {
        return Ok(None);
    }
    for (stem, file) in stems.iter().zip(files).filter(|(stem, _)| !names.contains(&Some((*stem).clone()))) {
        left_out.add(Reason::OtherTable { split: stem.clone() }, file.clone());
    }
    let mut splits = [None, None, None];
    for ((role, name), listing) in Role::ALL.into_iter().zip(names).zip(&mut splits) {
        let file = stems.iter().position(|stem| Some(stem) == name.as_ref()).map(|at| folder.join(&files[at]));
        *listing = file.map(|file| whole(Table::read(&file)?, role)).transpose()?;
    }
    Ok(Some(splits))
}

/// All rows of a file whose name says the split; a column `split` has to agree.
fn whole(table: Table, role: Role) -> Result<Listing, DataError> {
    let others = table.splits.iter().flatten().find(|split| role_of(&split.name) != Some(role));
    if let Some(other) = others {
        let expected = format!("{role} in every row, as the name of the file says");
        return Err(table.refused(other, expected));
    }
    let mut listing = Rows::default();
    table.rows.into_iter().for_each(|row| listing.add(row));
    Ok(listing.named(table.path))
}

/// The rows of one file by its column `split`; without one they are all for training.
fn in_table(table: Table, options: &DatasetOptions, left_out: &mut LeftOut) -> Result<Splits, DataError> {
    let Some(values) = &table.splits else {
        // Refuses splits that were asked for by name.
        split_names::assign(&table.path, &[], options)?;
        return Ok([Some(whole(table, Role::Train)?), None, None]);
    };
    let roles = roles_of(values, &table, options)?;
    let mut splits: [Option<Rows>; 3] = Default::default();
    for row in table.rows {
        if let Some(role) = roles[row.split] {
            splits[role].get_or_insert_default().add(row);
        } else {
            let split = values[row.split].name.clone();
            left_out.add(Reason::OtherSplit { split }, row.image.to_string());
        }
    }
    Ok(splits.map(|rows| rows.map(|rows| rows.named(table.path.clone()))))
}

/// The place in [`Role::ALL`] of each value of the column; none for those that names in `options` have left over.
fn roles_of(values: &[SplitValue], table: &Table, options: &DatasetOptions) -> Result<Vec<Option<usize>>, DataError> {
    let names: Vec<String> = values.iter().map(|value| value.name.clone()).collect();
    let assigned = split_names::assign(&table.path, &names, options)?;
    let role = |value: &SplitValue| assigned.iter().position(|name| name.as_ref() == Some(&value.name));
    let roles: Vec<Option<usize>> = values.iter().map(role).collect();
    match values.iter().zip(&roles).find(|(_, role)| role.is_none()) {
        Some((unknown, _)) if !options.names_any() => {
            let expected = "train, val or test, under one name each, or as data.train_split, data.val_split and data.test_split name them";
            Err(table.refused(unknown, expected.into()))
        }
        _ => Ok(roles),
    }
}

/// A file as it stands there.
struct Table {
    path: PathBuf,
    rows: Vec<Row>,
    /// The values of the column `split`, where there is one.
    splits: Option<Vec<SplitValue>>,
}

struct Row {
    image: ImageSource,
    label: String,
    /// Position among the values of the column `split`.
    split: usize,
}

/// A value of the column `split`, and the line where it comes first.
struct SplitValue {
    name: String,
    line: u64,
}

/// Where the columns stand.
struct Columns {
    image: usize,
    label: usize,
    split: Option<usize>,
}

impl Table {
    fn read(path: &Path) -> Result<Self, DataError> {
        let file = regular_file::open(path).map_err(DataError::read(path))?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(BufReader::new(file));
        let broken = |error: csv::Error| DataError::malformed(path, "rows of CSV in UTF-8", error.to_string());
        let columns = Columns::of(path, reader.headers().map_err(broken)?)?;
        let splits = columns.split.map(|_| Vec::new());
        let mut table = Table { path: path.into(), rows: Vec::new(), splits };
        for record in reader.records() {
            table.add(&columns, &record.map_err(broken)?)?;
        }
        Ok(table)
    }

    fn add(&mut self, columns: &Columns, record: &StringRecord) -> Result<(), DataError> {
        let line = record.position().map_or(0, csv::Position::line);
        let field = |column: usize, expected: &str| match record.get(column) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(DataError::Line {
                path: self.path.clone(),
                line,
                expected: expected.into(),
                found: "nothing".into(),
            }),
        };
        let image = self.path.parent().unwrap_or(Path::new("")).join(field(columns.image, "the path of an image")?);
        let label = field(columns.label, "a label")?.to_string();
        let split = columns.split.map(|column| field(column, "a split: train, val or test")).transpose()?;
        let split = split.map_or(0, |name| number_of(self.splits.get_or_insert_default(), name, line));
        self.rows.push(Row { image: ImageSource::File(Arc::from(image)), label, split });
        Ok(())
    }

    fn refused(&self, split: &SplitValue, expected: String) -> DataError {
        let found = format!("the split `{}`", split.name);
        DataError::Line { path: self.path.clone(), line: split.line, expected, found }
    }
}

/// Position of `name` among the values, to which it is added when it is new.
fn number_of(values: &mut Vec<SplitValue>, name: &str, line: u64) -> usize {
    values.iter().position(|value| value.name == name).unwrap_or_else(|| {
        values.push(SplitValue { name: name.into(), line });
        values.len() - 1
    })
}

impl Columns {
    fn of(path: &Path, header: &StringRecord) -> Result<Self, DataError> {
        // Spreadsheets begin a file with a byte order mark.
        let column = |name: &str| header.iter().position(|field| field.trim_start_matches('\u{feff}') == name);
        let (Some(image), Some(label)) = (column("image_path"), column("label")) else {
            let found = header.iter().collect::<Vec<_>>().join(",");
            return Err(DataError::malformed(path, "the columns image_path,label", format!("{found:?}")));
        };
        Ok(Columns { image, label, split: column("split") })
    }
}

/// Images and labels of a split in the making; classes are numbered as they come.
#[derive(Default)]
struct Rows {
    images: Vec<ImageSource>,
    labels: Vec<i64>,
    names: Vec<String>,
    number: HashMap<String, i64>,
}

impl Rows {
    fn add(&mut self, row: Row) {
        let next = self.names.len() as i64;
        let label = *self.number.entry(row.label).or_insert_with_key(|label| {
            self.names.push(label.clone());
            next
        });
        self.images.push(row.image);
        self.labels.push(label);
    }

    fn named(self, path: PathBuf) -> Listing {
        Listing { path, images: self.images, labels: self.labels, names: Some(self.names) }
    }
}
