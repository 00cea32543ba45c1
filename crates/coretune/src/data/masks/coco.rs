//! COCO's annotations: `annotations/instances_<split>.json`, or a JSON file in the folder of each split, with the images in one of
//! several usual folders.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::class_file::NamedClass;
use super::coco_file::{Annotations, Classes};
use super::found::{Found, Pairs, UsualClasses};
use super::source::MaskSource;
use crate::data::folder::names_in;
use crate::data::left_out::{LeftOut, Reason};
use crate::data::role::role_of;
use crate::data::walk::Walk;
use crate::data::{DataError, DatasetOptions, Format, Layout, split_names};

/// The folder of annotation files of several splits.
const ANNOTATIONS: &str = "annotations";
/// How the names of files with outlines begin in it; other files of COCO have captions, key points and the like.
const INSTANCES: &str = "instances";
/// How the names of files of the panoptic format begin, whose segments are in PNG files.
const PANOPTIC: &str = "panoptic_";
/// The ending of files of Roboflow.
const ENDING: &str = ".coco.json";
/// Names of files of other tools, which count if their content is COCO's: Label Studio, labelme2coco, FiftyOne, ...
const USUAL: [&str; 6] =
    ["result.json", "annotations.json", "labels.json", "coco.json", "coco_annotations.json", "_annotations.json"];
/// Folders of images.
const IMAGES: [&str; 3] = ["images", "data", "JPEGImages"];

/// The annotation file of one split.
struct SplitFile {
    /// Name of the split.
    split: String,
    path: PathBuf,
}

/// Images and outlines below `root`; `None` without annotation files.
pub(super) fn read(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    let files = files(root, options)?;
    if files.is_empty() {
        return match panoptic(root, options)? {
            Some(path) => Err(DataError::Panoptic { path }),
            None => Ok(None),
        };
    }
    let named = roles(root, &files, options)?;
    if options.masks.first_class != 0 {
        let (expected, found) = ("0 with annotations in COCO's format".into(), options.masks.first_class.to_string());
        return Err(DataError::Argument { name: "the number of the first class", expected, found });
    }
    let mut left_out = LeftOut::default();
    let mut of_others: HashSet<OsString> = HashSet::new();
    for file in files.iter().filter(|file| !named.iter().flatten().any(|one| one.path == file.path)) {
        let annotations = Annotations::read(&file.path)?;
        of_others.extend(annotations.files().filter_map(|name| Some(Path::new(name).file_name()?.to_os_string())));
        let images = annotations.files().count();
        let name = file.path.strip_prefix(root).unwrap_or(&file.path).display().to_string();
        left_out.add_many(Reason::OtherSplit { split: file.split.clone() }, images, name);
    }
    let mut splits = [None, None, None];
    let mut classes: Option<Classes> = None;
    for (file, split) in named.iter().zip(&mut splits) {
        let Some(file) = file else { continue };
        let annotations = Annotations::read(&file.path)?;
        if classes.is_none() {
            annotations.refuse_crowds_alone()?;
            classes = Some(annotations.classes()?);
        }
        let Some(classes) = &classes else { continue };
        *split = Some(pairs(root, file, &annotations, classes, &mut left_out)?);
    }
    count_unlisted(root, &splits, &of_others, &mut left_out)?;
    let classes = classes.map_or_else(Vec::new, |classes| classes.names);
    let classes = classes.into_iter().map(|name| NamedClass { name, color: None }).collect();
    Ok(Some(Found {
        format: Format::Coco,
        splits,
        usual_classes: Some(UsualClasses { classes, ignored: Vec::new(), ignored_color: None }),
        class_folders: Vec::new(),
        left_out,
    }))
}

/// Whether annotation files lie below `root`, those that are not read included.
pub(super) fn is_there(root: &Path, options: &DatasetOptions) -> Result<bool, DataError> {
    Ok(!files(root, options)?.is_empty() || panoptic(root, options)?.is_some())
}

