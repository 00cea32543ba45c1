//! Parquet as on Hugging Face: a column of encoded images, a column of labels, class names in the footer; in a single file also a
//! column of splits.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use coretune_native::map_file;
use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;

use super::fingerprint::{Fingerprint, PACKED, PackedNote};
use super::folder::{lines_of, names_in};
use super::found::{Found, Listing};
use super::left_out::{LeftOut, Reason};
use super::listed::listed;
use super::role::role_of;
use super::split::hashes;
use super::{DataError, DatasetOptions, Format, ImageSource, ReadColumns, split_names};
use crate::files::regular_file;

const IMAGE_COLUMNS: [&str; 4] = ["image.bytes", "img.bytes", "image", "img"];
const LABEL_COLUMNS: [&str; 3] = ["label", "fine_label", "labels"];
const SPLIT_COLUMN: &str = "split";

pub(super) fn read(path: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    if path.is_file() {
        return is_parquet(&path.to_string_lossy()).then(|| one_file(path, options)).transpose();
    }
    let Some(files) = files_by_split(path)? else { return Ok(None) };
    let available: Vec<String> = files.keys().cloned().collect();
    let names = split_names::assign(path, &available, options)?;
    let (mut splits, mut beside, mut left_out) = ([None, None, None], Beside::default(), LeftOut::default());
    for (split, files) in files.iter().filter(|(split, _)| !names.contains(&Some((*split).clone()))) {
        left_out.add(Reason::OtherTable { split: split.clone() }, files[0].display().to_string());
    }
    for (name, listing) in names.into_iter().zip(&mut splits) {
        let files = name.and_then(|name| files.get(&name));
        *listing = files.map(|files| list(files, &mut beside)).transpose()?;
    }
    beside.found(splits, left_out, &path.join("classes.txt")).map(Some)
}

/// The splits that a column of the file names; all rows are training images if no row names one.
fn one_file(path: &Path, options: &DatasetOptions) -> Result<Found, DataError> {
    let (mut rows, mut beside) = (SplitRows::default(), Beside::default());
    let note = read_file(path, true, &mut rows, &mut beside)?;
    if let Some(note) = note {
        rows.check(path, &note, beside.classes.as_deref().unwrap_or_default())?;
        beside.titles.extend(note.titles);
    }
    let (mut splits, mut left_out) = ([None, None, None], LeftOut::default());
    let available: Vec<String> = rows.0.iter().map(|(split, _)| split.clone()).collect();
    if !options.names_any() && available.iter().all(|split| role_of(split).is_none()) {
        let mut beside = Beside::default();
        splits[0] = Some(list(&[path.to_path_buf()], &mut beside)?);
        return beside.found(splits, left_out, &path.with_file_name("classes.txt"));
    }
    let names = split_names::assign(path, &available, options)?;
    for (split, rows) in rows.0 {
        match names.iter().position(|name| name.as_ref() == Some(&split)) {
            Some(role) => splits[role] = Some(rows.listing(path)),
            None => left_out.add_many(Reason::OtherSplit { split }, rows.images.len(), path.display().to_string()),
        }
    }
    beside.found(splits, left_out, &path.with_file_name("classes.txt"))
}

fn is_parquet(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "parquet")
}

