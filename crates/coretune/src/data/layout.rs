//! Whether the folders at the top of a data set are splits or classes; what could be either is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::resemblance::plain;
use super::role::{Role, role_of};
use super::{DataError, DatasetOptions, ImageSource, Layout, Split};

/// Whether these folders are splits: if options name splits, if one trains by its name, or if all have names of splits.
pub(super) fn are_splits(folders: &[String], options: &DatasetOptions) -> bool {
    let is_train = |name: &String| role_of(name) == Some(Role::Train);
    options.layout == Layout::Auto
        && (options.names_any() || folders.iter().any(is_train) || folders.iter().all(|name| role_of(name).is_some()))
}

/// Refuses folders that were listed as classes and could be something else; `images` are relative to `root`.
pub(super) fn refuse_unclear(root: &Path, images: &[PathBuf]) -> Result<(), DataError> {
    let tops = branches(images);
    if let [only] = &tops[..] {
        let inner = data_set_inside(only, images);
        return inner.map_or(Ok(()), |inner| Err(DataError::TooDeep { path: root.into(), inner: root.join(inner) }));
    }
    if tops.is_empty() {
        return Ok(());
    }
    let inside: Vec<BTreeSet<&OsStr>> = tops.iter().map(|top| folders_in(top, images)).collect();
    let names = || tops.iter().map(|top| top.to_string_lossy().into_owned()).collect::<Vec<_>>();
    let common = held_by_most(&inside);
    if common.len() >= 2 {
        return Err(DataError::SplitsOrClasses { path: root.into(), folders: names(), common });
    }
    let trains: Vec<&&OsStr> = tops
        .iter()
        .zip(&inside)
        .filter(|(_, inside)| inside.iter().any(|name| is_train(name)))
        .map(|(top, _)| top)
        .collect();
    match trains[..] {
        [] => {}
        [only] => return Err(DataError::TooDeep { path: root.into(), inner: root.join(only) }),
        _ => {
            return Err(DataError::SplitsOrClasses {
                path: root.into(),
                folders: names(),
                common: vec!["train".into()],
            });
        }
    }
    // A folder `test` with folders in it among others: a split without its training images, or a class.
    let split_like =
        tops.iter().zip(&inside).find(|(top, inside)| !inside.is_empty() && top.to_str().and_then(role_of).is_some());
    match split_like {
        None => Ok(()),
        Some((split, _)) => {
            let split = split.to_string_lossy().into_owned();
            let folders = names().into_iter().filter(|name| *name != split).collect();
            Err(DataError::SplitAmongClasses { path: root.into(), split, folders })
        }
    }
}

/// The names that more than half of these folders hold: domains and splits rarely agree in all of their classes, nor
/// always in how they spell them.
fn held_by_most(inside: &[BTreeSet<&OsStr>]) -> Vec<String> {
    let mut holders: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for names in inside {
        let names: BTreeMap<String, String> =
            names.iter().map(|name| name.to_string_lossy().into_owned()).map(|name| (plain(&name), name)).collect();
        for (sought, name) in names {
            holders.entry(sought).or_insert((name, 0)).1 += 1;
        }
    }
    holders.into_values().filter(|(_, count)| 2 * count > inside.len()).map(|(name, _)| name).collect()
}

/// The folders that every class of a split holds, if there are two or more: perhaps they are the classes that are meant, and
/// what counts as a class is a domain.
pub(super) fn folders_of_every_class(split: &Split) -> Vec<String> {
    let mut inside: Vec<BTreeSet<&OsStr>> = vec![BTreeSet::new(); split.classes().len()];
    for (image, &label) in split.images().iter().zip(split.labels()) {
        let ImageSource::File(path) = image else { return Vec::new() };
        let class = &split.classes()[label as usize];
        let mut below = path.iter().skip_while(|folder| folder.to_str() != Some(class)).skip(1);
        if let (Some(folder), Some(_)) = (below.next(), below.next()) {
            inside[label as usize].insert(folder);
        }
    }
    let [first, others @ ..] = &inside[..] else { return Vec::new() };
    let common = first.iter().filter(|folder| others.iter().all(|names| names.contains(*folder)));
    let common: Vec<String> = common.map(|folder| folder.to_string_lossy().into_owned()).collect();
    if others.is_empty() || common.len() < 2 { Vec::new() } else { common }
}

fn is_train(name: &OsStr) -> bool {
    name.to_str().and_then(role_of) == Some(Role::Train)
}

/// The first folders of paths, each once and sorted.
fn branches(paths: &[PathBuf]) -> Vec<&OsStr> {
    let firsts = paths.iter().filter_map(|path| path.iter().next());
    firsts.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The folders directly in `folder` that hold images.
fn folders_in<'a>(folder: &OsStr, images: &'a [PathBuf]) -> BTreeSet<&'a OsStr> {
    let below = images.iter().filter_map(|image| image.strip_prefix(folder).ok());
    below.filter(|rest| rest.iter().count() > 1).filter_map(|rest| rest.iter().next()).collect()
}

/// The folder, if any, in which splits or two or more folders with images lie side by side; `top` holds all images.
fn data_set_inside(top: &OsStr, images: &[PathBuf]) -> Option<PathBuf> {
    let mut at = PathBuf::from(top);
    loop {
        let rest: Vec<&Path> = images.iter().filter_map(|image| image.strip_prefix(&at).ok()).collect();
        if rest.iter().any(|rest| rest.iter().count() < 2) {
            return None;
        }
        let firsts: BTreeSet<&OsStr> = rest.iter().filter_map(|rest| rest.iter().next()).collect();
        let only = firsts.first()?;
        if firsts.len() > 1 || is_train(only) {
            return Some(at);
        }
        at.push(only);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(images: &[&str]) -> String {
        let images: Vec<PathBuf> = images.iter().map(PathBuf::from).collect();
        refuse_unclear(Path::new("/data"), &images).map_or_else(|error| error.to_string(), |()| "classes".into())
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
