//! From what the readers list to a [`Dataset`]: one list of classes, labels as positions in it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DataError, Dataset, Format, ImageSource, Role, Split};

/// More classes than any labelled data set has; a label beyond is a mistake, not a reason to make a list.
const CLASS_LIMIT: i64 = 1 << 20;

/// What a reader found.
pub(super) struct Found {
    pub(super) format: Format,
    /// In the order of [`Role::ALL`].
    pub(super) splits: [Option<Listing>; 3],
    /// Names of the classes by number, where the data set says them.
    pub(super) classes: Option<Vec<String>>,
    /// Names to show, by name of the class.
    pub(super) titles: HashMap<String, String>,
}

/// The images of one split.
pub(super) struct Listing {
    /// File or folder, for messages.
    pub(super) path: PathBuf,
    pub(super) images: Vec<ImageSource>,
    /// Positions in `names`, or class numbers when `names` is `None`.
    pub(super) labels: Vec<i64>,
    pub(super) names: Option<Vec<String>>,
}

pub(super) fn assemble(root: &Path, found: Found) -> Result<Dataset, DataError> {
    for listing in found.splits.iter().flatten() {
        if listing.images.is_empty() {
            return Err(DataError::NoImages { path: listing.path.clone() });
        }
    }
    if found.splits.iter().all(Option::is_none) {
        return Err(DataError::NoImages { path: root.to_path_buf() });
    }
    let classes: Arc<[String]> = classes_of(&found)?.into();
    let titles = classes.iter().map(|class| found.titles.get(class).unwrap_or(class).clone()).collect();
    let origin = if found.splits[0].is_some() { "classes of train" } else { "known classes" };
    let mut splits = [None, None, None];
    for ((role, listing), split) in Role::ALL.into_iter().zip(found.splits).zip(&mut splits) {
        let Some(listing) = listing else { continue };
        let labels = match &listing.names {
            Some(names) => number_by_name(&listing.labels, names, &classes, (&listing.path, role, origin))?,
            None => checked_numbers(listing.labels, &classes, (&listing.path, role, origin))?,
        };
        *split = Some(Split::new(listing.images, labels, classes.clone())?);
    }
    let [train, validation, test] = splits;
    Ok(Dataset { root: root.to_path_buf(), format: found.format, classes, titles, train, validation, test })
}

/// The names that the data set says, else those of the training split (of all, where there is none).
fn classes_of(found: &Found) -> Result<Vec<String>, DataError> {
    if let Some(classes) = &found.classes {
        return Ok(classes.clone());
    }
    let sources: Vec<&Listing> = match &found.splits[0] {
        Some(train) => vec![train],
        None => found.splits.iter().flatten().collect(),
    };
    if sources.iter().all(|listing| listing.names.is_some()) {
        let names: BTreeSet<&String> = sources.iter().flat_map(|listing| listing.names.iter().flatten()).collect();
        let mut names: Vec<String> = names.into_iter().cloned().collect();
        if found.format != Format::ImageFolder && names.iter().all(|name| name.parse::<i64>().is_ok()) {
            names.sort_by_key(|name| name.parse::<i64>().unwrap_or_default());
        }
        return Ok(names);
    }
    let highest = sources.iter().flat_map(|listing| listing.labels.iter().copied()).max().unwrap_or(-1);
    if highest >= CLASS_LIMIT {
        let (path, expected) = (&sources[0].path, format!("class numbers below {CLASS_LIMIT}"));
        return Err(DataError::malformed(path, expected, highest.to_string()));
    }
    Ok((0..=highest).map(|number| number.to_string()).collect())
}

/// Labels that are positions in `names` as positions in `classes`; only names that occur have to be among them.
pub(super) fn number_by_name(
    labels: &[i64],
    names: &[String],
    classes: &[String],
    (path, split, origin): (&Path, Role, &'static str),
) -> Result<Vec<i64>, DataError> {
    let position: HashMap<&String, i64> = classes.iter().zip(0..).collect();
    let numbers: Vec<Option<i64>> = names.iter().map(|name| position.get(name).copied()).collect();
    let unknown = |label: i64| {
        let (class, known) = (names[label as usize].clone(), classes.len());
        DataError::UnknownClass { path: path.to_path_buf(), split, class, known, origin }
    };
    labels.iter().map(|&label| numbers[label as usize].ok_or_else(|| unknown(label))).collect()
}

fn checked_numbers(
    labels: Vec<i64>,
    classes: &[String],
    (path, split, origin): (&Path, Role, &'static str),
) -> Result<Vec<i64>, DataError> {
    let known = classes.len();
    match labels.iter().find(|label| !(0..known as i64).contains(label)) {
        None => Ok(labels),
        Some(class) => {
            let class = class.to_string();
            Err(DataError::UnknownClass { path: path.to_path_buf(), split, class, known, origin })
        }
    }
}
