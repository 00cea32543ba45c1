//! Tables (CSV, TSV) with a column of paths and one of labels, and maybe one of splits: a file for each split, or one.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::folder::names_in;
use super::found::{Found, Listing};
use super::left_out::{LeftOut, Reason};
use super::role::role_of;
use super::table::{Row, SplitValue, Table};
use super::walk::Walk;
use super::{Column, DataError, DatasetOptions, Format, ImageSource, Layout, ReadColumns, Role, split_names};

/// What is listed for each of [`Role::ALL`].
type Splits = [Option<Listing>; 3];

/// What else is known of the tables.
#[derive(Default)]
struct Beside {
    left_out: LeftOut,
    columns: Vec<ReadColumns>,
    /// Those that were read or counted as left out.
    tables: Vec<PathBuf>,
}

pub(super) fn read(path: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    if path.is_dir() && options.layout != Layout::Auto {
        return Ok(None);
    }
    let mut beside = Beside::default();
    let splits = if path.is_dir() {
        in_folder(path, options, &mut beside)?
    } else if ["csv", "tsv", "txt"].iter().any(|ending| has_ending(&path.to_string_lossy(), ending)) {
        Some(in_table(Table::read(path, options)?, options, &mut beside)?)
    } else {
        None
    };
    if let Some(splits) = splits.as_ref().filter(|_| path.is_dir()) {
        beside.leave_out_what_no_row_names(path, splits);
    }
    let Beside { left_out, columns, .. } = beside;
    let found =
        |splits| Found { format: Format::Csv, splits, classes: None, titles: HashMap::new(), left_out, columns };
    Ok(splits.map(found))
}

impl Beside {
    fn add(&mut self, table: &Table) {
        table.columns.clone().add_to(&mut self.columns);
        table.repeated.iter().for_each(|row| self.left_out.add(Reason::ListedTwice, row.clone()));
        self.tables.push(table.path.clone());
    }

    /// Counts the images of the folder that no row names, and its other files.
    fn leave_out_what_no_row_names(&mut self, folder: &Path, splits: &Splits) {
        let mut walk = Walk::new(folder);
        let images = splits.iter().flatten().flat_map(|listing| &listing.images);
        let path =
            |image: &ImageSource| if let ImageSource::File(path) = image { Some(path.to_path_buf()) } else { None };
        let named: Vec<PathBuf> = images.filter_map(path).collect();
        named.iter().cloned().chain(self.tables.drain(..)).for_each(|path| walk.except(path));
        // What stops the walk, such as a name that is not UTF-8, does not concern the rows.
        let Ok(found) = walk.images_by_every_name(folder) else { return };
        let same: HashSet<&PathBuf> = found.iter().collect();
        let elsewhere = named.iter().filter(|path| !same.contains(path));
        let elsewhere: HashSet<PathBuf> = elsewhere.filter_map(|path| fs::canonicalize(path).ok()).collect();
        let is_named_otherwise = |image: &PathBuf| {
            !elsewhere.is_empty() && fs::canonicalize(image).is_ok_and(|real| elsewhere.contains(&real))
        };
        for image in found.iter().filter(|image| !is_named_otherwise(image)) {
            walk.leave_out(Reason::WithoutRow, image);
        }
        self.left_out.extend(walk.left_out);
    }
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending))
}

/// A file for each split, or the only file; none where no file is a table.
fn in_folder(folder: &Path, options: &DatasetOptions, beside: &mut Beside) -> Result<Option<Splits>, DataError> {
    let mut files = names_in(folder)?;
    files.retain(|name| has_ending(name, "csv") || has_ending(name, "tsv"));
    if files.is_empty() {
        return beside_images(folder, options, beside);
    }
    if let Some(only) = only_table(&files) {
        let table = match Table::read(&folder.join(only), options) {
            // Notes beside the images.
            Err(DataError::NoColumn { .. } | DataError::NoHeader { .. })
                if has_ending(only, "tsv") || has_training_folders(folder)? =>
            {
                return Ok(None);
            }
            table => table?,
        };
        if (has_ending(only, "tsv") || !table.certain) && has_training_folders(folder)? {
            return Err(DataError::TableOrFolders { path: folder.into(), table: only.clone() });
        }
        if table.splits.is_some() || !options.names_any() {
            return in_table(table, options, beside).map(Some);
        }
    }
    by_file_name(folder, &files, options, beside)
}

