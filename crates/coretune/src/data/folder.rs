//! Folders and text files as lists.

use std::path::Path;

use super::DataError;

/// Names of the entries of a folder, sorted, hidden ones left out.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::read(folder))? {
        let name = entry.map_err(DataError::read(folder))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort_unstable();
    Ok(names)
}

/// The lines of a text file, blank ones left out.
pub(super) fn lines_of(path: &Path) -> Result<Vec<String>, DataError> {
    let text = std::fs::read(path).map_err(DataError::read(path))?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToString::to_string).collect())
}
