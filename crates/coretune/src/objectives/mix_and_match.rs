use serde::Deserialize;
use tch::Tensor;

use super::{CrossEntropy, FeatureBatch, Heads, Method, Needs, Objective, ObjectiveLoss, Pass, figure};
use crate::engine::rows::{others_of_class, unit_rows};
use crate::engine::{EngineError, guard};
use crate::losses::triplet;
use crate::mining::{MinedPairs, MiningRule};
use crate::models::ModelError;
use crate::settings::{Kind, Range, RunKind, Setting, setting};

pub(super) const METHOD: Method = Method {
    word: "mix-and-match",
    summary: "cross-entropy and a triplet loss on the hardest pairs of the batch",
    kind: RunKind::FineTuning,
    settings: &[WEIGHT, MARGIN],
    defaults: &[],
    requires: &[],
    pretraining: None,
    build: |values| {
        let Settings { triplet_weight: weight, triplet_margin: margin } = values.read();
        Box::new(MixAndMatch { weight, margin, label_smoothing: values.label_smoothing })
    },
};

const WEIGHT: Setting =
    setting("method.triplet_weight", Kind::Number(Range::From(0.0)), "weight of the triplet loss of mix-and-match")
        .default("1.0");

const MARGIN: Setting =
    setting("method.triplet_margin", Kind::Number(Range::From(0.0)), "margin between squared distances in triplets")
        .default("2.1");

#[derive(Deserialize)]
struct Settings {
    triplet_weight: f64,
    triplet_margin: f64,
}

/// B6, mix-and-match as adapted to classification: cross-entropy + weight x the triplet loss of normalised features, each
/// with its hardest positive and negative (M1).
///
/// An image that is alone in its class, or a batch of one class, has no triplet.
#[derive(Debug, Clone, Copy)]
pub struct MixAndMatch {
    /// Weight of the triplet loss.
    pub weight: f64,
    /// Margin between the squared distances.
    pub margin: f64,
    /// Label smoothing of the cross-entropy, 0 to below 1.
    pub label_smoothing: f64,
}

impl MixAndMatch {
    /// B6.
    ///
    /// # Errors
    /// [`EngineError`] for shapes that do not fit.
    pub fn loss_of(&self, batch: &FeatureBatch<'_>, heads: &Heads<'_>) -> Result<ObjectiveLoss, EngineError> {
        let classification = CrossEntropy { label_smoothing: self.label_smoothing }.loss_of(batch, heads)?;
        let [anchors, positives, negatives] = guard("mining triplets", || hardest_triplets(batch))?;
        let triplets = triplet(&anchors, &positives, &negatives, self.margin)?;
        let mut figures = classification.figures;
        figures.push((figure::TRIPLET, triplets.detach()));
        Ok(ObjectiveLoss { total: classification.total + self.weight * triplets, figures })
    }
}

/// Of the rows of a batch, scaled to length 1: those that have both a positive and a negative, with the hardest of each.
fn hardest_triplets(batch: &FeatureBatch<'_>) -> [Tensor; 3] {
    let (rows, labels) = (&unit_rows(batch.features), batch.labels);
    let n = labels.len() as i64;
    let pairs = MinedPairs::of(batch.table(n, n), rows, labels, MiningRule::Published).pairs;
    let others = others_of_class(labels);
    let anchors: Vec<i64> = (0..n).filter(|&row| pairs.have_negatives && others[row as usize] > 0.0).collect();
    let anchors = Tensor::from_slice(&anchors).to_device(rows.device());
    let picked = |partners: &Tensor| rows.index_select(0, &partners.index_select(0, &anchors));
    [rows.index_select(0, &anchors), picked(&pairs.positive), picked(&pairs.negative)]
}

impl Objective for MixAndMatch {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    fn needs(&self) -> Needs {
        Needs::CLASSIFIER
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        Ok(self.loss_of(&pass.batch()?, &pass.heads)?)
    }
}
