use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::names_in;
use super::left_out::LeftOut;
use super::resemblance::resembled;
use super::{BitDepth, BitDepthRange, DataError, Format, ImageSource, Masks, ReadColumns, Role, Split};

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
    /// What lies there beside the images.
    pub left_out: LeftOut,
    /// The columns of tables; none of another format.
    pub columns: Vec<ReadColumns>,
}

impl Dataset {
    /// The split of a role.
    pub fn split(&self, role: Role) -> Option<&Split> {
        match role {
            Role::Train => self.train.as_ref(),
            Role::Validation => self.validation.as_ref(),
            Role::Test => self.test.as_ref(),
        }
    }

    /// Whether it is an image folder whose training images are of one class.
    pub(super) fn is_folder_of_one_class(&self) -> bool {
        let counts = self.train.as_ref().map(Split::class_counts).unwrap_or_default();
        self.format == Format::ImageFolder && counts.iter().filter(|&&count| count > 0).count() == 1
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
            if let Some(masks) = split.masks() {
                return self.masks_with_classes(split, masks, &classes).map(Some);
            }
            let origin = "classes of the run";
            let labels = number_by_name(split.labels(), &self.classes, &classes, (&self.root, role, origin))?;
            Ok(Some(Split::new(split.images().to_vec(), labels, classes.clone())?.with_bit_depth(split.bit_depth())))
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
            left_out: self.left_out.clone(),
            columns: self.columns.clone(),
            classes,
        })
    }

    fn masks_with_classes(&self, split: &Split, masks: &Masks, classes: &Arc<[String]>) -> Result<Split, DataError> {
        let coding = masks.coding().with_classes(classes);
        let other = |unknown| DataError::OtherClasses { path: self.root.clone(), unknown, known: classes.to_vec() };
        let masks = masks.with_coding(Arc::new(coding.map_err(other)?));
        Ok(Split::with_masks(split.images().to_vec(), masks)?.with_bit_depth(split.bit_depth()))
    }

    /// The same images, read with these values of 16-bit images as black and white.
    pub(super) fn with_bit_depth(self, bit_depth: BitDepth) -> Result<Self, DataError> {
        let range = match bit_depth {
            BitDepth::Range(range) => range,
            BitDepth::Measured => self.train.as_ref().map(Split::measure_bit_depth).transpose()?.unwrap_or_default(),
        };
        let with = |split: Option<Split>| split.map(|split| split.with_bit_depth(range));
        Ok(Dataset { train: with(self.train), validation: with(self.validation), test: with(self.test), ..self })
    }

    /// Where the first image of a table lies instead, if it is not where the table says: in a folder beside, perhaps with an
    /// ending that the table leaves out. As the table has it, and as it should.
    pub fn first_image_elsewhere(&self) -> Option<(String, String)> {
        const ENDINGS: [&str; 6] = ["", ".jpg", ".png", ".jpeg", ".JPG", ".tif"];
        let split = Role::ALL.into_iter().find_map(|role| self.split(role))?;
        let ImageSource::File(path) = split.images().first()? else { return None };
        let folder = if self.root.is_dir() { self.root.as_path() } else { self.root.parent()? };
        let written = path.strip_prefix(folder).ok().filter(|_| !path.exists())?;
        let mut folders = vec![folder.to_path_buf()];
        for beside in names_in(folder).ok()?.into_iter().map(|name| folder.join(name)).filter(|path| path.is_dir()) {
            let inner = names_in(&beside).ok()?.into_iter().map(|name| beside.join(name)).filter(|path| path.is_dir());
            folders.extend(inner.take(100));
            folders.push(beside);
        }
        let names = |folder: &PathBuf| ENDINGS.map(|ending| format!("{}{ending}", folder.join(written).display()));
        let found = folders.iter().flat_map(names).find(|path| Path::new(path).is_file())?;
        let found = Path::new(&found).strip_prefix(folder).ok()?;
        Some((written.display().to_string(), found.display().to_string()))
    }

    /// The values of 16-bit images that become black and white.
    pub fn bit_depth(&self) -> BitDepthRange {
        let first = Role::ALL.into_iter().find_map(|role| self.split(role));
        first.map(Split::bit_depth).unwrap_or_default()
    }

    /// The same images without their masks, all of one class, `images`; itself if it has none.
    pub(super) fn without_masks(self) -> Result<Self, DataError> {
        if !self.has_masks() {
            return Ok(self);
        }
        let classes: Arc<[String]> = Arc::from(["images".to_string()]);
        let images_of = |split: Option<Split>| {
            let images = split.map(|split| split.images().to_vec());
            images.map(|images| Split::new(images.clone(), vec![0; images.len()], classes.clone())).transpose()
        };
        Ok(Dataset {
            train: images_of(self.train)?,
            validation: images_of(self.validation)?,
            test: images_of(self.test)?,
            titles: classes.clone(),
            classes,
            ..self
        })
    }

    /// Whether the images have masks, not classes.
    pub fn has_masks(&self) -> bool {
        Role::ALL.into_iter().filter_map(|role| self.split(role)).any(|split| split.masks().is_some())
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

/// The position of each name in `classes`, where it is there.
pub(super) fn positions(names: &[String], classes: &[String]) -> Vec<Option<i64>> {
    let position: HashMap<&String, i64> = classes.iter().zip(0..).collect();
    names.iter().map(|name| position.get(name).copied()).collect()
}

/// Labels that are positions in `names` as positions in `classes`; only names that occur have to be among them.
fn number_by_name(
    labels: &[i64],
    names: &[String],
    classes: &[String],
    (path, split, origin): (&Path, Role, &'static str),
) -> Result<Vec<i64>, DataError> {
    let numbers = positions(names, classes);
    let unknown = |label: i64| {
        let (class, known) = (names[label as usize].clone(), classes.len());
        let resembles = resembled(&class, classes).cloned();
        DataError::UnknownClass { path: path.to_path_buf(), split, class, known, origin, resembles }
    };
    labels.iter().map(|&label| numbers[label as usize].ok_or_else(|| unknown(label))).collect()
}
