//! `<split>/<class>/*`, or `<class>/*`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::lines_of;
use super::found::{Found, Listing};
use super::layout::{are_splits, refuse_unclear};
use super::left_out::{LeftOut, Reason};
use super::role::role_of;
use super::walk::Walk;
use super::{DataError, DatasetOptions, Format, ImageSource, Layout, Role, split_names};

pub(super) fn read(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    if !root.is_dir() {
        return Ok(None);
    }
    let mut walk = Walk::new(root);
    walk.except(root.join(TITLES));
    let contents = walk.contents(root)?;
    if contents.folders.is_empty() {
        let holds_others = contents.images.is_empty() && walk.left_out.has_images_not_decoded();
        let error = || Err(DataError::NoImages { path: root.to_path_buf(), left_out: walk.left_out });
        return if holds_others { error() } else { Ok(None) };
    }
    contents.images.iter().for_each(|image| walk.leave_out(Reason::BesideClasses, image));
    let splits = if are_splits(&contents.folders, options) {
        list_splits(&mut walk, root, &contents.folders, options)?
    } else {
        let all = list(&mut walk, root, &contents.folders)?;
        if all.images.is_empty() && walk.left_out.is_empty() {
            return Ok(None);
        }
        if options.layout == Layout::Auto {
            refuse_unclear(root, &below(root, &all.images), Layout::Classes)?;
        }
        [Some(all), None, None]
    };
    let (titles, left_out) = (titles(root)?, walk.left_out);
    Ok(Some(Found { format: Format::ImageFolder, splits, classes: None, titles, left_out, columns: Vec::new() }))
}

/// The splits that have a role; the images of others are counted as left out.
fn list_splits(
    walk: &mut Walk,
    root: &Path,
    folders: &[String],
    options: &DatasetOptions,
) -> Result<[Option<Listing>; 3], DataError> {
    let names = split_names::assign(root, folders, options)?;
    for other in folders.iter().filter(|folder| !names.contains(&Some((*folder).clone()))) {
        let images = walk.images(&root.join(other))?.len();
        walk.left_out.add_many(Reason::OtherSplit { split: other.clone() }, images, format!("{other}/"));
    }
    let mut splits = [None, None, None];
    for (name, listing) in names.iter().zip(&mut splits) {
        let Some(name) = name else { continue };
        let folder = root.join(name);
        let contents = walk.contents(&folder)?;
        let found = list(walk, &folder, &contents.folders)?;
        if found.images.is_empty() && !contents.images.is_empty() {
            return Err(DataError::WithoutClasses { path: folder, images: contents.images.len() });
        }
        contents.images.iter().for_each(|image| walk.leave_out(Reason::BesideClasses, image));
        *listing = Some(found);
    }
    if options.layout == Layout::Auto {
        refuse_unclear_splits(&splits)?;
    }
    Ok(splits)
}

/// Refuses splits whose folders could be something else than classes: training, and others that hold more classes.
fn refuse_unclear_splits(splits: &[Option<Listing>; 3]) -> Result<(), DataError> {
    let classes = |listing: &Listing| listing.names.clone().unwrap_or_default();
    let known = splits[0].as_ref().map(classes).unwrap_or_default();
    for (role, split) in Role::ALL.into_iter().zip(splits) {
        let Some(split) = split else { continue };
        if role == Role::Train || classes(split).iter().any(|class| !known.contains(class)) {
            refuse_unclear(&split.path, &below(&split.path, &split.images), Layout::Splits)?;
        }
    }
    Ok(())
}

/// The images of these classes of one split, both sorted by name.
fn list(walk: &mut Walk, folder: &Path, classes: &[String]) -> Result<Listing, DataError> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for (class, name) in classes.iter().enumerate() {
        images.extend(walk.images(&folder.join(name))?.into_iter().map(|path| ImageSource::File(Arc::from(path))));
        labels.resize(images.len(), class as i64);
    }
    Ok(Listing { path: folder.to_path_buf(), images, labels, names: Some(classes.to_vec()) })
}

/// The paths of the images from `root` on.
fn below(root: &Path, images: &[ImageSource]) -> Vec<PathBuf> {
    let path = |image: &ImageSource| match image {
        ImageSource::File(path) => Some(path.strip_prefix(root).ok()?.to_path_buf()),
        _ => None,
    };
    images.iter().filter_map(path).collect()
}

/// The images of a data set without classes, and what was left out: all images of the training split, if there is one,
/// else of the folder. `None` if no image lies directly there: then folders may be classes.
pub(super) fn without_classes(
    root: &Path,
    options: &DatasetOptions,
) -> Result<Option<(Vec<PathBuf>, LeftOut)>, DataError> {
    if !root.is_dir() {
        return Ok(None);
    }
    let mut walk = Walk::new(root);
    let folders = walk.contents(root)?.folders;
    let is_train = |name: &&String| match &options.train_split {
        Some(train) => *name == train,
        None => options.layout != Layout::Classes && role_of(name) == Some(Role::Train),
    };
    let folder = folders.iter().find(is_train).map_or_else(|| root.to_path_buf(), |name| root.join(name));
    if walk.contents(&folder)?.images.is_empty() {
        return Ok(None);
    }
    let mut walk = Walk::new(root);
    let images = walk.images(&folder)?;
    Ok(Some((images, walk.left_out)))
}

/// The image files in a folder and below it, sorted by name.
pub(crate) fn images_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    Walk::new(folder).images(folder)
}

/// A file with a class and its title on each line.
const TITLES: &str = "classes.txt";

/// The titles of classes by their names.
fn titles(root: &Path) -> Result<HashMap<String, String>, DataError> {
    let path = root.join(TITLES);
    if !path.is_file() {
        return Ok(HashMap::new());
    }
    let pair = |line: &String| line.split_once(char::is_whitespace).map(|(a, b)| (a.to_string(), b.trim().to_string()));
    Ok(lines_of(&path)?.iter().filter_map(pair).collect())
}
