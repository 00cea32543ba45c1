//! Tables that name images without their endings, as public competitions do.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file_kind::has_ending_of_image;
use super::walk::Walk;
use super::{DataError, ImageSource};

/// The images below the folder of a table by their names without ending: from the folder on, and alone.
struct Images {
    by_path: HashMap<PathBuf, Vec<PathBuf>>,
    by_name: HashMap<PathBuf, Vec<PathBuf>>,
}

/// Gives the rows of a table the files that they name without ending; whether they do so.
///
/// # Errors
/// [`DataError::Malformed`] for a name that several files have.
pub(super) fn complete(table: &Path, rows: &mut [&mut ImageSource]) -> Result<bool, DataError> {
    let Some(folder) = table.parent().filter(|_| are_bare(rows)) else { return Ok(false) };
    let images = Images::below(folder)?;
    let only = |row: &&mut ImageSource| images.only(table, folder, path_of(row));
    let found: Vec<Option<PathBuf>> = rows.iter().map(only).collect::<Result<_, _>>()?;
    for (row, found) in rows.iter_mut().zip(&found) {
        if let Some(path) = found {
            **row = ImageSource::File(Arc::from(path.as_path()));
        }
    }
    Ok(found.iter().any(Option::is_some))
}

fn path_of(row: &ImageSource) -> &Path {
    if let ImageSource::File(path) = row { path } else { Path::new("") }
}

/// Whether no row has the ending of an image, and the first names no file.
fn are_bare(rows: &[&mut ImageSource]) -> bool {
    let has_ending = |row: &&mut ImageSource| has_ending_of_image(&path_of(row).to_string_lossy());
    rows.first().is_some_and(|row| !path_of(row).exists()) && !rows.iter().any(has_ending)
}

impl Images {
    fn below(folder: &Path) -> Result<Self, DataError> {
        let mut images = Images { by_path: HashMap::new(), by_name: HashMap::new() };
        for image in Walk::new(folder).images(folder)? {
            let bare = image.strip_prefix(folder).unwrap_or(&image).with_extension("");
            let name = PathBuf::from(bare.file_name().unwrap_or_default());
            images.by_path.entry(bare).or_default().push(image.clone());
            images.by_name.entry(name).or_default().push(image);
        }
        Ok(images)
    }

    /// The only file of this name; `None` without one.
    fn only(&self, table: &Path, folder: &Path, written: &Path) -> Result<Option<PathBuf>, DataError> {
        let written = written.strip_prefix(folder).unwrap_or(written);
        match self.by_path.get(written).or_else(|| self.by_name.get(written)).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([only]) => Ok(Some(only.clone())),
            Some([first, second, ..]) => {
                let (name, first, second) = (written.display(), first.display(), second.display());
                let found = format!("`{name}`, which could be {first} or {second}");
                Err(DataError::malformed(table, "names that one image has each, or paths with endings", found))
            }
        }
    }
}
