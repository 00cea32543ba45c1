//! MobileNetV2 for 32x32 images, with the names of its common CIFAR implementation (`layers.0.conv1.weight`).

use super::architecture::{Architecture, Family};
use super::blocks::{Around, ConvNorm, Residual, Stage, Unit};
use super::builder::Builder;
use super::layers::Kernel;

/// One row of the table: blocks of one width. The first block has the stride.
struct Row {
    expansion: i64,
    outputs: i64,
    blocks: usize,
    stride: i64,
}

const fn row(expansion: i64, outputs: i64, blocks: usize, stride: i64) -> Row {
    Row { expansion, outputs, blocks, stride }
}

/// Table 2 of the paper (Sandler et al., CVPR 2018), with stride 1 in place of 2 in the stem and the second row.
const ROWS: [Row; 7] = [
    row(1, 16, 1, 1),
    row(6, 24, 2, 1),
    row(6, 32, 3, 2),
    row(6, 64, 4, 2),
    row(6, 96, 3, 1),
    row(6, 160, 3, 2),
    row(6, 320, 1, 1),
];

/// Channels of the stem, whatever the width.
const STEM: i64 = 32;

/// Channels of the features, as published.
const FEATURES: i64 = 1280;

/// Layers whose outputs are wide enough to tell one width factor from the next, with their published channels.
pub(crate) const WIDE_LAYERS: [(&str, i64); 4] = [
    ("conv2.weight", FEATURES),
    ("layers.16.conv3.weight", ROWS[6].outputs),
    ("layers.13.conv3.weight", ROWS[5].outputs),
    ("layers.10.conv3.weight", ROWS[4].outputs),
];

/// The stages (stem, one per row of the table, last convolution) and the width of the features; `None` for a family
/// that is not a MobileNet.
pub(super) fn build(parameters: &mut Builder, architecture: &Architecture) -> Option<(Vec<Stage>, i64)> {
    if architecture.family != Family::MobileNetV2Small {
        return None;
    }
    let first = ConvNorm::new(parameters, "conv1", "bn1", Kernel::dense(3, STEM, 3, 1), true);
    let mut stages = vec![Stage { name: "stem".into(), units: vec![Unit::ConvNorm(first)] }];
    let (mut channels, mut layer) = (STEM, 0);
    for (index, row) in ROWS.iter().enumerate() {
        parameters.enter_stage(index + 1);
        let outputs = architecture.channels(row.outputs);
        let units = (0..row.blocks)
            .map(|block| {
                let stride = if block == 0 { row.stride } else { 1 };
                let name = format!("layers.{layer}");
                let unit = inverted_residual(parameters, &name, channels, row.expansion, outputs, stride);
                (channels, layer) = (outputs, layer + 1);
                Unit::Residual(unit)
            })
            .collect();
        stages.push(Stage { name: format!("row{}", index + 1), units });
    }
    parameters.enter_stage(ROWS.len() + 1);
    let features = architecture.channels(FEATURES);
    let last = ConvNorm::new(parameters, "conv2", "bn2", Kernel::dense(channels, features, 1, 1), true);
    stages.push(Stage { name: "conv2".into(), units: vec![Unit::ConvNorm(last)] });
    Some((stages, features))
}

fn inverted_residual(
    parameters: &mut Builder,
    name: &str,
    inputs: i64,
    expansion: i64,
    outputs: i64,
    stride: i64,
) -> Residual {
    let planes = inputs * expansion;
    let depthwise = Kernel { inputs: planes, outputs: planes, size: 3, stride, dilation: 1, groups: planes };
    let kernels =
        [(Kernel::dense(inputs, planes, 1, 1), true), (depthwise, true), (Kernel::dense(planes, outputs, 1, 1), false)];
    let body = kernels
        .into_iter()
        .zip(1..)
        .map(|((kernel, relu), index)| {
            ConvNorm::new(parameters, &format!("{name}.conv{index}"), &format!("{name}.bn{index}"), kernel, relu)
        })
        .collect();
    let around = match (stride, inputs == outputs) {
        (1, true) => Around::Identity,
        (1, false) => {
            let (convolution, norm) = (format!("{name}.shortcut.0"), format!("{name}.shortcut.1"));
            let kernel = Kernel::dense(inputs, outputs, 1, 1);
            Around::Projection(ConvNorm::new(parameters, &convolution, &norm, kernel, false))
        }
        _ => Around::Nothing,
    };
    Residual { body, around, relu: false }
}
