//! Bi-tuning (Zhong et al., 2020, arXiv:2011.06182).

use serde::Deserialize;
use tch::{Tensor, no_grad};

use super::class_queue::ClassQueue;
use super::supervised_contrastive::TEMPERATURE;
use super::{
    CrossEntropy, FeatureBatch, Heads, Method, Needs, Objective, ObjectiveLoss, Pass, QueueSize, Sizes, Start, figure,
    momentum_update,
};
use crate::engine::rows::unit_rows;
use crate::engine::{EngineError, guard, transfer};
use crate::losses::class_contrast;
use crate::models::{Encoder, Mode, ModelError, Network, Parameters, Role};
use crate::settings::{Kind, OnResume, Range, RunKind, Setting, setting};

pub(super) const METHOD: Method = Method {
    word: "bi-tuning",
    summary: "cross-entropy, and contrast with queues of each class from a momentum encoder",
    kind: RunKind::FineTuning,
    settings: &[TEMPERATURE, WEIGHT, KEYS, MOMENTUM],
    defaults: &[],
    requires: &[],
    pretraining: None,
    build: |values| {
        let Settings { temperature, bi_tuning_weight, bi_tuning_keys, bi_tuning_momentum } = values.read();
        Box::new(BiTuning::new(BiTuningSettings {
            temperature,
            weight: bi_tuning_weight,
            keys: bi_tuning_keys,
            momentum: bi_tuning_momentum,
            label_smoothing: values.label_smoothing,
        }))
    },
};

const WEIGHT: Setting =
    setting("method.bi_tuning_weight", Kind::Number(Range::From(0.0)), "weight of both contrasts of bi-tuning")
        .default("1.0");

const KEYS: Setting = setting("method.bi_tuning_keys", Kind::Whole(1, 4096), "keys of each class that bi-tuning keeps")
    .default("40")
    .on_resume(OnResume::Fixed);

const MOMENTUM: Setting =
    setting("method.bi_tuning_momentum", Kind::Number(Range::Between(0.0, 1.0)), "momentum of the encoder of the keys")
        .default("0.999");

#[derive(Deserialize)]
struct Settings {
    temperature: f64,
    bi_tuning_weight: f64,
    bi_tuning_keys: i64,
    bi_tuning_momentum: f64,
}

/// The numbers of Bi-tuning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BiTuningSettings {
    /// tau.
    pub temperature: f64,
    /// Weight of both contrastive losses beside the cross-entropy.
    pub weight: f64,
    /// K, keys of each class.
    pub keys: i64,
    /// m: before each step the encoder of the keys becomes m of itself and 1 - m of the network.
    pub momentum: f64,
    /// Label smoothing of the cross-entropy, 0 to below 1.
    pub label_smoothing: f64,
}

/// B7: cross-entropy + weight x (instance contrast of projections + category contrast of the classifier's rows).
///
/// Each image has two views. The network sees the first; a momentum encoder sees the second and gives the keys, of which
/// a queue of each class keeps the last K. The queues begin with random keys.
#[derive(Debug)]
pub struct BiTuning {
    settings: BiTuningSettings,
    /// Made by [`Objective::begin`].
    memory: Option<Memory>,
}

#[derive(Debug)]
struct Memory {
    key: Encoder,
    /// Of features h.
    features: ClassQueue,
    /// Of projections z.
    projections: ClassQueue,
    /// Keys of the batch whose gradient is being computed, with its labels; they enter the queues afterwards.
    pending: Option<(Keys, Vec<i64>)>,
}

/// Features h and projections z of the second views, each row of length 1.
#[derive(Debug)]
struct Keys {
    features: Tensor,
    projections: Tensor,
}

/// What the contrasts of a batch compare with.
#[derive(Debug, Clone, Copy)]
pub struct Contrasted<'a> {
    /// The classifier's weight, `[C, D]`; it gets no gradient from the category contrast.
    pub class_weight: &'a Tensor,
    /// The keys z of the batch's second views, `[n, d]`, of length 1.
    pub own_keys: &'a Tensor,
    /// Queued features, `[C, K, D]`.
    pub features: &'a Tensor,
    /// Queued projections, `[C, K, d]`.
    pub projections: &'a Tensor,
}

impl BiTuning {
    /// The method before its first step.
    pub fn new(settings: BiTuningSettings) -> Self {
        BiTuning { settings, memory: None }
    }

