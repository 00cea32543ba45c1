//! What `auto` becomes: for each setting, the function that decides it, and the text that help and `docs/defaults.md` show.
//!
//! What belongs to the input (size, mean, standard deviation, augmentation) is in [`Input::usual`]. Settings that the
//! checkpoint, the data or the machine answer alone have their text in the table of their section. What differs from method
//! to method is in the method's file: [`crate::objectives::PretrainingDefaults`], [`crate::objectives::moco`].

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use crate::models::{Architecture, Family, Stem};
use crate::settings::RunKind;
use crate::transforms::{Augmentation, Framing, Interpolation, ResizeMode, default_crop_fraction, mean_color};

/// Longest side of images that count as small, pixels.
const SMALL: u32 = 64;

/// How an image becomes the input of the model: every value that a configuration may leave to the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    /// Height and width, pixels.
    pub img_size: i64,
    /// Mean of red, green, blue, of pixels in [0, 1].
    pub mean: [f64; 3],
    /// Standard deviation of red, green, blue, of pixels in [0, 1].
    pub std: [f64; 3],
    /// Fraction of the resized side that evaluation keeps in its centre crop.
    pub crop_pct: f64,
    /// Resampling.
    pub interpolation: Interpolation,
    /// What happens to images that are not square.
    pub resize_mode: ResizeMode,
    /// Random transforms in training.
    pub augment: Augmentation,
}

impl Input {
    /// What checkpoints of this architecture were most likely trained on: the 32 pixels of CIFAR if the first layers are
    /// made for small images, else the 224 of `ImageNet`. A file of coretune records its own.
    pub fn usual(architecture: &Architecture) -> Self {
        if architecture.is_small() { Self::CIFAR } else { Self::IMAGENET }
    }

    /// What a new network takes for images whose smaller side has so many pixels.
    pub fn of_new_network(smaller_side: u32) -> Self {
        match stem(smaller_side) {
            Stem::Small => Self::CIFAR,
            Stem::Imagenet => Self::IMAGENET,
        }
    }

    /// How an image becomes a square.
    pub fn framing(&self) -> Framing {
        let Input { img_size, mean, interpolation, resize_mode, .. } = *self;
        Framing { size: img_size as u32, mode: resize_mode, fill: mean_color(mean), interpolation }
    }

    const IMAGENET: Input = Input {
        img_size: 224,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
        crop_pct: 0.875,
        interpolation: Interpolation::Bilinear,
        resize_mode: ResizeMode::Crop,
        augment: Augmentation::ResizedCropFlip,
    };

    const CIFAR: Input = Input {
        img_size: 32,
        mean: [0.4914, 0.4822, 0.4465],
        std: [0.2023, 0.1994, 0.2010],
        crop_pct: 1.0,
        interpolation: Interpolation::Bilinear,
        resize_mode: ResizeMode::Crop,
        augment: Augmentation::PadCropFlip,
    };
}

/// A text for networks made for small images, and one for the others.
fn by_network(of: impl Fn(&Input) -> String) -> String {
    format!("{} for small images, else {}", of(&Input::CIFAR), of(&Input::IMAGENET))
}

fn colour([red, green, blue]: [f64; 3]) -> String {
    format!("{red},{green},{blue}")
}

/// `data.img_size`.
pub(super) fn img_size_text(_: RunKind) -> String {
    by_network(|input| input.img_size.to_string())
}

/// `data.mean`.
pub(super) fn mean_text(_: RunKind) -> String {
    by_network(|input| colour(input.mean))
}

/// `data.std`.
pub(super) fn std_text(_: RunKind) -> String {
    by_network(|input| colour(input.std))
}

/// `data.augment`.
pub(super) fn augment_text(_: RunKind) -> String {
    by_network(|input| input.augment.name().into())
}

/// `data.crop_pct`.
pub(super) fn crop_pct_text(_: RunKind) -> String {
    let [small, large] = [SMALL, SMALL + 1].map(default_crop_fraction);
    format!("{small} up to {SMALL} pixels and where no side is cut, else {large}")
}

