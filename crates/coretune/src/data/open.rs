//! From a path to a [`Dataset`]: which form it has, and what it holds.

use std::path::Path;
use std::sync::Arc;

use super::assemble::{UnknownClass, assemble};
use super::folder::names_in;
use super::found::Found;
use super::listed::listed;
use super::{
    DataError, Dataset, DatasetOptions, Format, ImageSource, Split, cifar, csv_list, idx, image_folder, parquet_file,
};

/// Lists what lies at a path, or says with `None` that it is of another form.
type Reader = fn(&Path, &DatasetOptions) -> Result<Option<Found>, DataError>;

impl Dataset {
    /// Recognises what lies at `path` and lists it; no image is decoded. The forms are those of [`Format`].
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
            Some(UnknownClass { path, split, class, .. }) => {
                let (known, has_train) = (dataset.classes.len(), dataset.train.is_some());
                let origin = if has_train { "classes of train" } else { "known classes" };
                Err(DataError::UnknownClass { path, split, class, known, origin })
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
        let path = path.as_ref();
        std::fs::metadata(path).map_err(DataError::read(path))?;
        let readers: [Reader; 5] = [cifar::read, idx::read, parquet_file::read, csv_list::read, image_folder::read];
        for read in readers {
            if let Some(found) = read(path, options)? {
                return assemble(path, found);
            }
        }
        Err(DataError::Unrecognised { path: path.to_path_buf(), found: contents(path)? })
    }

    /// As [`Dataset::open`], and also a folder with images that lie in no folder of a class: all below it are then of one
    /// class, `images`.
    ///
    /// # Errors
    /// Those of [`Dataset::open`].
    pub fn open_unlabelled(path: impl AsRef<Path>, options: &DatasetOptions) -> Result<Self, DataError> {
        let path = path.as_ref();
        let train = path.join(options.train_split.as_deref().unwrap_or("train"));
        let folder = if train.is_dir() { train } else { path.to_path_buf() };
        if !image_folder::lie_without_class(&folder)? {
            return Dataset::open(path, options);
        }
        let images: Vec<ImageSource> =
            image_folder::images_below(&folder)?.into_iter().map(|path| ImageSource::File(Arc::from(path))).collect();
        let classes: Arc<[String]> = Arc::from(["images".to_string()]);
        let labels = vec![0; images.len()];
        Ok(Dataset {
            root: path.to_path_buf(),
            format: Format::ImageFolder,
            titles: classes.clone(),
            train: Some(Split::new(images, labels, classes.clone())?),
            classes,
            validation: None,
            test: None,
        })
    }
}

/// The first entries of a folder, or that it is a file, for a message.
fn contents(path: &Path) -> Result<String, DataError> {
    if !path.is_dir() {
        return Ok("a single file".to_string());
    }
    Ok(listed(&names_in(path)?))
}
