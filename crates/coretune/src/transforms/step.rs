use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{
    CenterCrop, ColorJitter, GaussianBlur, RandomCrop, RandomGrayscale, RandomHorizontalFlip, RandomResizedCrop,
    RandomRotation, Resize, TransformError,
};
use crate::random::Stream;

/// Longest side, in pixels, that a step can be asked for.
pub const SIDE_LIMIT: u32 = 16_384;
/// Pixels that the result of a step may have; a thin image blown up by its shorter side would exceed any memory.
pub(super) const RESULT_LIMIT: u64 = 1 << 28;

/// One transform with its settings, as a resolved configuration says it: `{ step = "center-crop", width = 224, .. }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// See [`RandomResizedCrop`].
    RandomResizedCrop(RandomResizedCrop),
    /// See [`Resize`].
    Resize(Resize),
    /// See [`CenterCrop`].
    CenterCrop(CenterCrop),
    /// See [`RandomCrop`].
    RandomCrop(RandomCrop),
    /// See [`RandomHorizontalFlip`].
    RandomHorizontalFlip(RandomHorizontalFlip),
    /// See [`RandomRotation`].
    RandomRotation(RandomRotation),
    /// See [`ColorJitter`].
    ColorJitter(ColorJitter),
    /// See [`RandomGrayscale`].
    RandomGrayscale(RandomGrayscale),
    /// See [`GaussianBlur`].
    GaussianBlur(GaussianBlur),
}

impl Step {
    fn check(&self) -> Result<(), TransformError> {
        match self {
            Step::RandomResizedCrop(step) => step.check(),
            Step::Resize(step) => step.check(),
            Step::CenterCrop(step) => step.check(),
            Step::RandomCrop(step) => step.check(),
            Step::RandomHorizontalFlip(step) => step.check(),
            Step::RandomRotation(step) => step.check(),
            Step::ColorJitter(step) => step.check(),
            Step::RandomGrayscale(step) => step.check(),
            Step::GaussianBlur(step) => step.check(),
        }
    }

    fn apply(&self, image: RgbImage, stream: &mut Stream) -> Result<RgbImage, TransformError> {
        Ok(match self {
            Step::RandomResizedCrop(step) => step.apply(image, stream),
            Step::Resize(step) => step.apply(image)?,
            Step::CenterCrop(step) => step.apply(image),
            Step::RandomCrop(step) => step.apply(&image, stream),
            Step::RandomHorizontalFlip(step) => step.apply(image, stream),
            Step::RandomRotation(step) => step.apply(&image, stream),
            Step::ColorJitter(step) => step.apply(image, stream),
            Step::RandomGrayscale(step) => step.apply(image, stream),
            Step::GaussianBlur(step) => step.apply(image, stream),
        })
    }
}

/// A list of steps whose settings have been checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Step>", into = "Vec<Step>")]
pub struct Transform {
    steps: Vec<Step>,
}

impl Transform {
    /// Checks the settings of every step.
    ///
    /// # Errors
    /// [`TransformError::Setting`] names the first setting outside its range.
    pub fn new(steps: Vec<Step>) -> Result<Self, TransformError> {
        steps.iter().try_for_each(Step::check)?;
        Ok(Transform { steps })
    }

    /// The steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Applies the steps in order; random ones draw from `stream`.
    ///
    /// # Errors
    /// [`TransformError::TooLarge`] when a resize by the shorter side explodes.
    ///
    /// # Panics
    /// When `image` has no pixel; [`crate::data::Split::load`] hands out none such.
    pub fn apply(&self, image: RgbImage, stream: &mut Stream) -> Result<RgbImage, TransformError> {
        assert!(image.width() > 0 && image.height() > 0, "an image without pixels cannot be transformed");
        self.steps.iter().try_fold(image, |image, step| step.apply(image, stream))
    }
}

impl TryFrom<Vec<Step>> for Transform {
    type Error = TransformError;

    fn try_from(steps: Vec<Step>) -> Result<Self, TransformError> {
        Transform::new(steps)
    }
}

impl From<Transform> for Vec<Step> {
    fn from(transform: Transform) -> Self {
        transform.steps
    }
}

pub(super) fn check_side(step: &'static str, name: &'static str, side: u32) -> Result<(), TransformError> {
    if (1..=SIDE_LIMIT).contains(&side) {
        return Ok(());
    }
    Err(TransformError::Setting { step, name, expected: "1 to 16384 pixels", found: side.to_string() })
}

pub(super) fn check_probability(step: &'static str, probability: f64) -> Result<(), TransformError> {
    if (0.0..=1.0).contains(&probability) {
        return Ok(());
    }
    Err(TransformError::Setting { step, name: "probability", expected: "0 to 1", found: probability.to_string() })
}
