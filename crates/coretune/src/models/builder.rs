use tch::{Kind, Tensor};

use super::heads::Linear;
use super::initial;
use super::parameters::{Parameters, Role};
use crate::engine::channels_last;

/// What the tensors of a new backbone hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Convolutions from streams of this seed, batch norms at 1 and 0.
    Random(u64),
    /// Convolutions of zeros.
    Zeros,
    /// Nothing: shapes alone, over a single zero each.
    Outline,
}

/// The distribution that convolutions are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Law {
    /// N(0, 2 / (out k k)), as in torchvision's ResNets.
    FanOut,
    /// U(-1 / sqrt(in k k), 1 / sqrt(in k k)), as torch's convolutions are by default.
    FanIn,
}

/// Collects the tensors of a network while its layers are made, and which stage each belongs to.
#[derive(Debug)]
pub(super) struct Builder {
    values: Values,
    law: Law,
    /// Number of the first tensor in the streams of initial weights.
    first: usize,
    device: tch::Device,
    made: Parameters,
    stage: usize,
    stage_of: Vec<usize>,
}

impl Builder {
    pub(super) fn new(values: Values, device: tch::Device) -> Self {
        let made = Parameters::default();
        Builder { values, law: Law::FanOut, first: 0, device, made, stage: 0, stage_of: Vec::new() }
    }

    /// A builder of a head: its convolutions are drawn as torch does by default, from the streams of initial weights that
    /// begin at `first`.
    pub(super) fn of_head(values: Values, first: usize, device: tch::Device) -> Self {
        Builder { law: Law::FanIn, first, ..Builder::new(values, device) }
    }

    /// What is made from here on belongs to this stage (0 = stem).
    pub(super) fn enter_stage(&mut self, stage: usize) {
        self.stage = stage;
    }

    /// The tensors and, in the same order, their stages.
    pub(super) fn finish(self) -> (Parameters, Vec<usize>) {
        (self.made, self.stage_of)
    }

    /// A convolution's weight `[out, in / groups, k, k]` in channels-last layout.
    pub(super) fn convolution(&mut self, name: String, shape: [i64; 4]) -> Tensor {
        let [outputs, inputs, height, width] = shape;
        let cpu = (Kind::Float, tch::Device::Cpu);
        let value = match self.values {
            Values::Random(seed) => channels_last::copy(&self.drawn(shape, seed)),
            Values::Zeros => channels_last::from_nhwc(&Tensor::zeros([outputs, height, width, inputs], cpu)),
            Values::Outline => Tensor::zeros([1], cpu).expand(shape, false),
        };
        self.weight(name, &value)
    }

    fn drawn(&self, shape: [i64; 4], seed: u64) -> Tensor {
        let index = self.first + self.made.len();
        match self.law {
            Law::FanOut => initial::convolution(shape, seed, index),
            Law::FanIn => initial::linear(&shape, shape[1..].iter().product(), (seed, 0), index),
        }
    }

    /// A 1x1 convolution with bias, drawn as torch does by default.
    pub(super) fn pointwise(&mut self, name: &str, inputs: i64, outputs: i64) -> Linear {
        let weight = self.convolution(format!("{name}.weight"), [outputs, inputs, 1, 1]);
        let bias = match self.values {
            Values::Random(seed) => initial::linear(&[outputs], inputs, (seed, 0), self.first + self.made.len()),
            Values::Zeros | Values::Outline => Tensor::zeros([outputs], (Kind::Float, tch::Device::Cpu)),
        };
        Linear { weight, bias: Some(self.weight(format!("{name}.bias"), &bias)) }
    }

    pub(super) fn weight(&mut self, name: String, value: &Tensor) -> Tensor {
        self.add(name, value, Role::Weight).set_requires_grad(true)
    }

    pub(super) fn buffer(&mut self, name: String, value: &Tensor) -> Tensor {
        self.add(name, value, Role::Buffer)
    }

    fn add(&mut self, name: String, value: &Tensor, role: Role) -> Tensor {
        self.stage_of.push(self.stage);
        self.made.add(name, value.to_device(self.device), role)
    }
}
