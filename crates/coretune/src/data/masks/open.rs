//! From images and masks in folders to a [`Dataset`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::found::{Found, Pairs};
use super::set::Masks;
use super::source::MaskSource;
use super::stored::StoredValues;
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
        coding.asked_by_user(&options.ignored);
        usual.ignored_color.into_iter().for_each(|color| coding.ignore_color(color));
        return Ok(coding);
    }
    let listed: Vec<&Pairs> = match &found.splits[0] {
        Some(train) => vec![train],
        None => found.splits.iter().flatten().collect(),
    };
    let masks: Vec<MaskSource> = listed.iter().flat_map(|pairs| pairs.masks.iter().cloned()).collect();
    of_numbers(&masks, options)
}

/// A class of each number up to the largest one in masks that is not ignored. Single masks that cannot be read are left to the
/// check of the data.
fn of_numbers(masks: &[MaskSource], options: &MaskOptions) -> Result<MaskCoding, DataError> {
    let ignored: Vec<u16> = options.ignored.iter().copied().chain([IGNORED.into()]).collect();
    let read = |mask: &MaskSource| -> Result<Numbers, DataError> {
        let stored = mask.stored()?.without_equal_channels();
        if stored.has_colors() {
            return Err(DataError::MaskColors { mask: mask.to_string(), others: 0 });
        }
        Ok(Numbers { largest: stored.largest(&ignored), is_deep: matches!(stored.values, StoredValues::DeepGreys(_)) })
    };
    let lost = |mask: &MaskSource| Err(DataError::Worker { message: mask.to_string() });
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for (mask, numbers) in masks.iter().zip(on_threads(masks, processors(), read, lost)) {
        match numbers {
            Ok(numbers) => found.push((mask, numbers)),
            Err(error) => errors.push(error),
        }
    }
    if let Some(error) = counted(errors, found.iter().all(|(_, numbers)| numbers.largest.is_none())) {
        return Err(error);
    }
    let Some(largest) = found.iter().filter_map(|(_, numbers)| numbers.largest).max() else {
        let first = masks.first().map(ToString::to_string).unwrap_or_default();
        return Err(DataError::NothingLabelled { first, masks: masks.len() });
    };
    MaskCoding::of_numbers(largest, options).map_err(|error| {
        let mut above = found.iter().filter(|(_, numbers)| numbers.largest >= Some(IGNORED.into()));
        let Some((mask, numbers)) = above.next() else { return error };
        DataError::MaskNumber { mask: mask.to_string(), others: above.count(), value: largest, deep: numbers.is_deep }
    })
}

/// What a mask without a file of classes holds.
struct Numbers {
    /// The largest that is not ignored.
    largest: Option<u16>,
    is_deep: bool,
}

/// The error of masks that keeps the data from being read, with the number of masks that have it: colours, and any other if
/// `none` of the masks has a number.
fn counted(errors: Vec<DataError>, none: bool) -> Option<DataError> {
    let is_color = |error: &DataError| matches!(error, DataError::MaskColors { .. });
    let count = |is_it: fn(&DataError) -> bool| errors.iter().filter(|error| is_it(error)).count().saturating_sub(1);
    let colored = count(is_color);
    let lossy = count(|error| matches!(error, DataError::MaskLossy { .. }));
    let first = errors.iter().position(is_color).or((none && !errors.is_empty()).then_some(0))?;
    Some(match errors.into_iter().nth(first)? {
        DataError::MaskColors { mask, .. } => DataError::MaskColors { mask, others: colored },
        DataError::MaskLossy { mask, .. } => DataError::MaskLossy { mask, others: lossy },
        other => other,
    })
}
