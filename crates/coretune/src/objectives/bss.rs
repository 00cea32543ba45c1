use serde::Deserialize;

use super::{CrossEntropy, FeatureBatch, Heads, Method, Needs, Objective, ObjectiveLoss, Pass, figure};
use crate::engine::EngineError;
use crate::losses::spectral_shrinkage;
use crate::models::ModelError;
use crate::settings::{Kind, Range, RunKind, Setting, setting};

pub(super) const METHOD: Method = Method {
    word: "bss",
    summary: "cross-entropy and batch spectral shrinkage: the weakest directions of the features are suppressed",
    kind: RunKind::FineTuning,
    settings: &[WEIGHT, SMALLEST],
    defaults: &[],
    requires: &[],
    pretraining: None,
    build: |values| {
        let Settings { bss_weight: weight, bss_smallest: smallest } = values.read();
        Box::new(BatchSpectralShrinkage { weight, smallest, label_smoothing: values.label_smoothing })
    },
};

const WEIGHT: Setting =
    setting("method.bss_weight", Kind::Number(Range::From(0.0)), "weight of the shrinkage of bss").default("0.001");

const SMALLEST: Setting =
    setting("method.bss_smallest", Kind::Whole(1, 4096), "smallest singular values that bss shrinks").default("1");

#[derive(Deserialize)]
struct Settings {
    bss_weight: f64,
    bss_smallest: i64,
}

/// B4: cross-entropy + weight x the sum of the squares of the k smallest singular values of the batch's features.
#[derive(Debug, Clone, Copy)]
pub struct BatchSpectralShrinkage {
    /// Weight of the shrinkage.
    pub weight: f64,
    /// k.
    pub smallest: i64,
    /// Label smoothing of the cross-entropy, 0 to below 1.
    pub label_smoothing: f64,
}

impl BatchSpectralShrinkage {
    /// B4.
    ///
    /// # Errors
    /// [`EngineError`] for shapes that do not fit, and for a batch with fewer than k singular values.
    pub fn loss_of(&self, batch: &FeatureBatch<'_>, heads: &Heads<'_>) -> Result<ObjectiveLoss, EngineError> {
        let classification = CrossEntropy { label_smoothing: self.label_smoothing }.loss_of(batch, heads)?;
        let shrinkage = spectral_shrinkage(batch.features, self.smallest)?;
        let mut figures = classification.figures;
        figures.push((figure::SPECTRAL_SHRINKAGE, shrinkage.detach()));
        Ok(ObjectiveLoss { total: classification.total + self.weight * shrinkage, figures })
    }
}

impl Objective for BatchSpectralShrinkage {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    fn needs(&self) -> Needs {
        Needs { soft_targets: true, ..Needs::CLASSIFIER }
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        Ok(self.loss_of(&pass.batch()?, &pass.heads)?)
    }
}
