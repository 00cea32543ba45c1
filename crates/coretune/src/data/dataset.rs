use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::assemble::{Found, assemble, number_by_name};
use super::check::UnknownClass;
use super::split_names::listed;
use super::{DataError, ImageSource, Role, Split, cifar, csv_list, idx, image_folder, parquet_file};

/// How a data set is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `<split>/<class>/*`, or `<class>/*` for training images alone; classes sorted by name. A `classes.txt` of lines
    /// `<class> <title>` gives names to show.
    ImageFolder,
    /// `<split>.csv` with the columns `image_path,label`, paths relative to the file; or one CSV, whose column `split`
    /// says the split of each row, without which all are training images.
    /// Classes sorted by name, by value where all are integers.
    Csv,
    /// `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin` (CIFAR-10) or `train.bin`, `test.bin` (CIFAR-100,
    /// fine labels), in the folder or in the one that the published archive unpacks to.
    CifarBinary,
    /// `<split>-*.parquet` in the folder, in `data`, or in its only other folder with such files: columns
    /// `image` or `img` (`bytes`, `path`) and `label` or `fine_label`, as on Hugging Face. Kept in memory.
    Parquet,
    /// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...`, also `.gz` (the MNIST family). A `classes.txt`
    /// gives the names of the classes, a line each. Kept in memory.
    Idx,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::ImageFolder => "image folders",
            Format::Csv => "CSV",
            Format::CifarBinary => "CIFAR binary",
            Format::Parquet => "parquet",
            Format::Idx => "idx",
        })
    }
}

/// Names of the splits where they are not the usual ones.
///
/// Without a name, training is `train`, validation the first of `val`, `validation`, `valid`, `dev`, and test `test`
/// (idx: `t10k`). A split that is named for one role serves no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatasetOptions {
    /// Training split.
    pub train_split: Option<String>,
    /// Validation split.
    pub val_split: Option<String>,
    /// Test split.
    pub test_split: Option<String>,
}

impl DatasetOptions {
    pub(super) fn names_any(&self) -> bool {
        self.train_split.is_some() || self.val_split.is_some() || self.test_split.is_some()
    }
}

/// Images and labels of up to three splits over one list of classes.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Where it was opened.
    pub root: PathBuf,
    /// How it is stored.
    pub format: Format,
    /// Names of the classes; a label is a position here.
    pub classes: Arc<[String]>,
    /// Names to show for the classes (`tench` for `n01440764`); the names themselves where there are none.
    pub titles: Arc<[String]>,
    /// Training images.
    pub train: Option<Split>,
    /// Validation images.
    pub validation: Option<Split>,
    /// Test images.
    pub test: Option<Split>,
}

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

    /// The split of a role.
    pub fn split(&self, role: Role) -> Option<&Split> {
        match role {
            Role::Train => self.train.as_ref(),
            Role::Validation => self.validation.as_ref(),
            Role::Test => self.test.as_ref(),
        }
    }

    /// The same images with labels that are positions in `classes`, those of a run.
    ///
    /// # Errors
    /// [`DataError::OtherClasses`] when a split has images of classes that are not among `classes`.
    pub fn with_classes(&self, classes: Arc<[String]>) -> Result<Self, DataError> {
        let unknown = self.classes_beyond(&classes);
        if !unknown.is_empty() {
            return Err(DataError::OtherClasses { path: self.root.clone(), unknown, known: classes.to_vec() });
        }
        let renumber = |role: Role| {
            let Some(split) = self.split(role) else { return Ok(None) };
            let origin = "classes of the run";
            let labels = number_by_name(split.labels(), &self.classes, &classes, (&self.root, role, origin))?;
            Split::new(split.images().to_vec(), labels, classes.clone()).map(Some)
        };
        let title = |class: &String| {
            let known = self.classes.iter().position(|name| name == class);
            known.map_or(class, |position| &self.titles[position]).clone()
        };
        Ok(Dataset {
            root: self.root.clone(),
            format: self.format,
            titles: classes.iter().map(title).collect(),
            train: renumber(Role::Train)?,
            validation: renumber(Role::Validation)?,
            test: renumber(Role::Test)?,
            classes,
        })
    }

    /// Names of the classes with images that are not among `classes`.
    fn classes_beyond(&self, classes: &[String]) -> Vec<String> {
        let has_images = |class: usize| {
            Role::ALL.into_iter().filter_map(|role| self.split(role)).any(|split| split.class_counts()[class] > 0)
        };
        let names = self.classes.iter().enumerate();
        let beyond = names.filter(|(class, name)| !classes.contains(name) && has_images(*class));
        beyond.map(|(_, name)| name.clone()).collect()
    }
}

/// The first entries of a folder, or that it is a file, for a message.
fn contents(path: &Path) -> Result<String, DataError> {
    if !path.is_dir() {
        return Ok("a single file".to_string());
    }
    Ok(listed(&names_in(path)?))
}

/// Names of the entries of a folder, sorted, hidden ones left out.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::read(folder))? {
        let name = entry.map_err(DataError::read(folder))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort_unstable();
    Ok(names)
}

/// The lines of a text file, blank ones left out.
pub(super) fn lines_of(path: &Path) -> Result<Vec<String>, DataError> {
    let text = std::fs::read(path).map_err(DataError::read(path))?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToString::to_string).collect())
}
