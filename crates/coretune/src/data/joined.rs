//! Several roots as one data set: their splits joined, over the classes of all.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::found::{Found, Listing};
use super::{DataError, Role};
use crate::files::absolute;

/// The roots that a path of the form `A,B` joins; `None` for the path of one root.
pub(super) fn roots_of(path: &Path) -> Result<Option<Vec<PathBuf>>, DataError> {
    let Some(text) = path.to_str().filter(|text| text.contains(',') && !path.exists()) else { return Ok(None) };
    let refused = |found: String| {
        let expected = "paths of different folders with commas between them".into();
        Err(DataError::Joined { path: path.to_path_buf(), expected, found })
    };
    let roots = split(text)?;
    let mut known: Vec<PathBuf> = Vec::new();
    for root in &roots {
        let real = root.canonicalize().map_err(DataError::read(root))?;
        if known.contains(&real) {
            return refused(format!("{} twice", root.display()));
        }
        known.push(real);
    }
    if roots.len() < 2 { refused("a comma without a path beside it".into()) } else { Ok(Some(roots)) }
}

/// The parts between commas that exist; a comma in the name of a folder does not part it.
fn split(text: &str) -> Result<Vec<PathBuf>, DataError> {
    let (mut roots, mut part) = (Vec::new(), String::new());
    for next in text.split(',') {
        if !part.is_empty() {
            part.push(',');
        }
        part.push_str(next);
        let path = Path::new(part.trim());
        if path.exists() {
            roots.push(path.to_path_buf());
            part.clear();
        }
    }
    if part.trim().is_empty() { Ok(roots) } else { Err(DataError::NotFound { path: part.trim().into() }) }
}

/// The path from the root of the file system, or those of several roots; as given if the current folder is unknown.
pub(crate) fn absolute_roots(path: &Path) -> PathBuf {
    match roots_of(path) {
        Ok(Some(roots)) => {
            let roots: Vec<String> = roots.iter().map(|root| absolute(root).display().to_string()).collect();
            PathBuf::from(roots.join(","))
        }
        _ => absolute(path),
    }
}

/// One data set of what was found in each root; `path` names them all.
pub(super) fn join(path: &Path, found: Vec<(PathBuf, Found)>) -> Result<Option<Found>, DataError> {
    let mut joined: Option<(PathBuf, Found)> = None;
    for (root, next) in found {
        let next = with_names(next);
        let Some((first, all)) = &mut joined else {
            joined = Some((root, next));
            continue;
        };
        refuse_other_forms(path, (first, all), (&root, &next))?;
        add(all, next);
    }
    Ok(joined.map(|(_, found)| found))
}

/// Refuses a root of another format, or with other splits than the first.
fn refuse_other_forms(
    path: &Path,
    (first, all): (&Path, &Found),
    (root, next): (&Path, &Found),
) -> Result<(), DataError> {
    let refused = |in_first: String, in_next: String| {
        let found = format!("{in_next} in {}", root.display());
        let expected = format!("{in_first}, as in {}", first.display());
        Err(DataError::Joined { path: path.to_path_buf(), expected, found })
    };
    if all.format != next.format {
        return refused(all.format.to_string(), next.format.to_string());
    }
    let splits = |found: &Found| {
        let there = Role::ALL.iter().zip(&found.splits).filter(|(_, split)| split.is_some());
        let names: Vec<String> = there.map(|(role, _)| role.to_string()).collect();
        format!("the {} {}", if names.len() == 1 { "split" } else { "splits" }, names.join(", "))
    };
    if splits(all) == splits(next) { Ok(()) } else { refused(splits(all), splits(next)) }
}

fn add(all: &mut Found, next: Found) {
    for (split, more) in all.splits.iter_mut().zip(next.splits) {
        if let (Some(split), Some(more)) = (split, more) {
            append(split, more);
        }
    }
    all.classes = match (all.classes.take(), next.classes) {
        (Some(mut classes), Some(more)) => {
            let new: Vec<String> = more.into_iter().filter(|class| !classes.contains(class)).collect();
            classes.extend(new);
            Some(classes)
        }
        _ => None,
    };
    all.titles.extend(next.titles);
    all.left_out.extend(next.left_out);
    all.columns.extend(next.columns);
}

/// The images of two listings; a class of both is one class.
fn append(listing: &mut Listing, more: Listing) {
    let names = listing.names.get_or_insert_default();
    let number_of = |name: String| {
        let known = names.iter().position(|known| *known == name);
        known.unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        }) as i64
    };
    let numbers: Vec<i64> = more.names.unwrap_or_default().into_iter().map(number_of).collect();
    listing.images.extend(more.images);
    listing.labels.extend(more.labels.into_iter().map(|label| numbers[label as usize]));
    let paths = [&listing.path, &more.path].map(|path| path.display().to_string());
    listing.path = PathBuf::from(paths.join(","));
}

/// The same with a name for every label, where a format numbers its classes: that of the class, else the number.
fn with_names(mut found: Found) -> Found {
    let Found { splits, classes, .. } = &mut found;
    for listing in splits.iter_mut().flatten().filter(|listing| listing.names.is_none()) {
        let numbers: BTreeSet<i64> = listing.labels.iter().copied().collect();
        let positions: HashMap<i64, i64> = numbers.iter().copied().zip(0..).collect();
        let class = |number: i64| classes.as_ref()?.get(usize::try_from(number).ok()?).cloned();
        let name = |number: i64| class(number).unwrap_or_else(|| number.to_string());
        listing.names = Some(numbers.into_iter().map(name).collect());
        listing.labels.iter_mut().for_each(|label| *label = positions[label]);
    }
    found
}
