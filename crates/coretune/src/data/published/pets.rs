//! Oxford-IIIT Pets: `images/*.jpg`, and lists of images with classes in `annotations`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::image_list::{ImageList, Line, lines_of, refused};
use super::place::place;
use crate::data::found::Found;
use crate::data::left_out::LeftOut;
use crate::data::{DataError, DatasetOptions, Format, split_names};

const TRAIN: &str = "trainval";
const TEST: &str = "test";

/// An image of a list.
struct Pet {
    line: u64,
    /// Without ending.
    image: String,
    class: u32,
}

/// The names of the classes by number, and where each was first seen.
#[derive(Default)]
struct Classes {
    names: BTreeMap<u32, String>,
    numbers: HashMap<String, u32>,
}

pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let is_it = |folder: &Path| list(folder, TRAIN).is_file() && folder.join("images").is_dir();
    place(root, &["oxford-iiit-pet"], is_it)
}

pub(super) fn read(folder: &Path, options: &DatasetOptions) -> Result<Found, DataError> {
    let available: Vec<String> =
        [TRAIN, TEST].into_iter().filter(|name| list(folder, name).is_file()).map(Into::into).collect();
    let mut names = split_names::assign(folder, &available, options)?;
    if names.iter().flatten().all(|name| name != TRAIN) {
        names[0].get_or_insert_with(|| TRAIN.into());
    }
    let mut classes = Classes::default();
    let mut lists = Vec::new();
    for name in &names {
        lists.push(name.as_ref().map(|name| pets(&list(folder, name), &mut classes)).transpose()?);
    }
    let (numbers, titles): (Vec<u32>, Vec<String>) = classes.names.into_iter().unzip();
    let mut splits = [None, None, None];
    for ((name, pets), split) in names.iter().zip(lists).zip(&mut splits) {
        let (Some(name), Some(pets)) = (name, pets) else { continue };
        let path = list(folder, name);
        let mut images = ImageList::new(&path);
        for Pet { line, image, class } in pets {
            let label = numbers.binary_search(&class).unwrap_or_default() as i64;
            images.add(line, &folder.join("images"), &format!("{image}.jpg"), label)?;
        }
        *split = Some(images.with_classes(&titles));
    }
    Ok(Found {
        format: Format::OxfordPets,
        splits,
        classes: Some(titles),
        titles: HashMap::new(),
        left_out: LeftOut::default(),
        columns: Vec::new(),
    })
}

fn list(folder: &Path, name: &str) -> PathBuf {
    folder.join("annotations").join(format!("{name}.txt"))
}

/// The images of a list: name, class, species and breed on each line.
fn pets(path: &Path, classes: &mut Classes) -> Result<Vec<Pet>, DataError> {
    let pet = |line: Line| {
        let expected = "the name of an image and the number of its class, from 1 on: `Abyssinian_1 1 1 1`";
        let unusable = || refused(path, line.number, format!("`{}`", line.text), expected);
        let mut parts = line.text.split_whitespace();
        let image = parts.next().ok_or_else(unusable)?.to_string();
        let class = parts.next().and_then(|class| class.parse().ok()).filter(|&class| class > 0);
        let class = class.ok_or_else(unusable)?;
        let (name, _) = image.rsplit_once('_').filter(|(name, _)| !name.contains('/')).ok_or_else(unusable)?;
        classes.add(path, line.number, class, name)?;
        Ok(Pet { line: line.number, image, class })
    };
    lines_of(path)?.into_iter().map(pet).collect()
}

impl Classes {
    /// Refuses a number with a second name, and a name with a second number.
    fn add(&mut self, path: &Path, line: u64, number: u32, name: &str) -> Result<(), DataError> {
        let known = self.names.entry(number).or_insert_with(|| name.to_string());
        if known != name {
            let found = format!("class {number} for an image of `{name}`");
            return Err(refused(path, line, found, format!("class {number} for images of `{known}` alone")));
        }
        let first = *self.numbers.entry(name.to_string()).or_insert(number);
        if first != number {
            let found = format!("class {number} for an image of `{name}`");
            return Err(refused(path, line, found, format!("class {first}, which other images of `{name}` have")));
        }
        Ok(())
    }
}
