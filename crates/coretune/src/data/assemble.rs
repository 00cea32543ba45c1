//! From what the readers list to a [`Dataset`]: one list of classes, labels as positions in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dataset::positions;
use super::found::{Found, Listing};
use super::resemblance::resembled;
use super::{DataError, Dataset, Format, Role, Split};

/// More classes than any labelled data set has; a label beyond is a mistake, not a reason to make a list.
const CLASS_LIMIT: i64 = 1 << 20;

/// Images of a class that the training split lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownClass {
    /// The split that has it.
    pub split: Role,
    /// File or folder of the split.
    pub path: PathBuf,
    /// Name of the class.
    pub class: String,
    /// Its images there.
    pub images: usize,
    /// The class of training whose name differs only by case, blanks, leading zeros, `+`, `.0` or Unicode form.
    pub resembles: Option<String>,
}

/// The data set, without the images of classes that training lacks, and these classes.
pub(super) fn assemble(root: &Path, found: Found) -> Result<(Dataset, Vec<UnknownClass>), DataError> {
    for listing in found.splits.iter().flatten() {
        if listing.images.is_empty() {
            return Err(DataError::NoImages { path: listing.path.clone(), left_out: found.left_out });
        }
    }
    if found.splits.iter().all(Option::is_none) {
        return Err(DataError::NoImages { path: root.to_path_buf(), left_out: found.left_out });
    }
    let classes: Arc<[String]> = classes_of(&found)?.into();
    let titles = classes.iter().map(|class| found.titles.get(class).unwrap_or(class).clone()).collect();
    let mut splits = [None, None, None];
    let mut unknown = Vec::new();
    for ((role, listing), split) in Role::ALL.into_iter().zip(found.splits).zip(&mut splits) {
        let Some(listing) = listing else { continue };
        let path = listing.path.clone();
        let (known, others) = known_images(listing, &classes);
        let of_class = |(class, images): (String, usize)| {
            let resembles = resembled(&class, &classes).cloned();
            UnknownClass { split: role, path: path.clone(), class, images, resembles }
        };
        unknown.extend(others.into_iter().map(of_class));
        *split = Some(Split::new(known.images, known.labels, classes.clone())?);
    }
    let [train, validation, test] = splits;
    let root = root.to_path_buf();
    Ok((
        Dataset {
            root,
            format: found.format,
            classes,
            titles,
            train,
            validation,
            test,
            left_out: found.left_out,
            columns: found.columns,
        },
        unknown,
    ))
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
