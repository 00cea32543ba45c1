//! `[data]`: the images.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::automatic;
use crate::config::error::refuse_if;
use crate::config::{ConfigError, DataCheck, Sampler};
use crate::data::{BitDepth, BitDepthRange, Budget, DatasetOptions, Layout, MaskOptions};
use crate::models::TestViews;
use crate::settings::OnResume::{Fixed, Free};
use crate::settings::{ANY, Kind, Range, RunKind, Setting, auto, off, setting};
use crate::transforms::{Augmentation, AutoAugment, Interpolation, ResizeMode};

/// The labelled images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSection {
    /// Folder or file.
    pub dir: PathBuf,
    /// Name of the training split; `None`: a usual one.
    #[serde(with = "auto")]
    pub train_split: Option<String>,
    /// Name of the validation split; `None`: the one that is there, or cut from the training split.
    #[serde(with = "auto")]
    pub val_split: Option<String>,
    /// Name of the test split; `None`: a usual one, or no test.
    #[serde(with = "auto")]
    pub test_split: Option<String>,
    /// What the folders at the top are.
    pub layout: Layout,
    /// Which of several published splits; `None`: the first.
    #[serde(with = "auto", default)]
    pub split_number: Option<u32>,
    /// Numbers in masks whose pixels are ignored, beside 255.
    #[serde(default)]
    pub ignore_index: Vec<u16>,
    /// The number in masks of the first class.
    #[serde(default)]
    pub first_class: u16,
    /// Column of a table with the paths of the images; `None`: one with a usual name.
    #[serde(with = "auto")]
    pub image_column: Option<String>,
    /// Column of a table with the labels; `None`: one with a usual name.
    #[serde(with = "auto")]
    pub label_column: Option<String>,
    /// Column of a table with the splits; `None`: one with a usual name.
    #[serde(with = "auto", default)]
    pub split_column: Option<String>,
    /// How closely the data is checked before it is used.
    pub check: DataCheck,
    /// Whether images that cannot be read are left out.
    pub skip_broken: bool,
    /// Share of the training labels to use, above 0, up to 1.
    pub label_fraction: f64,
    /// Training labels to use of each class; excludes a `label_fraction` below 1.
    #[serde(with = "off")]
    pub per_class: Option<usize>,
    /// Validation images of each class, taken from what the labelled budget leaves.
    #[serde(with = "off")]
    pub val_per_class: Option<usize>,
    /// Images without labels: a folder, or [`REST`]; `None`: none.
    #[serde(with = "off")]
    pub unlabelled: Option<PathBuf>,
    /// Folders of finished runs whose models label these images together; empty: label propagation does.
    #[serde(default)]
    pub pseudo_labels_from: Vec<PathBuf>,
    /// Fraction of the unlabelled images with the same pseudo-label that are trained on, the most certain ones.
    pub pseudo_label_fraction: f64,
    /// Neighbours of an image over which labels are propagated.
    pub propagation_neighbours: usize,
    /// alpha of label propagation.
    pub propagation_alpha: f64,
    /// gamma of label propagation.
    pub propagation_power: f64,
    /// Height and width of the input, pixels.
    #[serde(with = "auto")]
    pub img_size: Option<i64>,
    /// Mean of red, green, blue.
    #[serde(with = "auto")]
    pub mean: Option<[f64; 3]>,
    /// Standard deviation of red, green, blue.
    #[serde(with = "auto")]
    pub std: Option<[f64; 3]>,
    /// Values of 16-bit images that become black and white; `None`: the least and the greatest of the training images.
    #[serde(with = "auto")]
    pub bit_depth_range: Option<BitDepthRange>,
    /// Resampling.
    pub interpolation: Interpolation,
    /// What happens to images that are not square.
    pub resize_mode: ResizeMode,
    /// Share of the resized side that evaluation keeps.
    #[serde(with = "auto")]
    pub crop_pct: Option<f64>,
    /// Random transforms in training.
    #[serde(with = "auto")]
    pub augment: Option<Augmentation>,
    /// Random operations on training images after crop and flip.
    pub auto_augment: AutoAugment,
    /// Operations of `RandAugment`.
    pub rand_augment_ops: u32,
    /// Magnitude of `RandAugment`.
    pub rand_augment_magnitude: u32,
    /// Probability that a rectangle of a training image is erased.
    pub random_erasing: f64,
    /// alpha of mixup; 0 is off.
    pub mixup: f64,
    /// alpha of `CutMix`; 0 is off.
    pub cutmix: f64,
    /// Views of an evaluated image whose features are averaged.
    pub tta: TestViews,
    /// How batches are drawn.
    pub sampler: Sampler,
    /// P of the balanced sampler.
    #[serde(with = "auto")]
    pub classes_per_batch: Option<usize>,
    /// K of the balanced sampler.
    #[serde(with = "auto")]
    pub images_per_class: Option<usize>,
}

