//! Caltech101: `101_ObjectCategories/<class>/*.jpg`, of which the usual protocol draws 30 a class for training.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::seq::SliceRandom;

use super::place::place;
use crate::data::found::{Found, Listing};
use crate::data::left_out::Reason;
use crate::data::walk::Walk;
use crate::data::{DataError, DatasetOptions, Format, ImageSource, split_names};
use crate::random::{Purpose, stream};

const IMAGES: &str = "101_ObjectCategories";
/// A folder of photos that show none of the classes.
const BACKGROUND: &str = "BACKGROUND_Google";
/// Training images of each class.
const PER_CLASS: usize = 30;

pub(super) fn find(root: &Path) -> Option<PathBuf> {
    place(root, &["caltech101", "caltech-101"], |folder| folder.join(IMAGES).is_dir())
}

pub(super) fn read(root: &Path, options: &DatasetOptions) -> Result<Found, DataError> {
    let (folder, number) = (root.join(IMAGES), options.split_number.unwrap_or(1));
    let mut walk = Walk::new(root);
    let mut classes = walk.contents(&folder)?.folders;
    if let Some(at) = classes.iter().position(|class| class == BACKGROUND) {
        let images = Walk::new(root).images(&folder.join(classes.remove(at)))?.len();
        let example = format!("{IMAGES}/{BACKGROUND}/");
        walk.left_out.add_many(Reason::OfNoClass { folder: BACKGROUND.into() }, images, example);
    }
    let [train, test] = drawn(&mut walk, &folder, &classes, number)?;
    let available = ["train", "test"].map(String::from);
    let mut drawn = HashMap::from([("train", train), ("test", test)]);
    let names = split_names::assign(root, &available, options)?;
    let splits = names.map(|name| name.and_then(|name| drawn.remove(name.as_str())));
    Ok(Found {
        format: Format::Caltech101 { split: number },
        splits,
        classes: None,
        titles: HashMap::new(),
        left_out: walk.left_out,
        columns: Vec::new(),
    })
}

/// The images that split `number` trains on, and the rest.
fn drawn(walk: &mut Walk, folder: &Path, classes: &[String], number: u32) -> Result<[Listing; 2], DataError> {
    let listing = || Listing {
        path: folder.to_path_buf(),
        images: Vec::new(),
        labels: Vec::new(),
        names: Some(classes.to_vec()),
    };
    let mut splits = [listing(), listing()];
    for (label, class) in classes.iter().enumerate() {
        let images = walk.images(&folder.join(class))?;
        if images.len() <= PER_CLASS {
            let (class, available, asked) = (class.clone(), images.len(), PER_CLASS + 1);
            let purpose = "30 training images and the test of Caltech101";
            return Err(DataError::ClassTooSmall { class, available, asked, purpose });
        }
        let mut order: Vec<usize> = (0..images.len()).collect();
        order.shuffle(&mut stream(u64::from(number), Purpose::PublishedSplit, 0, label as u64));
        let (train, test) = order.split_at_mut(PER_CLASS);
        for (split, members) in splits.iter_mut().zip([train, test]) {
            members.sort_unstable();
            let source = |&at: &usize| ImageSource::File(Arc::from(images[at].as_path()));
            split.images.extend(members.iter().map(source));
            split.labels.resize(split.images.len(), label as i64);
        }
    }
    Ok(splits)
}
