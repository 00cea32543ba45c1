//! How many pixels of the image lie between two positions of a backbone's last map, and what dilation makes of strides.

use super::architecture::{Architecture, Stem};

/// Pixels between two positions of the last map of a dilated ResNet, at most: strides beyond it become dilation.
///
/// A ResNet with the small stem has stride 8 as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum OutputStride {
    /// The last two stages are dilated, as in torchvision's segmentation networks.
    Eight,
    /// The last stage is dilated.
    #[default]
    Sixteen,
    /// No stage is dilated.
    ThirtyTwo,
}

impl OutputStride {
    /// Every output stride.
    pub const ALL: [OutputStride; 3] = [OutputStride::Eight, OutputStride::Sixteen, OutputStride::ThirtyTwo];

    /// Its number of pixels.
    pub const fn pixels(self) -> i64 {
        match self {
            OutputStride::Eight => 8,
            OutputStride::Sixteen => 16,
            OutputStride::ThirtyTwo => 32,
        }
    }

    /// The output stride of so many pixels.
    pub fn of(pixels: i64) -> Option<Self> {
        OutputStride::ALL.into_iter().find(|stride| stride.pixels() == pixels)
    }
}

/// Stride and dilation of the 3x3 convolutions of a residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sampling {
    pub(super) stride: i64,
    pub(super) dilation: i64,
}

/// The strides of the stages so far.
#[derive(Debug)]
pub(super) struct Strides {
    most: i64,
    stride: i64,
    dilation: i64,
}

impl Strides {
    /// Those of the stem.
    pub(super) fn after_stem(stem: Stem, most: Option<OutputStride>) -> Self {
        let stride = match stem {
            Stem::Imagenet => 4,
            Stem::Small => 1,
        };
        Strides { most: most.map_or(i64::MAX, OutputStride::pixels), stride, dilation: 1 }
    }

    /// The sampling of a stage's first block and of its others, where the published stage has `stride`. A stride that is
    /// replaced multiplies the dilation of all blocks after the first.
    pub(super) fn of_stage(&mut self, stride: i64) -> (Sampling, Sampling) {
        let before = self.dilation;
        let kept = if self.stride * stride > self.most { 1 } else { stride };
        self.stride *= kept;
        self.dilation *= stride / kept;
        (Sampling { stride: kept, dilation: before }, Sampling { stride: 1, dilation: self.dilation })
    }
}

/// Pixels of the image between two positions of the last map of a ResNet.
pub(super) fn of_resnet(architecture: &Architecture, most: Option<OutputStride>) -> i64 {
    let mut strides = Strides::after_stem(architecture.stem, most);
    for stride in [1, 2, 2, 2] {
        let _ = strides.of_stage(stride);
    }
    strides.stride
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samplings(stem: Stem, most: Option<OutputStride>) -> Vec<[i64; 3]> {
        let mut strides = Strides::after_stem(stem, most);
        let stage = |stride| {
            let (first, others) = strides.of_stage(stride);
            [first.stride, first.dilation, others.dilation]
        };
        [1, 2, 2, 2].map(stage).to_vec()
    }

    #[test]
    fn strides_beyond_the_output_stride_become_dilation() {
        let of = |most| samplings(Stem::Imagenet, Some(most));
        assert_eq!(of(OutputStride::Eight), [[1, 1, 1], [2, 1, 1], [1, 1, 2], [1, 2, 4]]);
        assert_eq!(of(OutputStride::Sixteen), [[1, 1, 1], [2, 1, 1], [2, 1, 1], [1, 1, 2]]);
        assert_eq!(of(OutputStride::ThirtyTwo), samplings(Stem::Imagenet, None));
    }

    #[test]
    fn the_small_stem_leaves_stride_8() {
        for most in OutputStride::ALL {
            let architecture =
                Architecture { stem: Stem::Small, ..Architecture::published(crate::models::Family::ResNet18) };
            assert_eq!(of_resnet(&architecture, Some(most)), 8);
            assert_eq!(of_resnet(&Architecture { stem: Stem::Imagenet, ..architecture }, Some(most)), most.pixels());
        }
    }
}
