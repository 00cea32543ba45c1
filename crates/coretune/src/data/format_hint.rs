//! What a user can do about lines, rows and files that do not keep to their format.

use std::path::Path;

use super::DataError;
use crate::settings::Hint;

/// A line of a list, a row of a table, or a whole file.
pub(super) fn of_format(error: &DataError) -> Option<Hint> {
    let text = match error {
        DataError::Line { expected, .. } if expected.ends_with("(is a quote not closed?)") => {
            "close the quote where the value begins; a quote within a value is written twice"
        }
        DataError::Line { found, .. } if found.contains(", which line ") => "remove one of the two lines",
        DataError::Line { expected, .. } if expected.starts_with("a name, or a name and red") => CLASSES,
        DataError::Line { expected, .. } if expected.ends_with("as the name of the file says") => {
            "correct the column, or rename the file so that the column decides"
        }
        DataError::Line { .. } => {
            "correct the line; if nobody changed the list, unpack the archive of the data set again"
        }
        DataError::Malformed { expected, .. } if expected.starts_with("a line for each class") => CLASSES,
        DataError::Malformed { expected, .. } if expected.starts_with("colours for all classes") => CLASSES,
        DataError::Malformed { expected, .. } if expected.starts_with("each image once") => {
            "remove one of the two lines"
        }
        DataError::Malformed { expected, .. } if expected.ends_with("paths with endings") => {
            "write paths with endings into the table, such as cat/1.jpg"
        }
        DataError::Malformed { expected, .. } if expected.starts_with("a column ") => {
            "rename the column that has them; a table of files can be written as CSV with the columns image_path,label"
        }
        DataError::Malformed { expected, .. } if expected.starts_with("one file of images") => {
            "keep one of the files; the rest belong into another folder"
        }
        DataError::Malformed { path, .. } if ends_with(path, ".json") => {
            "correct the file, or export it again from the program that wrote it"
        }
        DataError::Malformed { path, .. } if ends_with(path, ".txt") => {
            "correct the file; if nobody changed it, unpack the archive of the data set again"
        }
        DataError::Malformed { .. } => {
            "was the download complete? If so, write the file again with the program that made it"
        }
        DataError::Row { .. } => "write the table again with this row complete, or without it",
        DataError::Joined { found, .. } if found.ends_with(" twice") || found.starts_with("a comma") => {
            "name each folder once, with a comma between two"
        }
        DataError::Joined { .. } => {
            "join folders that have one layout and the same splits; add the split that is missing, or leave the folder out"
        }
        DataError::MasksNotPacked { .. } => "train on the folder itself: a run reads it as it is",
        DataError::TooManyPixels { .. } => "scale the image down",
        _ => return None,
    };
    Some(text.into())
}

/// What a file of classes may hold.
const CLASSES: &str =
    "write one class on each line, with its colour in all lines or in none: `road,128,64,128`, or `road`";

fn ends_with(path: &Path, ending: &str) -> bool {
    path.to_string_lossy().to_lowercase().ends_with(ending)
}
