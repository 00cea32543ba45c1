//! From images and masks in folders to a [`Dataset`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::found::{Found, Pairs};
use super::set::Masks;
use super::source::MaskSource;
use super::swapped::refuse_swapped;
use super::{MaskCoding, cityscapes, class_file, coco, pairs, voc};
use crate::data::on_threads::{on_threads, processors};
use crate::data::published::is_published;
use crate::data::{DataError, Dataset, DatasetOptions, ImageSource, MaskOptions, Split};
use crate::transforms::IGNORED;

/// The images and masks below `root`; `None` if it holds data of another form.
///
/// The classes are those of the file of classes; without one they are the numbers up to the largest in the masks of the
/// training split (of all splits without one), which are read for it.
pub(in crate::data) fn read(root: &Path, options: &DatasetOptions) -> Result<Option<Dataset>, DataError> {
    let Some(found) = find(root, options)? else { return Ok(None) };
    if found.splits.iter().all(Option::is_none) {
        return Err(DataError::NoImages { path: root.to_path_buf(), left_out: found.left_out });
    }
    found.splits.iter().flatten().try_for_each(refuse_swapped)?;
    let coding = Arc::new(coding_of(&found, &options.masks)?);
    let split = |pairs: Option<Pairs>| pairs.map(|pairs| split_of(pairs, &coding)).transpose();
    let Found { format, splits: [train, validation, test], left_out, .. } = found;
    Ok(Some(Dataset {
        root: root.to_path_buf(),
        format,
        classes: coding.classes().clone(),
        titles: coding.classes().clone(),
        train: split(train)?,
        validation: split(validation)?,
        test: split(test)?,
        left_out,
        columns: Vec::new(),
    }))
}

/// Whether the images below `root` have masks. No file is read, but for annotations in COCO's format whose name does not say that
/// they are.
///
/// # Errors
/// [`DataError`] for folders that cannot be listed, and for images with several masks.
pub fn holds_masks(root: &Path, options: &DatasetOptions) -> Result<bool, DataError> {
    Ok(in_folders(root, options)?.is_some() || (!is_published(root, options) && coco::is_there(root, options)?))
}

/// What the first layout that fits has.
fn find(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    match in_folders(root, options)? {
        None if !is_published(root, options) => coco::read(root, options),
        found => Ok(found),
    }
}

/// Images with a mask file each.
fn in_folders(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    if is_published(root, options) {
        return Ok(None);
    }
    for read in [voc::read, cityscapes::read, pairs::read] {
        if let Some(found) = read(root, options)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn split_of(pairs: Pairs, coding: &Arc<MaskCoding>) -> Result<Split, DataError> {
    Split::with_masks(sources(pairs.images), Masks::new(pairs.masks, coding.clone()))
}

fn sources(paths: Vec<PathBuf>) -> Vec<ImageSource> {
    paths.into_iter().map(|path| ImageSource::File(Arc::from(path))).collect()
}

/// What the masks mean, by the file of classes, by the layout, or by the numbers in the masks.
fn coding_of(found: &Found, options: &MaskOptions) -> Result<MaskCoding, DataError> {
    if let Some(file) = found.class_folders.iter().find_map(|folder| class_file::find(folder)) {
        return MaskCoding::of_classes(&class_file::read(&file)?, options);
    }
    if let Some(usual) = &found.usual_classes {
        let ignored = options.ignored.iter().chain(&usual.ignored).copied().collect();
        let mut coding = MaskCoding::of_classes(&usual.classes, &MaskOptions { ignored, ..*options })?;
        usual.ignored_color.into_iter().for_each(|color| coding.ignore_color(color));
        return Ok(coding);
    }
    let listed: Vec<&Pairs> = match &found.splits[0] {
        Some(train) => vec![train],
        None => found.splits.iter().flatten().collect(),
    };
    let masks: Vec<MaskSource> = listed.iter().flat_map(|pairs| pairs.masks.iter().cloned()).collect();
    MaskCoding::of_numbers(largest_number(&masks, options)?, options)
}

/// The largest number in masks that is not ignored. Single masks that cannot be read are left to the check of the data.
fn largest_number(masks: &[MaskSource], options: &MaskOptions) -> Result<u16, DataError> {
    let ignored: Vec<u16> = options.ignored.iter().copied().chain([IGNORED.into()]).collect();
    let largest = |mask: &MaskSource| -> Result<Option<u16>, DataError> {
        let stored = mask.stored()?.without_equal_channels();
        if stored.has_colors() {
            return Err(DataError::MaskColors { mask: mask.to_string() });
        }
        Ok(stored.largest(&ignored))
    };
    let lost = |mask: &MaskSource| Err(DataError::Worker { message: mask.to_string() });
    let (mut most, mut error) = (None, None);
    for largest in on_threads(masks, processors(), largest, lost) {
        match largest {
            Ok(largest) => most = most.max(largest),
            Err(colors @ DataError::MaskColors { .. }) => return Err(colors),
            Err(other) => error = error.or(Some(other)),
        }
    }
    let first = masks.first().map(ToString::to_string).unwrap_or_default();
    most.ok_or_else(|| error.unwrap_or(DataError::NothingLabelled { first, masks: masks.len() }))
}
