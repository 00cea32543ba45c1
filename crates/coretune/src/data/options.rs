use super::BitDepthRange;
use crate::settings::choice;

choice! {
    /// What the folders at the top of a data set are.
    #[derive(Default)]
    Layout {
        /// Splits if their names say so, else classes; what is unclear is refused.
        #[default]
        Auto = "auto",
        /// Classes of training images, whatever their names and whatever they hold.
        Classes = "classes",
        /// Splits, and the folders in each are classes, whatever those hold.
        Splits = "splits",
    }
}

/// How a data set is read where its names do not say it.
///
/// Without a name, training is `train` or `training`, validation `val`, `validation`, `valid` or `dev`, and test `test`
/// or `testing` (idx: `t10k`), in any case. A split that is named for one role serves no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatasetOptions {
    /// Training split.
    pub train_split: Option<String>,
    /// Validation split.
    pub val_split: Option<String>,
    /// Test split.
    pub test_split: Option<String>,
    /// Whether only the training split is read.
    pub train_only: bool,
    /// The folders at the top.
    pub layout: Layout,
    /// Which of several published splits; `None`: the first.
    pub split_number: Option<u32>,
    /// What the values of masks mean.
    pub masks: MaskOptions,
    /// Column of a table with the paths of the images.
    pub image_column: Option<String>,
    /// Column of a table with the labels.
    pub label_column: Option<String>,
    /// Column of a table with the splits.
    pub split_column: Option<String>,
    /// The values of 16-bit images that become black and white.
    pub bit_depth: BitDepth,
}

/// Which values of 16-bit images become black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitDepth {
    /// These.
    Range(BitDepthRange),
    /// The least and the greatest of the training images, which are read for it.
    Measured,
}

impl Default for BitDepth {
    fn default() -> Self {
        BitDepth::Range(BitDepthRange::FULL)
    }
}

/// What the numbers in masks mean where no file says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskOptions {
    /// Numbers of pixels that are ignored, beside 255.
    pub ignored: Vec<u16>,
    /// The number of the first class.
    pub first_class: u16,
}

impl DatasetOptions {
    pub(super) fn names_any(&self) -> bool {
        self.train_split.is_some() || self.val_split.is_some() || self.test_split.is_some()
    }

    /// A column that is named, which only a table has.
    pub(super) fn named_column(&self) -> Option<&String> {
        self.image_column.as_ref().or(self.label_column.as_ref()).or(self.split_column.as_ref())
    }
}
