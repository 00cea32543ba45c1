//! DELTA (Li et al., ICLR 2019, arXiv:1901.09229).

use serde::Deserialize;
use tch::{Kind as Type, Tensor, no_grad};

use super::l2_sp::{HEAD_DECAY, NO_WEIGHT_DECAY, pulls_of_classifier};
use super::{CrossEntropy, Method, Needs, Objective, ObjectiveLoss, Pass, Pull, Start, figure};
use crate::engine::{EngineError, guard};
use crate::losses::{feature_map_distance, one_hot, soft_cross_entropy};
use crate::models::{Backbone, Linear, Mode, ModelError, Parameters, Role};
use crate::settings::{Kind, OnResume, Range, RunKind, Setting, choice, setting};

pub(super) const METHOD: Method = Method {
    word: "delta",
    summary: "cross-entropy, and feature maps near those of the checkpoint, channel by channel",
    kind: RunKind::FineTuning,
    settings: &[WEIGHT, HEAD_DECAY, CHANNELS, IMAGES],
    defaults: &[NO_WEIGHT_DECAY],
    requires: &[],
    pretraining: None,
    build: |values| {
        let Settings { delta_weight: weight, head_decay, delta_channels: channels, delta_images: images } =
            values.read();
        let label_smoothing = values.label_smoothing;
        Box::new(Delta::new(DeltaSettings { weight, head_decay, channels, images, label_smoothing }))
    },
};

const WEIGHT: Setting =
    setting("method.delta_weight", Kind::Number(Range::From(0.0)), "pull of delta on feature maps").default("0.01");

const CHANNELS: Setting = setting(
    "method.delta_channels",
    Kind::Choice(ChannelWeights::names),
    "weights of channels in delta: by how much the loss of the probe rises without the channel, or alike",
)
.default(ChannelWeights::Loss.name())
.on_resume(OnResume::Fixed);

const IMAGES: Setting =
    setting("method.delta_images", Kind::Whole(1, 1_000_000), "training images that delta weighs channels with")
        .default("32")
        .on_resume(OnResume::Fixed);

#[derive(Deserialize)]
struct Settings {
    delta_weight: f64,
    head_decay: f64,
    delta_channels: ChannelWeights,
    delta_images: usize,
}

choice! {
    /// How the channels of a feature map are weighted.
    ChannelWeights {
        /// By the rise of the linear probe's loss when the channel is set to 0.
        Loss = "loss",
        /// Each alike.
        Uniform = "uniform",
    }
}

/// The numbers of DELTA.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeltaSettings {
    /// alpha, the weight of the distance of feature maps.
    pub weight: f64,
    /// beta, the weight decay of the classifier.
    pub head_decay: f64,
    /// How channels are weighted.
    pub channels: ChannelWeights,
    /// Training images that they are weighted with.
    pub images: usize,
    /// Label smoothing of the cross-entropy, 0 to below 1.
    pub label_smoothing: f64,
}

/// The z-scored rise of the loss is divided by this before the softmax over channels.
const SOFTENING: f64 = 5.0;

/// B3: cross-entropy + alpha x the sum over stages of the distance between the feature maps of the network and of the
/// checkpoint + beta / 2 x ||classifier||^2, which acts in the update.
///
/// The maps are the outputs of the stages, the stem's left out.
#[derive(Debug)]
pub struct Delta {
    settings: DeltaSettings,
    /// Made by [`Objective::begin`].
    memory: Option<Memory>,
}

#[derive(Debug)]
struct Memory {
    /// The network at the start.
    source: Backbone,
    /// The head with which channels are weighted.
    probe: Option<Linear>,
    stages: Vec<StageWeights>,
    pulls: Vec<(String, Pull)>,
}

/// Of one stage, f32 `[C]` each.
#[derive(Debug)]
struct StageWeights {
    /// Rise of the loss without the channel, summed over images.
    rise: Tensor,
    /// W, which sum to 1.
    weights: Tensor,
}

/// W of B3: the softmax over channels of the z-score of `rise`, `[C]`, divided by 5.
///
/// # Errors
/// [`EngineError::Torch`] for exceptions of libtorch.
pub fn channel_weights(rise: &Tensor) -> Result<Tensor, EngineError> {
    guard("weighing channels", || {
        let kind = rise.kind();
        let score = (rise - rise.mean(kind)) / rise.std(false).clamp_min(1e-12);
        (score / SOFTENING).softmax(0, kind)
    })
}

impl Delta {
    /// The method before its first step.
    pub fn new(settings: DeltaSettings) -> Self {
        Delta { settings, memory: None }
    }

    /// The distance of the feature maps to those of the checkpoint, before its weight: a scalar with graph.
    ///
    /// # Errors
    /// [`ModelError`] for shapes that do not fit.
    pub(super) fn distance(&self, pass: &Pass<'_>) -> Result<Tensor, ModelError> {
        let memory = self.memory();
        let (maps, sources) = (pass.stage_maps()?, memory.source_maps(pass)?);
        let mut distance = guard("adding distances", || Tensor::zeros([], (Type::Float, memory.source.device())))?;
        for ((map, source), stage) in maps[1..].iter().zip(&sources).zip(&memory.stages) {
            distance += feature_map_distance(map, source, Some(&stage.weights))?;
        }
        Ok(distance)
    }

    fn memory(&self) -> &Memory {
        self.memory.as_ref().expect("the trainer begins a method before its first step")
    }
}

impl Memory {
    /// The feature maps of the checkpoint, the stem's left out.
    fn source_maps(&self, pass: &Pass<'_>) -> Result<Vec<Tensor>, EngineError> {
        let normalisation = pass.network.normalisation();
        guard("computing feature maps of the checkpoint", || {
            no_grad(|| {
                let images = normalisation.apply(pass.images, self.source.device());
                self.source.stage_maps(&images, Mode::Evaluate).split_off(1)
            })
        })
    }

