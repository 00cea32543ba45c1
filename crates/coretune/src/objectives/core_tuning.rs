use tch::Tensor;

use super::{Dense, FeatureBatch, Heads, Needs, Objective, ObjectiveLoss, Pass, ProjectionMemory, figure};
use crate::engine::rows::{one_hot, others_of_class};
use crate::engine::{EngineError, guard, shape, transfer};
use crate::losses::{
    Contrast, Focus, focal_contrastive, own_contrastive_by, own_pairs, reference_contrastive, row_weights,
    soft_label_contrastive_by, soft_label_pairs,
};
use crate::mining::{Coefficients, HardestPairs, MinedPairs, MiningRule, MixDraws, mix_with_partner};
use crate::models::ModelError;
use crate::settings::choice;

/// Its name in the table of methods.
pub(super) const WORD: &str = "core-tuning";

choice! {
    /// Which pairs the contrastive loss compares, and with which weights.
    PairScheme {
        /// Originals of the anchor's class and its own hard positive, against originals and its own generated rows.
        Own = "own",
        /// All rows, weighted by the overlap of their soft labels.
        Soft = "soft",
        /// What the published script does (R1-R3), to rerun its settings.
        Reference = "reference",
    }
}

/// Core-tuning (M1-M7): classification on originals and mixed rows + eta x focal contrastive loss on hard pairs.
#[derive(Debug, Clone, Copy)]
pub struct CoreTuning {
    /// Pair scheme of the contrastive loss.
    pub pairs: PairScheme,
    /// eta, the weight of the contrastive loss.
    pub eta: f64,
    /// alpha of the Beta distribution that mixing coefficients are drawn from.
    pub alpha: f64,
    /// tau, the temperature.
    pub temperature: f64,
    /// g of M5 and whether its weight carries gradient; `reference` always uses g = 1 with gradient.
    pub focus: Focus,
    /// Label smoothing of M6, 0 to below 1.
    pub label_smoothing: f64,
    /// Weight of the n original rows in M6, relative to that of the mixed rows.
    pub clean_weight: f64,
    /// Weight of the 2n mixed rows in M6.
    pub mixed_weight: f64,
    /// Least lam of M2: 0 keeps the draws of Beta(alpha, alpha) as they are.
    pub hard_positive_floor: f64,
}

/// The terms of M7 before they are added.
#[derive(Debug)]
pub struct Terms {
    /// M6: a scalar with graph.
    pub classification: Tensor,
    /// M5: a scalar with graph.
    pub contrastive: Tensor,
    /// z of the n original rows, `[n, d]`, with graph.
    pub projections: Tensor,
    /// The terms and how hard the pairs are: scalars without graph.
    pub figures: Vec<(&'static str, Tensor)>,
}

/// The rows that classification and contrast see.
#[derive(Debug)]
pub struct MixedRows {
    /// `[3n, D]`: originals; hard positives; semi-hard negatives (scheme `reference`: originals without gradient;
    /// semi-hard negatives; hard positives).
    pub rows: Tensor,
    /// Soft labels of the rows, `[3n, C]`.
    pub soft_targets: Tensor,
    /// The pairs they were mixed from.
    pub pairs: HardestPairs,
    /// How similar these are: cos(i, hp(i)) and cos(i, hn(i)), `[n]`.
    pub hardest_cosines: [Tensor; 2],
    /// `[n]`: 1 where another row has the class of the anchor, else 0.
    pub has_positive: Tensor,
    /// How many anchors that are, at least 1.
    pub anchors_with_positive: f64,
}

impl CoreTuning {
    /// The method as published: pairs `own`, every row weighted alike, lam of M2 as drawn.
    pub const PUBLISHED: CoreTuning = CoreTuning {
        pairs: PairScheme::Own,
        eta: 1.0,
        alpha: 1.0,
        temperature: 0.07,
        focus: Focus { exponent: 1.0, detached: false },
        label_smoothing: 0.0,
        clean_weight: 1.0,
        mixed_weight: 1.0,
        hard_positive_floor: 0.0,
    };

