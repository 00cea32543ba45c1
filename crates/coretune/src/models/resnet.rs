//! ResNet v1.5, wide ResNet and ResNeXt, with torchvision's names and values.

use super::architecture::{Architecture, Family, Stem};
use super::blocks::{Around, ConvNorm, Residual, Stage, Unit};
use super::builder::Builder;
use super::layers::Kernel;
use super::output_stride::{OutputStride, Sampling, Strides};

/// A ResNet as published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResNet {
    pub(crate) family: Family,
    /// Residual blocks in each of the four stages.
    pub(crate) blocks: [usize; 4],
    pub(crate) block: Block,
    /// Groups of the 3x3 convolution.
    pub(crate) groups: i64,
    /// Channels of one group in the first stage, if the stage has 64.
    width_per_group: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 (with the stride: v1.5), 1x1 to four times the channels.
    Bottleneck,
}

impl Block {
    /// Channels of its output over those of its stage.
    pub(crate) fn expansion(self) -> i64 {
        match self {
            Block::Basic => 1,
            Block::Bottleneck => 4,
        }
    }
}

const fn resnet(family: Family, blocks: [usize; 4], block: Block, groups: i64, width_per_group: i64) -> ResNet {
    ResNet { family, blocks, block, groups, width_per_group }
}

/// Every ResNet; of those that differ in depth alone, the shallower one is first.
pub(crate) const RESNETS: [ResNet; 9] = [
    resnet(Family::ResNet18, [2, 2, 2, 2], Block::Basic, 1, 64),
    resnet(Family::ResNet34, [3, 4, 6, 3], Block::Basic, 1, 64),
    resnet(Family::ResNet50, [3, 4, 6, 3], Block::Bottleneck, 1, 64),
    resnet(Family::ResNet101, [3, 4, 23, 3], Block::Bottleneck, 1, 64),
    resnet(Family::ResNet152, [3, 8, 36, 3], Block::Bottleneck, 1, 64),
    resnet(Family::WideResNet50, [3, 4, 6, 3], Block::Bottleneck, 1, 128),
    resnet(Family::WideResNet101, [3, 4, 23, 3], Block::Bottleneck, 1, 128),
    resnet(Family::ResNeXt50, [3, 4, 6, 3], Block::Bottleneck, 32, 4),
    resnet(Family::ResNeXt101, [3, 4, 23, 3], Block::Bottleneck, 32, 8),
];

impl ResNet {
    fn of(family: Family) -> Option<&'static ResNet> {
        RESNETS.iter().find(|resnet| resnet.family == family)
    }

    /// Channels of the 3x3 convolution of a bottleneck, in a stage of so many channels.
    pub(crate) fn inner_channels(&self, planes: i64) -> i64 {
        let per_group = (planes * self.width_per_group + 32) / 64;
        per_group.max(1) * self.groups
    }
}

/// Channels that the narrowest 1x1 convolution with a stride reads: the shortcut into the second stage. `None` for a family
/// that is not a ResNet.
pub(super) fn narrowest_shortcut(architecture: &Architecture) -> Option<i64> {
    let resnet = ResNet::of(architecture.family)?;
    Some(architecture.channels(64) * resnet.block.expansion())
}

/// The stages of a ResNet and the width of its features; `None` for a family that is not a ResNet.
///
/// Strides beyond `most` become dilation, as torchvision's `replace_stride_with_dilation` does.
pub(super) fn build(
    parameters: &mut Builder,
    architecture: &Architecture,
    most: Option<OutputStride>,
) -> Option<(Vec<Stage>, i64)> {
    let resnet = ResNet::of(architecture.family)?;
    let mut channels = architecture.channels(64);
    let mut stages = vec![stem(parameters, architecture.stem, channels)];
    let mut strides = Strides::after_stem(architecture.stem, most);
    for (index, &blocks) in resnet.blocks.iter().enumerate() {
        parameters.enter_stage(index + 1);
        let planes = architecture.channels(64 << index);
        let name = format!("layer{}", index + 1);
        let (first, others) = strides.of_stage(if index == 0 { 1 } else { 2 });
        let units = (0..blocks)
            .map(|block| {
                let sampling = if block == 0 { first } else { others };
                let unit = residual(parameters, &format!("{name}.{block}"), resnet, channels, planes, sampling);
                channels = planes * resnet.block.expansion();
                Unit::Residual(unit)
            })
            .collect();
        stages.push(Stage { name, units });
    }
    Some((stages, channels))
}

fn stem(parameters: &mut Builder, stem: Stem, channels: i64) -> Stage {
    let (kernel, pool) = match stem {
        Stem::Imagenet => (Kernel::dense(3, channels, 7, 2), Some(Unit::MaxPool)),
        Stem::Small => (Kernel::dense(3, channels, 3, 1), None),
    };
    let first = Unit::ConvNorm(ConvNorm::new(parameters, "conv1", "bn1", kernel, true));
    Stage { name: "stem".into(), units: std::iter::once(first).chain(pool).collect() }
}

fn residual(
    parameters: &mut Builder,
    name: &str,
    resnet: &ResNet,
    inputs: i64,
    planes: i64,
    Sampling { stride, dilation }: Sampling,
) -> Residual {
    let outputs = planes * resnet.block.expansion();
    let kernels = match resnet.block {
        Block::Basic => vec![
            Kernel::dense(inputs, planes, 3, stride).dilated(dilation),
            Kernel::dense(planes, planes, 3, 1).dilated(dilation),
        ],
        Block::Bottleneck => {
            let inner = resnet.inner_channels(planes);
            vec![
                Kernel::dense(inputs, inner, 1, 1),
                Kernel { inputs: inner, outputs: inner, size: 3, stride, dilation, groups: resnet.groups },
                Kernel::dense(inner, outputs, 1, 1),
            ]
        }
    };
    let last = kernels.len() - 1;
    let body = kernels
        .into_iter()
        .enumerate()
        .map(|(index, kernel)| {
            let (convolution, norm) = (format!("{name}.conv{}", index + 1), format!("{name}.bn{}", index + 1));
            ConvNorm::new(parameters, &convolution, &norm, kernel, index < last)
        })
        .collect();
    let around = if stride == 1 && inputs == outputs {
        Around::Identity
    } else {
        let (convolution, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
        let kernel = Kernel::dense(inputs, outputs, 1, stride);
        Around::Projection(ConvNorm::new(parameters, &convolution, &norm, kernel, false))
    };
    Residual { body, around, relu: true }
}