/// The files of each split, in `root`, in `root/data`, or in the only other folder that has some.
fn files_by_split(root: &Path) -> Result<Option<BTreeMap<String, Vec<PathBuf>>>, DataError> {
    for folder in [root.to_path_buf(), root.join("data")] {
        let files = if folder.is_dir() { files_in(&folder)? } else { BTreeMap::new() };
        if !files.is_empty() {
            return Ok(Some(files));
        }
    }
    let mut found = Vec::new();
    for name in names_in(root)? {
        let folder = root.join(name);
        if folder.is_dir() {
            found.push(files_in(&folder)?);
        }
    }
    found.retain(|files| !files.is_empty());
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// `train-00000-of-00002.parquet` and `train.parquet` belong to `train`.
fn files_in(folder: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>, DataError> {
    let mut files = BTreeMap::<String, Vec<PathBuf>>::new();
    for name in names_in(folder)?.into_iter().filter(|name| is_parquet(name)) {
        let stem = name.split(['-', '.']).next().unwrap_or(&name).to_string();
        files.entry(stem).or_default().push(folder.join(name));
    }
    Ok(files)
}

/// What is known beside the rows.
#[derive(Default)]
struct Beside {
    classes: Option<Vec<String>>,
    titles: HashMap<String, String>,
    columns: Vec<ReadColumns>,
}

impl Beside {
    /// `names` is a file that names the classes if no footer does.
    fn found(self, splits: [Option<Listing>; 3], left_out: LeftOut, names: &Path) -> Result<Found, DataError> {
        let Beside { mut classes, titles, columns } = self;
        if classes.is_none() && names.is_file() {
            classes = Some(lines_of(names)?);
        }
        Ok(Found { format: Format::Parquet, splits, classes, titles, left_out, columns })
    }
}

/// The rows of each split, in order of appearance.
#[derive(Default)]
struct SplitRows(Vec<(String, Rows)>);

/// The rows of one split.
#[derive(Default)]
struct Rows {
    images: Vec<ImageSource>,
    labels: Vec<i64>,
    /// Names in order of appearance, when the column holds text.
    names: Vec<String>,
    number_of: HashMap<String, i64>,
}

/// A label as its column has it.
enum Label {
    Number(i64),
    Name(String),
}

impl SplitRows {
    fn add(&mut self, split: &str, image: ImageSource, label: Label) {
        let SplitRows(splits) = self;
        let at = splits.iter().rposition(|(name, _)| name == split).unwrap_or_else(|| {
            splits.push((split.to_string(), Rows::default()));
            splits.len() - 1
        });
        splits[at].1.add(image, label);
    }

    /// Refuses rows that are not those of the packed file.
    fn check(&self, path: &Path, note: &PackedNote, classes: &[String]) -> Result<(), DataError> {
        let mut fingerprint = Fingerprint::new(classes, &note.titles);
        for (split, rows) in &self.0 {
            fingerprint.begin_split(split, rows.images.len());
            let images = hashes(&rows.images)?;
            images.iter().zip(&rows.labels).for_each(|(image, &label)| fingerprint.add_row(image, label));
        }
        if fingerprint.to_hex() == note.content {
            return Ok(());
        }
        let expected = "the images, labels and names that `coretune data pack` wrote";
        Err(DataError::malformed(path, expected, "others: the file was changed or is damaged"))
    }
}

impl Rows {
    fn add(&mut self, image: ImageSource, label: Label) {
        let number = match label {
            Label::Number(number) => number,
            Label::Name(name) => self.number_of(name),
        };
        self.images.push(image);
        self.labels.push(number);
    }

    fn number_of(&mut self, name: String) -> i64 {
        let next = self.names.len() as i64;
        let number = *self.number_of.entry(name.clone()).or_insert(next);
        if number == next {
            self.names.push(name);
        }
        number
    }

    fn listing(self, path: &Path) -> Listing {
        let names = (!self.names.is_empty()).then_some(self.names);
        Listing { path: path.to_path_buf(), images: self.images, labels: self.labels, names }
    }
}

/// The files of one split.
fn list(files: &[PathBuf], beside: &mut Beside) -> Result<Listing, DataError> {
    let mut rows = SplitRows::default();
    for path in files {
        if read_file(path, false, &mut rows, beside)?.is_some() {
            let expected = "a file of one split in a folder: give the path of this file itself";
            return Err(DataError::malformed(path, expected, "a packed data set with all its splits"));
        }
    }
    let (_, rows) = rows.0.pop().unwrap_or_default();
    Ok(rows.listing(&files.first().cloned().unwrap_or_default()))
}

/// Adds the rows of a file, by their splits or all as one split; what a packed file says of its content.
fn read_file(
    path: &Path,
    by_split: bool,
    rows: &mut SplitRows,
    beside: &mut Beside,
) -> Result<Option<PackedNote>, DataError> {
    // The reader of the format panics on some broken files.
    let read = catch_unwind(AssertUnwindSafe(|| read_rows(path, by_split, rows, beside)));
    read.unwrap_or_else(|_| Err(DataError::malformed(path, "a parquet file", "a broken one")))
}

fn read_rows(
    path: &Path,
    by_split: bool,
    rows: &mut SplitRows,
    beside: &mut Beside,
) -> Result<Option<PackedNote>, DataError> {
    let broken = |error: ParquetError| DataError::malformed(path, "a parquet file", error.to_string());
    let file = regular_file::open(path).map_err(DataError::read(path))?;
    let bytes = Bytes::from_owner(map_file(&file).map_err(DataError::read(path))?);
    let file_len = bytes.len() as u64;
    let reader = SerializedFileReader::new(bytes).map_err(broken)?;
    check_size(path, reader.metadata(), file_len)?;
    let metadata = reader.metadata().file_metadata();
    let schema = metadata.schema_descr();
    let image_column = column(path, schema, &IMAGE_COLUMNS)?;
    let label_column = column(path, schema, &LABEL_COLUMNS)?;
    let split_column = if by_split { column_of_splits(schema) } else { None };
    let table: Arc<Path> = Arc::from(path);
    let mut first_row = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(broken)?;
        let place = Place { table: &table, group: group.as_ref(), first_row };
        let (images, labels) = (place.images(image_column)?, place.labels(label_column)?);
        let splits = split_column.map(|column| place.texts(column, "a split")).transpose()?;
        for (row, (image, label)) in images.into_iter().zip(labels).enumerate() {
            rows.add(splits.as_ref().map_or("", |splits| &splits[row]), image, label);
        }
        first_row += place.rows() as u64;
    }
    let entry = |key: &str| {
        let entries = metadata.key_value_metadata().into_iter().flatten();
        entries.filter(|entry| entry.key == key).find_map(|entry| entry.value.as_deref())
    };
    beside.classes = beside.classes.take().or_else(|| entry("huggingface").and_then(class_names));
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    ReadColumns::of(file, &names, image_column, label_column, split_column).add_to(&mut beside.columns);
    let malformed =
        |error: serde_json::Error| DataError::malformed(path, format!("{PACKED} in JSON"), error.to_string());
    entry(PACKED).map(|note| serde_json::from_str(note).map_err(malformed)).transpose()
}

/// Rows of any file; a larger one has a row per so many bytes at most, which no image is smaller than.
const ROWS_BASE: u64 = 4096;
const ROW_BYTES: u64 = 32;
/// Bytes to which the columns of any file may unpack; a larger one, to so many times its own.
const UNPACKED_BASE: u64 = 64 << 20;
const UNPACKED_TIMES: u64 = 16;

/// Refuses a file that says of itself that it unpacks to far more than it takes.
fn check_size(path: &Path, metadata: &ParquetMetaData, file_len: u64) -> Result<(), DataError> {
    let groups = metadata.row_groups();
    let rows = groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(u64::MAX));
    let rows = rows.fold(0, u64::saturating_add);
    let most = ROWS_BASE + file_len / ROW_BYTES;
    if rows > most {
        return Err(DataError::malformed(path, format!("at most {most} rows in {file_len} bytes"), format!("{rows}")));
    }
    let columns = groups.iter().flat_map(RowGroupMetaData::columns);
    let bytes = columns.map(|column| u64::try_from(column.uncompressed_size()).unwrap_or(u64::MAX));
    check_unpacked(path, bytes.fold(0, u64::saturating_add), file_len)
}

