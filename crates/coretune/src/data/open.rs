//! From a path to a [`Dataset`]: which form it has, and what it holds.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::assemble::{UnknownClass, assemble};
use super::folder::names_in;
use super::found::Found;
use super::joined::{join, roots_of};
use super::listed::listed;
use super::published::{self, refuse_split_number};
use super::role::role_of;
use super::{
    DataError, Dataset, DatasetOptions, Format, ImageSource, Layout, Role, Split, cifar, csv_list, idx, image_folder,
    masks, parquet_file,
};
use crate::files::{Content, content_of, regular_file};

/// Lists what lies at a path, or says with `None` that it is of another form.
type Reader = fn(&Path, &DatasetOptions) -> Result<Option<Found>, DataError>;

/// In the order in which they are asked.
const READERS: [Reader; 7] = [
    published::read,
    cifar::read,
    idx::read,
    parquet_file::read,
    csv_list::read,
    published::refuse_matlab_lists,
    image_folder::read,
];

impl Dataset {
    /// Recognises what lies at `path` and lists it. The forms are those of [`Format`]. No image is decoded, but for
    /// [`BitDepth::Measured`](super::BitDepth::Measured).
    ///
    /// The classes are those of the training split (of all splits where there is none); a class of another split that
    /// training lacks is an error.
    ///
    /// # Errors
    /// [`DataError::NotFound`], [`DataError::Unrecognised`], [`DataError::SplitMissing`], [`DataError::NoImages`],
    /// [`DataError::UnknownClass`], or what is wrong with a file.
    pub fn open(path: impl AsRef<Path>, options: &DatasetOptions) -> Result<Self, DataError> {
        let (dataset, unknown) = Dataset::open_known(path, options)?;
        match unknown.into_iter().next() {
            None => Ok(dataset),
            Some(UnknownClass { path, split, class, resembles, .. }) => {
                let (known, has_train) = (dataset.classes.len(), dataset.train.is_some());
                let origin = if has_train { "classes of train" } else { "known classes" };
                Err(DataError::UnknownClass { path, split, class, known, origin, resembles })
            }
        }
    }

    /// [`Dataset::open`] without the images of classes that training lacks, and these classes, for
    /// [`Report::add_unknown`](super::check::Report::add_unknown).
    ///
    /// # Errors
    /// As [`Dataset::open`], but for [`DataError::UnknownClass`].
    pub fn open_known(
        path: impl AsRef<Path>,
        options: &DatasetOptions,
    ) -> Result<(Self, Vec<UnknownClass>), DataError> {
        let (dataset, unknown) = Dataset::list(path.as_ref(), options)?;
        Ok((dataset.with_bit_depth(options.bit_depth)?, unknown))
    }

    fn list(path: &Path, options: &DatasetOptions) -> Result<(Self, Vec<UnknownClass>), DataError> {
        if let Some(roots) = roots_of(path)? {
            roots.iter().try_for_each(|root| refuse_gone_splits(root, options))?;
            let found = roots.into_iter().map(|root| found_in(&root, options).map(|found| (root, found)));
            let found = join(path, found.collect::<Result<_, _>>()?)?;
            let nothing = || DataError::Unrecognised { path: path.to_path_buf(), found: "no root".into() };
            return assemble(path, found.ok_or_else(nothing)?);
        }
        std::fs::metadata(path).map_err(DataError::read(path))?;
        refuse_gone_splits(path, options)?;
        if let Some(dataset) = masks::read(path, options)? {
            return Ok((dataset, Vec::new()));
        }
        let (dataset, unknown) = assemble(path, found_in(path, options)?).map_err(|error| or_too_deep(path, error))?;
        if dataset.is_folder_of_one_class() && options.layout == Layout::Auto {
            refuse_too_deep(path)?;
        }
        Ok((dataset, unknown))
    }