    /// The random numbers of a step, as this pair scheme needs them.
    ///
    /// # Errors
    /// [`EngineError::Value`] for an `alpha` that is not above 0.
    pub fn draws(&self, labels: &[i64], (seed, step): (u64, u64)) -> Result<MixDraws, EngineError> {
        let mut draws = match self.pairs {
            PairScheme::Own | PairScheme::Soft => MixDraws::draw(labels, self.alpha, seed, step)?,
            PairScheme::Reference => MixDraws::draw_reference(labels, self.alpha, seed, step)?,
        };
        for lam in &mut draws.hard_positive {
            *lam = lam.max(self.hard_positive_floor);
        }
        Ok(draws)
    }

    /// M1-M3, or R1-R2: mines the batch and mixes it with the given random numbers.
    ///
    /// The features are `[n, D]`, the labels lie in `0..classes`.
    ///
    /// # Errors
    /// [`EngineError`] for features that are not a matrix of floats, labels outside `0..classes`, and draws for another
    /// number of rows.
    pub fn mix(&self, batch: &FeatureBatch<'_>, draws: &MixDraws) -> Result<MixedRows, EngineError> {
        let FeatureBatch { features, labels, classes, .. } = *batch;
        let (n, _) = shape::matrix("features", features)?;
        shape::float("features", features)?;
        shape::labels(labels, n, classes)?;
        draws.check(n)?;
        guard("mixing the batch", || self.mixed_rows(batch, draws))
    }

    /// [`CoreTuning::mix`], its arguments unchecked.
    fn mixed_rows(&self, batch: &FeatureBatch<'_>, draws: &MixDraws) -> MixedRows {
        let FeatureBatch { features, labels, classes, .. } = *batch;
        let lam = [draws.hard_positive.as_slice(), &draws.semi_hard_negative].concat();
        let of_class = others_of_class(labels);
        // What the formulas read of these lists from here on is on the device already.
        let options = (features.kind(), features.device());
        let (integers, numbers) = transfer::together(&[labels, &draws.partner], &[&lam, &of_class], options);
        let ([of_labels, partner], [lam, others]) = (&integers[..], &numbers[..]) else {
            unreachable!("two lists of each were sent")
        };
        let targets = one_hot(of_labels, classes, features.kind());
        let n = labels.len() as i64;
        let rule = match self.pairs {
            PairScheme::Own | PairScheme::Soft => MiningRule::Published,
            PairScheme::Reference => MiningRule::Script,
        };
        let mined = MinedPairs::of(batch.table(n, n), features, labels, rule);
        let hardest_cosines = [mined.positive_cosines, mined.negative_cosines];
        // The script mixes with whatever it found, also in a batch of one class.
        let have_negatives = mined.pairs.have_negatives || self.pairs == PairScheme::Reference;
        let pairs = HardestPairs { have_negatives, ..mined.pairs };
        let coefficients = Coefficients::of_each(lam, n);
        let [of_positives, of_negatives] = &coefficients[..] else { unreachable!("two mixtures") };
        let positives = pairs.mix(features, of_positives);
        let positive_targets = match rule {
            MiningRule::Published => pairs.mix_labels(&targets, of_positives),
            MiningRule::Script => pairs.mix(&targets, of_positives),
        };
        let negatives = mix_with_partner(features, partner, of_negatives);
        let negative_targets = mix_with_partner(&targets, partner, of_negatives);
        let (rows, soft_targets) = match self.pairs {
            PairScheme::Own | PairScheme::Soft => (
                Tensor::cat(&[features, &positives, &negatives], 0),
                Tensor::cat(&[&targets, &positive_targets, &negative_targets], 0),
            ),
            PairScheme::Reference => (
                Tensor::cat(&[&features.detach(), &negatives, &positives], 0),
                Tensor::cat(&[&targets, &negative_targets, &positive_targets], 0),
            ),
        };
        MixedRows {
            rows,
            soft_targets,
            pairs,
            hardest_cosines,
            has_positive: others.clamp_max(1.0),
            anchors_with_positive: of_class.iter().map(|others| others.min(1.0)).sum::<f64>().max(1.0),
        }
    }