fn check_unpacked(path: &Path, bytes: u64, file_len: u64) -> Result<(), DataError> {
    let most = UNPACKED_BASE + UNPACKED_TIMES * file_len;
    if bytes > most {
        let expected = format!("at most {most} bytes unpacked from {file_len}");
        return Err(DataError::malformed(path, expected, format!("{bytes}")));
    }
    Ok(())
}

fn column(path: &Path, schema: &SchemaDescriptor, names: &[&str]) -> Result<usize, DataError> {
    let paths: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    let found = names.iter().find_map(|name| paths.iter().position(|path| path == name));
    let found = found.filter(|&column| schema.column(column).max_rep_level() == 0);
    found.ok_or_else(|| DataError::malformed(path, format!("a column {}", names.join(" or ")), listed(&paths)))
}

/// The column that says the split of each row.
fn column_of_splits(schema: &SchemaDescriptor) -> Option<usize> {
    schema.columns().iter().position(|column| {
        column.path().string() == SPLIT_COLUMN
            && column.physical_type() == Type::BYTE_ARRAY
            && column.max_rep_level() == 0
    })
}

/// A row group and where it stands in its file.
struct Place<'a> {
    table: &'a Arc<Path>,
    group: &'a dyn RowGroupReader,
    first_row: u64,
}

