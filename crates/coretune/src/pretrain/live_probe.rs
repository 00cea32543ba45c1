//! What the features of an encoder are worth, measured while it is pre-trained.

use tch::Tensor;

use crate::data::{Budget, DataError, Role, Split, ValidationFrom, carve_validation};
use crate::evaluate::features::Evaluator;
use crate::evaluate::figure;
use crate::evaluate::geometry::{Geometry, effective_rank, geometry};
use crate::evaluate::nearest_neighbours::nearest_neighbours;
use crate::figures::Figures;
use crate::models::{Encoder, Mode, Network};
use crate::train::TrainError;

/// The images of a measurement, and how they reach the encoder.
#[derive(Debug, Clone)]
pub struct LiveProbe {
    /// Training images: the neighbours of E7.
    bank: Split,
    /// The images that they classify, with the name of their split; `None` without labels.
    evaluated: Option<(String, Split)>,
    evaluator: Evaluator,
    /// Epochs between measurements.
    every: u64,
}

impl LiveProbe {
    /// Chooses at most `most` images of a split: neighbours from `train`, and images of `evaluated` to classify, or
    /// without it a tenth of the training images, which are not neighbours then. Labels of a single class do not count.
    /// They are measured `every` so many epochs.
    ///
    /// # Errors
    /// What is wrong with the images.
    pub fn new(
        (train, evaluated): (&Split, Option<&(Role, Split)>),
        most: usize,
        seed: u64,
        evaluator: Evaluator,
        every: u64,
    ) -> Result<Self, DataError> {
        let part = |split: &Split| {
            let share = most as f64 / split.len().max(1) as f64;
            if share < 1.0 { split.budget(Budget::Fraction(share), seed) } else { Ok(split.clone()) }
        };
        let is_labelled = train.class_counts().iter().filter(|&&count| count > 0).count() > 1;
        let (bank, evaluated) = match evaluated {
            _ if !is_labelled => (part(train)?, None),
            Some((role, split)) => (part(train)?, Some((role.to_string(), part(split)?))),
            None => {
                let (bank, evaluated) = carve_validation(train, Budget::Everything, ValidationFrom::Budget, seed)?;
                (part(&bank)?, Some(("train".into(), part(&evaluated)?)))
            }
        };
        Ok(LiveProbe { bank, evaluated, evaluator, every })
    }

    /// Whether the features are measured after this epoch of so many; the last epoch always has a measurement.
    pub fn is_due(&self, epoch: u64, epochs: u64) -> bool {
        epoch.is_multiple_of(self.every) || epoch == epochs
    }

    /// Images of a measurement.
    pub fn images(&self) -> usize {
        self.bank.len() + self.evaluated.as_ref().map_or(0, |(_, split)| split.len())
    }

    /// Images whose features are measured.
    pub fn measured_images(&self) -> usize {
        self.evaluated.as_ref().map_or(self.bank.len(), |(_, split)| split.len())
    }

    /// Name of the split whose features are measured.
    pub fn split(&self) -> &str {
        self.evaluated.as_ref().map_or("train", |(name, _)| name)
    }

    /// Measures the features of the encoder: [`figure::OF_FEATURES`], those that need labels only if there are any.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when it was asked to stop.
    pub fn measure(&self, encoder: &Encoder) -> Result<Figures, TrainError> {
        let bank = self.features(encoder, &self.bank)?;
        let Some((_, split)) = &self.evaluated else {
            let geometry = geometry(&bank, &vec![0; self.bank.len()], 1)?;
            return Ok(geometry_figures(&Geometry { alignment: None, ..geometry }, effective_rank(&bank)?));
        };
        let classes = self.bank.classes().len() as i64;
        let features = self.features(encoder, split)?;
        let neighbours = nearest_neighbours(&bank, self.bank.labels(), &features, classes)?;
        let geometry = geometry(&features, split.labels(), classes)?;
        let figures = geometry_figures(&geometry, effective_rank(&features)?);
        Ok(figures.with(figure::KNN_TOP1.name, neighbours.top1(split.labels())?))
    }

    fn features(&self, encoder: &Encoder, split: &Split) -> Result<Tensor, TrainError> {
        let mut forward = |images: &Tensor| Ok([encoder.features(images, Mode::Evaluate)?]);
        let [features] = self.evaluator.features(split, &mut |_, _| {}, &mut forward)?;
        Ok(features)
    }
}

/// The figures of E3 and the rank; without those that could not be measured.
fn geometry_figures(geometry: &Geometry, rank: f64) -> Figures {
    let figures = [
        (figure::RANK, Some(rank)),
        (figure::ALIGNMENT, geometry.alignment),
        (figure::UNIFORMITY, geometry.uniformity),
    ];
    figures.into_iter().filter_map(|(spec, value)| Some((spec.name, value?))).collect()
}