/// In place of a folder of unlabelled images: the images of the training split outside the labelled budget.
pub const REST: &str = "rest";

/// Where images without labels come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnlabelledFrom<'a> {
    /// The images of the training split outside the labelled budget.
    Rest,
    /// A folder or file.
    Path(&'a Path),
}

impl DataSection {
    /// Where images without labels come from, if any are used.
    pub fn unlabelled_from(&self) -> Option<UnlabelledFrom<'_>> {
        let path = self.unlabelled.as_deref()?;
        Some(if path == Path::new(REST) { UnlabelledFrom::Rest } else { UnlabelledFrom::Path(path) })
    }

    /// The labelled budget.
    pub fn budget(&self) -> Budget {
        match self.per_class {
            Some(per_class) => Budget::PerClass(per_class),
            None if self.label_fraction < 1.0 => Budget::Fraction(self.label_fraction),
            None => Budget::Everything,
        }
    }

    /// Refuses settings that are each in range and do not go together.
    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
        refuse_if(self.per_class.is_some() && self.label_fraction < 1.0, || ConfigError::Conflict {
            first: "data.per_class".into(),
            second: "data.label_fraction".into(),
            expected: "one of the two".into(),
            found: format!("per_class {}, label_fraction {}", self.per_class.unwrap_or(0), self.label_fraction),
            hint: "give {data.per_class} or {data.label_fraction}, not both".into(),
        })?;
        let is_rest = self.unlabelled_from() == Some(UnlabelledFrom::Rest);
        refuse_if(is_rest && self.budget() == Budget::Everything, || ConfigError::Conflict {
            first: "data.unlabelled".into(),
            second: "the labelled budget".into(),
            expected: "a budget that leaves training images over".into(),
            found: "rest, and all labels are used".into(),
            hint: "give {data.per_class=N} or {data.label_fraction=X}, or name a folder: {data.unlabelled=DIR}".into(),
        })?;
        refuse_if(self.unlabelled.is_none() && !self.pseudo_labels_from.is_empty(), || ConfigError::Conflict {
            first: "data.pseudo_labels_from".into(),
            second: "data.unlabelled".into(),
            expected: "images that the runs are to label".into(),
            found: "off".into(),
            hint: "give {data.unlabelled=DIR} too, or leave out {data.pseudo_labels_from}".into(),
        })?;
        let splits = [&self.train_split, &self.val_split, &self.test_split];
        let named = splits.into_iter().flatten().next();
        refuse_if(self.layout == Layout::Classes && named.is_some(), || ConfigError::Conflict {
            first: "data.layout".into(),
            second: "names of splits".into(),
            expected: "one of the two".into(),
            found: format!("layout classes, and a split named {}", named.map_or("", String::as_str)),
            hint: "leave out {data.layout=classes}, or the names of the splits".into(),
        })?;
        refuse_if(self.skip_broken && self.check == DataCheck::Off, || ConfigError::Conflict {
            first: "data.skip_broken".into(),
            second: "data.check".into(),
            expected: "full or quick, which find what is to be left out".into(),
            found: "off".into(),
            hint: "leave out {data.check=off}, or {data.skip_broken=true}".into(),
        })
    }

    /// Names of the splits, for opening the data.
    pub fn options(&self) -> DatasetOptions {
        DatasetOptions {
            train_split: self.train_split.clone(),
            val_split: self.val_split.clone(),
            test_split: self.test_split.clone(),
            train_only: false,
            layout: self.layout,
            split_number: self.split_number,
            masks: MaskOptions { ignored: self.ignore_index.clone(), first_class: self.first_class },
            image_column: self.image_column.clone(),
            label_column: self.label_column.clone(),
            split_column: self.split_column.clone(),
            bit_depth: self.bit_depth_range.map_or(BitDepth::Measured, BitDepth::Range),
        }
    }
}

