//! Which network to build, as a value: family, stem, width.

use serde::{Deserialize, Serialize};

use crate::settings::choice;

choice! {
    /// The families of backbones, named as in torchvision.
    Family {
        /// ResNet-18.
        ResNet18 = "resnet18",
        /// ResNet-34.
        ResNet34 = "resnet34",
        /// ResNet-50 v1.5 (the stride sits in the 3x3 convolution).
        ResNet50 = "resnet50",
        /// ResNet-101 v1.5.
        ResNet101 = "resnet101",
        /// ResNet-152 v1.5.
        ResNet152 = "resnet152",
        /// Wide ResNet-50-2.
        WideResNet50 = "wide_resnet50_2",
        /// Wide ResNet-101-2.
        WideResNet101 = "wide_resnet101_2",
        /// ResNeXt-50 32x4d.
        ResNeXt50 = "resnext50_32x4d",
        /// ResNeXt-101 32x8d.
        ResNeXt101 = "resnext101_32x8d",
        /// MobileNetV2 for 32x32 images (stride 1 in the stem and the first two groups of blocks).
        MobileNetV2Small = "mobilenet_v2_32",
    }
}

choice! {
    /// The first layers of a ResNet.
    #[derive(Default)]
    Stem {
        /// 7x7 convolution of stride 2 and max-pool, as for ImageNet.
        #[default]
        Imagenet = "imagenet",
        /// 3x3 convolution of stride 1, no max-pool: for images of up to 64 pixels.
        Small = "small",
    }
}

impl Family {
    /// Whether the family has both stems to choose from.
    pub fn has_stems(self) -> bool {
        self != Family::MobileNetV2Small
    }

    /// Prefix of the classifier's tensors in the usual implementation: torchvision's, for MobileNetV2 that of CIFAR.
    pub fn classifier_prefix(self) -> &'static str {
        if self == Family::MobileNetV2Small { "linear." } else { "fc." }
    }
}

/// A network to build.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Depth and kind of blocks.
    pub family: Family,
    /// First layers; MobileNetV2 has one stem only and ignores this.
    pub stem: Stem,
    /// Factor on the number of channels (1 = as published). In MobileNetV2 the stem keeps its 32 channels.
    pub width: f64,
}

impl Architecture {
    /// The family as published: ImageNet stem, width 1.
    pub fn published(family: Family) -> Self {
        Architecture { family, stem: Stem::Imagenet, width: 1.0 }
    }

    /// The MobileNetV2 of this width.
    pub(crate) fn mobilenet(width: f64) -> Self {
        Architecture { family: Family::MobileNetV2Small, stem: Stem::Small, width }
    }

    /// Whether the first layers are made for images of up to 64 pixels.
    pub fn is_small(&self) -> bool {
        self.stem == Stem::Small || !self.family.has_stems()
    }

    /// A published number of channels times the width factor, rounded, at least 1.
    pub(super) fn channels(&self, published: i64) -> i64 {
        ((published as f64 * self.width).round() as i64).max(1)
    }
}
