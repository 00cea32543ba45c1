//! Whether the folders at the top of a data set are splits or classes; what could be either is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::class_names::are_parts;
use super::resemblance::plain;
use super::role::{Role, role_in, role_of};
use super::{DataError, DatasetOptions, Layout};

/// Names of folders that hold a data set, not a class of one.
const CONTAINERS: [&str; 8] = ["data", "dataset", "datasets", "images", "imgs", "photos", "pictures", "raw"];

/// Whether these folders are splits: if options say so or name splits, if one trains by its name, or if all have names of
/// splits.
pub(super) fn are_splits(folders: &[String], options: &DatasetOptions) -> bool {
    let is_train = |name: &String| role_of(name) == Some(Role::Train);
    match options.layout {
        Layout::Splits => true,
        Layout::Classes => false,
        Layout::Auto => {
            options.names_any() || folders.iter().any(is_train) || folders.iter().all(|name| role_of(name).is_some())
        }
    }
}

/// What folders that were listed as classes could be instead.
type Reading = fn(&Folders) -> Option<DataError>;

/// For the folders of a data set, in the order in which they are tried.
const OF_DATA: [Reading; 6] = [alike, above_splits, split_among, deeper, splits_by_word, parts];

/// For the folders of a split.
const OF_A_SPLIT: [Reading; 3] = [alike, deeper, parts];

/// Refuses folders that were listed as classes and could be something else; `images` are relative to `path`, and with
/// `layout` the folders are classes.
pub(super) fn refuse_unclear(path: &Path, images: &[PathBuf], layout: Layout) -> Result<(), DataError> {
    let folders = Folders { path, layout, tops: tops(images) };
    let readings = if layout == Layout::Classes { &OF_DATA[..] } else { &OF_A_SPLIT[..] };
    readings.iter().find_map(|reading| reading(&folders)).map_or(Ok(()), Err)
}

/// The folders that were listed as classes.
struct Folders<'a> {
    path: &'a Path,
    layout: Layout,
    tops: Vec<Top>,
}

/// One of them, seen at its core: the first folder from it on that holds images, or several folders, or one with images.
struct Top {
    name: String,
    /// Relative to the data; `name` itself, or a folder that single folders lead to.
    core: PathBuf,
    /// The folders directly in the core.
    folders: BTreeSet<String>,
    /// Whether the core holds images directly.
    has_images: bool,
    /// The folder, from this one to its core, that holds a training split.
    above_train: Option<PathBuf>,
}

/// The folders at the top of images, sorted by name.
fn tops(images: &[PathBuf]) -> Vec<Top> {
    let mut by_top: BTreeMap<&OsStr, Vec<&Path>> = BTreeMap::new();
    for image in images {
        let mut parts = image.iter();
        let Some(top) = parts.next() else { continue };
        by_top.entry(top).or_default().push(parts.as_path());
    }
    by_top.into_iter().map(|(name, images)| Top::new(name, images)).collect()
}

impl Top {
    /// The folder `name`; `images` are relative to it.
    fn new(name: &OsStr, mut images: Vec<&Path>) -> Self {
        let (mut core, mut above_train) = (PathBuf::from(name), None);
        loop {
            let is_image = |path: &&Path| path.iter().nth(1).is_none();
            let has_images = images.iter().any(is_image);
            let inner: Vec<&Path> = images.iter().copied().filter(|path| !is_image(path)).collect();
            let folders: BTreeSet<&OsStr> = inner.iter().filter_map(|path| path.iter().next()).collect();
            if above_train.is_none() && folders.iter().any(|folder| is_train(folder)) {
                above_train = Some(core.clone());
            }
            let below = |only: &OsStr| inner.iter().filter_map(|path| path.strip_prefix(only).ok()).collect::<Vec<_>>();
            match folders.first().map(|only| (only, below(only))) {
                Some((only, below)) if folders.len() == 1 && !has_images && !below.iter().any(is_image) => {
                    core.push(only);
                    images = below;
                }
                _ => {
                    let folders = folders.into_iter().map(|folder| folder.to_string_lossy().into_owned()).collect();
                    let name = name.to_string_lossy().into_owned();
                    return Top { name, core, folders, has_images, above_train };
                }
            }
        }
    }

