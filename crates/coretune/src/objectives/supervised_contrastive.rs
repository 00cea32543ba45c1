use serde::Deserialize;

use super::{CrossEntropy, FeatureBatch, Heads, Method, Needs, Objective, ObjectiveLoss, Pass, figure};
use crate::engine::EngineError;
use crate::losses::{Focus, supervised_contrastive_by};
use crate::models::ModelError;
use crate::settings::{Kind, Range, RunKind, Setting, setting};

pub(super) const METHOD: Method = Method {
    word: "scl",
    summary: "cross-entropy and supervised contrast over the labels of the batch",
    kind: RunKind::FineTuning,
    settings: &[ETA, TEMPERATURE],
    defaults: &[],
    requires: &[],
    pretraining: None,
    build: |values| {
        let Settings { eta, temperature } = values.read();
        Box::new(SupervisedContrastive { eta, temperature, label_smoothing: values.label_smoothing })
    },
};

pub(super) const ETA: Setting = setting("method.eta", Kind::Number(Range::From(0.0)), "weight of the contrastive loss")
    .default("1.0")
    .default_in_segmentation("0.1")
    .also_called(&["eta_weight"]);

pub(super) const TEMPERATURE: Setting =
    setting("method.temperature", Kind::Number(Range::AboveUpTo(0.0, 10.0)), "temperature of the contrastive loss")
        .default("0.07")
        .default_in_segmentation("0.1");

#[derive(Deserialize)]
struct Settings {
    eta: f64,
    temperature: f64,
}

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
        let (n, (tau, focus)) = (batch.labels.len() as i64, (self.temperature, Focus::NONE));
        let contrastive = supervised_contrastive_by(batch.table(n, n), &projections, batch.labels, tau, focus)?;
        let mut figures = classification.figures;
        figures.push((figure::CONTRASTIVE, contrastive.detach()));
        Ok(ObjectiveLoss { total: classification.total + self.eta * contrastive, figures })
    }
}

impl Objective for SupervisedContrastive {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    fn needs(&self) -> Needs {
        Needs { projection: true, ..Needs::CLASSIFIER }
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        Ok(self.loss_of(&pass.batch()?, &pass.heads)?)
    }
}
