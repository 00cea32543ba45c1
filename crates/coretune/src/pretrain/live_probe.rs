//! What the features are worth, looked at while they are made.

use tch::Tensor;

use crate::data::{Budget, DataError, Role, Split, ValidationFrom, carve_validation};
use crate::evaluate::geometry::{effective_rank, geometry};
use crate::evaluate::nearest_neighbours::nearest_neighbours;
use crate::models::{Encoder, Mode, Network};
use crate::run_folder::ProbeRecord;
use crate::train::{Evaluator, TrainError};

/// The images that a look takes, and how they reach the encoder.
#[derive(Debug, Clone)]
pub struct LiveProbe {
    /// Training images, the neighbours of E7; with the split's name.
    bank: Split,
    /// The images that are classified by them, where there are labels; else none.
    judged: Option<(String, Split)>,
    evaluator: Evaluator,
}

impl LiveProbe {
    /// Chooses at most `most` images of a split: neighbours from `train`, and those of `judged`, or a tenth of the
    /// training images, which then are no neighbours. Labels of one class are none.
    ///
    /// # Errors
    /// What is wrong with the images.
    pub fn new(
        train: &Split,
        judged: Option<&(Role, Split)>,
        most: usize,
        seed: u64,
        evaluator: Evaluator,
    ) -> Result<Self, DataError> {
        let part = |split: &Split| {
            let share = most as f64 / split.len().max(1) as f64;
            if share < 1.0 { split.budget(Budget::Fraction(share), seed) } else { Ok(split.clone()) }
        };
        let is_labelled = train.class_counts().iter().filter(|&&count| count > 0).count() > 1;
        let (bank, judged) = match judged {
            _ if !is_labelled => (part(train)?, None),
            Some((role, split)) => (part(train)?, Some((role.to_string(), part(split)?))),
            None => {
                let (bank, judged) = carve_validation(train, Budget::Everything, ValidationFrom::Budget, seed)?;
                (part(&bank)?, Some(("train".into(), part(&judged)?)))
            }
        };
        Ok(LiveProbe { bank, judged, evaluator })
    }

    /// Images of a look.
    pub fn images(&self) -> usize {
        self.bank.len() + self.judged.as_ref().map_or(0, |(_, split)| split.len())
    }

    /// Images whose features are measured.
    pub fn judged_images(&self) -> usize {
        self.judged.as_ref().map_or(self.bank.len(), |(_, split)| split.len())
    }

    /// Measures the encoder as it stands.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when it was asked to stop.
    pub fn look(&self, encoder: &Encoder, step: u64, epoch: u64, seconds: f64) -> Result<ProbeRecord, TrainError> {
        let bank = self.features(encoder, &self.bank)?;
        let Some((name, split)) = &self.judged else {
            let labels = vec![0; self.bank.len()];
            let uniformity = geometry(&bank, &labels, 1)?.uniformity;
            let (split, rank) = ("train".into(), effective_rank(&bank)?);
            return Ok(ProbeRecord { step, epoch, split, knn_top1: None, alignment: None, uniformity, rank, seconds });
        };
        let classes = self.bank.classes().len() as i64;
        let judged = self.features(encoder, split)?;
        let neighbours = nearest_neighbours(&bank, self.bank.labels(), &judged, classes)?;
        let lie = geometry(&judged, split.labels(), classes)?;
        Ok(ProbeRecord {
            step,
            epoch,
            split: name.clone(),
            knn_top1: Some(neighbours.top1(split.labels())?),
            alignment: lie.alignment,
            uniformity: lie.uniformity,
            rank: effective_rank(&judged)?,
            seconds,
        })
    }

    fn features(&self, encoder: &Encoder, split: &Split) -> Result<Tensor, TrainError> {
        let mut forward = |images: &Tensor| Ok([encoder.features(images, Mode::Evaluate)?]);
        let [features] = self.evaluator.features(split, &mut |_, _| {}, &mut forward)?;
        Ok(features)
    }
}
