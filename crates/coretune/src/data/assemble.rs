//! From what the readers list to a [`Dataset`]: one list of classes, labels as positions in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::UnknownClass;
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

/// The data set, without the images of classes that training lacks, and these classes.
pub(super) fn assemble(root: &Path, found: Found) -> Result<(Dataset, Vec<UnknownClass>), DataError> {
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
    let mut splits = [None, None, None];
    let mut unknown = Vec::new();
    for ((role, listing), split) in Role::ALL.into_iter().zip(found.splits).zip(&mut splits) {
        let Some(listing) = listing else { continue };
        let path = listing.path.clone();
        let (known, others) = known_images(listing, &classes);
        let of_class = |(class, images)| UnknownClass { split: role, path: path.clone(), class, images };
        unknown.extend(others.into_iter().map(of_class));
        *split = Some(Split::new(known.images, known.labels, classes.clone())?);
    }
    let [train, validation, test] = splits;
    let root = root.to_path_buf();
    Ok((Dataset { root, format: found.format, classes, titles, train, validation, test }, unknown))
}

/// The images whose class is among `classes`, with labels that are positions there; the other classes with the number of
/// their images.
fn known_images(listing: Listing, classes: &[String]) -> (Listing, BTreeMap<String, usize>) {
    let Listing { path, images, labels, names } = listing;
    let numbers = names.as_deref().map(|names| positions(names, classes));
    let (mut known, mut unknown) = (Listing { path, images: vec![], labels: vec![], names: None }, BTreeMap::new());
    for (image, label) in images.into_iter().zip(labels) {
        let number = match &numbers {
            Some(numbers) => numbers[label as usize],
            None => Some(label).filter(|label| (0..classes.len() as i64).contains(label)),
        };
        if let Some(number) = number {
            known.images.push(image);
            known.labels.push(number);
        } else {
            let name = names.as_ref().map_or_else(|| label.to_string(), |names| names[label as usize].clone());
            *unknown.entry(name).or_default() += 1;
        }
    }
    (known, unknown)
}

/// The position of each name in `classes`, where it is there.
fn positions(names: &[String], classes: &[String]) -> Vec<Option<i64>> {
    let position: HashMap<&String, i64> = classes.iter().zip(0..).collect();
    names.iter().map(|name| position.get(name).copied()).collect()
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
    let numbers = positions(names, classes);
    let unknown = |label: i64| {
        let (class, known) = (names[label as usize].clone(), classes.len());
        DataError::UnknownClass { path: path.to_path_buf(), split, class, known, origin }
    };
    labels.iter().map(|&label| numbers[label as usize].ok_or_else(|| unknown(label))).collect()
}
