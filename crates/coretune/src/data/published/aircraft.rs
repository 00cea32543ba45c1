//! FGVC Aircraft: `images/*.jpg`, and lists of images with their variants, `images_variant_{train,val,trainval,test}.txt`.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::image_list::{ImageList, Line, lines_of, refuse_twice, refused};
use super::place::place;
use crate::data::found::{Found, Listing};
use crate::data::left_out::LeftOut;
use crate::data::{DataError, DatasetOptions, Format, split_names};

/// The names of the lists; the third is the first two in one.
const LISTS: [&str; 4] = ["train", "val", "trainval", "test"];
const JOINED: &str = "trainval";

pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let is_it = |folder: &Path| {
        folder.join("images").is_dir() && ["train", JOINED].iter().any(|name| list(folder, name).is_file())
    };
    place(root, &["data", "fgvc-aircraft-2013b/data"], is_it)
}

pub(super) fn read(folder: &Path, options: &DatasetOptions) -> Result<Found, DataError> {
    let available: Vec<String> =
        LISTS.into_iter().filter(|name| list(folder, name).is_file()).map(Into::into).collect();
    let variants = variants(folder)?;
    let mut splits = [None, None, None];
    for (name, split) in names(folder, &available, options)?.iter().zip(&mut splits) {
        let Some(name) = name else { continue };
        *split = Some(aircraft(folder, &list(folder, name), variants.as_deref())?);
    }
    Ok(Found {
        format: Format::FgvcAircraft,
        splits,
        classes: variants,
        titles: HashMap::new(),
        left_out: LeftOut::default(),
        columns: Vec::new(),
    })
}

fn list(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("images_variant_{name}.txt"))
}

/// The lists by role. Beside `trainval`, `val` validates only if it was named.
fn names(folder: &Path, available: &[String], options: &DatasetOptions) -> Result<[Option<String>; 3], DataError> {
    let mut names = split_names::assign(folder, available, options)?;
    let joined = Some(JOINED.to_string());
    if names[0].is_none() && available.iter().any(|name| name == JOINED) && !names.contains(&joined) {
        names[0] = joined;
    }
    if names[0].as_deref() == Some(JOINED) && options.val_split.is_none() {
        names[1] = None;
    }
    Ok(names)
}

/// The classes in the order of `variants.txt`; `None` without it.
fn variants(folder: &Path) -> Result<Option<Vec<String>>, DataError> {
    let path = folder.join("variants.txt");
    if !path.is_file() {
        return Ok(None);
    }
    let lines = lines_of(&path)?;
    let mut seen = HashMap::new();
    for line in &lines {
        refuse_twice(&mut seen, &path, (&line.text, line.number), "each variant once")?;
    }
    Ok(Some(lines.iter().map(|line| line.text.clone()).collect()))
}

/// The images of a list: a number and a variant, which may have blanks, on each line.
fn aircraft(folder: &Path, path: &Path, variants: Option<&[String]>) -> Result<Listing, DataError> {
    let lines = lines_of(path)?;
    let parts = |line: &Line| match line.text.split_once(char::is_whitespace) {
        Some((image, variant)) => Ok((line.number, image.to_string(), variant.trim().to_string())),
        None => {
            Err(refused(path, line.number, format!("`{}`", line.text), "an image and its variant: `1025794 707-320`"))
        }
    };
    let parts: Vec<(u64, String, String)> = lines.iter().map(parts).collect::<Result<_, _>>()?;
    let listed = || parts.iter().map(|(_, _, variant)| variant.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let classes: Vec<String> = variants.map_or_else(listed, <[String]>::to_vec);
    let mut images = ImageList::new(path);
    for (line, image, variant) in &parts {
        let label = classes.iter().position(|class| class == variant);
        let unknown = || refused(path, *line, format!("`{variant}`"), "a variant of variants.txt");
        let label = label.ok_or_else(unknown)? as i64;
        images.add(*line, &folder.join("images"), &format!("{image}.jpg"), label)?;
    }
    Ok(images.with_classes(&classes))
}
