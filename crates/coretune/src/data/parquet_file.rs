//! Parquet as on Hugging Face: a column of encoded images, a column of labels, class names in the footer.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;

use super::folder::{lines_of, names_in};
use super::found::{Found, Listing};
use super::left_out::{LeftOut, Reason};
use super::listed::listed;
use super::{DataError, DatasetOptions, Format, ImageSource, ReadColumns, split_names};

const IMAGE_COLUMNS: [&str; 4] = ["image.bytes", "img.bytes", "image", "img"];
const LABEL_COLUMNS: [&str; 3] = ["label", "fine_label", "labels"];

pub(super) fn read(path: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    let mut classes = None;
    let (mut splits, mut columns, mut left_out) = ([None, None, None], Vec::new(), LeftOut::default());
    if path.is_file() {
        if !is_parquet(&path.to_string_lossy()) {
            return Ok(None);
        }
        splits[0] = Some(list(&[path.to_path_buf()], &mut classes, &mut columns)?);
    } else {
        let Some(files) = files_by_split(path)? else { return Ok(None) };
        let available: Vec<String> = files.keys().cloned().collect();
        let names = split_names::assign(path, &available, options)?;
        for (split, files) in files.iter().filter(|(split, _)| !names.contains(&Some((*split).clone()))) {
            left_out.add(Reason::OtherTable { split: split.clone() }, files[0].display().to_string());
        }
        for (name, listing) in names.into_iter().zip(&mut splits) {
            let files = name.and_then(|name| files.get(&name));
            *listing = files.map(|files| list(files, &mut classes, &mut columns)).transpose()?;
        }
    }
    let beside = if path.is_file() { path.with_file_name("classes.txt") } else { path.join("classes.txt") };
    if classes.is_none() && beside.is_file() {
        classes = Some(lines_of(&beside)?);
    }
    let titles = HashMap::new();
    Ok(Some(Found { format: Format::Parquet, splits, classes, titles, left_out, columns }))
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

/// Labels of one split while its files are read.
#[derive(Default)]
struct Labels {
    numbers: Vec<i64>,
    /// Names in order of appearance, when the column holds text.
    names: Vec<String>,
    number_of: HashMap<String, i64>,
}

fn list(
    files: &[PathBuf],
    classes: &mut Option<Vec<String>>,
    columns: &mut Vec<ReadColumns>,
) -> Result<Listing, DataError> {
    let (mut images, mut labels) = (Vec::new(), Labels::default());
    for path in files {
        // The reader of the format panics on some broken files.
        let read = catch_unwind(AssertUnwindSafe(|| read_file(path, &mut images, &mut labels)));
        let gave_up = || Err(DataError::malformed(path, "a parquet file", "a broken one"));
        let (footer, read) = read.unwrap_or_else(|_| gave_up())?;
        *classes = classes.take().or(footer);
        read.add_to(columns);
    }
    let path = files.first().cloned().unwrap_or_default();
    let names = (!labels.names.is_empty()).then_some(labels.names);
    Ok(Listing { path, images, labels: labels.numbers, names })
}

/// Appends the images and labels of a file; the names of the classes that its footer says, and its columns.
fn read_file(
    path: &Path,
    images: &mut Vec<ImageSource>,
    labels: &mut Labels,
) -> Result<(Option<Vec<String>>, ReadColumns), DataError> {
    let broken = |error: ParquetError| DataError::malformed(path, "a parquet file", error.to_string());
    let bytes = Bytes::from(std::fs::read(path).map_err(DataError::read(path))?);
    let file_len = bytes.len() as u64;
    let reader = SerializedFileReader::new(bytes).map_err(broken)?;
    check_size(path, reader.metadata(), file_len)?;
    let metadata = reader.metadata().file_metadata();
    let schema = metadata.schema_descr();
    let image_column = column(path, schema, &IMAGE_COLUMNS)?;
    let label_column = column(path, schema, &LABEL_COLUMNS)?;
    let table: Arc<Path> = Arc::from(path);
    let mut first_row = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(broken)?;
        let place = Place { table: &table, group: group.as_ref(), first_row };
        place.add_images(image_column, images)?;
        place.add_labels(label_column, labels)?;
        first_row += place.rows() as u64;
    }
    let entries = metadata.key_value_metadata().into_iter().flatten();
    let footer = entries.filter(|entry| entry.key == "huggingface").find_map(|entry| entry.value.as_deref());
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    Ok((footer.and_then(class_names), ReadColumns::of(file, &names, image_column, label_column, None)))
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

    fn add_images(&self, column: usize, images: &mut Vec<ImageSource>) -> Result<(), DataError> {
        let ColumnReader::ByteArrayColumnReader(reader) = self.reader(column)? else {
            return Err(DataError::malformed(self.table, "encoded images (BYTE_ARRAY)", "another type of column"));
        };
        // A value is a window into its page, which stays in memory as long as one of its images does.
        let values = self.values(reader, column, "an image")?;
        images.extend(values.into_iter().zip(self.first_row..).map(|(value, row)| ImageSource::Encoded {
            bytes: Bytes::from_owner(value),
            table: self.table.clone(),
            row,
        }));
        Ok(())
    }

    fn add_labels(&self, column: usize, labels: &mut Labels) -> Result<(), DataError> {
        const EXPECTED: &str = "a label";
        match self.reader(column)? {
            ColumnReader::Int64ColumnReader(reader) => labels.numbers.extend(self.values(reader, column, EXPECTED)?),
            ColumnReader::Int32ColumnReader(reader) => {
                labels.numbers.extend(self.values(reader, column, EXPECTED)?.into_iter().map(i64::from));
            }
            ColumnReader::ByteArrayColumnReader(reader) => {
                for value in self.values(reader, column, EXPECTED)? {
                    labels.add_name(String::from_utf8_lossy(value.data()).into_owned());
                }
            }
            _ => return Err(DataError::malformed(self.table, "labels as integers or text", "another type of column")),
        }
        Ok(())
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

impl Labels {
    fn add_name(&mut self, name: String) {
        let next = self.names.len() as i64;
        let number = *self.number_of.entry(name.clone()).or_insert(next);
        if number == next {
            self.names.push(name);
        }
        self.numbers.push(number);
    }
}

/// `info.features.label.names` of the JSON that the library `datasets` leaves in the footer.
fn class_names(footer: &str) -> Option<Vec<String>> {
    let footer: serde_json::Value = serde_json::from_str(footer).ok()?;
    let features = footer.get("info")?.get("features")?;
    let names = LABEL_COLUMNS.iter().find_map(|label| features.get(label)?.get("names"))?;
    names.as_array()?.iter().map(|name| name.as_str().map(ToString::to_string)).collect()
}
