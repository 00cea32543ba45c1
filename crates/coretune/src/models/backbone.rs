//! The network up to the pooled features.

use tch::{Device, Kind, Tensor, no_grad};

use super::architecture::Architecture;
use super::blocks::Stage;
use super::builder::{Builder, Values};
use super::layers::{BatchNorm, Mode};
use super::operations::{Operations, Run};
use super::output_stride::{self, OutputStride};
use super::parameters::{Parameters, Role};
use super::{ModelError, mobilenet, resnet};
use crate::engine::{self, Precision};

/// The largest factor on the number of channels: 16 times the published one is 256 times its weights.
const WIDEST: f64 = 16.0;

/// libtorch 2.11 writes past the end of its memory in the backward pass of a 1x1 convolution with a stride that reads fewer
/// channels, in channels-last layout on a CPU with one thread.
const NARROWEST: i64 = 8;

/// The same with several threads, which write beside each other: 9 to 13 channels failed with 2 to 8 threads, 16 channels
/// did not with up to 64.
const NARROWEST_WITH_THREADS: i64 = 16;

/// A backbone `G_e` (METHOD.md section 1): images `[n, 3, h, w]` to pooled features `[n, D]`.
#[derive(Debug)]
pub struct Backbone {
    architecture: Architecture,
    /// Strides beyond it are dilation.
    output_stride: Option<OutputStride>,
    parameters: Parameters,
    /// Stage of each parameter, in their order.
    stage_of: Vec<usize>,
    stages: Vec<Stage>,
    feature_width: i64,
    precision: Precision,
    /// Whether residual blocks are computed again in the backward pass.
    recomputes: bool,
    /// What was trained before the backbone came to rest, if it rests.
    rest: Option<TrainedParts>,
}

/// What of a backbone is trained.
#[derive(Debug)]
struct TrainedParts {
    /// Of each parameter, in their order.
    weights: Vec<bool>,
    /// Whether the statistics of each batch norm follow the batches.
    norms: Vec<bool>,
}

impl Backbone {
    /// Builds the network with random weights: convolutions from N(0, 2 / (out k k)), batch norm at weight 1, bias 0.
    ///
    /// Each tensor is drawn on the host from a stream of its own (seed, number of the parameter), so that the weights
    /// are the same on every device.
    ///
    /// # Errors
    /// [`ModelError::Width`] for a width factor that is not above 0, or too large; [`ModelError::Engine`] for an
    /// exception of libtorch.
    pub fn new(architecture: &Architecture, seed: u64, device: Device) -> Result<Self, ModelError> {
        Backbone::build(architecture, None, Values::Random(seed), device)
    }

    /// The same weights in a ResNet for dense prediction: strides beyond `output_stride` become dilation, as torchvision's
    /// `replace_stride_with_dilation` does it for bottlenecks. The first block of a dilated stage keeps the dilation of the
    /// stage before; in a basic block both convolutions are dilated.
    ///
    /// # Errors
    /// [`ModelError::NoDilation`] for a family that is not a ResNet, [`ModelError::Width`].
    pub fn dilated(
        architecture: &Architecture,
        output_stride: OutputStride,
        seed: u64,
        device: Device,
    ) -> Result<Self, ModelError> {
        Backbone::build(architecture, Some(output_stride), Values::Random(seed), device)
    }

    /// Builds the network with convolutions of zeros, in no time: to be filled to the last tensor.
    ///
    /// # Errors
    /// As [`Backbone::new`].
    pub fn zeroed(architecture: &Architecture, device: Device) -> Result<Self, ModelError> {
        Backbone::build(architecture, None, Values::Zeros, device)
    }

    /// [`Backbone::dilated`] with convolutions of zeros.
    ///
    /// # Errors
    /// As [`Backbone::dilated`].
    pub fn zeroed_dilated(
        architecture: &Architecture,
        output_stride: OutputStride,
        device: Device,
    ) -> Result<Self, ModelError> {
        Backbone::build(architecture, Some(output_stride), Values::Zeros, device)
    }

    /// Names and shapes of the network, without memory for its weights: of no use for anything else.
    ///
    /// # Errors
    /// As [`Backbone::new`].
    pub fn outline(architecture: &Architecture) -> Result<Self, ModelError> {
        Backbone::build(architecture, None, Values::Outline, Device::Cpu)
    }

