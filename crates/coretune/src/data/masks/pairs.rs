//! Which file is the mask of which image, by folders and names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::class_file;
use super::found::{Found, Pairs};
use crate::data::layout::are_splits;
use crate::data::left_out::Reason;
use crate::data::role::role_of;
use crate::data::walk::Walk;
use crate::data::{DataError, DatasetOptions, Format, Layout, split_names};

/// Names of folders of images, in lower case.
const IMAGES: [&str; 5] = ["images", "image", "imgs", "img", "jpegimages"];

/// Names of folders of masks, in lower case; the first that is there counts.
const MASKS: [&str; 15] = [
    "masks",
    "mask",
    "labels",
    "label",
    "annotations",
    "annotation",
    "annots",
    "annot",
    "segmentationclass",
    "segmentationclasspng",
    "segmentations",
    "segmentation",
    "groundtruth",
    "ground_truth",
    "gt",
];

/// What names of masks, and of folders of masks, add to those of images.
const SUFFIXES: [&str; 12] =
    ["_mask", "-mask", "_masks", "_label", "_labels", "_annot", "_gt", "_seg", "_segmentation", "_L", "annot", "masks"];

/// Images and masks of one split, or of all data.
#[derive(Debug, Clone)]
enum Place {
    /// In two folders.
    Folders { images: PathBuf, masks: PathBuf },
    /// Side by side in one folder.
    SideBySide(PathBuf),
}

/// Images and masks below `root`; `None` if folders and names do not say that there are masks.
pub(super) fn read(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    if !root.is_dir() || options.layout != Layout::Auto {
        return Ok(None);
    }
    let mut walk = Walk::new(root);
    if let Some(file) = class_file::find(root) {
        walk.except(file);
    }
    let Some(places) = places(&mut walk, root, options)? else { return Ok(None) };
    let mut splits = [None, None, None];
    match places {
        Places::Whole(place) => {
            let Some(pairs) = pairs_at(&mut walk, &place)? else { return Ok(None) };
            splits[0] = Some(pairs);
        }
        Places::Splits(places) => {
            let available: Vec<String> = places.keys().cloned().collect();
            let names = split_names::assign(root, &available, options)?;
            for (name, split) in names.iter().zip(&mut splits) {
                let Some(place) = name.as_ref().and_then(|name| places.get(name)) else { continue };
                let Some(pairs) = pairs_at(&mut walk, place)? else { return Ok(None) };
                *split = Some(pairs);
            }
            for (name, place) in places.iter().filter(|(name, _)| !names.contains(&Some((*name).clone()))) {
                let images = pairs_at(&mut Walk::new(root), place)?.map_or(0, |pairs| pairs.images.len());
                let reason = Reason::OtherSplit { split: name.clone() };
                walk.left_out.add_many(reason, images, format!("{name}/"));
            }
        }
    }
    let class_folders = vec![root.to_path_buf()];
    Ok(Some(Found { format: Format::ImageMasks, splits, usual_classes: None, class_folders, left_out: walk.left_out }))
}

/// Where images and masks lie.
enum Places {
    Whole(Place),
    /// By the names of the splits.
    Splits(BTreeMap<String, Place>),
}

