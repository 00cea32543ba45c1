//! Describable Textures: `images/<class>/*.jpg`, and ten splits as lists, `labels/{train,val,test}1.txt` to `10`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::image_list::images_by_class;
use super::place::place;
use crate::data::found::Found;
use crate::data::left_out::LeftOut;
use crate::data::{DataError, DatasetOptions, Format, split_names};

/// The splits that are published.
const SPLITS: u32 = 10;

/// What a line of a list has.
const EXPECTED: &str = "a class and an image: `banded/banded_0002.jpg`";

pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let is_it = |folder: &Path| list(folder, "train", 1).is_file() && folder.join("images").is_dir();
    place(root, &["dtd", "dtd/dtd"], is_it)
}

pub(super) fn read(folder: &Path, options: &DatasetOptions) -> Result<Found, DataError> {
    let number = options.split_number.unwrap_or(1);
    if !list(folder, "train", number).is_file() {
        let last = (1..=SPLITS).take_while(|&number| list(folder, "train", number).is_file()).last().unwrap_or(1);
        return Err(DataError::SplitNumber { path: folder.to_path_buf(), number, last });
    }
    let there = |name: &&str| list(folder, name, number).is_file();
    let available: Vec<String> = ["train", "val", "test"].into_iter().filter(there).map(Into::into).collect();
    let mut splits = [None, None, None];
    for (name, split) in split_names::assign(folder, &available, options)?.iter().zip(&mut splits) {
        let Some(name) = name else { continue };
        *split = {
            let path = list(folder, name, number);
            Some(images_by_class(&folder.join("images"), &path, EXPECTED, str::to_string)?)
        };
    }
    Ok(Found {
        format: Format::Dtd { split: number },
        splits,
        classes: None,
        titles: HashMap::new(),
        left_out: LeftOut::default(),
        columns: Vec::new(),
    })
}

fn list(folder: &Path, name: &str, number: u32) -> PathBuf {
    folder.join("labels").join(format!("{name}{number}.txt"))
}