/// The runs whose images have a class each.
const IMAGES: &[RunKind] = &[RunKind::FineTuning];
/// The runs whose images have masks.
const MASKS: &[RunKind] = &[RunKind::Segmentation];

/// The settings of the section, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("data.dir", Kind::Path("DIR"), "labelled images")
        .means_in_pretraining("images, with classes or without")
        .on_resume(Free)
        .read_by(RunKind::ALL),
    setting("data.train_split", Kind::Text("NAME"), "name of the training split")
        .auto(|_| "train".into())
        .read_by(RunKind::ALL),
    setting("data.val_split", Kind::Text("NAME"), "name of the validation split")
        .auto(|_| "val, or cut from train".into())
        .read_by(RunKind::ALL),
    setting("data.test_split", Kind::Text("NAME"), "name of the test split")
        .auto(|_| "test, if there is one".into())
        .read_by(RunKind::ALL),
    setting("data.layout", Kind::Choice(Layout::names), "what the folders at the top are")
        .default(Layout::Auto.name())
        .becomes(|_| "splits if their names say so, else classes".into())
        .read_by(RunKind::ALL),
    setting("data.split_number", Kind::Whole(1, 4_294_967_295), "which of several published splits (DTD, Caltech101)")
        .auto(|_| "1".into())
        .read_by(RunKind::OF_IMAGES),
    setting("data.ignore_index", Kind::Wholes(0, 65_535), "values in masks that are ignored, beside 255")
        .default("[]")
        .on_resume(Fixed)
        .read_by(MASKS),
    setting("data.first_class", Kind::Whole(0, 1), "value in masks of the first class")
        .default("0")
        .on_resume(Fixed)
        .read_by(MASKS),
    setting("data.image_column", Kind::Text("NAME"), "column of a table with the paths of the images")
        .auto(|_| "image_path, or another usual name".into())
        .read_by(RunKind::OF_IMAGES),
    setting("data.label_column", Kind::Text("NAME"), "column of a table with the labels")
        .auto(|_| "label, or another usual name".into())
        .read_by(RunKind::OF_IMAGES),
    setting("data.split_column", Kind::Text("NAME"), "column of a table with the splits")
        .auto(|_| "split, or another usual name over names of splits, if any".into())
        .read_by(RunKind::OF_IMAGES),
    setting("data.check", Kind::Choice(DataCheck::names), "check every image first")
        .default(DataCheck::Full.name())
        .on_resume(Free)
        .read_by(RunKind::ALL),
    setting("data.skip_broken", Kind::Switch, "leave out images that cannot be read")
        .default("false")
        .read_by(RunKind::ALL),
    setting("data.label_fraction", Kind::Number(Range::AboveUpTo(0.0, 1.0)), "fraction of the training labels to use")
        .default("1.0")
        .means_in_pretraining("fraction of the training images to use")
        .read_by(RunKind::ALL),
    setting("data.per_class", Kind::Whole(1, ANY), "training labels to use of each class")
        .off()
        .means_in_pretraining("images to use of each class")
        .read_by(RunKind::OF_IMAGES),
    setting("data.val_per_class", Kind::Whole(1, ANY), "further images of each class for validation")
        .off()
        .read_by(IMAGES),
    setting("data.unlabelled", Kind::Path("DIR"), "unlabelled images; rest: training images outside the budget")
        .off()
        .read_by(IMAGES),
    setting("data.pseudo_labels_from", Kind::Texts("RUN"), "finished runs that label these images (self-training)")
        .default("[]")
        .read_by(IMAGES),
    setting(
        "data.pseudo_label_fraction",
        Kind::Number(Range::AboveUpTo(0.0, 1.0)),
        "fraction of the unlabelled images to train on, the most certain of each pseudo-label",
    )
    .default("0.5")
    .on_resume(Fixed)
    .read_by(IMAGES),
    setting("data.propagation_neighbours", Kind::Whole(1, 10_000), "neighbours of an image in label propagation")
        .default("50")
        .on_resume(Fixed)
        .read_by(IMAGES),
    setting("data.propagation_alpha", Kind::Number(Range::Between(0.0, 0.999)), "how far labels are propagated")
        .default("0.99")
        .on_resume(Fixed)
        .read_by(IMAGES),
    setting("data.propagation_power", Kind::Number(Range::AboveUpTo(0.0, 100.0)), "power of the cosine of neighbours")
        .default("3.0")
        .on_resume(Fixed)
        .read_by(IMAGES),
    setting("data.img_size", Kind::Whole(8, 4096), "height and width of the input, pixels")
        .auto(automatic::img_size_text)
        .read_by(RunKind::OF_IMAGES),
    setting("data.mean", Kind::Colour(Range::Between(0.0, 1.0)), "mean of red, green, blue")
        .auto(automatic::mean_text)
        .read_by(RunKind::ALL),
    setting("data.std", Kind::Colour(Range::AboveUpTo(0.0, 1.0)), "standard deviation of red, green, blue")
        .auto(automatic::std_text)
        .read_by(RunKind::ALL),
    setting("data.bit_depth_range", Kind::Interval(0, 65_535), "values of 16-bit images that become black and white")
        .word("auto")
        .default("0,65535")
        .becomes(|_| "the least and the greatest of the training images".into())
        .read_by(RunKind::ALL),
    setting("data.interpolation", Kind::Choice(Interpolation::names), "resampling of images")
        .default(Interpolation::Bilinear.name())
        .read_by(RunKind::ALL),
    setting(
        "data.resize_mode",
        Kind::Choice(ResizeMode::names),
        "images that are not square: cropped, squashed, or padded with the mean colour",
    )
    .default(ResizeMode::Crop.name())
    .read_by(RunKind::OF_IMAGES),
    setting(
        "data.crop_pct",
        Kind::Number(Range::AboveUpTo(0.0, 1.0)),
        "fraction of the resized side that evaluation keeps",
    )
    .auto(automatic::crop_pct_text)
    .read_by(RunKind::OF_IMAGES),
    setting(
        "data.auto_augment",
        Kind::Choice(AutoAugment::names),
        "operations on training images, after crop and flip",
    )
    .default(AutoAugment::None.name()),
    setting("data.rand_augment_ops", Kind::Whole(0, 14), "operations of auto-augment rand").default("2"),
    setting("data.rand_augment_magnitude", Kind::Whole(0, 30), "magnitude of auto-augment rand").default("9"),
    setting(
        "data.random_erasing",
        Kind::Number(Range::Between(0.0, 1.0)),
        "probability that a rectangle of a training image is erased",
    )
    .default("0.0"),
    setting(
        "data.mixup",
        Kind::Number(Range::From(0.0)),
        "mix the images of a batch and their labels, lam from Beta(X, X); 0: off",
    )
    .default("0.0")
    .read_by(IMAGES),
    setting(
        "data.cutmix",
        Kind::Number(Range::From(0.0)),
        "put a rectangle of another image into each, area from Beta(X, X); 0: off",
    )
    .default("0.0")
    .read_by(IMAGES),
    setting("data.tta", Kind::Choice(TestViews::names), "views averaged in evaluation, of the probe too")
        .default(TestViews::Plain.name()),
    setting("data.augment", Kind::Choice(Augmentation::names), "random transforms in training")
        .auto(automatic::augment_text)
        .read_by(IMAGES),
    setting("data.sampler", Kind::Choice(Sampler::names), "how batches are drawn; balanced: P classes x K images")
        .default(Sampler::Shuffle.name())
        .on_resume(Fixed)
        .read_by(IMAGES),
    setting("data.classes_per_batch", Kind::Whole(2, ANY), "P of the balanced sampler")
        .auto(automatic::classes_per_batch_text)
        .on_resume(Fixed)
        .read_by(IMAGES),
    setting("data.images_per_class", Kind::Whole(1, ANY), "K of the balanced sampler")
        .auto(automatic::images_per_class_text)
        .on_resume(Fixed)
        .read_by(IMAGES),
];
