//! Lists of images in text files, an image on each line.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::data::found::Listing;
use crate::data::{DataError, ImageSource};

/// A line of a list that is not blank.
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) text: String,
}

/// Images and labels of a split in the making.
pub(super) struct ImageList<'a> {
    path: &'a Path,
    /// Relative to the folder of the images, and the line that names it.
    lines: HashMap<String, u64>,
    images: Vec<ImageSource>,
    labels: Vec<i64>,
}

/// The lines of a list, blank ones and notes left out.
pub(super) fn lines_of(path: &Path) -> Result<Vec<Line>, DataError> {
    let text = std::fs::read(path).map_err(DataError::read(path))?;
    let text = String::from_utf8(text).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        DataError::malformed(path, "a list in UTF-8", format!("other bytes, the first at {at}"))
    })?;
    let lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
    let lines = lines.map(|(line, number)| Line { number, text: line.trim().to_string() });
    Ok(lines.filter(|line| !line.text.is_empty() && !line.text.starts_with('#')).collect())
}

/// The images below a folder that a list names, `<class>/<image>` on each line; `file_of` gives the file that a line names.
pub(super) fn images_by_class(
    folder: &Path,
    path: &Path,
    expected: &str,
    mut file_of: impl FnMut(&str) -> String,
) -> Result<Listing, DataError> {
    let lines = lines_of(path)?;
    let class_of = |line: &Line| match line.text.split_once('/') {
        Some((class, image)) if !class.is_empty() && !image.is_empty() => Ok(class.to_string()),
        _ => Err(refused(path, line.number, format!("`{}`", line.text), expected)),
    };
    let of_lines: Vec<String> = lines.iter().map(class_of).collect::<Result<_, _>>()?;
    let classes: Vec<String> = of_lines.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let mut images = ImageList::new(path);
    for (line, class) in lines.iter().zip(&of_lines) {
        let label = classes.binary_search(class).unwrap_or_default() as i64;
        images.add(line.number, folder, &file_of(&line.text), label)?;
    }
    Ok(images.with_classes(&classes))
}

/// The error of a line.
pub(super) fn refused(path: &Path, line: u64, found: impl Into<String>, expected: impl Into<String>) -> DataError {
    DataError::Line { path: path.to_path_buf(), line, expected: expected.into(), found: found.into() }
}

/// Refuses a name that an earlier line of the list has; `lines` are those so far.
pub(super) fn refuse_twice(
    lines: &mut HashMap<String, u64>,
    path: &Path,
    (name, line): (&str, u64),
    expected: &str,
) -> Result<(), DataError> {
    let Some(first) = lines.insert(name.to_string(), line) else { return Ok(()) };
    Err(refused(path, line, format!("`{name}`, which line {first} names already"), expected))
}

impl<'a> ImageList<'a> {
    pub(super) fn new(path: &'a Path) -> Self {
        ImageList { path, lines: HashMap::new(), images: Vec::new(), labels: Vec::new() }
    }

    /// Adds the image that a line names, with its class; `name` is its path from `folder` on.
    pub(super) fn add(&mut self, line: u64, folder: &Path, name: &str, label: i64) -> Result<(), DataError> {
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            let expected = format!("the name of a file in {}", folder.display());
            return Err(refused(self.path, line, format!("`{name}`"), expected));
        }
        refuse_twice(&mut self.lines, self.path, (name, line), "each image once")?;
        self.images.push(ImageSource::File(Arc::from(folder.join(name))));
        self.labels.push(label);
        Ok(())
    }

    /// The split; labels are positions in `classes`.
    pub(super) fn with_classes(self, classes: &[String]) -> Listing {
        let (path, names) = (PathBuf::from(self.path), Some(classes.to_vec()));
        Listing { path, images: self.images, labels: self.labels, names }
    }
}
