//! DR-Tune (Zhou et al., ICCV 2023, arXiv:2308.12058).

use serde::Deserialize;
use tch::{Kind as Type, Tensor, no_grad};

use super::feature_bank::{FeatureBank, rotation, shift};
use super::{FeatureBatch, Heads, Method, Needs, Objective, ObjectiveLoss, Pass, QueueSize, Sizes, Start, figure};
use crate::engine::rows::{one_hot, unit_rows};
use crate::engine::{EngineError, guard, transfer};
use crate::models::{Backbone, Mode, ModelError, Parameters, Role};
use crate::settings::{Kind, OnResume, RunKind, Setting, setting};

pub(super) const METHOD: Method = Method {
    word: "dr-tune",
    summary: "cross-entropy on the batch and on calibrated features of the frozen checkpoint",
    kind: RunKind::FineTuning,
    settings: &[BANK, EVERY],
    defaults: &[("train.head_lr_factor", "33")],
    requires: &[],
    pretraining: None,
    build: |values| {
        let Settings { dr_tune_bank: bank, dr_tune_rotate_every: rotate_every } = values.read();
        Box::new(DrTune::new(DrTuneSettings { bank, rotate_every, label_smoothing: values.label_smoothing }))
    },
};

const BANK: Setting =
    setting("method.dr_tune_bank", Kind::Whole(1, 65_536), "features of the frozen checkpoint that dr-tune keeps")
        .default("2048")
        .on_resume(OnResume::Fixed);

const EVERY: Setting =
    setting("method.dr_tune_rotate_every", Kind::Whole(1, 1_000_000), "steps between rotations of dr-tune's bank")
        .default("10");

#[derive(Deserialize)]
struct Settings {
    dr_tune_bank: i64,
    dr_tune_rotate_every: u64,
}

/// The numbers of DR-Tune.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DrTuneSettings {
    /// K, rows of the bank.
    pub bank: i64,
    /// Steps between two rotations.
    pub rotate_every: u64,
    /// Label smoothing of the cross-entropy, 0 to below 1.
    pub label_smoothing: f64,
}

/// B9: the mean cross-entropy over the batch and over K features of the frozen checkpoint, which were calibrated: rotated,
/// shifted class by class, and scaled to the mean length of the batch's features.
///
/// The bank is filled with training images before the first step.
#[derive(Debug)]
pub struct DrTune {
    settings: DrTuneSettings,
    /// Made by [`Objective::begin`].
    memory: Option<Memory>,
}

#[derive(Debug)]
struct Memory {
    /// The network at the start.
    source: Backbone,
    bank: FeatureBank,
    /// R, `[D, D]`; computed in every so many steps.
    rotation: Tensor,
    /// Features of the parts of the batch whose gradient is being computed; they enter the bank afterwards.
    pending: Vec<Pending>,
}

#[derive(Debug)]
struct Pending {
    pretrained: Tensor,
    finetuned: Tensor,
    labels: Vec<i64>,
}

/// Calibrated features `[m, D]`, without graph, and their labels, i64 `[m]`.
#[derive(Debug)]
pub struct CalibratedBank {
    /// The features.
    pub features: Tensor,
    /// Their labels.
    pub labels: Tensor,
}

impl DrTune {
    /// The method before its first step.
    pub fn new(settings: DrTuneSettings) -> Self {
        DrTune { settings, memory: None }
    }

    /// B9: the mean cross-entropy over the rows of the batch and of the bank.
    ///
    /// # Errors
    /// [`EngineError`] for shapes that do not fit.
    pub fn loss_of(
        &self,
        batch: &FeatureBatch<'_>,
        heads: &Heads<'_>,
        bank: &CalibratedBank,
    ) -> Result<ObjectiveLoss, EngineError> {
        let labels = guard("reading labels", || transfer::integers(batch.labels, batch.features.device()))?;
        let mean_over = |features: &Tensor, labels: &Tensor| {
            let targets = guard("reading labels", || one_hot(labels, batch.classes, features.kind()))?;
            batch.cross_entropy(&(heads.classifier)(features), &targets, self.settings.label_smoothing)
        };
        let classification = mean_over(batch.features, &labels)?;
        let mut figures = vec![(figure::CLASSIFICATION, classification.detach())];
        let (images, banked) = (batch.labels.len() as f64, bank.labels.size()[0] as f64);
        if banked == 0.0 {
            return Ok(ObjectiveLoss { total: classification, figures });
        }
        let of_bank = mean_over(&bank.features, &bank.labels)?;
        figures.push((figure::BANK, of_bank.detach()));
        let total = match batch.class_weights {
            None => (images * classification + banked * of_bank) / (images + banked),
            Some(weights) => guard("weighing the bank", || {
                let [images, banked] =
                    [&labels, &bank.labels].map(|labels| weights.index_select(0, labels).sum(of_bank.kind()));
                (&images * classification + &banked * of_bank) / (images + banked)
            })?,
        };
        Ok(ObjectiveLoss { total, figures })
    }
}