impl Place<'_> {
    fn rows(&self) -> usize {
        usize::try_from(self.group.metadata().num_rows()).unwrap_or_default()
    }

    fn images(&self, column: usize) -> Result<Vec<ImageSource>, DataError> {
        let ColumnReader::ByteArrayColumnReader(reader) = self.reader(column)? else {
            return Err(DataError::malformed(self.table, "encoded images (BYTE_ARRAY)", "another type of column"));
        };
        // A value is a window into its page, which stays in memory as long as one of its images does. A page that is not
        // compressed is itself a window into the file.
        let image = |(value, row): (ByteArray, u64)| ImageSource::Encoded {
            bytes: Bytes::from_owner(value),
            table: self.table.clone(),
            row,
        };
        Ok(self.values(reader, column, "an image")?.into_iter().zip(self.first_row..).map(image).collect())
    }

    fn labels(&self, column: usize) -> Result<Vec<Label>, DataError> {
        const EXPECTED: &str = "a label";
        Ok(match self.reader(column)? {
            ColumnReader::Int64ColumnReader(reader) => {
                self.values(reader, column, EXPECTED)?.into_iter().map(Label::Number).collect()
            }
            ColumnReader::Int32ColumnReader(reader) => {
                let numbers = self.values(reader, column, EXPECTED)?;
                numbers.into_iter().map(|number| Label::Number(number.into())).collect()
            }
            ColumnReader::ByteArrayColumnReader(_) => {
                self.texts(column, EXPECTED)?.into_iter().map(Label::Name).collect()
            }
            _ => return Err(DataError::malformed(self.table, "labels as integers or text", "another type of column")),
        })
    }

    fn texts(&self, column: usize, expected: &str) -> Result<Vec<String>, DataError> {
        let ColumnReader::ByteArrayColumnReader(reader) = self.reader(column)? else {
            return Err(DataError::malformed(self.table, format!("{expected} as text"), "another type of column"));
        };
        let text = |value: ByteArray| String::from_utf8_lossy(value.data()).into_owned();
        Ok(self.values(reader, column, expected)?.into_iter().map(text).collect())
    }

    fn reader(&self, column: usize) -> Result<ColumnReader, DataError> {
        self.group.get_column_reader(column).map_err(|error| self.broken(&error))
    }

    /// All values of a column, none of which may be null.
    fn values<T: DataType>(
        &self,
        mut reader: ColumnReaderImpl<T>,
        column: usize,
        expected: &str,
    ) -> Result<Vec<T::T>, DataError> {
        let rows = self.rows();
        let present = self.group.metadata().column(column).column_descr().max_def_level();
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        reader.read_records(rows, Some(&mut levels), None, &mut values).map_err(|error| self.broken(&error))?;
        if let Some(row) = levels.iter().position(|&level| level < present) {
            let (path, row, expected) = (self.table.to_path_buf(), self.first_row + row as u64, expected.to_string());
            return Err(DataError::Row { path, row, expected, found: "null".to_string() });
        }
        if values.len() != rows {
            return Err(DataError::malformed(
                self.table,
                format!("{rows} rows in a row group"),
                values.len().to_string(),
            ));
        }
        Ok(values)
    }

    fn broken(&self, error: &ParquetError) -> DataError {
        DataError::malformed(self.table, "a parquet file", error.to_string())
    }
}

/// `info.features.label.names` of the JSON that the library `datasets` leaves in the footer.
fn class_names(footer: &str) -> Option<Vec<String>> {
    let footer: serde_json::Value = serde_json::from_str(footer).ok()?;
    let features = footer.get("info")?.get("features")?;
    let names = LABEL_COLUMNS.iter().find_map(|label| features.get(label)?.get("names"))?;
    names.as_array()?.iter().map(|name| name.as_str().map(ToString::to_string)).collect()
}
