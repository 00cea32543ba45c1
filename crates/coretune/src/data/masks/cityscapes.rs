//! Cityscapes: `leftImg8bit/<split>/<city>/*_leftImg8bit.png` and `gtFine/<split>/<city>/*_gtFine_labelTrainIds.png`.

use std::path::{Path, PathBuf};

use super::class_file::NamedClass;
use super::found::{Found, Pairs, UsualClasses};
use crate::data::left_out::Reason;
use crate::data::role::role_of;
use crate::data::walk::Walk;
use crate::data::{DataError, DatasetOptions, Format, Layout, Role, split_names};

/// The classes that are evaluated, in the order of their training numbers, with their numbers in `labelIds` and colours.
const CLASSES: [(&str, u16, [u8; 3]); 19] = [
    ("road", 7, [128, 64, 128]),
    ("sidewalk", 8, [244, 35, 232]),
    ("building", 11, [70, 70, 70]),
    ("wall", 12, [102, 102, 156]),
    ("fence", 13, [190, 153, 153]),
    ("pole", 17, [153, 153, 153]),
    ("traffic light", 19, [250, 170, 30]),
    ("traffic sign", 20, [220, 220, 0]),
    ("vegetation", 21, [107, 142, 35]),
    ("terrain", 22, [152, 251, 152]),
    ("sky", 23, [70, 130, 180]),
    ("person", 24, [220, 20, 60]),
    ("rider", 25, [255, 0, 0]),
    ("car", 26, [0, 0, 142]),
    ("truck", 27, [0, 0, 70]),
    ("bus", 28, [0, 60, 100]),
    ("train", 31, [0, 80, 100]),
    ("motorcycle", 32, [0, 0, 230]),
    ("bicycle", 33, [119, 11, 32]),
];
/// The numbers of `labelIds` are 0 to this one.
const LARGEST_ID: u16 = 33;

const IMAGES: &str = "leftImg8bit";
const MASKS: &str = "gtFine";

/// Images and masks of a folder in the form of Cityscapes; `None` if it is none.
pub(super) fn read(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    let (images, masks) = (root.join(IMAGES), root.join(MASKS));
    if options.layout != Layout::Auto || !images.is_dir() || !masks.is_dir() {
        return Ok(None);
    }
    let mut walk = Walk::new(root);
    let available = walk.contents(&images)?.folders;
    let names = split_names::assign(&images, &available, options)?;
    let splits = names.map(|name| name.map(|name| (walk.images(&images.join(&name)), name)));
    let mut listed = Vec::new();
    for split in splits {
        listed.push(match split {
            Some((found, name)) => Some((name, found?)),
            None => None,
        });
    }
    // Without its training numbers anywhere, the numbers of all classes count.
    let has_training_numbers = listed.iter().flatten().any(|(_, found)| {
        found.iter().any(|image| mask_of(&images, &masks, image, "labelTrainIds").is_some_and(|mask| mask.is_file()))
    });
    let kind = if has_training_numbers { "labelTrainIds" } else { "labelIds" };
    let mut pairs = [None, None, None];
    for (split, pairs) in listed.into_iter().zip(&mut pairs) {
        let Some((name, found)) = split else { continue };
        let mut own = Pairs::default();
        for image in found {
            // The masks of its test images are empty: the true ones are not published.
            let mask = mask_of(&images, &masks, &image, kind).filter(|mask| mask.is_file());
            match mask.filter(|_| role_of(&name) != Some(Role::Test)) {
                Some(mask) => {
                    own.images.push(image);
                    own.masks.push(mask.into());
                }
                None => walk.leave_out(Reason::WithoutMask, &image),
            }
        }
        *pairs = (!own.images.is_empty()).then_some(own);
    }
    Ok(Some(Found {
        format: Format::Cityscapes,
        splits: pairs,
        usual_classes: Some(usual_classes(has_training_numbers)),
        class_folders: vec![root.to_path_buf()],
        left_out: walk.left_out,
    }))
}

/// `gtFine/train/x/a_gtFine_labelIds.png` for `leftImg8bit/train/x/a_leftImg8bit.png`.
fn mask_of(images: &Path, masks: &Path, image: &Path, kind: &str) -> Option<PathBuf> {
    let below = image.strip_prefix(images).ok()?;
    let stem = below.file_stem()?.to_str()?.strip_suffix("_leftImg8bit")?;
    Some(masks.join(below).with_file_name(format!("{stem}_gtFine_{kind}.png")))
}

fn usual_classes(has_training_numbers: bool) -> UsualClasses {
    let class = |(name, _, color): (&str, u16, [u8; 3])| NamedClass { name: name.into(), color: Some(color) };
    if has_training_numbers {
        return UsualClasses {
            classes: CLASSES.into_iter().map(class).collect(),
            ignored: vec![],
            ignored_color: None,
        };
    }
    let of_number = |number: u16| CLASSES.into_iter().find(|(_, own, _)| *own == number);
    let named =
        |number: u16| of_number(number).map_or_else(|| NamedClass { name: number.to_string(), color: None }, class);
    UsualClasses {
        classes: (0..=LARGEST_ID).map(named).collect(),
        ignored: (0..=LARGEST_ID).filter(|&number| of_number(number).is_none()).collect(),
        ignored_color: None,
    }
}
