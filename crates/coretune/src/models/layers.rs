//! The layers that backbones are made of: convolution, batch norm, and the two of them in a row.

use tch::{Kind, Tensor};

use super::initial;
use super::operations::Operations;
use super::parameters::{Parameters, Role};
use crate::engine::channels_last;

/// Whether batch norm takes its statistics from the batch or from its running averages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch, which also move the running averages.
    Train,
    /// Statistics of the batch; the running averages stay. For a forward pass that will be made again.
    Rehearse,
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
    pub(crate) groups: i64,
}

/// Shape of a convolution to make.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    pub(super) inputs: i64,
    pub(super) outputs: i64,
    pub(super) size: i64,
    pub(super) stride: i64,
    pub(super) groups: i64,
}

impl Kernel {
    /// A `size` x `size` kernel of this stride, not grouped.
    pub(super) fn dense(inputs: i64, outputs: i64, size: i64, stride: i64) -> Self {
        Kernel { inputs, outputs, size, stride, groups: 1 }
    }
}

impl Convolution {
    fn new(parameters: &mut Builder, name: &str, kernel: Kernel) -> Self {
        let Kernel { inputs, outputs, size, stride, groups } = kernel;
        let shape = [outputs, inputs / groups, size, size];
        let weight = parameters.convolution(format!("{name}.weight"), shape);
        Convolution { name: name.into(), weight, stride, padding: size / 2, groups }
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
            pair(1),
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
}

impl BatchNorm {
    /// Share of a batch's statistics in the running averages.
    const MOMENTUM: f64 = 0.1;
    /// Added to the variance.
    pub(crate) const EPSILON: f64 = 1e-5;

    fn new(parameters: &mut Builder, name: &str, channels: i64) -> Self {
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
        }
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let from_batch = mode != Mode::Evaluate && !self.frozen;
        // A rehearsal leaves the averages out, so that they stay.
        let averages = if from_batch && mode == Mode::Rehearse { None } else { Some(self) };
        if from_batch && averages.is_some() {
            // The counter only feeds a cumulative average that this network does not use; it is kept for the file.
            let _ = self.batches.shallow_clone().g_add_scalar_(1);
        }
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        let (mean, variance) = (averages.map(|own| &own.running_mean), averages.map(|own| &own.running_var));
        x.batch_norm(weight, bias, mean, variance, from_batch, Self::MOMENTUM, Self::EPSILON, true)
    }

    pub(super) fn freeze(&mut self) {
        self.frozen = true;
    }
}

/// Convolution, batch norm and, where asked for, ReLU.
#[derive(Debug)]
pub(super) struct ConvNorm {
    convolution: Convolution,
    norm: BatchNorm,
    relu: bool,
}

impl ConvNorm {
    /// Makes `<convolution>.weight` and `<norm>.{weight, bias, running_mean, running_var, num_batches_tracked}`.
    pub(super) fn new(parameters: &mut Builder, convolution: &str, norm: &str, kernel: Kernel, relu: bool) -> Self {
        ConvNorm {
            convolution: Convolution::new(parameters, convolution, kernel),
            norm: BatchNorm::new(parameters, norm, kernel.outputs),
            relu,
        }
    }

    fn apply<O: Operations>(&self, x: &O::Value, operations: &mut O) -> O::Value {
        let y = operations.convolution(x, &self.convolution);
        let y = operations.batch_norm(&y, &self.norm);
        if self.relu { operations.relu(y) } else { y }
    }

    pub(super) fn norm_mut(&mut self) -> &mut BatchNorm {
        &mut self.norm
    }
}

/// A residual block: a row of convolutions, what goes around them, and ReLU after the sum where the network has it.
#[derive(Debug)]
pub(super) struct Residual {
    pub(super) body: Vec<ConvNorm>,
    pub(super) around: Around,
    pub(super) relu: bool,
}

/// What a residual block adds to the output of its body.
#[derive(Debug)]
pub(super) enum Around {
    /// Nothing (MobileNetV2 where the size changes).
    Nothing,
    /// The input as it is.
    Identity,
    /// The input through a 1x1 convolution.
    Projection(ConvNorm),
}

impl Residual {
    fn apply<O: Operations>(&self, x: &O::Value, operations: &mut O) -> O::Value {
        let (first, rest) = self.body.split_first().expect("a residual block has layers");
        let first = first.apply(x, operations);
        let y = rest.iter().fold(first, |y, layer| layer.apply(&y, operations));
        let y = match &self.around {
            Around::Nothing => y,
            Around::Identity => operations.add(y, x),
            Around::Projection(projection) => {
                let around = projection.apply(x, operations);
                operations.add(y, &around)
            }
        };
        if self.relu { operations.relu(y) } else { y }
    }

    fn norms_mut(&mut self) -> impl Iterator<Item = &mut BatchNorm> {
        let around = match &mut self.around {
            Around::Projection(projection) => Some(projection),
            Around::Nothing | Around::Identity => None,
        };
        self.body.iter_mut().chain(around).map(ConvNorm::norm_mut)
    }
}

/// One step of a stage.
#[derive(Debug)]
pub(super) enum Unit {
    /// Convolution, batch norm, ReLU.
    ConvNorm(ConvNorm),
    /// 3x3 max-pool of stride 2.
    MaxPool,
    /// Residual block.
    Residual(Residual),
}

/// A run of units that end at one resolution: the unit of freezing and of layer-wise learning rates.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) units: Vec<Unit>,
}

impl Stage {
    /// What the stage makes of `x`.
    pub(super) fn apply<O: Operations>(&self, x: O::Value, operations: &mut O) -> O::Value {
        self.units.iter().fold(x, |x, unit| match unit {
            Unit::ConvNorm(layer) => layer.apply(&x, operations),
            Unit::MaxPool => operations.max_pool(&x),
            Unit::Residual(block) => block.apply(&x, operations),
        })
    }

    pub(super) fn freeze_norms(&mut self) {
        for unit in &mut self.units {
            match unit {
                Unit::ConvNorm(layer) => layer.norm_mut().freeze(),
                Unit::MaxPool => {}
                Unit::Residual(block) => block.norms_mut().for_each(BatchNorm::freeze),
            }
        }
    }
}

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
    fn convolution(&mut self, name: String, shape: [i64; 4]) -> Tensor {
        let [outputs, inputs, height, width] = shape;
        let cpu = (Kind::Float, tch::Device::Cpu);
        let value = match self.values {
            Values::Random(seed) => channels_last::copy(&initial::convolution(shape, seed, self.made.len())),
            Values::Zeros => channels_last::from_nhwc(&Tensor::zeros([outputs, height, width, inputs], cpu)),
            Values::Outline => Tensor::zeros([1], cpu).expand(shape, false),
        };
        self.weight(name, &value)
    }

    fn weight(&mut self, name: String, value: &Tensor) -> Tensor {
        self.add(name, value, Role::Weight).set_requires_grad(true)
    }

    fn buffer(&mut self, name: String, value: &Tensor) -> Tensor {
        self.add(name, value, Role::Buffer)
    }

    fn add(&mut self, name: String, value: &Tensor, role: Role) -> Tensor {
        self.stage_of.push(self.stage);
        self.made.add(name, value.to_device(self.device), role)
    }
}