impl Memory {
    /// Pooled features of the images of all processes through the frozen checkpoint.
    fn pretrained(&self, pass: &Pass<'_>) -> Result<Tensor, ModelError> {
        let normalisation = pass.network.normalisation();
        let own = guard("computing features of the checkpoint", || {
            no_grad(|| self.source.features(&normalisation.apply(pass.images, self.source.device()), Mode::Evaluate))
        })?;
        Ok(pass.world().gather(&own, 1)?)
    }

    /// The bank, rotated by R, which is computed anew if asked for, shifted, and with rows of length `length`.
    fn calibrated(
        &mut self,
        rotate: bool,
        class_weight: &Tensor,
        length: &Tensor,
    ) -> Result<CalibratedBank, EngineError> {
        let [pretrained, finetuned, labels] = self.bank.rows();
        if self.bank.filled() == 0 {
            return Ok(CalibratedBank { features: pretrained, labels });
        }
        let (pretrained, finetuned) =
            guard("normalising the bank", || (unit_rows(&pretrained), unit_rows(&finetuned)))?;
        if rotate {
            let now = rotation(&pretrained, &finetuned)?;
            guard("keeping the rotation", || self.rotation.copy_(&now))?;
        }
        let rotated = guard("rotating the bank", || pretrained.matmul(&self.rotation.tr()))?;
        let shifted = shift(&rotated, &finetuned, &labels, &class_weight.detach())?;
        Ok(CalibratedBank { features: guard("scaling the bank", || unit_rows(&shifted) * length)?, labels })
    }
}

impl Objective for DrTune {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    fn needs(&self) -> Needs {
        let preparation = self.settings.bank as usize;
        Needs { forward_passes: 1, copies: 1, preparation, divisible: false, keeps_rows: true, ..Needs::CLASSIFIER }
    }

    /// Features of the checkpoint and of the network at the time.
    fn kept_rows(&self, sizes: &Sizes) -> Option<(QueueSize, &'static str)> {
        Some((QueueSize { keys: self.settings.bank as usize, width: 2 * sizes.features }, BANK.key))
    }

    fn begin(&mut self, start: &Start<'_>) -> Result<(), ModelError> {
        let source = start.network.backbone().frozen_copy()?;
        let (width, device) = (source.feature_width(), source.device());
        let bank = FeatureBank::new(self.settings.bank, width, device)?;
        let rotation = guard("building the rotation", || Tensor::eye(width, (Type::Float, device)))?;
        self.memory = Some(Memory { source, bank, rotation, pending: Vec::new() });
        Ok(())
    }

    /// Before the first step both encoders are the checkpoint.
    fn prepare(&mut self, pass: &Pass<'_>) -> Result<(), ModelError> {
        let memory = self.memory.as_mut().expect("the trainer begins a method before it prepares it");
        let features = memory.pretrained(pass)?;
        let labels = pass.world().gather_labels(pass.labels)?;
        Ok(memory.bank.push(&features, &features, &labels)?)
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let classifier = pass.network.classifier().ok_or(ModelError::MissingHead { layer: "classifier" })?;
        let batch = pass.batch()?;
        let memory = self.memory.as_mut().expect("the trainer begins a method before its first step");
        let pretrained = memory.pretrained(pass)?;
        let length = guard("measuring features", || {
            batch.features.detach().norm_scalaropt_dim(2.0, [1i64].as_slice(), false).mean(Type::Float)
        })?;
        let rotate = pass.step.is_multiple_of(self.settings.rotate_every);
        let bank = no_grad(|| memory.calibrated(rotate, &classifier.weight, &length))?;
        let finetuned = batch.features.detach();
        memory.pending.push(Pending { pretrained, finetuned, labels: pass.labels.to_vec() });
        Ok(self.loss_of(&batch, &pass.heads, &bank)?)
    }

    fn updated(&mut self) -> Result<(), ModelError> {
        if let Some(Memory { bank, pending, .. }) = &mut self.memory {
            for Pending { pretrained, finetuned, labels } in pending.drain(..) {
                bank.push(&pretrained, &finetuned, &labels)?;
            }
        }
        Ok(())
    }

    fn drop_pending(&mut self) {
        if let Some(memory) = &mut self.memory {
            memory.pending.clear();
        }
    }

    fn state(&self) -> Parameters {
        let mut list = Parameters::default();
        if let Some(Memory { source, bank, rotation, .. }) = &self.memory {
            list.extend_under("source.", source.parameters());
            for (name, tensor) in bank.tensors() {
                let _ = list.add(format!("bank.{name}"), tensor.shallow_clone(), Role::Buffer);
            }
            let _ = list.add("rotation".into(), rotation.shallow_clone(), Role::Buffer);
        }
        list
    }
}
