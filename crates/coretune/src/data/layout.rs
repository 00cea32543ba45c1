//! Whether the folders at the top of a data set are splits or classes; what could be either is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::resemblance::plain;
use super::role::{Role, role_of};
use super::{DataError, DatasetOptions, Layout};

/// Names of folders that hold a data set, not a class of one.
const CONTAINERS: [&str; 8] = ["data", "dataset", "datasets", "images", "imgs", "photos", "pictures", "raw"];

/// Whether these folders are splits: if options say so or name splits, if one trains by its name, or if all have names of
/// splits.
pub(super) fn are_splits(folders: &[String], options: &DatasetOptions) -> bool {
    let is_train = |name: &String| role_of(name) == Some(Role::Train);
    match options.layout {
        Layout::Splits => true,
        Layout::Classes => false,
        Layout::Auto => {
            options.names_any() || folders.iter().any(is_train) || folders.iter().all(|name| role_of(name).is_some())
        }
    }
}

/// Refuses folders that were listed as classes and could be something else; `images` are relative to `path`, and with
/// `layout` the folders are classes.
pub(super) fn refuse_unclear(path: &Path, images: &[PathBuf], layout: Layout) -> Result<(), DataError> {
    let tops: Vec<Top> = branches(images).into_iter().map(|name| Top::new(name, images)).collect();
    let error = if layout == Layout::Classes {
        alike(path, &tops, layout).or_else(|| above_splits(path, &tops)).or_else(|| split_among(path, &tops))
    } else {
        alike(path, &tops, layout)
    };
    error.or_else(|| deeper(path, &tops, layout)).map_or(Ok(()), Err)
}

/// A folder that was listed as a class.
struct Top<'a> {
    name: &'a OsStr,
    /// The folders directly in it that hold images.
    folders: BTreeSet<&'a OsStr>,
    /// Whether it holds images directly.
    has_images: bool,
    /// The folder in it, perhaps itself, in which splits or several folders lie side by side, and nothing else.
    inner: Option<(PathBuf, Vec<String>)>,
}

impl<'a> Top<'a> {
    fn new(name: &'a OsStr, images: &'a [PathBuf]) -> Self {
        let own: Vec<&Path> = images.iter().filter_map(|image| image.strip_prefix(name).ok()).collect();
        let is_deeper = |image: &&&Path| image.iter().count() > 1;
        let folders = own.iter().filter(is_deeper).filter_map(|image| image.iter().next()).collect();
        let has_images = own.iter().any(|image| !is_deeper(&image));
        Top { name, folders, has_images, inner: side_by_side(name, images) }
    }

    fn name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    fn is_container(&self) -> bool {
        CONTAINERS.contains(&self.name().to_lowercase().as_str())
    }
}

fn names<'a>(tops: impl IntoIterator<Item = &'a Top<'a>>) -> Vec<String> {
    tops.into_iter().map(Top::name).collect()
}

/// The data set lies in the only folder, or in the only one that holds a training split.
fn above_splits(path: &Path, tops: &[Top]) -> Option<DataError> {
    let mut trains = tops.iter().filter(|top| top.folders.iter().any(|name| is_train(name)));
    let inner = match (tops, trains.next(), trains.next()) {
        ([only], ..) => only.inner.as_ref().map(|(inner, _)| inner.clone())?,
        (_, Some(only), None) => PathBuf::from(only.name),
        _ => return None,
    };
    Some(DataError::TooDeep { path: path.into(), inner: path.join(inner) })
}

/// Folders of which most hold the same folders: two of them, or one if they hold nothing but folders, several each; or a
/// training split in more than one.
fn alike(path: &Path, tops: &[Top], layout: Layout) -> Option<DataError> {
    if tops.len() < 2 {
        return None;
    }
    let common = held_by_most(tops);
    let hold_several = tops.iter().all(|top| top.folders.len() > 1 && !top.has_images);
    let train = || common_train(tops);
    let common = match common.len() {
        0 => train()?,
        1 if !hold_several => train()?,
        _ => common,
    };
    Some(DataError::SplitsOrClasses { path: path.into(), folders: names(tops), common, layout })
}

/// `train`, if several of the folders hold a training split.
fn common_train(tops: &[Top]) -> Option<Vec<String>> {
    let holders = tops.iter().filter(|top| top.folders.iter().any(|name| is_train(name))).count();
    (holders > 1).then(|| vec!["train".into()])
}

/// A folder `test` with folders in it among others: a split without its training images, or a class.
fn split_among(path: &Path, tops: &[Top]) -> Option<DataError> {
    let is_split = |top: &&Top| !top.folders.is_empty() && top.name.to_str().and_then(role_of).is_some();
    let split = tops.iter().find(is_split)?;
    let others = tops.iter().filter(|top| top.name != split.name);
    Some(DataError::SplitAmongClasses { path: path.into(), split: split.name(), folders: names(others) })
}