    /// Whether the core holds several folders and nothing else.
    fn holds_several(&self) -> bool {
        self.folders.len() > 1 && !self.has_images
    }

    fn is_container(&self) -> bool {
        CONTAINERS.contains(&self.name.to_lowercase().as_str())
    }

    /// The folder in it, perhaps itself, in which splits or several folders lie side by side, and nothing else.
    fn inner(&self) -> Option<&PathBuf> {
        let above_train = self.above_train.as_ref().filter(|above| !self.has_images || **above != self.core);
        above_train.or(self.holds_several().then_some(&self.core))
    }
}

fn names<'a>(tops: impl IntoIterator<Item = &'a Top>) -> Vec<String> {
    tops.into_iter().map(|top| top.name.clone()).collect()
}

/// Folders of which most hold the same folders: two of them, or one if they hold nothing but folders, several each; or a
/// training split in more than one.
fn alike(Folders { path, layout, tops }: &Folders) -> Option<DataError> {
    if tops.len() < 2 {
        return None;
    }
    let common = held_by_most(tops);
    let several_train = tops.iter().filter(|top| top.above_train.is_some()).count() > 1;
    let names_train = common.iter().any(|name| is_train(OsStr::new(name)));
    let common = match common.len() {
        _ if several_train && !names_train => vec!["train".into()],
        0 => return None,
        1 if !several_train && !tops.iter().all(Top::holds_several) => return None,
        _ => common,
    };
    let mut deep: Vec<&Top> = tops.iter().filter(|top| top.core.iter().count() > 1).collect();
    deep.sort_by_key(|top| !top.name.to_lowercase().contains("train"));
    let deeper = deep.first().map(|top| top.core.clone());
    Some(DataError::SplitsOrClasses { path: (*path).into(), folders: names(tops), common, deeper, layout: *layout })
}

/// The data set lies in the only folder, or in the only one that holds a training split.
fn above_splits(Folders { path, tops, .. }: &Folders) -> Option<DataError> {
    let mut trains = tops.iter().filter_map(|top| top.above_train.as_ref());
    let inner = match (&tops[..], trains.next(), trains.next()) {
        ([only], ..) => only.inner()?,
        (_, Some(only), None) => only,
        _ => return None,
    };
    Some(DataError::TooDeep { path: (*path).into(), inner: path.join(inner) })
}

/// A folder `test` with folders in it among others: a split without its training images, or a class.
fn split_among(Folders { path, tops, .. }: &Folders) -> Option<DataError> {
    let split = tops.iter().find(|top| !top.folders.is_empty() && role_of(&top.name).is_some())?;
    let others = tops.iter().filter(|top| top.name != split.name);
    Some(DataError::SplitAmongClasses { path: (*path).into(), split: split.name.clone(), folders: names(others) })
}

/// The one folder that holds nothing but folders, at least as many as there are beside it, where the others hold images;
/// or the one that has the name of a container.
fn deeper(Folders { path, layout, tops }: &Folders) -> Option<DataError> {
    let nested: Vec<(&Top, &PathBuf)> = tops.iter().filter_map(|top| Some((top, top.inner()?))).collect();
    let containers: Vec<_> = nested.iter().filter(|(top, _)| top.is_container()).collect();
    let is_alone =
        |top: &Top| tops.iter().all(|other| other.name == top.name || other.folders.is_disjoint(&top.folders));
    let (top, inner) = match (&nested[..], &containers[..]) {
        (_, [only]) => **only,
        ([(top, inner)], _) if top.folders.len() + 1 >= tops.len() && is_alone(top) => (*top, *inner),
        _ => return None,
    };
    let others = names(tops.iter().filter(|other| other.name != top.name));
    let folders = top.folders.iter().cloned().collect();
    Some(DataError::ClassesDeeper { path: (*path).into(), inner: inner.clone(), folders, others, layout: *layout })
}