/// A file in COCO's panoptic format, in `annotations` or the root.
fn panoptic(root: &Path, options: &DatasetOptions) -> Result<Option<PathBuf>, DataError> {
    if !root.is_dir() || options.layout != Layout::Auto {
        return Ok(None);
    }
    for folder in [root.join(ANNOTATIONS), root.to_path_buf()] {
        let names = if folder.is_dir() { names_in(&folder)? } else { Vec::new() };
        if let Some(name) = names.iter().find(|name| name.starts_with(PANOPTIC) && name.strip_suffix(".json").is_some())
        {
            return Ok(Some(folder.join(name)));
        }
    }
    Ok(None)
}

/// The annotation files: those in `annotations`, else one in each folder of a split, else those in the root.
fn files(root: &Path, options: &DatasetOptions) -> Result<Vec<SplitFile>, DataError> {
    if !root.is_dir() || options.layout != Layout::Auto {
        return Ok(Vec::new());
    }
    let annotations = root.join(ANNOTATIONS);
    if annotations.is_dir() {
        let found = files_in(&annotations)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let mut found = Vec::new();
    for name in names_in(root)? {
        let folder = root.join(&name);
        if folder.is_dir() && is_split(&name, options) {
            let inside = files_in(&folder)?;
            found.extend(inside.into_iter().map(|file| SplitFile { split: name.clone(), ..file }));
        }
    }
    if found.is_empty() { files_in(root) } else { Ok(found) }
}

/// The annotation files in a folder, with the splits that their names say.
fn files_in(folder: &Path) -> Result<Vec<SplitFile>, DataError> {
    let names = names_in(folder)?;
    let file = |name: &String| {
        let split = name.strip_suffix(".json").unwrap_or(name);
        let split = split.strip_prefix(INSTANCES).unwrap_or(split).trim_start_matches(['_', '-']);
        SplitFile { split: split.to_string(), path: folder.join(name) }
    };
    let is_sure = |name: &&String| {
        name.ends_with(ENDING) || (name.starts_with(INSTANCES) && name.strip_suffix(".json").is_some())
    };
    let sure: Vec<SplitFile> = names.iter().filter(is_sure).map(file).collect();
    if !sure.is_empty() {
        return Ok(sure);
    }
    let is_usual = |name: &&String| {
        USUAL.contains(&name.as_str()) || name.strip_suffix(".json").is_some_and(|name| role_of(name).is_some())
    };
    let usual = names.iter().filter(is_usual).map(file);
    Ok(usual.filter(|file| Annotations::read(&file.path).is_ok_and(|file| file.has_outlines())).collect())
}

fn is_split(name: &str, options: &DatasetOptions) -> bool {
    let named = [&options.train_split, &options.val_split, &options.test_split];
    role_of(without_year(name)).is_some() || named.into_iter().flatten().any(|split| split == name)
}

/// `train` for `train2017`
fn without_year(name: &str) -> &str {
    let name_alone = name.trim_end_matches(|character: char| character.is_ascii_digit()).trim_end_matches(['_', '-']);
    if name.len() > name_alone.len() && role_of(name_alone).is_some() { name_alone } else { name }
}

/// The file of each role. A single file is that of training, whatever its name.
fn roles<'a>(
    root: &Path,
    files: &'a [SplitFile],
    options: &DatasetOptions,
) -> Result<[Option<&'a SplitFile>; 3], DataError> {
    if let [only] = files
        && !options.names_any()
    {
        return Ok([Some(only), None, None]);
    }
    let asked = [&options.train_split, &options.val_split, &options.test_split];
    let name = |file: &SplitFile| {
        let is_asked = asked.iter().any(|split| split.as_ref() == Some(&file.split));
        if is_asked { file.split.clone() } else { without_year(&file.split).to_string() }
    };
    let available: Vec<String> = files.iter().map(name).collect();
    for (index, split) in available.iter().enumerate() {
        if let Some(before) = available[..index].iter().position(|other| other == split) {
            let (path, name) = (root.to_path_buf(), |index: usize| files[index].path.display().to_string());
            let expected = format!("one annotation file for the split `{split}`");
            return Err(DataError::malformed(&path, expected, format!("{} and {}", name(before), name(index))));
        }
    }
    let names = split_names::assign(root, &available, options)?;
    Ok(names.map(|name| Some(&files[available.iter().position(|split| Some(split) == name.as_ref())?])))
}