    /// M5, or R3, on the projections `[3n, d]` of a batch's mixed rows; with a `memory`, earlier projections belong to every A_i, with
    /// the weight 1 if they are of the anchor's class.
    ///
    /// # Errors
    /// [`EngineError`] for projections or soft labels of another shape or type, and for a temperature or focal exponent
    /// out of range.
    pub fn contrast(
        &self,
        batch: &FeatureBatch<'_>,
        projections: &Tensor,
        mixed: &MixedRows,
        memory: Option<&ProjectionMemory>,
    ) -> Result<Tensor, EngineError> {
        let (labels, temperature, focus) = (batch.labels, self.temperature, self.focus);
        let n = labels.len() as i64;
        let targets = &mixed.soft_targets;
        let with_earlier = |contrast: Contrast, memory: &ProjectionMemory| {
            let anchors = projections.narrow(0, 0, n);
            focal_contrastive(&contrast.with_earlier(&anchors, labels, memory.rows())?, temperature, focus)
        };
        match (self.pairs, memory) {
            (PairScheme::Own, None) => own_contrastive_by(batch.table(n, n), projections, labels, temperature, focus),
            (PairScheme::Own, Some(memory)) => with_earlier(own_pairs(projections, labels)?, memory),
            (PairScheme::Soft, None) => {
                soft_label_contrastive_by(batch.table(n, 3 * n), projections, targets, temperature, focus)
            }
            (PairScheme::Soft, Some(memory)) => with_earlier(soft_label_pairs(projections, targets)?, memory),
            (PairScheme::Reference, _) => reference_contrastive(projections, targets, temperature),
        }
    }

    /// M7 with the random numbers given.
    ///
    /// # Errors
    /// As [`CoreTuning::mix`] and [`CoreTuning::contrast`].
    pub fn loss_with(
        &self,
        batch: &FeatureBatch<'_>,
        heads: &Heads<'_>,
        draws: &MixDraws,
    ) -> Result<ObjectiveLoss, EngineError> {
        let Terms { classification, contrastive, figures, .. } = self.terms(batch, heads, draws, None)?;
        Ok(ObjectiveLoss { total: classification + self.eta * contrastive, figures })
    }

    /// The terms of M7 with the random numbers given.
    ///
    /// # Errors
    /// As [`CoreTuning::mix`] and [`CoreTuning::contrast`].
    pub fn terms(
        &self,
        batch: &FeatureBatch<'_>,
        heads: &Heads<'_>,
        draws: &MixDraws,
        memory: Option<&ProjectionMemory>,
    ) -> Result<Terms, EngineError> {
        let mixed = self.mix(batch, draws)?;
        let ObjectiveLoss { total: classification, mut figures } = match &batch.dense {
            None => self.classification(batch, heads, &mixed)?,
            Some(dense) => self.dense_classification(batch, heads, (&mixed, dense))?,
        };
        let projections = heads.project(&mixed.rows);
        let contrastive = self.contrast(batch, &projections, &mixed, memory)?;
        figures.push((figure::CONTRASTIVE, contrastive.detach()));
        figures.extend(hardness(&mixed));
        if let Some(dense) = &batch.dense {
            figures.push((figure::HARDEST_POSITIVE_ELSEWHERE, elsewhere(&mixed, dense.images)));
        }
        // Scheme `reference` puts the originals first too.
        let projections = projections.narrow(0, 0, batch.labels.len() as i64);
        Ok(Terms { classification, contrastive, projections, figures })
    }

