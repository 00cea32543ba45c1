//! ResNet v1.5, wide ResNet and ResNeXt, with torchvision's names and values.

use super::architecture::{Architecture, Family, Stem};
use super::blocks::{Around, ConvNorm, Residual, Stage, Unit};
use super::builder::Builder;
use super::layers::Kernel;

/// What a family consists of.
#[derive(Debug, Clone, Copy)]
struct Depths {
    /// Residual blocks in each of the four stages.
    blocks: [usize; 4],
    block: Block,
    /// Groups of the 3x3 convolution.
    groups: i64,
    /// Channels of one group in the first stage, when the stage has 64.
    width_per_group: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 (with the stride: v1.5), 1x1 to four times the channels.
    Bottleneck,
}

impl Block {
    fn expansion(self) -> i64 {
        match self {
            Block::Basic => 1,
            Block::Bottleneck => 4,
        }
    }
}

/// The table of depths; `None` for a family that is no ResNet.
fn depths(family: Family) -> Option<Depths> {
    use Block::{Basic, Bottleneck};
    let (blocks, block, groups, width_per_group) = match family {
        Family::ResNet18 => ([2, 2, 2, 2], Basic, 1, 64),
        Family::ResNet34 => ([3, 4, 6, 3], Basic, 1, 64),
        Family::ResNet50 => ([3, 4, 6, 3], Bottleneck, 1, 64),
        Family::ResNet101 => ([3, 4, 23, 3], Bottleneck, 1, 64),
        Family::ResNet152 => ([3, 8, 36, 3], Bottleneck, 1, 64),
        Family::WideResNet50 => ([3, 4, 6, 3], Bottleneck, 1, 128),
        Family::WideResNet101 => ([3, 4, 23, 3], Bottleneck, 1, 128),
        Family::ResNeXt50 => ([3, 4, 6, 3], Bottleneck, 32, 4),
        Family::ResNeXt101 => ([3, 4, 23, 3], Bottleneck, 32, 8),
        Family::MobileNetV2Small => return None,
    };
    Some(Depths { blocks, block, groups, width_per_group })
}

/// Channels that the narrowest 1x1 convolution with a stride reads: the shortcut into the second stage. `None` for a family
/// that is no ResNet.
pub(super) fn narrowest_shortcut(architecture: &Architecture) -> Option<i64> {
    let depths = depths(architecture.family)?;
    Some(architecture.channels(64) * depths.block.expansion())
}

/// The stages of a ResNet and the width of its features; `None` for a family that is no ResNet.
pub(super) fn build(parameters: &mut Builder, architecture: &Architecture) -> Option<(Vec<Stage>, i64)> {
    let depths = depths(architecture.family)?;
    let mut channels = architecture.channels(64);
    let mut stages = vec![stem(parameters, architecture.stem, channels)];
    for (index, &blocks) in depths.blocks.iter().enumerate() {
        parameters.enter_stage(index + 1);
        let planes = architecture.channels(64 << index);
        let name = format!("layer{}", index + 1);
        let stride = if index == 0 { 1 } else { 2 };
        let units = (0..blocks)
            .map(|block| {
                let stride = if block == 0 { stride } else { 1 };
                let unit = residual(parameters, &format!("{name}.{block}"), depths, channels, planes, stride);
                channels = planes * depths.block.expansion();
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

fn residual(parameters: &mut Builder, name: &str, depths: Depths, inputs: i64, planes: i64, stride: i64) -> Residual {
    let outputs = planes * depths.block.expansion();
    let kernels = match depths.block {
        Block::Basic => vec![Kernel::dense(inputs, planes, 3, stride), Kernel::dense(planes, planes, 3, 1)],
        Block::Bottleneck => {
            let per_group = (planes * depths.width_per_group + 32) / 64;
            let inner = per_group.max(1) * depths.groups;
            vec![
                Kernel::dense(inputs, inner, 1, 1),
                Kernel { inputs: inner, outputs: inner, size: 3, stride, groups: depths.groups },
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