/// The images that a file lists and that are on the disk, with their outlines.
fn pairs(
    root: &Path,
    file: &SplitFile,
    annotations: &Annotations,
    classes: &Classes,
    left_out: &mut LeftOut,
) -> Result<Pairs, DataError> {
    if !annotations.has_outlines() {
        let expected = "outlines of objects (export it for segmentation)";
        return Err(DataError::malformed(&file.path, expected, "boxes alone, or no objects"));
    }
    let drawn = annotations.drawings(classes)?;
    drawn.crowds.into_iter().for_each(|crowd| left_out.add(Reason::Crowd, crowd));
    drawn.outside.into_iter().for_each(|object| left_out.add(Reason::OutsideImage, object));
    drawn.boxes.into_iter().for_each(|object| left_out.add(Reason::WithoutOutline, object));
    let mut search = Search::new(root, file);
    let mut pairs = Pairs::default();
    let mut names: HashMap<PathBuf, String> = HashMap::new();
    for drawing in drawn.masks {
        match search.find(&drawing.image) {
            Some(image) => {
                if let Some(other) = names.insert(image.clone(), drawing.image.clone()) {
                    let found = format!("{} for `{other}` and for `{}`", image.display(), drawing.image);
                    return Err(DataError::malformed(&file.path, "a file for each image", found));
                }
                pairs.images.push(image);
                pairs.masks.push(MaskSource::Drawing(Arc::new(drawing)));
            }
            None => left_out.add(Reason::ListedOnly, drawing.image),
        }
    }
    if pairs.images.is_empty() {
        let expected = format!("images in {}", search.in_words());
        let found = annotations.files().next().map_or("no image".into(), |name| format!("none, such as `{name}`"));
        return Err(DataError::malformed(&file.path, expected, found));
    }
    Ok(pairs)
}

/// Counts the images that lie beside listed ones and that no file lists.
fn count_unlisted(
    root: &Path,
    splits: &[Option<Pairs>],
    of_others: &HashSet<OsString>,
    left_out: &mut LeftOut,
) -> Result<(), DataError> {
    let listed: BTreeSet<&Path> =
        splits.iter().flatten().flat_map(|pairs| &pairs.images).map(PathBuf::as_path).collect();
    let folders: BTreeSet<&Path> = listed.iter().filter_map(|image| image.parent()).collect();
    // What else lies there says nothing about images.
    let mut walk = Walk::new(root);
    for folder in folders {
        for image in walk.contents(folder)?.images {
            let is_other = image.file_name().is_some_and(|name| of_others.contains(name));
            if !listed.contains(image.as_path()) && !is_other {
                left_out.add(Reason::NotListed, image.strip_prefix(root).unwrap_or(&image).display().to_string());
            }
        }
    }
    Ok(())
}

/// Where the images of a file may lie.
struct Search {
    folders: Vec<PathBuf>,
    /// The folder of the last image, which is asked first.
    last: usize,
}

impl Search {
    fn new(root: &Path, file: &SplitFile) -> Self {
        let beside = file.path.parent().unwrap_or(root);
        let mut folders = vec![beside.to_path_buf()];
        folders.extend(IMAGES.iter().map(|images| beside.join(images)));
        for split in [file.split.as_str(), without_year(&file.split)] {
            folders.extend(IMAGES.iter().map(|images| root.join(images).join(split)));
            folders.push(root.join(split));
        }
        folders.extend(IMAGES.iter().map(|images| root.join(images)));
        folders.push(root.to_path_buf());
        folders.retain(|folder| folder.is_dir());
        Search { folders, last: 0 }
    }

    /// The file of an image: by its path as the annotations have it, else by its name alone.
    fn find(&mut self, image: &str) -> Option<PathBuf> {
        let path = PathBuf::from(image.replace('\\', "/"));
        let name = PathBuf::from(path.file_name()?);
        let is_below = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        for path in is_below.then_some(&path).into_iter().chain([&name]) {
            let order = std::iter::once(self.last).chain(0..self.folders.len());
            for index in order {
                let place = self.folders.get(index)?.join(path);
                if place.is_file() {
                    self.last = index;
                    return Some(place);
                }
            }
        }
        None
    }

    fn in_words(&self) -> String {
        let mut folders: Vec<String> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
        folders.dedup();
        folders.join(", ")
    }
}
