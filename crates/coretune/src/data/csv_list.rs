//! CSV with the columns `image_path` and `label`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::assemble::{Found, Listing};
use super::dataset::names_in;
use super::{DataError, DatasetOptions, Format, ImageSource, split_names};

pub(super) fn read(path: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    let is_csv =
        |name: &str| Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let splits = if path.is_file() {
        if !is_csv(&path.to_string_lossy()) {
            return Ok(None);
        }
        [Some(list(path)?), None, None]
    } else {
        let mut files = names_in(path)?;
        files.retain(|name| is_csv(name));
        let stems: Vec<String> = files.iter().map(|name| name[..name.len() - ".csv".len()].to_string()).collect();
        match &files[..] {
            [] => return Ok(None),
            [only] if !options.names_any() => [Some(list(&path.join(only))?), None, None],
            _ => {
                let names = split_names::assign(path, &stems, options)?;
                if names.iter().all(Option::is_none) {
                    return Ok(None);
                }
                let mut splits = [None, None, None];
                for (name, listing) in names.iter().zip(&mut splits) {
                    let file = stems.iter().position(|stem| Some(stem) == name.as_ref()).map(|at| &files[at]);
                    *listing = file.map(|file| list(&path.join(file))).transpose()?;
                }
                splits
            }
        }
    };
    Ok(Some(Found { format: Format::Csv, splits, classes: None, titles: HashMap::new() }))
}

fn list(path: &Path) -> Result<Listing, DataError> {
    let file = std::fs::File::open(path).map_err(DataError::read(path))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(std::io::BufReader::new(file));
    let broken = |error: csv::Error| DataError::malformed(path, "rows of CSV in UTF-8", error.to_string());
    let header = reader.headers().map_err(broken)?;
    // Spreadsheets begin a file with a byte order mark.
    let column = |name: &str| header.iter().position(|field| field.trim_start_matches('\u{feff}') == name);
    let (Some(image_column), Some(label_column)) = (column("image_path"), column("label")) else {
        let found = header.iter().collect::<Vec<_>>().join(",");
        return Err(DataError::malformed(path, "the columns image_path,label", format!("{found:?}")));
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut number = HashMap::<String, i64>::new();
    let (mut images, mut labels, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (row, record) in reader.records().enumerate() {
        let record = record.map_err(broken)?;
        let field = |column: usize, expected: &str| match record.get(column) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => {
                let (row, expected) = (row as u64, expected.to_string());
                Err(DataError::Row { path: path.to_path_buf(), row, expected, found: "nothing".to_string() })
            }
        };
        let image = folder.join(field(image_column, "the path of an image")?);
        let label = field(label_column, "a label")?;
        images.push(ImageSource::File(Arc::from(image)));
        labels.push(*number.entry(label.to_string()).or_insert_with(|| {
            names.push(label.to_string());
            names.len() as i64 - 1
        }));
    }
    Ok(Listing { path: path.to_path_buf(), images, labels, names: Some(names) })
}