/// The one folder that holds nothing but folders, at least as many as there are beside it, where the others hold images;
/// or the one that has the name of a container.
fn deeper(path: &Path, tops: &[Top], layout: Layout) -> Option<DataError> {
    let nested: Vec<(&Top, &PathBuf, &Vec<String>)> =
        tops.iter().filter_map(|top| top.inner.as_ref().map(|(inner, folders)| (top, inner, folders))).collect();
    let containers: Vec<_> = nested.iter().filter(|(top, ..)| top.is_container()).collect();
    let is_alone =
        |top: &Top| tops.iter().all(|other| other.name == top.name || other.folders.is_disjoint(&top.folders));
    let (top, inner, folders) = match (&nested[..], &containers[..]) {
        (_, [only]) => *only,
        ([only @ (top, _, folders)], _) if folders.len() + 1 >= tops.len() && is_alone(top) => only,
        _ => return None,
    };
    let others = names(tops.iter().filter(|other| other.name != top.name));
    let (inner, folders) = ((*inner).clone(), (*folders).clone());
    Some(DataError::ClassesDeeper { path: path.into(), inner, folders, others, layout })
}

/// The names that more than half of these folders hold: domains and splits rarely agree in all of their classes, nor
/// always in how they spell them.
fn held_by_most(tops: &[Top]) -> Vec<String> {
    let mut holders: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for top in tops {
        let names: BTreeMap<String, String> = top
            .folders
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .map(|name| (plain(&name), name))
            .collect();
        for (sought, name) in names {
            holders.entry(sought).or_insert((name, 0)).1 += 1;
        }
    }
    holders.into_values().filter(|(_, count)| 2 * count > tops.len()).map(|(name, _)| name).collect()
}

fn is_train(name: &OsStr) -> bool {
    name.to_str().and_then(role_of) == Some(Role::Train)
}

/// The first folders of paths, each once and sorted.
fn branches(paths: &[PathBuf]) -> Vec<&OsStr> {
    let firsts = paths.iter().filter_map(|path| path.iter().next());
    firsts.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The folder, if any, in which splits or two or more folders with images lie side by side, and their names; `top` holds it
/// or is it, and has no other images.
fn side_by_side(top: &OsStr, images: &[PathBuf]) -> Option<(PathBuf, Vec<String>)> {
    let mut at = PathBuf::from(top);
    loop {
        let rest: Vec<&Path> = images.iter().filter_map(|image| image.strip_prefix(&at).ok()).collect();
        if rest.iter().any(|rest| rest.iter().count() < 2) {
            return None;
        }
        let firsts: BTreeSet<&OsStr> = rest.iter().filter_map(|rest| rest.iter().next()).collect();
        let only = firsts.first()?;
        if firsts.len() > 1 || is_train(only) {
            return Some((at, firsts.iter().map(|name| name.to_string_lossy().into_owned()).collect()));
        }
        at.push(only);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_as(layout: Layout, images: &[&str]) -> String {
        let images: Vec<PathBuf> = images.iter().map(PathBuf::from).collect();
        refuse_unclear(Path::new("/data"), &images, layout)
            .map_or_else(|error| error.to_string(), |()| "classes".into())
    }

    fn refused(images: &[&str]) -> String {
        refused_as(Layout::Classes, images)
    }

    #[test]
    fn folders_of_images_are_classes_whatever_else_they_hold() {
        assert_eq!(refused(&["cat/a.jpg", "dog/b.jpg"]), "classes");
        assert_eq!(refused(&["cat/front/a.jpg", "dog/b.jpg", "dog/front/c.jpg"]), "classes");
        assert_eq!(refused(&["cat/front/a.jpg", "cat/side/b.jpg", "dog/front/c.jpg"]), "classes");
        assert_eq!(refused(&["pass/a.jpg", "test/b.jpg", "fail/c.jpg"]), "classes");
        assert_eq!(refused(&["only/a.jpg"]), "classes");
        assert_eq!(refused(&["only/front/a.jpg"]), "classes");
    }

    #[test]
    fn folders_that_could_be_splits_are_refused() {
        let error = refused(&["a/cat/1.jpg", "a/dog/1.jpg", "b/cat/1.jpg", "b/dog/2.jpg", "b/cow/3.jpg"]);
        assert!(error.contains("`a`, `b`") && error.contains("`cat`, `dog`"), "{error}");
        let below = refused(&["cat/train/1.jpg", "cat/val/1.jpg", "dog/train/1.jpg", "dog/val/1.jpg"]);
        assert!(below.contains("`train`, `val`"), "{below}");
        let spelt = refused(&["a/cat/1.jpg", "a/dog/1.jpg", "b/Cat/1.jpg", "b/dog /2.jpg"]);
        assert!(spelt.contains("`cat`, `dog`"), "{spelt}");
        let most = refused(&["a/cat/1.jpg", "a/dog/1.jpg", "b/cat/1.jpg", "b/dog/2.jpg", "c/cat/3.jpg"]);
        assert!(most.contains("`a`, `b`, `c`") && most.contains("most hold `cat`, `dog`"), "{most}");
        let among = refused(&["test/cat/1.jpg", "test/dog/1.jpg", "more/2.jpg"]);
        assert!(among.contains("`test`") && among.contains("`more`"), "{among}");
    }

    #[test]
    fn a_data_set_that_lies_deeper_is_found() {
        for (inner, images) in [
            ("/data/x", &["x/train/cat/1.jpg", "x/val/cat/2.jpg"][..]),
            ("/data/x", &["x/train/cat/1.jpg", "x/train/dog/1.jpg"]),
            ("/data/x/y", &["x/y/cat/1.jpg", "x/y/dog/2.jpg"]),
            ("/data/x", &["x/train/cat/1.jpg", "x/val/cat/2.jpg", "sample/1.jpg"]),
        ] {
            assert!(refused(images).ends_with(inner), "{}", refused(images));
        }
    }
}