/// A property of the network: that of the checkpoint, or in pre-training without one `new`.
fn of_network(kind: RunKind, new: &str) -> String {
    match kind {
        RunKind::FineTuning | RunKind::Segmentation => "as in the checkpoint".into(),
        RunKind::Pretraining => format!("{new}, or as in the checkpoint"),
    }
}

/// `model.name` of a new network.
pub(super) const FAMILY: Family = Family::ResNet18;

pub(super) fn family_text(kind: RunKind) -> String {
    of_network(kind, FAMILY.name())
}

/// `model.stem` of a new network, for images whose smaller side has so many pixels.
pub(super) fn stem(smaller_side: u32) -> Stem {
    if smaller_side <= SMALL { Stem::Small } else { Stem::Imagenet }
}

pub(super) fn stem_text(kind: RunKind) -> String {
    of_network(kind, &format!("small for images up to {SMALL} pixels, else imagenet"))
}

/// `model.width` of a new network.
pub(super) const WIDTH: f64 = 1.0;

pub(super) fn width_text(kind: RunKind) -> String {
    of_network(kind, &WIDTH.to_string())
}

/// K of the balanced sampler while P is not known.
const IMAGES_PER_CLASS: usize = 4;

/// `data.classes_per_batch` and `data.images_per_class`, P and K of the balanced sampler, over `num_classes` classes and
/// steps of `batch` images.
///
/// P as given, or as many classes as fill a step with K images each ([`IMAGES_PER_CLASS`] if K is not given), at most
/// `num_classes`; K as given, or as many images of each as the step then has room for. P x K may be less than the
/// images of a step, never more.
pub(super) fn balanced_batch(
    classes: Option<usize>,
    images: Option<usize>,
    batch: usize,
    num_classes: usize,
) -> (usize, usize) {
    let fill = batch / images.unwrap_or(IMAGES_PER_CLASS);
    let classes = classes.unwrap_or(fill.clamp(2, num_classes.max(2)));
    (classes, images.unwrap_or(batch / classes))
}

pub(super) fn classes_per_batch_text(_: RunKind) -> String {
    format!("as many as fill a step with {IMAGES_PER_CLASS} images each")
}

pub(super) fn images_per_class_text(_: RunKind) -> String {
    "as many as the step has room for".into()
}

/// Longest side of an automatic crop: that of the usual setting on PASCAL VOC, pixels.
const LONGEST_CROP: u32 = 513;

/// `segmentation.crop`, where the smaller side of the first training image has so many pixels.
pub(super) fn crop(smaller_side: u32) -> i64 {
    i64::from(smaller_side.clamp(16, LONGEST_CROP))
}

pub(super) fn crop_text(_: RunKind) -> String {
    format!("smaller side of the first image, at most {LONGEST_CROP}")
}

/// Fraction of the epochs that is warm-up.
const WARMUP: f64 = 0.05;

/// `train.warmup_epochs`.
pub(super) fn warmup_epochs(epochs: usize) -> f64 {
    WARMUP * epochs as f64
}

pub(super) fn warmup_epochs_text(_: RunKind) -> String {
    format!("{} % of the epochs", 100.0 * WARMUP)
}

/// `pretrain.blur`, for inputs of this side.
pub(super) fn blur(img_size: i64) -> f64 {
    if img_size <= SMALL.into() { 0.0 } else { 0.5 }
}

pub(super) fn blur_text(_: RunKind) -> String {
    format!("{} up to {SMALL} pixels, else {}", blur(SMALL.into()), blur(i64::from(SMALL) + 1))
}

/// `run.workers`, beside a step of so many threads.
pub fn reading_threads(on_gpu: bool, threads_of_step: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let of_step = if on_gpu { 1 } else { threads_of_step };
    cores.saturating_sub(of_step).max(1)
}

pub(super) fn reading_threads_text(_: RunKind) -> String {
    "the cores that the computation leaves, at least 1; with a GPU all cores but one".into()
}

/// `run.output`: `runs/DATA-METHOD-SEED`.
pub(super) fn output(data: &Path, method: &str, seed: u64) -> PathBuf {
    let data = data.file_stem().map_or("data".into(), |name| name.to_string_lossy());
    Path::new("runs").join(format!("{data}-{method}-{seed}"))
}

pub(super) fn output_text(_: RunKind) -> String {
    "runs/DATA-METHOD-SEED".into()
}
