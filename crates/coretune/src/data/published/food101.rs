//! Food-101: `images/<class>/*.jpg`, with the lists `meta/train.txt` and `meta/test.txt`, whose names lack endings.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::image_list::{ImageList, Line, lines_of, refused};
use super::place::place;
use super::without_ending::WithoutEnding;
use crate::data::found::{Found, Listing};
use crate::data::{DataError, DatasetOptions, Format, split_names};

const SPLITS: [&str; 2] = ["train", "test"];

pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let is_it = |folder: &Path| list(folder, "train").is_file() && folder.join("images").is_dir();
    place(root, &["food-101", "food-101/food-101"], is_it)
}

pub(super) fn read(folder: &Path, options: &DatasetOptions) -> Result<Found, DataError> {
    let available: Vec<String> =
        SPLITS.into_iter().filter(|name| list(folder, name).is_file()).map(Into::into).collect();
    let mut files = WithoutEnding::below(&folder.join("images"))?;
    let mut splits = [None, None, None];
    for (name, split) in split_names::assign(folder, &available, options)?.iter().zip(&mut splits) {
        let Some(name) = name else { continue };
        *split = Some(dishes(folder, &list(folder, name), &mut files)?);
    }
    Ok(Found {
        format: Format::Food101,
        splits,
        classes: None,
        titles: HashMap::new(),
        left_out: files.not_listed(folder),
        columns: Vec::new(),
    })
}

fn list(folder: &Path, name: &str) -> PathBuf {
    folder.join("meta").join(format!("{name}.txt"))
}

/// The images of a list: `<class>/<image>` on each line.
fn dishes(folder: &Path, path: &Path, files: &mut WithoutEnding) -> Result<Listing, DataError> {
    let lines = lines_of(path)?;
    let class_of = |line: &Line| match line.text.split_once('/') {
        Some((class, image)) if !class.is_empty() && !image.is_empty() => Ok(class.to_string()),
        _ => Err(refused(
            path,
            line.number,
            format!("`{}`", line.text),
            "a class and an image, without its ending: `apple_pie/1005649`",
        )),
    };
    let of_lines: Vec<String> = lines.iter().map(class_of).collect::<Result<_, _>>()?;
    let classes: Vec<String> = of_lines.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let mut images = ImageList::new(path);
    for (line, class) in lines.iter().zip(&of_lines) {
        let label = classes.binary_search(class).unwrap_or_default() as i64;
        images.add(line.number, &folder.join("images"), &files.take(&line.text), label)?;
    }
    Ok(images.with_classes(&classes))
}