/// Names of tables that name the images of the folder they lie in, by other tools (Hugging Face, Roboflow).
const BESIDE_IMAGES: [&str; 2] = ["metadata.csv", "_classes.csv"];

/// A table in the folder of each split, beside its images.
fn beside_images(folder: &Path, options: &DatasetOptions, beside: &mut Beside) -> Result<Option<Splits>, DataError> {
    let table_in =
        |split: &str| BESIDE_IMAGES.map(|table| folder.join(split).join(table)).into_iter().find(|at| at.is_file());
    let mut names = names_in(folder)?;
    names.retain(|name| table_in(name).is_some());
    if names.is_empty() || has_training_folders(folder)? {
        return Ok(None);
    }
    let mut splits = [None, None, None];
    if names.iter().all(|name| role_of(name) != Some(Role::Train)) && !options.names_any() {
        return Ok(None);
    }
    let assigned = split_names::assign(folder, &names, options)?;
    for ((role, name), listing) in Role::ALL.into_iter().zip(assigned).zip(&mut splits) {
        let Some((split, path)) = name.and_then(|name| Some((name.clone(), table_in(&name)?))) else { continue };
        let mut table = Table::read(&path, options)?;
        table.columns.files.iter_mut().for_each(|file| *file = format!("{split}/{file}"));
        *listing = Some(whole(table, role, beside)?);
    }
    Ok(splits.iter().any(Option::is_some).then_some(splits))
}