    /// B7.
    ///
    /// # Errors
    /// [`EngineError`] for shapes that do not fit.
    pub fn loss_of(
        &self,
        batch: &FeatureBatch<'_>,
        heads: &Heads<'_>,
        with: &Contrasted<'_>,
    ) -> Result<ObjectiveLoss, EngineError> {
        let BiTuningSettings { temperature, weight, label_smoothing, .. } = self.settings;
        let labels = batch.labels;
        let classification = CrossEntropy { label_smoothing }.loss_of(batch, heads)?;
        let (queries, features, rows) = guard("normalising rows", || {
            let of_labels = transfer::integers(labels, with.class_weight.device());
            let rows = with.class_weight.detach().index_select(0, &of_labels);
            (heads.project(batch.features), unit_rows(batch.features), unit_rows(&rows))
        })?;
        let instance = class_contrast(&queries, with.own_keys, with.projections, labels, temperature)?;
        let category = class_contrast(&rows, &features, with.features, labels, temperature)?;
        let mut figures = classification.figures;
        figures.push((figure::INSTANCE, instance.detach()));
        figures.push((figure::CATEGORY, category.detach()));
        Ok(ObjectiveLoss { total: classification.total + weight * (instance + category), figures })
    }
}

impl Memory {
    /// Lets the encoder of the keys follow the network, then computes the keys of these images.
    fn keys_of(&self, images: &Tensor, network: &dyn Network, momentum: f64) -> Result<Keys, ModelError> {
        let key = &self.key;
        momentum_update(key.backbone.parameters(), network.backbone().parameters(), momentum)?;
        let projection = network.projection().ok_or(ModelError::MissingHead { layer: "projection head" })?;
        momentum_update(&key.projection.parameters(), &projection.parameters(), momentum)?;
        no_grad(|| {
            let features = key.features(images, Mode::Train)?;
            Ok(guard("computing keys", || Keys {
                projections: unit_rows(&key.projection.forward(&features)),
                features: unit_rows(&features),
            })?)
        })
    }
}

impl Objective for BiTuning {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    /// Two views, of which one has a gradient.
    fn needs(&self) -> Needs {
        Needs {
            projection: true,
            views: 2,
            forward_passes: 1,
            copies: 1,
            divisible: false,
            keeps_rows: true,
            sharing: super::Sharing::Images,
            ..Needs::CLASSIFIER
        }
    }

    /// Features and projections of the last K images of each class.
    fn kept_rows(&self, sizes: &Sizes) -> Option<(QueueSize, &'static str)> {
        let keys = (self.settings.keys * sizes.classes) as usize;
        Some((QueueSize { keys, width: sizes.features + sizes.projections }, KEYS.key))
    }

    fn begin(&mut self, start: &Start<'_>) -> Result<(), ModelError> {
        let classes = start.network.classifier().ok_or(ModelError::MissingHead { layer: "classifier" })?.outputs();
        let key = Encoder::frozen_copy(start.network)?;
        let queue =
            |width, number| ClassQueue::new((classes, self.settings.keys, width), (start.seed, number), key.device());
        let features = queue(key.backbone.feature_width(), 0)?;
        let projections = queue(key.projection.outputs(), 1)?;
        self.memory = Some(Memory { key, features, projections, pending: None });
        Ok(())
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let memory = self.memory.as_ref().expect("the trainer begins a method before its first step");
        let classifier = pass.network.classifier().ok_or(ModelError::MissingHead { layer: "classifier" })?;
        let images = pass.labels.len() as i64;
        let (first, second) = (pass.images.narrow(0, 0, images), pass.images.narrow(0, images, images));
        let keys = memory.keys_of(&second, pass.network, self.settings.momentum)?;
        let features = pass.network.features(&first, Mode::Train)?;
        let batch = pass.batch_of(&features);
        let with = Contrasted {
            class_weight: &classifier.weight,
            own_keys: &keys.projections,
            features: memory.features.keys(),
            projections: memory.projections.keys(),
        };
        let loss = self.loss_of(&batch, &pass.heads, &with)?;
        // The queues take the keys of all processes.
        let world = pass.world();
        let (features, projections) = (world.gather(&keys.features, 1)?, world.gather(&keys.projections, 1)?);
        let labels = world.gather_labels(pass.labels)?;
        if let Some(memory) = &mut self.memory {
            memory.pending = Some((Keys { features, projections }, labels));
        }
        Ok(loss)
    }

    /// The queues take the keys only now: the backward pass needs them as they were.
    fn updated(&mut self) -> Result<(), ModelError> {
        if let Some(Memory { features, projections, pending, .. }) = &mut self.memory
            && let Some((keys, labels)) = pending.take()
        {
            features.push(&keys.features, &labels)?;
            projections.push(&keys.projections, &labels)?;
        }
        Ok(())
    }

    fn state(&self) -> Parameters {
        let mut list = Parameters::default();
        if let Some(Memory { key, features, projections, .. }) = &self.memory {
            list.extend_under("", &key.tensors("key."));
            for (name, queue) in [("features", features), ("projections", projections)] {
                let _ = list.add(format!("queue.{name}"), queue.keys().shallow_clone(), Role::Buffer);
                let _ = list.add(format!("queue.{name}.next"), queue.next().shallow_clone(), Role::Buffer);
            }
        }
        list
    }
}