    /// Adds up by how much the probe's loss on this batch, of all processes, rises when a channel is set to 0, one channel
    /// after another.
    fn add_rises(&self, pass: &Pass<'_>, probe: &Linear) -> Result<(), EngineError> {
        let mut of_batch =
            guard("beginning a sum", || self.stages.iter().map(|stage| stage.rise.zeros_like()).collect::<Vec<_>>())?;
        self.measure_rises(pass, probe, &of_batch)?;
        pass.world().sum(&mut of_batch)?;
        for (StageWeights { rise, .. }, of_batch) in self.stages.iter().zip(&of_batch) {
            let _ = guard("adding rises", || rise.shallow_clone().g_add_(of_batch))?;
        }
        Ok(())
    }

    /// Writes these rises of this process's images, summed over them, into `rises`: `[C]` of each stage.
    fn measure_rises(&self, pass: &Pass<'_>, probe: &Linear, rises: &[Tensor]) -> Result<(), EngineError> {
        let maps = self.source_maps(pass)?;
        let images = pass.labels.len() as f64;
        let loss = |stage: usize, map: &Tensor| {
            let logits = guard("computing logits of the probe", || {
                probe.forward(&self.source.features_after(stage + 1, map, Mode::Evaluate))
            })?;
            soft_cross_entropy(&logits, &one_hot(pass.labels, probe.outputs(), &logits)?)
        };
        for (stage, (map, rise)) in maps.iter().zip(rises).enumerate() {
            let before = loss(stage, map)?;
            for channel in 0..map.size()[1] {
                let without = guard("leaving out a channel", || {
                    let without = map.copy();
                    let _ = without.narrow(1, channel, 1).zero_();
                    without
                })?;
                let after = loss(stage, &without)?;
                let _ = guard("comparing losses", || rise.narrow(0, channel, 1).g_add_(&((after - &before) * images)))?;
            }
        }
        Ok(())
    }
}

impl Objective for Delta {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    fn needs(&self) -> Needs {
        let by_loss = self.settings.channels == ChannelWeights::Loss;
        let preparation = if by_loss { self.settings.images } else { 0 };
        Needs {
            stage_maps: true,
            forward_passes: 1,
            copies: 1,
            probe: by_loss,
            preparation,
            soft_targets: true,
            divisible: false,
            sharing: super::Sharing::Images,
            ..Needs::CLASSIFIER
        }
    }

    fn begin(&mut self, start: &Start<'_>) -> Result<(), ModelError> {
        let source = start.network.backbone().frozen_copy()?;
        let probe = match start.probe {
            Some(probe) => Some(Linear::from_values(&probe.weight, probe.bias.as_ref(), source.device())?),
            None => None,
        };
        let stages = guard("weighing channels alike", || {
            source
                .stage_channels()
                .split_off(1)
                .into_iter()
                .map(|channels| StageWeights {
                    rise: Tensor::zeros([channels], (Type::Float, source.device())),
                    weights: Tensor::full([channels], 1.0 / channels as f64, (Type::Float, source.device())),
                })
                .collect::<Vec<_>>()
        })?;
        let pulls = pulls_of_classifier(start.network, self.settings.head_decay);
        self.memory = Some(Memory { source, probe, stages, pulls });
        Ok(())
    }

    fn prepare(&mut self, pass: &Pass<'_>) -> Result<(), ModelError> {
        let memory = self.memory();
        let probe = memory.probe.as_ref().ok_or(ModelError::ProbeNotMeasured { method: METHOD.word })?;
        no_grad(|| memory.add_rises(pass, probe))?;
        for StageWeights { rise, weights } in &memory.stages {
            let now = channel_weights(rise)?;
            guard("keeping the weights of channels", || weights.shallow_clone().copy_(&now))?;
        }
        Ok(())
    }

    fn pulls(&self) -> Vec<Pull> {
        self.memory.iter().flat_map(|memory| &memory.pulls).map(|(_, pull)| pull.shallow_clone()).collect()
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let mut loss = CrossEntropy { label_smoothing: self.settings.label_smoothing }.loss(pass)?;
        let distance = self.distance(pass)?;
        loss.figures.push((figure::FEATURE_DISTANCE, distance.detach()));
        loss.total += self.settings.weight * distance;
        Ok(loss)
    }

    fn state(&self) -> Parameters {
        let mut list = Parameters::default();
        if let Some(Memory { source, stages, .. }) = &self.memory {
            list.extend_under("source.", source.parameters());
            for (number, StageWeights { weights, .. }) in stages.iter().enumerate() {
                let _ = list.add(format!("channel_weights.{number}"), weights.shallow_clone(), Role::Buffer);
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn the_channel_without_which_the_loss_rises_most_weighs_most_and_equal_ones_weigh_alike() {
        let rise = Tensor::from_slice(&[0.0f64, 1.0, 3.0, 0.0]);
        let weights: Vec<f64> = channel_weights(&rise).unwrap().try_into().unwrap();
        let deviation = (6.0f64 / 4.0).sqrt();
        let unscaled = [0.0, 1.0, 3.0, 0.0].map(|rise: f64| ((rise - 1.0) / deviation / 5.0).exp());
        let sum: f64 = unscaled.iter().sum();
        for (weight, expected) in weights.iter().zip(unscaled) {
            assert!((weight - expected / sum).abs() < 1e-12);
        }
        let alike: Vec<f64> =
            channel_weights(&Tensor::zeros([4], (Type::Double, Device::Cpu))).unwrap().try_into().unwrap();
        assert!(alike.iter().all(|weight| (weight - 0.25).abs() < 1e-12));
    }
}
