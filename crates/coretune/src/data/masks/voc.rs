//! PASCAL VOC: `JPEGImages`, `SegmentationClass` (and `SegmentationClassAug`), and lists in `ImageSets/Segmentation`.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::class_file::NamedClass;
use super::found::{Found, Pairs, UsualClasses};
use super::legend::class_color;
use crate::data::folder::{lines_of, names_in};
use crate::data::left_out::{LeftOut, Reason};
use crate::data::role::role_of;
use crate::data::{DataError, DatasetOptions, Format, Layout, split_names};

/// The classes of VOC's masks by number.
const CLASSES: [&str; 21] = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

const IMAGES: &str = "JPEGImages";
/// Folders of masks: those of lists with `aug` in their names are searched in the second first.
const MASKS: &str = "SegmentationClass";
const MORE_MASKS: &str = "SegmentationClassAug";
/// Folders of lists.
const LISTS: [&str; 2] = ["ImageSets/Segmentation", "ImageSets/SegmentationAug"];

/// Images and masks of a folder of VOC, of one that holds it, or of a `VOCdevkit`; `None` if it is none.
pub(super) fn read(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    if !root.is_dir() || options.layout != Layout::Auto {
        return Ok(None);
    }
    let Some(folder) = place(root)? else { return Ok(None) };
    let lists = lists(&folder)?;
    let available: Vec<String> = lists.keys().cloned().collect();
    let mut names = split_names::assign(root, &available, options)?;
    if names.iter().all(Option::is_none)
        && let [only] = &available[..]
    {
        names[0] = Some(only.clone());
    }
    let mut left_out = LeftOut::default();
    let mut splits = [None, None, None];
    for (name, split) in names.iter().zip(&mut splits) {
        let Some((name, list)) = name.as_ref().and_then(|name| Some((name, lists.get(name)?))) else { continue };
        let pairs = pairs(&folder, name, list, &mut left_out)?;
        // The masks of VOC's test images are not published.
        *split = (role_of(name).is_none() || !pairs.images.is_empty()).then_some(pairs);
    }
    let classes = CLASSES.iter().zip(0..);
    let classes = classes.map(|(name, class)| NamedClass { name: (*name).into(), color: Some(class_color(class)) });
    Ok(Some(Found {
        format: Format::Voc,
        splits,
        usual_classes: Some(UsualClasses {
            classes: classes.collect(),
            ignored: Vec::new(),
            ignored_color: Some(class_color(255)),
        }),
        class_folders: vec![folder, root.to_path_buf()],
        left_out,
    }))
}

/// The folder with images, masks and lists: the root, or the only one in it or in its `VOCdevkit`.
fn place(root: &Path) -> Result<Option<PathBuf>, DataError> {
    let is_voc =
        |folder: &Path| [IMAGES, MASKS].iter().all(|name| folder.join(name).is_dir()) && folder.join(LISTS[0]).is_dir();
    if is_voc(root) {
        return Ok(Some(root.to_path_buf()));
    }
    for above in [root.to_path_buf(), root.join("VOCdevkit")] {
        if !above.is_dir() {
            continue;
        }
        let inside = names_in(&above)?.into_iter().map(|name| above.join(name));
        let inside: Vec<PathBuf> = inside.filter(|folder| is_voc(folder)).collect();
        match &inside[..] {
            [] => {}
            [only] => return Ok(Some(only.clone())),
            [first, ..] => return Err(DataError::TooDeep { path: root.to_path_buf(), inner: first.clone() }),
        }
    }
    Ok(None)
}

/// The files of lists by their names without the ending.
fn lists(folder: &Path) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let mut lists = BTreeMap::new();
    for folder in LISTS.iter().map(|lists| folder.join(lists)).filter(|lists| lists.is_dir()) {
        for name in names_in(&folder)? {
            if let Some(list) = name.strip_suffix(".txt") {
                lists.entry(list.to_string()).or_insert_with(|| folder.join(&name));
            }
        }
    }
    Ok(lists)
}

/// The images that a list names, with their masks: a name on each line, or the paths of image and mask.
fn pairs(folder: &Path, name: &str, list: &Path, left_out: &mut LeftOut) -> Result<Pairs, DataError> {
    let (mut pairs, mut named) = (Pairs::default(), HashSet::new());
    let masks: &[&str] = if name.contains("aug") { &[MORE_MASKS, MASKS] } else { &[MASKS, MORE_MASKS] };
    for line in lines_of(list)? {
        let below = |path: &str| folder.join(path.trim_start_matches('/'));
        let (image, mask) = match line.split_whitespace().collect::<Vec<_>>()[..] {
            [image, mask] if image.contains('/') => (below(image), Some(below(mask)).filter(|mask| mask.is_file())),
            [name, ..] => {
                let mask = masks.iter().map(|masks| folder.join(masks).join(format!("{name}.png")));
                (image_of(folder, name), mask.into_iter().find(|mask| mask.is_file()))
            }
            [] => continue,
        };
        if !named.insert(image.clone()) {
            let found = format!("`{line}` twice");
            return Err(DataError::malformed(list, "each image once: remove one of the two lines", found));
        }
        if let Some(mask) = mask {
            pairs.images.push(image);
            pairs.masks.push(mask.into());
        } else {
            let name = image.strip_prefix(folder).unwrap_or(&image);
            left_out.add(Reason::WithoutMask, name.display().to_string());
        }
    }
    Ok(pairs)
}

/// The file of an image: VOC's are `.jpg`, those of label tools may be others.
fn image_of(folder: &Path, name: &str) -> PathBuf {
    let images = folder.join(IMAGES);
    let file = |ending: &str| images.join(format!("{name}.{ending}"));
    let other = ["jpeg", "png", "JPG"].into_iter().map(file).find(|path| path.is_file());
    Some(file("jpg")).filter(|path| path.is_file()).or(other).unwrap_or_else(|| file("jpg"))
}