/// Whether a folder with the name of the training split holds folders, as those of classes.
fn has_training_folders(folder: &Path) -> Result<bool, DataError> {
    for name in names_in(folder)?.iter().filter(|name| role_of(name) == Some(Role::Train)) {
        let split = folder.join(name);
        if split.is_dir() && names_in(&split)?.iter().filter(|class| split.join(class).is_dir()).count() > 1 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The table beside which there is none: of several, the only CSV where no TSV has the name of a split.
fn only_table(files: &[String]) -> Option<&String> {
    let (csv, tsv): (Vec<&String>, Vec<&String>) = files.iter().partition(|name| has_ending(name, "csv"));
    match (&csv[..], &tsv[..]) {
        ([only], others) if others.iter().all(|name| role_of(stem(name)).is_none()) => Some(only),
        ([], [only]) if role_of(stem(only)).is_none() => Some(only),
        _ => None,
    }
}

/// The name of a table without its ending.
fn stem(name: &str) -> &str {
    &name[..name.len() - ".csv".len()]
}

/// `train.csv`, `val.csv`, `test.csv`; none where no name says what the file is for.
fn by_file_name(
    folder: &Path,
    files: &[String],
    options: &DatasetOptions,
    beside: &mut Beside,
) -> Result<Option<Splits>, DataError> {
    if files.is_empty() {
        return Ok(None);
    }
    refuse_one_split_in_two_files(folder, files)?;
    let stems: Vec<String> = files.iter().map(|name| stem(name).to_string()).collect();
    let names = split_names::assign(folder, &stems, options)?;
    if names.iter().all(Option::is_none) {
        return among_others(folder, files, options, beside);
    }
    for (stem, file) in stems.iter().zip(files).filter(|(stem, _)| !names.contains(&Some((*stem).clone()))) {
        beside.left_out.add(Reason::OtherTable { split: stem.clone() }, file.clone());
        beside.tables.push(folder.join(file));
    }
    let mut splits = [None, None, None];
    for ((role, name), listing) in Role::ALL.into_iter().zip(names).zip(&mut splits) {
        let Some(at) = stems.iter().position(|stem| Some(stem) == name.as_ref()) else { continue };
        let file = folder.join(&files[at]);
        match Table::read(&file, options) {
            Err(error) if role == Role::Test && options.test_split.is_none() && lacks_labels(&error, options) => {
                beside.left_out.add(Reason::TableWithoutLabels, files[at].clone());
                beside.tables.push(file);
            }
            table => *listing = Some(whole(table?, role, beside)?),
        }
    }
    Ok(Some(splits))
}

/// Whether a table has no column of labels, as those of images to be classified.
fn lacks_labels(error: &DataError, options: &DatasetOptions) -> bool {
    match error {
        DataError::NoColumn { column, .. } => *column == Column::Label,
        DataError::NoSuchColumn { name, .. } => options.label_column.as_ref() == Some(name),
        _ => false,
    }
}

/// The one file among several that is a table of images and labels; the others are left out. Beside folders of a training split
/// they are all notes.
fn among_others(
    folder: &Path,
    files: &[String],
    options: &DatasetOptions,
    beside: &mut Beside,
) -> Result<Option<Splits>, DataError> {
    if has_training_folders(folder)? {
        return Ok(None);
    }
    let read = |name: &String| Some((name.clone(), Table::read(&folder.join(name), options).ok()?));
    let mut tables: Vec<(String, Table)> = files.iter().filter_map(read).collect();
    if tables.len() > 1 {
        let tables = tables.into_iter().map(|(name, _)| name).collect();
        return Err(DataError::SeveralTables { path: folder.into(), tables });
    }
    let Some((name, table)) = tables.pop() else { return Ok(None) };
    for other in files.iter().filter(|file| **file != name) {
        beside.left_out.add(Reason::OtherTable { split: stem(other).to_string() }, other.clone());
        beside.tables.push(folder.join(other));
    }
    in_table(table, options, beside).map(Some)
}

/// Refuses `train.csv` beside `train.tsv`.
fn refuse_one_split_in_two_files(folder: &Path, files: &[String]) -> Result<(), DataError> {
    for (at, first) in files.iter().enumerate() {
        let Some(second) = files[at + 1..].iter().find(|second| stem(second) == stem(first)) else { continue };
        if let Some(role) = role_of(stem(first)) {
            let (path, first, second) = (folder.to_path_buf(), first.clone(), second.clone());
            return Err(DataError::TwoSplits { path, role, first, second });
        }
    }
    Ok(())
}

/// All rows of a file whose name says the split; a column `split` has to agree.
fn whole(table: Table, role: Role, beside: &mut Beside) -> Result<Listing, DataError> {
    let others = table.splits.iter().flatten().find(|split| role_of(&split.name) != Some(role));
    if let Some(other) = others {
        let expected = format!("{role} in every row, as the name of the file says");
        return Err(table.refused(other, expected));
    }
    beside.add(&table);
    let mut listing = Rows::default();
    table.rows.into_iter().for_each(|row| listing.add(row));
    Ok(listing.named(table.path))
}

/// The rows of one file by its column `split`; without one they are all for training.
fn in_table(table: Table, options: &DatasetOptions, beside: &mut Beside) -> Result<Splits, DataError> {
    let Some(values) = &table.splits else {
        // Refuses splits that were asked for by name.
        split_names::assign(&table.path, &[], options)?;
        return Ok([Some(whole(table, Role::Train, beside)?), None, None]);
    };
    let roles = roles_of(values, &table, options)?;
    beside.add(&table);
    let mut splits: [Option<Rows>; 3] = Default::default();
    for row in table.rows {
        if let Some(role) = roles[row.split] {
            splits[role].get_or_insert_default().add(row);
        } else {
            let split = values[row.split].name.clone();
            beside.left_out.add(Reason::OtherSplit { split }, row.image.to_string());
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
        Some((unknown, _)) if !options.names_any() && !options.train_only => {
            let column = table.columns.split.clone().unwrap_or_default();
            let (path, line, found) = (table.path.clone(), unknown.line, unknown.name.clone());
            Err(DataError::SplitValue { path, column, line, found })
        }
        _ => Ok(roles),
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