fn places(walk: &mut Walk, root: &Path, options: &DatasetOptions) -> Result<Option<Places>, DataError> {
    let folders = walk.contents(root)?.folders;
    let is_split = |name: &&String| {
        let named = [&options.train_split, &options.val_split, &options.test_split];
        role_of(name).is_some() || named.into_iter().flatten().any(|split| split == *name)
    };
    if let Some((images, masks)) = image_and_mask_folders(&folders) {
        let (images, masks) = (root.join(images), root.join(masks));
        let (inside, masks_inside) = (walk.contents(&images)?.folders, walk.contents(&masks)?.folders);
        let of_masks = |name: &String| of_same_split(name, &masks_inside, Some);
        let common: Vec<String> = inside.iter().filter(|name| of_masks(name).is_some()).cloned().collect();
        if common.is_empty() || !are_splits(&common, options) {
            return Ok(Some(Places::Whole(Place::Folders { images, masks })));
        }
        for name in inside.iter().filter(is_split).filter(|name| of_masks(name).is_none()) {
            leave_out_split(walk, name, &images.join(name))?;
        }
        let place = |name: String| {
            let masks = masks.join(of_masks(&name)?);
            Some((name.clone(), Place::Folders { images: images.join(name), masks }))
        };
        return Ok(Some(Places::Splits(common.into_iter().filter_map(place).collect())));
    }
    let (mut splits, mut without_masks) = (BTreeMap::new(), Vec::new());
    for name in folders.iter().filter(is_split) {
        match place_of_split(walk, root, name, &folders)? {
            Some(place) => drop(splits.insert(name.clone(), place)),
            None => without_masks.push(name),
        }
    }
    if !splits.is_empty() {
        for name in without_masks {
            leave_out_split(walk, name, &root.join(name))?;
        }
        return Ok(Some(Places::Splits(splits)));
    }
    let is_whole = has_pairs_side_by_side(walk, root)?;
    Ok(is_whole.then(|| Places::Whole(Place::SideBySide(root.to_path_buf()))))
}

/// The folder of the split `name` among others whose names say a split after `split_in`: of the same name, or of the same role.
fn of_same_split<'a>(
    name: &str,
    others: &'a [String],
    split_in: impl Fn(&'a str) -> Option<&'a str>,
) -> Option<&'a String> {
    let find = |is_it: &dyn Fn(&str) -> bool| others.iter().find(|other| split_in(other).is_some_and(is_it));
    find(&|split| split == name).or_else(|| find(&|split| role_of(name).is_some() && role_of(split) == role_of(name)))
}

/// Counts the images of a split that has no masks.
fn leave_out_split(walk: &mut Walk, name: &str, folder: &Path) -> Result<(), DataError> {
    let images = walk.images(folder)?.len();
    walk.left_out.add_many(Reason::SplitWithoutMasks { split: name.into() }, images, format!("{name}/"));
    Ok(())
}

/// The masks of a split: in a folder beside it, in folders in it, or beside its images.
fn place_of_split(walk: &mut Walk, root: &Path, name: &str, folders: &[String]) -> Result<Option<Place>, DataError> {
    let folder = root.join(name);
    let beside = SUFFIXES.iter().find_map(|suffix| of_same_split(name, folders, |mask| mask.strip_suffix(suffix)));
    if let Some(masks) = beside {
        return Ok(Some(Place::Folders { images: folder, masks: root.join(masks) }));
    }
    if let Some((images, masks)) = image_and_mask_folders(&walk.contents(&folder)?.folders) {
        return Ok(Some(Place::Folders { images: folder.join(images), masks: folder.join(masks) }));
    }
    Ok(has_pairs_side_by_side(walk, &folder)?.then_some(Place::SideBySide(folder)))
}

/// The folder of images and that of masks among these.
fn image_and_mask_folders(folders: &[String]) -> Option<(&String, &String)> {
    let named =
        |names: &[&str]| names.iter().find_map(|name| folders.iter().find(|folder| folder.to_lowercase() == *name));
    Some((named(&IMAGES)?, named(&MASKS)?))
}

/// Whether an image in the folder has its mask beside it.
fn has_pairs_side_by_side(walk: &mut Walk, folder: &Path) -> Result<bool, DataError> {
    let files = walk.contents(folder)?.images;
    let stems: BTreeSet<String> = files.iter().map(|file| stem(folder, file)).collect();
    Ok(stems.iter().any(|stem| image_of(stem).any(|image| stems.contains(image))))
}

/// The names of the images that a mask of this name may belong to, without its own.
fn image_of(mask: &str) -> impl Iterator<Item = &str> {
    SUFFIXES.iter().filter_map(|suffix| mask.strip_suffix(suffix)).filter(|image| !image.is_empty())
}

