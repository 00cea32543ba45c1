//! `<split>/<class>/*`, or `<class>/*`.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::folder::{lines_of, names_in};
use super::found::{Found, Listing};
use super::label_file::may_hold_labels;
use super::label_search::refuse_label_file;
use super::layout::{are_splits, refuse_unclear};
use super::left_out::{LeftOut, Reason};
use super::role::{is_evaluating, role_of};
use super::walk::{Contents, Walk};
use super::{DataError, DatasetOptions, Format, ImageSource, Layout, Role, split_names};

pub(super) fn read(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    if !root.is_dir() {
        return Ok(None);
    }
    let mut walk = Walk::new(root);
    walk.except(root.join(TITLES));
    let contents = walk.contents(root)?;
    if contents.folders.is_empty() {
        refuse_label_file(root, &[], &below(root, &contents.images))?;
        let holds_others = contents.images.is_empty() && walk.left_out.has_images_not_decoded();
        let error = || Err(DataError::NoImages { path: root.to_path_buf(), left_out: walk.left_out });
        return if holds_others { error() } else { Ok(None) };
    }
    contents.images.iter().for_each(|image| walk.leave_out(Reason::BesideClasses, image));
    let splits = if are_splits(&contents.folders, options) {
        list_splits(&mut walk, root, &contents.folders, options)?
    } else {
        refuse_gone(&contents)?;
        let all = list(&mut walk, root, &contents.folders)?;
        if all.images.is_empty() && walk.left_out.is_empty() {
            return Ok(None);
        }
        if options.layout == Layout::Auto {
            refuse_detection(&all)?;
            let images = below(root, &files(&all.images));
            let beside = below(root, &contents.images);
            refuse_label_file(root, &classes_with_images(&all), &[&images[..], &beside].concat())?;
            refuse_unclear(root, &images, Layout::Classes)?;
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
    let options = with_plain_names(options);
    let mut available = folders.to_vec();
    available.extend(deeper_splits(root, &options));
    let names = split_names::assign(root, &available, &options)?;
    leave_out_other_splits(walk, root, folders, &names)?;
    refuse_evaluating_split(walk, root, &names, &options)?;
    let mut splits = [None, None, None];
    for ((role, name), listing) in Role::ALL.into_iter().zip(&names).zip(&mut splits) {
        let Some(name) = name else { continue };
        let folder = root.join(name);
        let contents = walk.contents(&folder)?;
        refuse_gone(&contents)?;
        let found = list(walk, &folder, &contents.folders)?;
        if found.images.is_empty() && !contents.images.is_empty() {
            let images = contents.images.len();
            if role == Role::Test && names[0].is_some() && options.test_split.is_none() {
                walk.left_out.add_many(Reason::OfNoClass { folder: name.clone() }, images, format!("{name}/"));
                continue;
            }
            let table = table_in(&folder)?.map_or_else(|| table_in(root), |table| Ok(Some(table)))?;
            return Err(DataError::WithoutClasses { path: folder, images, table });
        }
        contents.images.iter().for_each(|image| walk.leave_out(Reason::BesideClasses, image));
        *listing = Some(found);
    }
    if options.layout == Layout::Auto {
        refuse_unclear_splits(&splits)?;
    }
    Ok(splits)
}

/// The names of splits without what completion on a command line adds: `train/` as `train`.
fn with_plain_names(options: &DatasetOptions) -> DatasetOptions {
    let plain = |name: &Option<String>| name.as_ref().map(|name| name.trim_end_matches('/').to_string());
    DatasetOptions {
        train_split: plain(&options.train_split),
        val_split: plain(&options.val_split),
        test_split: plain(&options.test_split),
        ..options.clone()
    }
}

/// Splits that are named with the folders between: `archive/train`.
fn deeper_splits<'a>(root: &'a Path, options: &'a DatasetOptions) -> impl Iterator<Item = String> + 'a {
    let is_deeper = |name: &&String| {
        let path = Path::new(name.as_str());
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        inside && path.components().count() > 1 && root.join(path).is_dir()
    };
    [&options.train_split, &options.val_split, &options.test_split].into_iter().flatten().filter(is_deeper).cloned()
}

/// Counts the images of the folders that are not of one of these splits.
fn leave_out_other_splits(
    walk: &mut Walk,
    root: &Path,
    folders: &[String],
    names: &[Option<String>; 3],
) -> Result<(), DataError> {
    for other in folders.iter().filter(|folder| !names.contains(&Some((*folder).clone()))) {
        let of_split = |image: &PathBuf| names.iter().flatten().any(|name| image.starts_with(root.join(name)));
        let images = walk.images(&root.join(other))?.iter().filter(|image| !of_split(image)).count();
        walk.left_out.add_many(Reason::OtherSplit { split: other.clone() }, images, format!("{other}/"));
    }
    Ok(())
}

/// Refuses images left out in a folder such as `eval` while no split validates or none tests: they could be the ones.
fn refuse_evaluating_split(
    walk: &Walk,
    root: &Path,
    names: &[Option<String>; 3],
    options: &DatasetOptions,
) -> Result<(), DataError> {
    if options.names_any() || options.train_only || names[1..].iter().all(Option::is_some) {
        return Ok(());
    }
    let evaluates = |reason: &Reason| match reason {
        Reason::OtherSplit { split } if is_evaluating(split) => Some(split.clone()),
        _ => None,
    };
    match walk.left_out.omissions().iter().find_map(|omission| evaluates(&omission.reason)) {
        Some(split) => Err(DataError::SplitOfNoRole { path: root.to_path_buf(), split }),
        None => Ok(()),
    }
}

/// A file in a folder that may say the classes of the images beside it.
fn table_in(folder: &Path) -> Result<Option<String>, DataError> {
    Ok(names_in(folder)?.into_iter().find(|name| may_hold_labels(name)))
}

/// Refuses a link that leads nowhere in the place of a class, which would be missing without a word.
fn refuse_gone(contents: &Contents) -> Result<(), DataError> {
    contents.gone.first().map_or(Ok(()), |link| Err(DataError::folder_gone(link)))
}

/// The names of the folders that hold images.
fn classes_with_images(Listing { labels, names, .. }: &Listing) -> Vec<String> {
    let with_images: HashSet<usize> = labels.iter().map(|&label| label as usize).collect();
    let names = names.iter().flatten().enumerate();
    names.filter(|(class, _)| with_images.contains(class)).map(|(_, name)| name.clone()).collect()
}

/// Refuses splits whose folders could be something else than classes: training, and others that hold more classes.
fn refuse_unclear_splits(splits: &[Option<Listing>; 3]) -> Result<(), DataError> {
    let classes = |listing: &Listing| listing.names.clone().unwrap_or_default();
    let known = splits[0].as_ref().map(classes).unwrap_or_default();
    for (role, split) in Role::ALL.into_iter().zip(splits) {
        let Some(split) = split else { continue };
        refuse_detection(split)?;
        if role == Role::Train || classes(split).iter().any(|class| !known.contains(class)) {
            refuse_unclear(&split.path, &below(&split.path, &files(&split.images)), Layout::Splits)?;
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

/// Refuses a folder of images beside one of annotations, as data for detection has.
fn refuse_detection(Listing { path, labels, names, .. }: &Listing) -> Result<(), DataError> {
    let classes = names.as_deref().unwrap_or_default();
    let is_one = |names: &[&str], class: &String| names.contains(&class.to_lowercase().as_str());
    let holds_images = |class: usize| labels.contains(&(class as i64));
    let at = |names: &[&str], with_images: bool| {
        (0..classes.len()).find(|&class| is_one(names, &classes[class]) && holds_images(class) == with_images)
    };
    let (images, annotations) = (at(&["images", "jpegimages", "imgs"], true), at(&["labels", "annotations"], false));
    let others = (0..classes.len()).any(|class| Some(class) != images && holds_images(class));
    match (images, annotations) {
        (Some(images), Some(annotations)) if !others => Err(DataError::Detection {
            path: path.clone(),
            images: classes[images].clone(),
            annotations: classes[annotations].clone(),
        }),
        _ => Ok(()),
    }
}

/// The paths of images that are files.
fn files(images: &[ImageSource]) -> Vec<PathBuf> {
    let path = |image: &ImageSource| match image {
        ImageSource::File(path) => Some(path.to_path_buf()),
        _ => None,
    };
    images.iter().filter_map(path).collect()
}

/// The paths from `root` on.
fn below(root: &Path, images: &[PathBuf]) -> Vec<PathBuf> {
    images.iter().filter_map(|image| Some(image.strip_prefix(root).ok()?.to_path_buf())).collect()
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
    let is_train = |name: &&String| options.layout != Layout::Classes && role_of(name) == Some(Role::Train);
    let train = match &options.train_split {
        Some(train) => Some(train).filter(|name| root.join(name).is_dir()),
        None => folders.iter().find(is_train),
    };
    let folder = train.map_or_else(|| root.to_path_buf(), |name| root.join(name));
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
