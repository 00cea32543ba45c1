//! `<split>/<class>/*`, or `<class>/*`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::{lines_of, names_in};
use super::found::{Found, Listing};
use super::role::role_of;
use super::{DataError, DatasetOptions, Format, ImageSource, Role, split_names};

const EXTENSIONS: [&str; 12] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pbm", "pnm"];
/// Folders below a class are searched too; a link that leads back up ends here.
const DEPTH_LIMIT: usize = 16;

pub(super) fn read(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    if !root.is_dir() {
        return Ok(None);
    }
    let folders = folders_in(root)?;
    if folders.is_empty() {
        return Ok(None);
    }
    let usual = |name: &String| role_of(name).is_some();
    let has_splits = options.names_any() || folders.iter().any(|name| name == "train") || folders.iter().all(usual);
    let names = if has_splits { split_names::assign(root, &folders, options)? } else { Default::default() };
    let mut splits = [None, None, None];
    for ((role, name), listing) in Role::ALL.into_iter().zip(names).zip(&mut splits) {
        *listing = match name {
            Some(name) => Some(list(&root.join(name))?),
            None if role == Role::Train && !has_splits => Some(list(root)?),
            None => None,
        };
    }
    if !has_splits && splits.iter().flatten().all(|listing| listing.images.is_empty()) {
        return Ok(None);
    }
    Ok(Some(Found { format: Format::ImageFolder, splits, classes: None, titles: titles(root)? }))
}

fn folders_in(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = names_in(folder)?;
    names.retain(|name| folder.join(name).is_dir());
    Ok(names)
}

/// Classes and images of one split, both sorted by name.
fn list(folder: &Path) -> Result<Listing, DataError> {
    let names = folders_in(folder)?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for (class, name) in names.iter().enumerate() {
        add_images(&folder.join(name), DEPTH_LIMIT, &mut images)?;
        labels.resize(images.len(), class as i64);
    }
    Ok(Listing { path: folder.to_path_buf(), images, labels, names: Some(names) })
}

/// Whether images lie in the folder itself, and not in folders of classes.
pub(super) fn lie_without_class(folder: &Path) -> Result<bool, DataError> {
    Ok(folder.is_dir() && names_in(folder)?.iter().any(|name| is_image(&folder.join(name))))
}

/// The image files in a folder and below it, sorted by name.
pub(crate) fn images_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut images = Vec::new();
    add_images(folder, DEPTH_LIMIT, &mut images)?;
    let path = |image: ImageSource| if let ImageSource::File(path) = image { Some(path.to_path_buf()) } else { None };
    Ok(images.into_iter().filter_map(path).collect())
}

fn add_images(folder: &Path, depth: usize, images: &mut Vec<ImageSource>) -> Result<(), DataError> {
    let entries = std::fs::read_dir(folder).map_err(DataError::read(folder))?;
    let entries: Result<Vec<_>, _> = entries.collect();
    let mut entries = entries.map_err(DataError::read(folder))?;
    entries.sort_unstable_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if is_image(&path) {
            images.push(ImageSource::File(Arc::from(path)));
        } else if depth > 0 && path.is_dir() {
            add_images(&path, depth - 1, images)?;
        }
    }
    Ok(())
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// `classes.txt`: a class and its title on each line.
fn titles(root: &Path) -> Result<HashMap<String, String>, DataError> {
    let path = root.join("classes.txt");
    if !path.is_file() {
        return Ok(HashMap::new());
    }
    let pair = |line: &String| line.split_once(char::is_whitespace).map(|(a, b)| (a.to_string(), b.trim().to_string()));
    Ok(lines_of(&path)?.iter().filter_map(pair).collect())
}
