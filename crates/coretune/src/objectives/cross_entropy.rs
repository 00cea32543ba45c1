use super::{FeatureBatch, Heads, Method, Needs, Objective, ObjectiveLoss, Pass, figure};
use crate::engine::EngineError;
use crate::losses::one_hot;
use crate::models::ModelError;
use crate::settings::RunKind;

pub(super) const METHOD: Method = Method {
    word: "cross-entropy",
    summary: "cross-entropy alone",
    kind: RunKind::FineTuning,
    settings: &[],
    defaults: &[],
    requires: &[],
    pretraining: None,
    build: |values| Box::new(CrossEntropy { label_smoothing: values.label_smoothing }),
};

/// B1, CE-tuning: the mean cross-entropy of the batch, or of all labelled pixels.
#[derive(Debug, Clone, Copy)]
pub struct CrossEntropy {
    /// Label smoothing, 0 to below 1.
    pub label_smoothing: f64,
}

impl CrossEntropy {
    /// B1.
    ///
    /// # Errors
    /// [`EngineError`] for shapes that do not fit.
    pub fn loss_of(&self, batch: &FeatureBatch<'_>, heads: &Heads<'_>) -> Result<ObjectiveLoss, EngineError> {
        if let Some(dense) = &batch.dense {
            let total = dense.cross_entropy.shallow_clone();
            let figures = vec![(figure::CLASSIFICATION, total.detach())];
            return Ok(ObjectiveLoss { total, figures });
        }
        let targets = match batch.soft_targets {
            Some(targets) => targets.shallow_clone(),
            None => one_hot(batch.labels, batch.classes, batch.features)?,
        };
        let logits = (heads.classifier)(batch.features);
        let total = batch.cross_entropy(&logits, &targets, self.label_smoothing)?;
        let figures = vec![(figure::CLASSIFICATION, total.detach())];
        Ok(ObjectiveLoss { total, figures })
    }
}

impl Objective for CrossEntropy {
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