/// Folders that all have the name of a split among their words (`train_images`, `test_images`), not all of one split.
fn splits_by_word(Folders { path, tops, .. }: &Folders) -> Option<DataError> {
    let roles: Vec<Role> = tops.iter().map(|top| role_in(&top.name)).collect::<Option<_>>()?;
    let exactly = tops.iter().all(|top| role_of(&top.name).is_some());
    let several = roles.contains(&Role::Train) && roles.iter().any(|role| *role != Role::Train);
    (several && !exactly).then(|| DataError::NamedLikeSplits { path: (*path).into(), folders: names(tops) })
}

/// Folders whose names are one word for images and numbers, as of a data set that comes in parts.
fn parts(Folders { path, layout, tops }: &Folders) -> Option<DataError> {
    let folders = names(tops);
    are_parts(&folders).then(|| DataError::NamedLikeParts { path: (*path).into(), folders, layout: *layout })
}

/// The names that more than half of these folders hold: domains and splits rarely agree in all of their classes, nor
/// always in how they spell them.
fn held_by_most(tops: &[Top]) -> Vec<String> {
    let mut holders: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for top in tops {
        let names: BTreeMap<String, &String> = top.folders.iter().map(|name| (plain(name), name)).collect();
        for (sought, name) in names {
            holders.entry(sought).or_insert((name.clone(), 0)).1 += 1;
        }
    }
    holders.into_values().filter(|(_, count)| 2 * count > tops.len()).map(|(name, _)| name).collect()
}