    /// M6. With weights of the rows: their weighted mean.
    fn classification(
        &self,
        batch: &FeatureBatch<'_>,
        heads: &Heads<'_>,
        mixed: &MixedRows,
    ) -> Result<ObjectiveLoss, EngineError> {
        let cross_entropy = |rows: &Tensor, targets: &Tensor| {
            batch.cross_entropy(&(heads.classifier)(rows), targets, self.label_smoothing)
        };
        let n = batch.labels.len() as i64;
        let part = |first, count| {
            cross_entropy(&mixed.rows.narrow(0, first, count), &mixed.soft_targets.narrow(0, first, count))
        };
        #[allow(clippy::float_cmp, reason = "equal weights are the plain mean, bit for bit")]
        let alike = self.mixed_weight == self.clean_weight;
        let total = if alike {
            cross_entropy(&mixed.rows, &mixed.soft_targets)?
        } else if self.mixed_weight == 0.0 {
            part(0, n)?
        } else {
            let (clean, generated) = (self.clean_weight, 2.0 * self.mixed_weight);
            let (of_clean, of_generated) = (part(0, n)?, part(n, 2 * n)?);
            match batch.class_weights {
                None => (clean * of_clean + generated * of_generated) / (clean + generated),
                Some(weights) => {
                    // Rows of heavier classes count more, whichever group they are in.
                    let weights_of = |first, count| row_weights(&mixed.soft_targets.narrow(0, first, count), weights);
                    let (of_originals, of_mixed) = (weights_of(0, n)?, weights_of(n, 2 * n)?);
                    let clean = clean * of_originals.mean(of_originals.kind());
                    let generated = generated * of_mixed.mean(of_mixed.kind());
                    (of_clean * &clean + of_generated * &generated) / (clean + generated)
                }
            }
        };
        let figures = vec![(figure::CLASSIFICATION, total.detach())];
        Ok(ObjectiveLoss { total, figures })
    }

    /// M6 on pixels: the cross-entropy of all labelled pixels + 1/2 x the mean of the 2n mixed rows', each with the weight of
    /// its rows.
    fn dense_classification(
        &self,
        batch: &FeatureBatch<'_>,
        heads: &Heads<'_>,
        (mixed, dense): (&MixedRows, &Dense<'_>),
    ) -> Result<ObjectiveLoss, EngineError> {
        let originals = mixed.rows.size()[0] / 3;
        let of_mixed = |rows: &Tensor| rows.narrow(0, originals, 2 * originals);
        let logits = (heads.classifier)(&of_mixed(&mixed.rows));
        let targets = of_mixed(&mixed.soft_targets);
        let of_mixed = batch.cross_entropy(&logits, &targets, self.label_smoothing)?;
        let figures = vec![
            (figure::CLASSIFICATION, dense.cross_entropy.detach()),
            (figure::MIXED_CLASSIFICATION, of_mixed.detach()),
        ];
        let total = self.clean_weight * dense.cross_entropy + 0.5 * self.mixed_weight * of_mixed;
        Ok(ObjectiveLoss { total, figures })
    }
}

/// The formula alone; a run of the configuration is carried out by [`CoreTuningRun`](super::CoreTuningRun).
impl Objective for CoreTuning {
    fn name(&self) -> &'static str {
        WORD
    }

    fn needs(&self) -> Needs {
        Needs { projection: true, ..Needs::CLASSIFIER }
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let batch = pass.batch()?;
        Ok(self.loss_with(&batch, &pass.heads, &self.draws(batch.labels, batch.draw)?)?)
    }
}

/// Of the rows whose class has another row: the fraction whose hardest positive comes from another image.
fn elsewhere(mixed: &MixedRows, images: &[i64]) -> Tensor {
    let [cosines, _] = &mixed.hardest_cosines;
    let kind = cosines.kind();
    let images = transfer::integers(images, cosines.device());
    let other = images.index_select(0, &mixed.pairs.positive).not_equal_tensor(&images).to_kind(kind);
    (other * &mixed.has_positive).sum(kind) / mixed.anchors_with_positive
}

/// How hard the mined pairs are: mean cosine of anchors with their hardest positive and hardest negative.
fn hardness(mixed: &MixedRows) -> Vec<(&'static str, Tensor)> {
    let [positive, negative] = &mixed.hardest_cosines;
    let kind = positive.kind();
    let mean = (positive * &mixed.has_positive).sum(kind) / mixed.anchors_with_positive;
    let mut figures = vec![(figure::HARDEST_POSITIVE_COSINE, mean)];
    if mixed.pairs.have_negatives {
        figures.push((figure::HARDEST_NEGATIVE_COSINE, negative.mean(kind)));
    }
    figures
}
