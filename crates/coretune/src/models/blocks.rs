//! What backbones are built of above the layers: residual blocks, and stages of them.

use tch::Tensor;

use super::builder::Builder;
use super::layers::{BatchNorm, Convolution, Kernel};
use super::operations::{Block, Operations};

/// Convolution, batch norm and, if asked for, ReLU.
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

    pub(super) fn apply<O: Operations>(&self, x: &O::Value, operations: &mut O) -> O::Value {
        let y = operations.convolution(x, &self.convolution);
        let y = operations.batch_norm(&y, &self.norm);
        if self.relu { operations.relu(y) } else { y }
    }

    /// The same layers: other handles of their tensors.
    fn handle(&self) -> Self {
        ConvNorm { convolution: self.convolution.handle(), norm: self.norm.handle(), relu: self.relu }
    }

    pub(super) fn norm(&self) -> &BatchNorm {
        &self.norm
    }

    pub(super) fn norm_mut(&mut self) -> &mut BatchNorm {
        &mut self.norm
    }
}

/// A residual block: a row of convolutions, what goes around them, and ReLU after the sum if the network has one.
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

impl Block for Residual {
    fn handle(&self) -> Self {
        let around = match &self.around {
            Around::Nothing => Around::Nothing,
            Around::Identity => Around::Identity,
            Around::Projection(projection) => Around::Projection(projection.handle()),
        };
        Residual { body: self.body.iter().map(ConvNorm::handle).collect(), around, relu: self.relu }
    }

    fn trained(&self) -> Vec<&Tensor> {
        let around = match &self.around {
            Around::Projection(projection) => Some(projection),
            Around::Nothing | Around::Identity => None,
        };
        let layers = self.body.iter().chain(around);
        let weights =
            layers.flat_map(|ConvNorm { convolution, norm, .. }| [&convolution.weight, &norm.weight, &norm.bias]);
        weights.filter(|weight| weight.requires_grad()).collect()
    }

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
}

impl Residual {
    fn norms(&self) -> impl Iterator<Item = &BatchNorm> {
        let around = match &self.around {
            Around::Projection(projection) => Some(projection),
            Around::Nothing | Around::Identity => None,
        };
        self.body.iter().chain(around).map(|layer| &layer.norm)
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
            Unit::Residual(block) => operations.residual(&x, block),
        })
    }

    pub(super) fn norms_mut(&mut self) -> impl Iterator<Item = &mut BatchNorm> {
        self.units.iter_mut().flat_map(|unit| -> Vec<&mut BatchNorm> {
            match unit {
                Unit::ConvNorm(layer) => vec![layer.norm_mut()],
                Unit::MaxPool => Vec::new(),
                Unit::Residual(block) => block.norms_mut().collect(),
            }
        })
    }

    pub(super) fn norms(&self) -> impl Iterator<Item = &BatchNorm> {
        self.units.iter().flat_map(|unit| -> Vec<&BatchNorm> {
            match unit {
                Unit::ConvNorm(layer) => vec![&layer.norm],
                Unit::MaxPool => Vec::new(),
                Unit::Residual(block) => block.norms().collect(),
            }
        })
    }
}
