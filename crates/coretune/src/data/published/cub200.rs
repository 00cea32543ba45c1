//! Caltech-UCSD Birds: `images/<class>/*.jpg`, with `images.txt` and `train_test_split.txt`, which number the images.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::image_list::{ImageList, Line, lines_of, refuse_twice, refused};
use super::place::place;
use super::without_ending::WithoutEnding;
use crate::data::found::{Found, Listing};
use crate::data::{DataError, DatasetOptions, Format, split_names};

const IMAGES: &str = "images.txt";
const SPLIT: &str = "train_test_split.txt";
const LABELS: &str = "image_class_labels.txt";

/// An image of the list.
struct Bird {
    line: u64,
    number: String,
    /// From the folder `images` on.
    path: String,
    class: String,
}

pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let is_it =
        |folder: &Path| folder.join(IMAGES).is_file() && folder.join(SPLIT).is_file() && folder.join("images").is_dir();
    place(root, &["CUB_200_2011", "CUB_200_2011/CUB_200_2011"], is_it)
}

pub(super) fn read(folder: &Path, options: &DatasetOptions) -> Result<Found, DataError> {
    let birds = birds(&folder.join(IMAGES))?;
    refuse_other_labels(&folder.join(LABELS), &birds)?;
    let trains = trains(&folder.join(SPLIT), &birds)?;
    let classes: Vec<String> =
        birds.iter().map(|bird| bird.class.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let names = split_names::assign(folder, &["train", "test"].map(String::from), options)?;
    let mut files = WithoutEnding::below(&folder.join("images"))?;
    let mut splits = [None, None, None];
    for (name, split) in names.iter().zip(&mut splits) {
        let Some(name) = name else { continue };
        let own = birds.iter().zip(&trains).filter(|(_, trains)| **trains == (name == "train")).map(|(bird, _)| bird);
        *split = Some(listing(folder, own, &classes, &mut files)?);
    }
    Ok(Found {
        format: Format::Cub200,
        splits,
        classes: Some(classes),
        titles: HashMap::new(),
        left_out: files.not_listed(folder),
        columns: Vec::new(),
    })
}

fn listing<'a>(
    folder: &Path,
    birds: impl Iterator<Item = &'a Bird>,
    classes: &[String],
    files: &mut WithoutEnding,
) -> Result<Listing, DataError> {
    let path = folder.join(IMAGES);
    let mut images = ImageList::new(&path);
    for bird in birds {
        let label = classes.binary_search(&bird.class).unwrap_or_default() as i64;
        images.add(bird.line, &folder.join("images"), &files.take(&bird.path), label)?;
    }
    Ok(images.with_classes(classes))
}

/// The images: a number and a path, whose folder is the class, on each line.
fn birds(path: &Path) -> Result<Vec<Bird>, DataError> {
    let mut seen = HashMap::new();
    let bird = |line: Line| {
        let expected = "the number of an image and its path: `1 001.Black_footed_Albatross/Albatross_0046.jpg`";
        let unusable = || refused(path, line.number, format!("`{}`", line.text), expected);
        let (number, image) = line.text.split_once(char::is_whitespace).ok_or_else(unusable)?;
        let (class, _) = image.trim().split_once('/').filter(|(class, _)| !class.is_empty()).ok_or_else(unusable)?;
        refuse_twice(&mut seen, path, (number, line.number), "each number once")?;
        Ok(Bird { line: line.number, number: number.into(), path: image.trim().into(), class: class.into() })
    };
    lines_of(path)?.into_iter().map(bird).collect()
}

/// The value that a list gives each image: a number and the value on each line.
fn values(path: &Path, birds: &[Bird], expected: &str) -> Result<Vec<(u64, String)>, DataError> {
    let mut of_numbers = HashMap::new();
    let mut seen = HashMap::new();
    for line in lines_of(path)? {
        let unusable = || refused(path, line.number, format!("`{}`", line.text), expected);
        let (number, value) = line.text.split_once(char::is_whitespace).ok_or_else(unusable)?;
        refuse_twice(&mut seen, path, (number, line.number), "each number once")?;
        of_numbers.insert(number.to_string(), (line.number, value.trim().to_string()));
    }
    let of = |bird: &Bird| {
        let missing = || {
            let found = format!("no line for image {} of {IMAGES}", bird.number);
            DataError::malformed(path, expected, found)
        };
        of_numbers.remove(&bird.number).ok_or_else(missing)
    };
    birds.iter().map(of).collect()
}

/// Whether each image trains.
fn trains(path: &Path, birds: &[Bird]) -> Result<Vec<bool>, DataError> {
    let expected = "the number of each image, and 1 for training or 0 for the test";
    let is_train = |(line, value): (u64, String)| match value.as_str() {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(refused(path, line, format!("`{value}`"), expected)),
    };
    values(path, birds, expected)?.into_iter().map(is_train).collect()
}

/// Refuses a list of labels that does not give each folder a number of its own.
fn refuse_other_labels(path: &Path, birds: &[Bird]) -> Result<(), DataError> {
    if !path.is_file() {
        return Ok(());
    }
    let (mut numbers, mut folders) = (HashMap::new(), HashMap::new());
    for (bird, (line, class)) in birds.iter().zip(values(path, birds, "the numbers of an image and of its class")?) {
        let number = numbers.entry(&bird.class).or_insert_with(|| class.clone());
        let folder = folders.entry(class.clone()).or_insert(&bird.class);
        if *number != class || *folder != &bird.class {
            let found = format!("class {class} for an image in `{}`", bird.class);
            return Err(refused(path, line, found, "one class for all images of a folder, and of no other"));
        }
    }
    Ok(())
}
