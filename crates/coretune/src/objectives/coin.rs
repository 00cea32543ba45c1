use serde::Deserialize;

use super::supervised_contrastive::{ETA, TEMPERATURE};
use super::{
    CrossEntropy, FeatureBatch, Heads, Method, Needs, Objective, ObjectiveLoss, Pass, Requirement, Start, figure,
};
use crate::engine::EngineError;
use crate::losses::{Focus, supervised_contrastive_by};
use crate::models::ModelError;
use crate::settings::{Kind, Range, RunKind, Setting, setting};

pub(super) const METHOD: Method = Method {
    word: "coin",
    summary: "supervised contrast alone for most of the steps, then cross-entropy with a little of it",
    kind: RunKind::FineTuning,
    settings: &[ETA, TEMPERATURE, CONTRAST_FRACTION],
    defaults: &[("method.eta", "0.1"), ("method.temperature", "0.3")],
    requires: &[Requirement {
        key: "train.early_stopping",
        value: "off",
        because: "the classifier learns in the last part of the run",
    }],
    pretraining: None,
    build: |values| {
        let Settings { eta, temperature, coin_fraction: fraction } = values.read();
        Box::new(Coin::new(CoinSettings { eta, temperature, fraction, label_smoothing: values.label_smoothing }))
    },
};

const CONTRAST_FRACTION: Setting =
    setting("method.coin_fraction", Kind::Number(Range::Between(0.0, 1.0)), "fraction of the steps without classifier")
        .default("0.7");

#[derive(Deserialize)]
struct Settings {
    eta: f64,
    temperature: f64,
    coin_fraction: f64,
}

/// The numbers of COIN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoinSettings {
    /// eta, the weight of the contrastive loss beside the cross-entropy.
    pub eta: f64,
    /// tau, the temperature.
    pub temperature: f64,
    /// Fraction of the steps that have the contrastive loss alone.
    pub fraction: f64,
    /// Label smoothing of the cross-entropy, 0 to below 1.
    pub label_smoothing: f64,
}

/// B8, contrastive initialisation: SupCon (M5 with g = 0) alone in the first steps, then cross-entropy + eta x SupCon.
///
/// In the first part the classifier has no gradient: it keeps the weights that it starts with, without weight decay.
#[derive(Debug, Clone, Copy)]
pub struct Coin {
    settings: CoinSettings,
    /// The first step with cross-entropy; set by [`Objective::begin`].
    switch: u64,
}

impl Coin {
    /// The method before its first step.
    pub fn new(settings: CoinSettings) -> Self {
        Coin { settings, switch: 0 }
    }

    /// B8 in the given step.
    ///
    /// # Errors
    /// [`EngineError`] for shapes that do not fit.
    pub fn loss_of(
        &self,
        batch: &FeatureBatch<'_>,
        heads: &Heads<'_>,
        step: u64,
    ) -> Result<ObjectiveLoss, EngineError> {
        let CoinSettings { eta, temperature, label_smoothing, .. } = self.settings;
        let projections = heads.project(batch.features);
        let n = batch.labels.len() as i64;
        let table = batch.table(n, n);
        let contrastive = supervised_contrastive_by(table, &projections, batch.labels, temperature, Focus::NONE)?;
        let figure = (figure::CONTRASTIVE, contrastive.detach());
        if step < self.switch {
            return Ok(ObjectiveLoss { total: contrastive, figures: vec![figure] });
        }
        let classification = CrossEntropy { label_smoothing }.loss_of(batch, heads)?;
        let mut figures = classification.figures;
        figures.push(figure);
        Ok(ObjectiveLoss { total: classification.total + eta * contrastive, figures })
    }
}

impl Objective for Coin {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    fn needs(&self) -> Needs {
        Needs { projection: true, ..Needs::CLASSIFIER }
    }

    fn begin(&mut self, start: &Start<'_>) -> Result<(), ModelError> {
        self.switch = (self.settings.fraction * start.steps as f64).round() as u64;
        Ok(())
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        Ok(self.loss_of(&pass.batch()?, &pass.heads, pass.step)?)
    }

    /// The classifier rests until the cross-entropy begins.
    fn rests_until(&self, name: &str) -> u64 {
        if name.starts_with("classifier.") { self.switch } else { 0 }
    }
}
