//! Describable Textures: `images/<class>/*.jpg`, and ten splits as lists, `labels/{train,val,test}1.txt` to `10`.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::image_list::{ImageList, Line, lines_of, refused};
use super::place::place;
use crate::data::found::{Found, Listing};
use crate::data::left_out::LeftOut;
use crate::data::{DataError, DatasetOptions, Format, split_names};

/// The splits that are published.
const SPLITS: u32 = 10;

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
        *split = Some(textures(folder, &list(folder, name, number))?);
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

/// The images of a list: `<class>/<image>` on each line.
fn textures(folder: &Path, path: &Path) -> Result<Listing, DataError> {
    let lines = lines_of(path)?;
    let class_of = |line: &Line| match line.text.split_once('/') {
        Some((class, image)) if !class.is_empty() && !image.is_empty() => Ok(class.to_string()),
        _ => Err(refused(
            path,
            line.number,
            format!("`{}`", line.text),
            "a class and an image: `banded/banded_0002.jpg`",
        )),
    };
    let of_lines: Vec<String> = lines.iter().map(class_of).collect::<Result<_, _>>()?;
    let classes: Vec<String> = of_lines.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let mut images = ImageList::new(path);
    for (line, class) in lines.iter().zip(&of_lines) {
        let label = classes.binary_search(class).unwrap_or_default() as i64;
        images.add(line.number, &folder.join("images"), &line.text, label)?;
    }
    Ok(images.with_classes(&classes))
}