/// The path of a file from its folder on, without its ending.
fn stem(folder: &Path, file: &Path) -> String {
    file.strip_prefix(folder).unwrap_or(file).with_extension("").to_string_lossy().into_owned()
}

/// The pairs at a place, what has no partner counted as left out; `None` if there are no images or no masks at all.
fn pairs_at(walk: &mut Walk, place: &Place) -> Result<Option<Pairs>, DataError> {
    let (image_folder, mask_folder, images, masks) = match place {
        Place::Folders { images, masks } => (images, masks, walk.images(images)?, walk.images(masks)?),
        Place::SideBySide(folder) => {
            let files = walk.images(folder)?;
            let stems: BTreeSet<String> = files.iter().map(|file| stem(folder, file)).collect();
            let is_mask = |file: &PathBuf| image_of(&stem(folder, file)).any(|image| stems.contains(image));
            let (masks, images) = files.into_iter().partition(is_mask);
            (folder, folder, images, masks)
        }
    };
    if images.is_empty() || masks.is_empty() {
        return Ok(None);
    }
    let mut by_image: BTreeMap<String, Vec<&PathBuf>> = BTreeMap::new();
    let stems: BTreeSet<String> = images.iter().map(|image| stem(image_folder, image)).collect();
    for mask in &masks {
        let own = stem(mask_folder, mask);
        let is_beside = image_folder == mask_folder;
        let image =
            [own.as_str()].into_iter().filter(|_| !is_beside).chain(image_of(&own)).find(|name| stems.contains(*name));
        match image {
            Some(image) => by_image.entry(image.to_string()).or_default().push(mask),
            None => walk.leave_out(Reason::WithoutImage, mask),
        }
    }
    let (first_image, first_mask) = (&images[0], &masks[0]);
    if by_image.is_empty() {
        return Err(DataError::NoPairs {
            path: image_folder.clone(),
            masks: mask_folder.clone(),
            images: images.len(),
            first_image: below(image_folder, first_image),
            first_mask: below(mask_folder, first_mask),
        });
    }
    refuse_two_masks(mask_folder, &by_image)?;
    refuse_two_images(image_folder, &images, &by_image)?;
    let mut pairs = Pairs::default();
    for image in &images {
        match by_image.get(&stem(image_folder, image)) {
            Some(masks) => {
                pairs.images.push(image.clone());
                pairs.masks.push(masks[0].clone().into());
            }
            None => walk.leave_out(Reason::WithoutMask, image),
        }
    }
    Ok(Some(pairs))
}

fn refuse_two_masks(folder: &Path, by_image: &BTreeMap<String, Vec<&PathBuf>>) -> Result<(), DataError> {
    let several: Vec<_> = by_image.iter().filter(|(_, masks)| masks.len() > 1).collect();
    let Some((stem, masks)) = several.first() else { return Ok(()) };
    Err(DataError::TwoMasks {
        path: folder.to_path_buf(),
        count: several.len(),
        stem: (*stem).clone(),
        first: name_of(masks[0]),
        second: name_of(masks[1]),
    })
}

/// Refuses images that have one name and different endings, if a mask has this name.
fn refuse_two_images(
    folder: &Path,
    images: &[PathBuf],
    by_image: &BTreeMap<String, Vec<&PathBuf>>,
) -> Result<(), DataError> {
    let mut named: BTreeMap<String, Vec<&PathBuf>> = BTreeMap::new();
    for image in images {
        named.entry(stem(folder, image)).or_default().push(image);
    }
    named.retain(|stem, images| images.len() > 1 && by_image.contains_key(stem));
    let Some((stem, images)) = named.first_key_value() else { return Ok(()) };
    Err(DataError::TwoImages {
        path: folder.to_path_buf(),
        count: named.len(),
        stem: stem.clone(),
        first: name_of(images[0]),
        second: name_of(images[1]),
    })
}

/// The path of a file from its folder on.
fn below(folder: &Path, file: &Path) -> String {
    file.strip_prefix(folder).unwrap_or(file).display().to_string()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
