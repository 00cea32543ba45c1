//! Food-101: `images/<class>/*.jpg`, with the lists `meta/train.txt` and `meta/test.txt`, whose names lack endings.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::image_list::images_by_class;
use super::place::place;
use super::without_ending::WithoutEnding;
use crate::data::found::Found;
use crate::data::{DataError, DatasetOptions, Format, split_names};

const SPLITS: [&str; 2] = ["train", "test"];

/// What a line of a list has.
const EXPECTED: &str = "a class and an image, without its ending: `apple_pie/1005649`";

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
        *split = {
            let file_of = |listed: &str| files.take(listed);
            Some(images_by_class(&folder.join("images"), &list(folder, name), EXPECTED, file_of)?)
        };
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
