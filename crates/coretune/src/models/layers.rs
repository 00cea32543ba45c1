//! The layers that backbones are made of: convolution and batch norm.

use tch::{Kind, Tensor};

use super::builder::Builder;
use crate::engine::World;

/// Whether batch norm takes its statistics from the batch or from its running averages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch, which also move the running averages.
    Train,
    /// Statistics of the batch; the running averages stay. For a forward pass that will be made again, or was made before, or
    /// is a trial.
    TrainUntracked,
    /// Running averages.
    Evaluate,
}

/// A convolution without bias, with square kernel and padding that keeps the size at stride 1.
#[derive(Debug)]
pub(crate) struct Convolution {
    /// Name of the layer; its weight is `<name>.weight`.
    pub(crate) name: String,
    /// `[out, in / groups, k, k]`.
    pub(crate) weight: Tensor,
    pub(crate) stride: i64,
    pub(crate) padding: i64,
    /// Distance between the pixels that neighbouring weights read.
    pub(crate) dilation: i64,
    pub(crate) groups: i64,
}

/// Shape of a convolution to make.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    pub(super) inputs: i64,
    pub(super) outputs: i64,
    pub(super) size: i64,
    pub(super) stride: i64,
    pub(super) dilation: i64,
    pub(super) groups: i64,
}

impl Kernel {
    /// A `size` x `size` kernel of this stride, not grouped and not dilated.
    pub(super) fn dense(inputs: i64, outputs: i64, size: i64, stride: i64) -> Self {
        Kernel { inputs, outputs, size, stride, dilation: 1, groups: 1 }
    }

    /// The same kernel with its weights so many pixels apart.
    pub(super) fn dilated(self, dilation: i64) -> Self {
        Kernel { dilation, ..self }
    }
}

impl Convolution {
    pub(super) fn new(parameters: &mut Builder, name: &str, kernel: Kernel) -> Self {
        let Kernel { inputs, outputs, size, stride, dilation, groups } = kernel;
        let shape = [outputs, inputs / groups, size, size];
        let weight = parameters.convolution(format!("{name}.weight"), shape);
        Convolution { name: name.into(), weight, stride, padding: size / 2 * dilation, dilation, groups }
    }

    /// The same layer: other handles of its tensors.
    pub(super) fn handle(&self) -> Self {
        Convolution { name: self.name.clone(), weight: self.weight.shallow_clone(), ..*self }
    }

    /// `x` decides the number format: the weight is cast to it.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let weight = if x.kind() == Kind::Float { self.weight.shallow_clone() } else { self.weight.to_kind(x.kind()) };
        let pair = |value| [value, value];
        x.convolution(
            &weight,
            None::<&Tensor>,
            pair(self.stride),
            pair(self.padding),
            pair(self.dilation),
            false,
            pair(0),
            self.groups,
        )
    }
}

/// Batch norm over the channels, with torch's momentum 0.1 and epsilon 1e-5, in f32.
#[derive(Debug)]
pub(crate) struct BatchNorm {
    /// Name of the layer; its tensors are `<name>.weight`, `.bias`, `.running_mean`, `.running_var`.
    pub(crate) name: String,
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
    pub(crate) running_mean: Tensor,
    pub(crate) running_var: Tensor,
    batches: Tensor,
    frozen: bool,
    /// The processes whose batches together give the statistics.
    world: World,
}

impl BatchNorm {
    /// Weight of a batch's statistics in the running averages.
    const MOMENTUM: f64 = 0.1;
    /// Added to the variance.
    pub(crate) const EPSILON: f64 = 1e-5;

    pub(super) fn new(parameters: &mut Builder, name: &str, channels: i64) -> Self {
        let ones = || Tensor::ones([channels], (Kind::Float, tch::Device::Cpu));
        let zeros = || Tensor::zeros([channels], (Kind::Float, tch::Device::Cpu));
        BatchNorm {
            name: name.into(),
            weight: parameters.weight(format!("{name}.weight"), &ones()),
            bias: parameters.weight(format!("{name}.bias"), &zeros()),
            running_mean: parameters.buffer(format!("{name}.running_mean"), &zeros()),
            running_var: parameters.buffer(format!("{name}.running_var"), &ones()),
            batches: parameters.buffer(format!("{name}.num_batches_tracked"), &Tensor::from(0i64)),
            frozen: false,
            world: World::Alone,
        }
    }

    /// The same layer: other handles of its tensors.
    pub(super) fn handle(&self) -> Self {
        BatchNorm {
            name: self.name.clone(),
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            running_mean: self.running_mean.shallow_clone(),
            running_var: self.running_var.shallow_clone(),
            batches: self.batches.shallow_clone(),
            ..*self
        }
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let from_batch = mode != Mode::Evaluate && !self.frozen;
        let averages = if from_batch && mode == Mode::TrainUntracked { None } else { Some(self) };
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        let (mean, variance) = (averages.map(|own| &own.running_mean), averages.map(|own| &own.running_var));
        if from_batch && !self.world.is_alone() {
            return self.forward_over_ranks(x, mode);
        }
        x.batch_norm(weight, bias, mean, variance, from_batch, Self::MOMENTUM, Self::EPSILON, true)
    }

    /// The same with the statistics of the batches of all ranks: mean and variance are sums over the ranks, forward and
    /// backward.
    fn forward_over_ranks(&self, x: &Tensor, mode: Mode) -> Tensor {
        let size = x.size();
        let spatial: Vec<i64> = (0..size.len() as i64).filter(|&dimension| dimension != 1).collect();
        let count = size.iter().product::<i64>() / size[1].max(1) * self.world.ranks() as i64;
        let as_channels: Vec<i64> = (0..size.len()).map(|dimension| if dimension == 1 { size[1] } else { 1 }).collect();
        let sum = |values: Tensor| self.world.sum_in_graph(&values.sum_dim_intlist(&spatial[..], false, Kind::Float));
        let input = x.to_kind(Kind::Float);
        let mean = sum(input.shallow_clone()) / count as f64;
        let centred = input - mean.view(&as_channels[..]);
        let variance = sum(centred.square()) / count as f64;
        if mode == Mode::Train {
            let unbiased = variance.detach() * (count as f64 / (count - 1).max(1) as f64);
            let _ = self.running_mean.shallow_clone().lerp_(&mean.detach(), Self::MOMENTUM);
            let _ = self.running_var.shallow_clone().lerp_(&unbiased, Self::MOMENTUM);
        }
        let scale = &self.weight * (variance + Self::EPSILON).rsqrt();
        (centred * scale.view(&as_channels[..]) + self.bias.view(&as_channels[..])).to_kind(x.kind())
    }

    /// The counter of batches, if a pass in this mode moves it. It only feeds a cumulative average that this network does not
    /// use, and is kept for the file.
    pub(super) fn counter(&self, mode: Mode) -> Option<&Tensor> {
        (mode == Mode::Train && !self.frozen).then_some(&self.batches)
    }

    /// Takes the statistics of training from the batches of all processes.
    pub(super) fn synchronise(&mut self, world: World) {
        self.world = world;
    }

    pub(super) fn freeze(&mut self) {
        self.frozen = true;
    }

    pub(super) fn thaw(&mut self) {
        self.frozen = false;
    }

    /// Whether running averages are used in training too.
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen
    }
}
