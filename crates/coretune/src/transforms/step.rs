use image::{GrayImage, RgbImage};
use serde::{Deserialize, Serialize};

use super::{
    CenterCrop, ColorJitter, Drawn, GaussianBlur, Letterbox, RandAugment, RandomCrop, RandomErasing, RandomGrayscale,
    RandomHorizontalFlip, RandomResizedCrop, RandomRotation, RandomScale, Region, Resize, TransformError,
    TrivialAugment,
};
use crate::random::Stream;

/// One transform with its settings, as in a resolved configuration: `{ step = "center-crop", width = 224, .. }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// See [`RandomResizedCrop`].
    RandomResizedCrop(RandomResizedCrop),
    /// See [`Resize`].
    Resize(Resize),
    /// [`Resize`] with the arithmetic of Pillow, to the last bit.
    PillowResize(Resize),
    /// See [`Letterbox`].
    Letterbox(Letterbox),
    /// See [`RandomScale`].
    RandomScale(RandomScale),
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
    /// See [`TrivialAugment`].
    TrivialAugment(TrivialAugment),
    /// See [`RandAugment`].
    RandAugment(RandAugment),
    /// See [`RandomErasing`].
    RandomErasing(RandomErasing),
}

impl Step {
    fn check(&self) -> Result<(), TransformError> {
        match self {
            Step::RandomResizedCrop(step) => step.check(),
            Step::Resize(step) | Step::PillowResize(step) => step.check(),
            Step::Letterbox(step) => step.check(),
            Step::RandomScale(step) => step.check(),
            Step::CenterCrop(step) => step.check(),
            Step::RandomCrop(step) => step.check(),
            Step::RandomHorizontalFlip(step) => step.check(),
            Step::RandomRotation(step) => step.check(),
            Step::ColorJitter(step) => step.check(),
            Step::RandomGrayscale(step) => step.check(),
            Step::GaussianBlur(step) => step.check(),
            Step::TrivialAugment(_) => Ok(()),
            Step::RandAugment(step) => step.check(),
            Step::RandomErasing(step) => step.check(),
        }
    }

    /// Adds what the step does to an image of `size`.
    fn draw(&self, size: (u32, u32), stream: &mut Stream, drawn: &mut Vec<Drawn>) -> Result<(), TransformError> {
        match self {
            Step::RandomResizedCrop(step) => {
                let (region, interpolation) = (step.draw(size, stream), step.interpolation);
                drawn.push(Drawn::Resample { region, width: step.size, height: step.size, interpolation });
            }
            Step::Resize(step) => {
                let (region, interpolation) = (Region::whole(size), step.interpolation);
                let (width, height) = step.result_size(size)?;
                drawn.push(Drawn::Resample { region, width, height, interpolation });
            }
            Step::PillowResize(step) => {
                let (region, interpolation) = (Region::whole(size), step.interpolation);
                let (width, height) = step.result_size(size)?;
                drawn.push(Drawn::PillowResample { region, width, height, interpolation });
            }
            Step::Letterbox(step) => {
                let (region, (width, height)) = (Region::whole(size), step.result_size(size));
                drawn.push(Drawn::PillowResample { region, width, height, interpolation: step.interpolation });
                drawn.push(Drawn::Crop(step.window((width, height))));
            }
            Step::RandomScale(step) => {
                let (region, interpolation) = (Region::whole(size), step.interpolation);
                let (width, height) = step.draw(size, stream)?;
                drawn.push(Drawn::Resample { region, width, height, interpolation });
            }
            Step::CenterCrop(step) => drawn.push(Drawn::Crop(step.window(size))),
            Step::RandomCrop(step) => drawn.push(Drawn::Crop(step.draw(size, stream))),
            Step::RandomHorizontalFlip(step) => drawn.extend(step.draw(stream).then_some(Drawn::HorizontalFlip)),
            Step::RandomRotation(step) => {
                let (degrees, RandomRotation { interpolation, fill, .. }) = (step.draw(stream), *step);
                drawn.push(Drawn::Rotate { degrees, interpolation, fill });
            }
            Step::ColorJitter(step) => drawn.extend(step.draw(stream).into_iter().map(Drawn::Color)),
            Step::RandomGrayscale(step) => drawn.extend(step.draw(stream).then_some(Drawn::Grayscale)),
            Step::GaussianBlur(step) => {
                drawn.extend(step.draw(stream).map(|sigma| Drawn::Blur { kernel: step.kernel, sigma }));
            }
            Step::TrivialAugment(step) => drawn.extend(step.draw(stream)),
            Step::RandAugment(step) => drawn.extend(step.draw(size, stream)),
            Step::RandomErasing(step) => {
                drawn.extend(step.draw(size, stream).map(|part| Drawn::Erase { part, fill: step.fill }));
            }
        }
        Ok(())
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

    /// The same steps and more after them.
    ///
    /// # Errors
    /// As [`Transform::new`].
    pub fn followed_by(mut self, steps: impl IntoIterator<Item = Step>) -> Result<Self, TransformError> {
        self.steps.extend(steps);
        Transform::new(self.steps)
    }

    /// The steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Draws what the steps do to an image of `size`, (width, height): all random numbers, before a pixel is read.
    ///
    /// # Errors
    /// [`TransformError::TooLarge`] if a resize by the shorter side would exceed the memory.
    ///
    /// # Panics
    /// If `size` has no pixel; [`crate::data::Split::load`] never returns such an image.
    pub fn draw(&self, mut size: (u32, u32), stream: &mut Stream) -> Result<Vec<Drawn>, TransformError> {
        assert!(size.0 > 0 && size.1 > 0, "an image without pixels cannot be transformed");
        let mut drawn = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let first = drawn.len();
            step.draw(size, stream, &mut drawn)?;
            size = drawn[first..].iter().fold(size, |size, one| one.result_size(size));
        }
        Ok(drawn)
    }

    /// Applies to an image what [`draw`](Self::draw) returned for its size.
    ///
    /// # Panics
    /// See [`Drawn::apply`].
    pub fn apply(drawn: &[Drawn], image: RgbImage) -> RgbImage {
        drawn.iter().fold(image, |image, one| one.apply(image))
    }

    /// [`Transform::apply`] to an image that is kept.
    ///
    /// # Panics
    /// See [`Drawn::apply`].
    pub fn apply_to_copy(drawn: &[Drawn], image: &RgbImage) -> RgbImage {
        match drawn.split_first() {
            None => image.clone(),
            Some((first, rest)) => Self::apply(rest, first.apply_to_copy(image)),
        }
    }

    /// Applies the geometry of what [`draw`](Self::draw) returned for an image to its mask; see [`Drawn::apply_to_mask`].
    ///
    /// # Panics
    /// As [`apply`](Self::apply).
    pub fn apply_to_mask(drawn: &[Drawn], mask: GrayImage) -> GrayImage {
        drawn.iter().fold(mask, |mask, one| one.apply_to_mask(mask))
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
