//! From what was typed to a list of image files.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::PredictError;
use crate::data::{DataError, images_below};

/// The image files that are named: a file is taken as it is, whatever its ending and even where it is missing (its row
/// will say so); a folder stands for the images below it; what is neither and holds `*`, `?` or `[` is a pattern. The
/// order is that of the arguments, sorted by name within a folder or pattern.
///
/// # Errors
/// [`PredictError::NoImages`] when an argument names none; [`PredictError::Pattern`], [`PredictError::Input`].
pub fn expand(arguments: &[OsString]) -> Result<Vec<PathBuf>, PredictError> {
    let mut files = Vec::new();
    for argument in arguments {
        let before = files.len();
        let path = Path::new(argument);
        if path.is_dir() {
            files.extend(images_below(path)?);
        } else if !path.exists() && is_pattern(argument) {
            add_matches(&argument.to_string_lossy(), &mut files)?;
        } else {
            files.push(path.to_path_buf());
        }
        if files.len() == before {
            return Err(PredictError::NoImages { found: argument.to_string_lossy().into_owned() });
        }
    }
    if files.is_empty() {
        return Err(PredictError::NoImages { found: "an empty list".into() });
    }
    Ok(files)
}

fn is_pattern(argument: &OsStr) -> bool {
    argument.as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte))
}

/// The files that match; a folder that does stands for the images below it.
fn add_matches(pattern: &str, files: &mut Vec<PathBuf>) -> Result<(), PredictError> {
    let refused =
        |error: glob::PatternError| PredictError::Pattern { pattern: pattern.into(), message: error.msg.into() };
    for entry in glob::glob(pattern).map_err(refused)? {
        let path = entry.map_err(|error| {
            let folder = error.path().to_path_buf();
            DataError::Read { path: folder, source: error.into() }
        })?;
        if path.is_dir() {
            files.extend(images_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(())
}