    /// As [`Dataset::open`], and also a folder with images that lie in no folder of a class: all below it are then of one
    /// class, `images`.
    ///
    /// # Errors
    /// Those of [`Dataset::open`].
    pub fn open_unlabelled(path: impl AsRef<Path>, options: &DatasetOptions) -> Result<Self, DataError> {
        let path = path.as_ref();
        let Some((images, left_out)) = image_folder::without_classes(path, options)? else {
            return match Dataset::open(path, options) {
                // Labels that are not read are not needed either.
                Err(DataError::MatlabLists { .. } | DataError::LabelFile { .. }) => {
                    Dataset::open(path, &DatasetOptions { layout: Layout::Classes, ..options.clone() })
                }
                Err(DataError::Detection { path: images, .. }) => {
                    let layout = if images == path { Layout::Classes } else { Layout::Splits };
                    Dataset::open(path, &DatasetOptions { layout, ..options.clone() })
                }
                opened => opened?.without_masks(),
            };
        };
        let images: Vec<ImageSource> = images.into_iter().map(|path| ImageSource::File(Arc::from(path))).collect();
        let classes: Arc<[String]> = Arc::from(["images".to_string()]);
        let labels = vec![0; images.len()];
        let dataset = Dataset {
            root: path.to_path_buf(),
            format: Format::ImageFolder,
            titles: classes.clone(),
            train: Some(Split::new(images, labels, classes.clone())?),
            classes,
            validation: None,
            test: None,
            left_out,
            columns: Vec::new(),
        };
        dataset.with_bit_depth(options.bit_depth)
    }
}

/// What the first form that fits has; images with masks are none of them.
fn found_in(root: &Path, options: &DatasetOptions) -> Result<Found, DataError> {
    for read in READERS {
        if let Some(found) = read(root, options).map_err(called_what_it_is)? {
            refuse_columns_without_table(root, &found, options)?;
            refuse_split_number(root, found.format, options)?;
            return Ok(found);
        }
    }
    refuse_too_deep(root)?;
    Err(DataError::Unrecognised { path: root.to_path_buf(), found: contents(root)? })
}

/// Refuses a link with the name of a split that leads nowhere: the split would be missing without a word.
fn refuse_gone_splits(root: &Path, options: &DatasetOptions) -> Result<(), DataError> {
    let Ok(names) = names_in(root) else { return Ok(()) };
    let is_read = |name: &&String| role_of(name).is_some_and(|role| role == Role::Train || !options.train_only);
    match names.iter().filter(is_read).map(|name| root.join(name)).find(|link| link.is_symlink() && !link.exists()) {
        Some(link) => Err(DataError::folder_gone(&link)),
        None => Ok(()),
    }
}

/// The error of a file that cannot be read, or that it is a web page, a pointer or the like.
fn called_what_it_is(error: DataError) -> DataError {
    let (DataError::Malformed { path, .. } | DataError::Read { path, .. }) = &error else { return error };
    match content_of_file(path).filter(|content| content.is_placeholder()) {
        Some(content) => DataError::NotData { path: path.clone(), found: format!("it is {}", content.name) },
        None => error,
    }
}

fn content_of_file(path: &Path) -> Option<Content> {
    let mut head = Vec::new();
    regular_file::open(path).and_then(|file| file.take(512).read_to_end(&mut head)).ok()?;
    content_of(&head)
}

/// Refuses the name of a column for data that has no columns to choose from.
fn refuse_columns_without_table(path: &Path, found: &Found, options: &DatasetOptions) -> Result<(), DataError> {
    match options.named_column() {
        Some(name) if found.format != Format::Csv => {
            Err(DataError::ColumnOfNoTable { path: path.into(), name: name.clone(), format: found.format })
        }
        _ => Ok(()),
    }
}

/// The error of a folder without images, or that a folder in it holds tables or files of a known form.
fn or_too_deep(path: &Path, error: DataError) -> DataError {
    match error {
        DataError::NoImages { .. } => refuse_too_deep(path).err().unwrap_or(error),
        _ => error,
    }
}

/// Refuses a folder of which a folder in it holds tables or files of a known form.
fn refuse_too_deep(path: &Path) -> Result<(), DataError> {
    let Ok(names) = names_in(path) else { return Ok(()) };
    for inner in names.into_iter().map(|name| path.join(name)).filter(|inner| inner.is_dir()) {
        if names_in(&inner)?.iter().any(|name| is_table(name)) {
            return Err(DataError::TooDeep { path: path.into(), inner });
        }
    }
    Ok(())
}

/// Whether a file of this name holds images or names them.
fn is_table(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ["csv", "tsv", "parquet"].contains(&ending) || name.contains(idx::IMAGES) || name.starts_with("data_batch_")
}

/// The first entries of a folder, or that it is a file, for a message.
fn contents(path: &Path) -> Result<String, DataError> {
    if !path.is_dir() {
        let what = content_of_file(path).map_or(String::new(), |content| format!(": it is {}", content.name));
        return Ok(format!("a single file{what}"));
    }
    Ok(listed(&names_in(path)?))
}