    fn build(
        architecture: &Architecture,
        output_stride: Option<OutputStride>,
        values: Values,
        device: Device,
    ) -> Result<Self, ModelError> {
        let width = architecture.width;
        if !(width > 0.0 && width <= WIDEST) {
            return Err(ModelError::Width { found: width, most: WIDEST });
        }
        if output_stride.is_some() && !architecture.family.has_stems() {
            return Err(ModelError::NoDilation { family: architecture.family });
        }
        engine::guard("building the backbone", || {
            let mut builder = Builder::new(values, device);
            let (stages, feature_width) = resnet::build(&mut builder, architecture, output_stride)
                .or_else(|| mobilenet::build(&mut builder, architecture))
                .expect("every family is a ResNet or a MobileNet");
            let (parameters, stage_of) = builder.finish();
            let architecture = *architecture;
            let (precision, recomputes, rest) = (Precision::F32, false, None);
            Backbone {
                architecture,
                output_stride,
                parameters,
                stage_of,
                stages,
                feature_width,
                precision,
                recomputes,
                rest,
            }
        })
        .map_err(ModelError::from)
    }

    /// A copy of the network as it is, frozen norms included; its weights get no gradient.
    ///
    /// # Errors
    /// [`ModelError::Engine`] for exceptions of libtorch.
    pub fn frozen_copy(&self) -> Result<Self, ModelError> {
        // Not `zeroed`: its depthwise convolutions have other strides, by which libtorch chooses other kernels.
        let mut copy = Backbone::build(&self.architecture, self.output_stride, Values::Random(0), self.device())?;
        copy.set_precision(self.precision);
        let frozen = self.stages.iter().flat_map(Stage::norms).map(BatchNorm::is_frozen);
        copy.norms_mut().zip(frozen).filter(|(_, frozen)| *frozen).for_each(|(norm, _)| norm.freeze());
        copy.copy_from(self)?;
        engine::guard("freezing the copy", || {
            for parameter in copy.parameters.iter().filter(|parameter| parameter.role == Role::Weight) {
                let _ = parameter.tensor.set_requires_grad(false);
            }
        })?;
        Ok(copy)
    }

    /// Takes over the weights and running statistics of another network of the same architecture.
    ///
    /// # Errors
    /// [`ModelError::Engine`] for exceptions of libtorch, and for another architecture.
    pub fn copy_from(&self, other: &Backbone) -> Result<(), ModelError> {
        Ok(engine::guard("copying the backbone", || self.parameters.copy_from(&other.parameters))?)
    }

    /// The device that the weights are on.
    pub fn device(&self) -> Device {
        self.parameters.iter().next().map_or(Device::Cpu, |parameter| parameter.tensor.device())
    }

    /// Refuses a network that libtorch cannot train; it can still be evaluated.
    ///
    /// # Errors
    /// [`ModelError::Narrow`].
    pub fn check_trainable(&self) -> Result<(), ModelError> {
        self.check_trainable_with(engine::threads::get())
    }

    fn check_trainable_with(&self, threads: usize) -> Result<(), ModelError> {
        let width = self.architecture.width;
        let least = if threads > 1 { NARROWEST_WITH_THREADS } else { NARROWEST };
        match resnet::narrowest_shortcut(&self.architecture) {
            Some(channels) if channels < least => {
                let full = resnet::narrowest_shortcut(&Architecture { width: 1.0, ..self.architecture });
                let least_width = least as f64 / full.unwrap_or(least) as f64;
                Err(ModelError::Narrow { width, threads, channels, least, least_width })
            }
            _ => Ok(()),
        }
    }

    /// What was built.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Pixels of the image between two positions of the last map; `None` for a family that is not a ResNet.
    pub fn stride(&self) -> Option<i64> {
        self.architecture.family.has_stems().then(|| output_stride::of_resnet(&self.architecture, self.output_stride))
    }

    /// What [`Backbone::dilated`] was asked for; `None` for a network that keeps its strides.
    pub fn output_stride(&self) -> Option<OutputStride> {
        self.output_stride
    }

    /// Whether every batch norm uses its running averages in training too.
    pub fn has_frozen_batch_norm(&self) -> bool {
        self.stages.iter().flat_map(Stage::norms).all(BatchNorm::is_frozen)
    }

    /// Width D of the pooled features.
    pub fn feature_width(&self) -> i64 {
        self.feature_width
    }

    /// All tensors in the order of the layers; names equal torchvision's (for the MobileNet: its CIFAR version's).
    ///
    /// Writing into one (`copy_` without gradient) changes the network.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Names of the stages; the first is the stem.
    pub fn stage_names(&self) -> Vec<&str> {
        self.stages.iter().map(|stage| stage.name.as_str()).collect()
    }