fn is_train(name: &OsStr) -> bool {
    name.to_str().and_then(role_of) == Some(Role::Train)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_as(layout: Layout, images: &[&str]) -> String {
        let images: Vec<PathBuf> = images.iter().map(PathBuf::from).collect();
        refuse_unclear(Path::new("/data"), &images, layout)
            .map_or_else(|error| error.to_string(), |()| "classes".into())
    }

    fn refused(images: &[&str]) -> String {
        refused_as(Layout::Classes, images)
    }

    #[test]
    fn folders_of_images_are_classes_whatever_else_they_hold() {
        assert_eq!(refused(&["cat/a.jpg", "dog/b.jpg"]), "classes");
        assert_eq!(refused(&["cat/front/a.jpg", "dog/b.jpg", "dog/front/c.jpg"]), "classes");
        assert_eq!(refused(&["cat/front/a.jpg", "cat/side/b.jpg", "dog/front/c.jpg"]), "classes");
        assert_eq!(refused(&["pass/a.jpg", "test/b.jpg", "fail/c.jpg"]), "classes");
        assert_eq!(refused(&["only/a.jpg"]), "classes");
        assert_eq!(refused(&["only/front/a.jpg"]), "classes");
    }

    #[test]
    fn folders_that_could_be_splits_are_refused() {
        let error = refused(&["a/cat/1.jpg", "a/dog/1.jpg", "b/cat/1.jpg", "b/dog/2.jpg", "b/cow/3.jpg"]);
        assert!(error.contains("`a`, `b`") && error.contains("`cat`, `dog`"), "{error}");
        let below = refused(&["cat/train/1.jpg", "cat/val/1.jpg", "dog/train/1.jpg", "dog/val/1.jpg"]);
        assert!(below.contains("`train`, `val`"), "{below}");
        let spelt = refused(&["a/cat/1.jpg", "a/dog/1.jpg", "b/Cat/1.jpg", "b/dog /2.jpg"]);
        assert!(spelt.contains("`cat`, `dog`"), "{spelt}");
        let most = refused(&["a/cat/1.jpg", "a/dog/1.jpg", "b/cat/1.jpg", "b/dog/2.jpg", "c/cat/3.jpg"]);
        assert!(most.contains("`a`, `b`, `c`") && most.contains("most hold `cat`, `dog`"), "{most}");
        for (one, other) in
            [("seg_train/seg_train", "seg_test/seg_test"), ("a/raw", "b/raw"), ("Plant_Train/Train", "Plant_Val/Val")]
        {
            let images = [one, other].map(|split| ["cat", "dog"].map(|class| format!("{split}/{class}/1.jpg")));
            let mut images: Vec<&str> = images.as_flattened().iter().map(String::as_str).collect();
            assert!(refused(&images).contains("both hold `cat`, `dog`"), "{}", refused(&images));
            images.push("seg_pred/seg_pred/2.jpg");
            assert!(refused(&images).contains("most hold `cat`, `dog`"), "{}", refused(&images));
        }
        let trains = refused(&["a/train/cat/1.jpg", "b/train/cow/1.jpg"]);
        assert!(trains.contains("both hold `train`"), "{trains}");
        let among = refused(&["test/cat/1.jpg", "test/dog/1.jpg", "more/2.jpg"]);
        assert!(among.contains("`test`") && among.contains("`more`"), "{among}");
    }

    #[test]
    fn folders_named_like_splits_are_refused() {
        for images in [
            &["train_images/1.jpg", "test_images/2.jpg"][..],
            &["images_train/1.jpg", "images_val/2.jpg", "images_test/3.jpg"],
            &["my_train/cat/1.jpg", "my_train/dog/1.jpg", "my_val/felines/1.jpg", "my_val/canines/1.jpg"],
        ] {
            assert!(refused(images).contains("named like splits"), "{}", refused(images));
        }
        assert_eq!(refused(&["steam_train/1.jpg", "bullet train/2.jpg"]), "classes");
        assert_eq!(refused(&["test_tube/1.jpg", "train/2.jpg", "bus/3.jpg"]), "classes");
    }

    #[test]
    fn folders_named_like_parts_of_the_images_are_refused() {
        for images in [&["images_001/1.jpg", "images_002/2.jpg"][..], &["HAM_part_1/1.jpg", "HAM_part_2/2.jpg"]] {
            assert!(refused(images).contains("named like parts"), "{}", refused(images));
            assert!(refused_as(Layout::Splits, images).contains("named like parts"));
        }
        assert_eq!(refused(&["class_1/1.jpg", "class_2/2.jpg"]), "classes");
        assert_eq!(refused(&["image_1/1.jpg", "cat/2.jpg"]), "classes");
    }

    #[test]
    fn a_class_with_images_may_hold_folders_named_like_splits() {
        let images = ["cat/1.jpg", "cat/train/2.jpg", "cat/val/3.jpg", "dog/4.jpg"];
        assert_eq!(refused_as(Layout::Splits, &images), "classes");
        assert!(refused_as(Layout::Splits, &images[1..]).contains("`cat` holds the folders `train`, `val`"));
    }

    #[test]
    fn a_data_set_that_lies_deeper_is_found() {
        for (inner, images) in [
            ("/data/x", &["x/train/cat/1.jpg", "x/val/cat/2.jpg"][..]),
            ("/data/x/y", &["x/y/train/cat/1.jpg", "x/y/val/cat/2.jpg", "paper/figure/1.jpg"]),
            ("/data/x", &["x/train/cat/1.jpg", "x/train/dog/1.jpg"]),
            ("/data/x/y", &["x/y/cat/1.jpg", "x/y/dog/2.jpg"]),
            ("/data/x", &["x/train/cat/1.jpg", "x/val/cat/2.jpg", "sample/1.jpg"]),
        ] {
            assert!(refused(images).ends_with(inner), "{}", refused(images));
        }
    }
}
