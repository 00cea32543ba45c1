use tch::{Kind, Tensor};

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

/// Collects the tensors of a backbone while its layers are made, and which stage each belongs to.
#[derive(Debug)]
pub(super) struct Builder {
    values: Values,
    device: tch::Device,
    made: Parameters,
    stage: usize,
    stage_of: Vec<usize>,
}

impl Builder {
    pub(super) fn new(values: Values, device: tch::Device) -> Self {
        Builder { values, device, made: Parameters::default(), stage: 0, stage_of: Vec::new() }
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
            Values::Random(seed) => channels_last::copy(&initial::convolution(shape, seed, self.made.len())),
            Values::Zeros => channels_last::from_nhwc(&Tensor::zeros([outputs, height, width, inputs], cpu)),
            Values::Outline => Tensor::zeros([1], cpu).expand(shape, false),
        };
        self.weight(name, &value)
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