    /// The stage of a parameter (0 = stem); `None` for a name that the network does not have.
    pub fn stage_of(&self, parameter_name: &str) -> Option<usize> {
        self.parameters.position(parameter_name).map(|index| self.stage_of[index])
    }

    /// The number format of the convolutions from here on. Weights stay in f32.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// The number format of the convolutions.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Activation checkpointing: of each residual block only the input is kept for the backward pass, which computes the block
    /// again. Values, gradients and running averages are the same, in less memory and more time.
    pub fn set_activation_checkpointing(&mut self, on: bool) {
        self.recomputes = on;
    }

    /// Whether residual blocks are computed again in the backward pass.
    pub(super) fn recomputes(&self) -> bool {
        self.recomputes
    }

    fn run(&self, mode: Mode) -> Run<'static> {
        Run::new(mode).recomputing(self.recomputes)
    }

    /// Freezes the first `count` stages (the stem is the first): their weights get no gradient, and their batch norms
    /// use running averages in training too, so that nothing in them moves.
    ///
    /// # Errors
    /// [`ModelError::Stage`] for more stages than the network has.
    pub fn freeze_stages(&mut self, count: usize) -> Result<(), ModelError> {
        if count > self.stages.len() {
            return Err(ModelError::Stage {
                found: count,
                stages: self.stages.len(),
                names: self.stage_names().into_iter().map(String::from).collect(),
            });
        }
        self.freeze_norms(count);
        for (parameter, &stage) in self.parameters.iter().zip(&self.stage_of) {
            if stage < count && parameter.role == Role::Weight {
                let _ = parameter.tensor.set_requires_grad(false);
            }
        }
        Ok(())
    }

    /// Lets every batch norm that is not frozen take its statistics in training from the batches of all processes.
    pub fn synchronise_batch_norm(&mut self, world: engine::World) {
        self.norms_mut().for_each(|norm| norm.synchronise(world));
    }

    /// Lets every batch norm use its running averages in training too. Their weights and biases stay trainable.
    pub fn freeze_batch_norm(&mut self) {
        self.freeze_norms(self.stages.len());
    }

    /// Keeps every weight and statistic as it is, in training too, until it is asked to move again; what was frozen before
    /// stays frozen.
    pub fn set_resting(&mut self, resting: bool) {
        if resting && self.rest.is_none() {
            let weights = self.parameters.iter().map(|parameter| parameter.tensor.requires_grad()).collect();
            let norms = self.stages.iter().flat_map(Stage::norms).map(|norm| !norm.is_frozen()).collect();
            self.rest = Some(TrainedParts { weights, norms });
            self.train_only(|_| false);
        } else if !resting && let Some(TrainedParts { weights, norms }) = self.rest.take() {
            for (parameter, trained) in self.parameters.iter().zip(weights) {
                let _ = parameter.tensor.set_requires_grad(trained);
            }
            self.norms_mut().zip(norms).filter(|(_, moves)| *moves).for_each(|(norm, _)| norm.thaw());
        }
    }

    fn freeze_norms(&mut self, stages: usize) {
        self.stages[..stages].iter_mut().flat_map(Stage::norms_mut).for_each(BatchNorm::freeze);
    }

    fn norms_mut(&mut self) -> impl Iterator<Item = &mut BatchNorm> {
        self.stages.iter_mut().flat_map(Stage::norms_mut)
    }

    /// Freezes every weight whose name `is_trained` does not pick, and the running averages of the batch norms of which
    /// it picks neither weight nor bias.
    pub fn train_only(&mut self, is_trained: impl Fn(&str) -> bool) {
        let weights = self.parameters.iter().filter(|parameter| parameter.role == Role::Weight);
        for parameter in weights.filter(|parameter| !is_trained(&parameter.name)) {
            let _ = parameter.tensor.set_requires_grad(false);
        }
        let rests = |norm: &&mut BatchNorm| !norm.weight.requires_grad() && !norm.bias.requires_grad();
        self.norms_mut().filter(rests).for_each(BatchNorm::freeze);
    }

    /// Whether this is the weight or the bias of a batch norm.
    pub fn is_of_norm(&self, parameter_name: &str) -> bool {
        let norm = parameter_name.rsplit_once('.').map(|(layer, _)| format!("{layer}.running_mean"));
        norm.is_some_and(|statistic| self.parameters.get(&statistic).is_some())
    }

    /// Whether training leaves the tensor of this name as it is: a weight without gradient, or a statistic of a frozen
    /// batch norm.
    pub fn is_frozen(&self, parameter_name: &str) -> bool {
        match self.parameters.get(parameter_name) {
            None => false,
            Some(weight) if weight.role == Role::Weight => !weight.tensor.requires_grad(),
            Some(_) => {
                let layer = parameter_name.rsplit_once('.').map(|(layer, _)| layer);
                let mut norms = self.stages.iter().flat_map(Stage::norms);
                norms.any(|norm| Some(norm.name.as_str()) == layer && norm.is_frozen())
            }
        }
    }

    /// Pooled features f32 `[n, D]` of normalised images f32 `[n, 3, h, w]` in channels-last layout.
    ///
    /// # Panics
    /// On an exception of libtorch: call inside [`engine::guard`], as [`super::Model`] does.
    pub fn features(&self, images: &Tensor, mode: Mode) -> Tensor {
        self.trace(images.to_kind(self.precision.kind()), &mut self.run(mode))
    }

    /// The output of every stage, the stem's first.
    ///
    /// # Panics
    /// As [`Backbone::features`].
    pub fn stage_maps(&self, images: &Tensor, mode: Mode) -> Vec<Tensor> {
        let x = images.to_kind(self.precision.kind());
        let outputs = self.stages.iter().scan(x, |x, stage| {
            *x = stage.apply(x.shallow_clone(), &mut self.run(mode));
            Some(x.shallow_clone())
        });
        outputs.collect()
    }

    /// Channels of the output of every stage, the stem's first.
    ///
    /// # Panics
    /// As [`Backbone::features`].
    pub fn stage_channels(&self) -> Vec<i64> {
        let image = Tensor::zeros([1, 3, 32, 32], (Kind::Float, self.device()));
        no_grad(|| self.stage_maps(&image, Mode::Evaluate)).iter().map(|map| map.size()[1]).collect()
    }

    /// Pooled features f32 `[n, D]` of the map after the stage of this number (0 = stem), through the stages that follow.
    ///
    /// # Panics
    /// As [`Backbone::features`], and for a stage that the network does not have.
    pub fn features_after(&self, stage: usize, map: &Tensor, mode: Mode) -> Tensor {
        let rest = self.stages[stage + 1..].iter();
        self.pool(&rest.fold(map.shallow_clone(), |x, stage| stage.apply(x, &mut self.run(mode))))
    }

    /// Pooled features f32 `[n, D]` of the last stage's map `[n, D, h', w']`.
    ///
    /// # Panics
    /// As [`Backbone::features`].
    pub fn pool(&self, map: &Tensor) -> Tensor {
        Run::new(Mode::Evaluate).mean(map)
    }

    /// The way from normalised images to pooled features, taken with other operations than those of tch.
    pub(crate) fn trace<O: Operations>(&self, images: O::Value, operations: &mut O) -> O::Value {
        let map = self.trace_map(images, operations, |_, _, _| ());
        operations.mean(&map)
    }

    /// The way to the last stage's map; `visit` gets the map of each stage (0 = stem) on the way.
    pub(super) fn trace_map<O: Operations>(
        &self,
        images: O::Value,
        operations: &mut O,
        mut visit: impl FnMut(usize, &O::Value, &mut O),
    ) -> O::Value {
        self.stages.iter().enumerate().fold(images, |x, (number, stage)| {
            let map = stage.apply(x, operations);
            visit(number, &map, operations);
            map
        })
    }

    /// Number of the last stage.
    pub(super) fn last_stage(&self) -> usize {
        self.stages.len() - 1
    }

    /// Channels of the map that a stage reads, from its first weight.
    pub(super) fn channels_before(&self, stage: usize) -> i64 {
        let first = self.parameters.iter().zip(&self.stage_of).find(|&(_, &of)| of == stage);
        first.map_or(0, |(parameter, _)| parameter.tensor.size()[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Family, Stem};

    #[test]
    fn several_threads_need_twice_the_channels_of_one() {
        let refused = |width, threads| {
            let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width };
            Backbone::outline(&architecture).unwrap().check_trainable_with(threads).is_err()
        };
        assert!(refused(0.1, 1) && !refused(0.125, 1));
        assert!(refused(0.125, 2) && refused(0.203_125, 4) && !refused(0.25, 64));
    }
}
