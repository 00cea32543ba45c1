use super::{CrossEntropy, FeatureBatch, Heads, Needs, Objective, ObjectiveLoss, Pass, figure};
use crate::engine::EngineError;
use crate::losses::{Focus, supervised_contrastive};
use crate::models::ModelError;

/// SCL: the mean cross-entropy + eta x SupCon over the labels of the batch (M5 with g = 0, no generated pairs).
#[derive(Debug, Clone, Copy)]
pub struct SupervisedContrastive {
    /// eta, the weight of the contrastive loss.
    pub eta: f64,
    /// tau, the temperature.
    pub temperature: f64,
    /// Label smoothing of the cross-entropy, 0 to below 1.
    pub label_smoothing: f64,
}

impl SupervisedContrastive {
    /// B1 + eta x SupCon.
    ///
    /// # Errors
    /// [`EngineError`] for shapes that do not fit.
    pub fn loss_of(&self, batch: &FeatureBatch<'_>, heads: &Heads<'_>) -> Result<ObjectiveLoss, EngineError> {
        let classification = CrossEntropy { label_smoothing: self.label_smoothing }.loss_of(batch, heads)?;
        let projections = heads.project(batch.features);
        let contrastive = supervised_contrastive(&projections, batch.labels, self.temperature, Focus::NONE)?;
        let mut figures = classification.figures;
        figures.push((figure::CONTRASTIVE, contrastive.detach()));
        Ok(ObjectiveLoss { total: classification.total + self.eta * contrastive, figures })
    }
}

impl Objective for SupervisedContrastive {
    fn name(&self) -> &'static str {
        "scl"
    }

    fn needs(&self) -> Needs {
        Needs { projection: true, ..Needs::CLASSIFIER }
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        Ok(self.loss_of(&pass.batch()?, &pass.heads)?)
    }
}
