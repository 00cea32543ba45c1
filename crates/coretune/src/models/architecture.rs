//! Which network to build, as a value: family, stem, width.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The families of backbones, named as in torchvision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// ResNet-18.
    #[serde(rename = "resnet18")]
    ResNet18,
    /// ResNet-34.
    #[serde(rename = "resnet34")]
    ResNet34,
    /// ResNet-50 v1.5 (the stride sits in the 3x3 convolution).
    #[serde(rename = "resnet50")]
    ResNet50,
    /// ResNet-101 v1.5.
    #[serde(rename = "resnet101")]
    ResNet101,
    /// ResNet-152 v1.5.
    #[serde(rename = "resnet152")]
    ResNet152,
    /// Wide ResNet-50-2.
    #[serde(rename = "wide_resnet50_2")]
    WideResNet50,
    /// Wide ResNet-101-2.
    #[serde(rename = "wide_resnet101_2")]
    WideResNet101,
    /// ResNeXt-50 32x4d.
    #[serde(rename = "resnext50_32x4d")]
    ResNeXt50,
    /// ResNeXt-101 32x8d.
    #[serde(rename = "resnext101_32x8d")]
    ResNeXt101,
    /// MobileNetV2 for 32x32 images (stride 1 in the stem and the first two groups of blocks).
    #[serde(rename = "mobilenet_v2_32")]
    MobileNetV2Small,
}

impl Family {
    /// All families, in the order in which they are listed to users.
    pub const ALL: [Family; 10] = [
        Family::ResNet18,
        Family::ResNet34,
        Family::ResNet50,
        Family::ResNet101,
        Family::ResNet152,
        Family::WideResNet50,
        Family::WideResNet101,
        Family::ResNeXt50,
        Family::ResNeXt101,
        Family::MobileNetV2Small,
    ];

    /// The name in configurations, reports and torchvision.
    pub fn name(self) -> &'static str {
        match self {
            Family::ResNet18 => "resnet18",
            Family::ResNet34 => "resnet34",
            Family::ResNet50 => "resnet50",
            Family::ResNet101 => "resnet101",
            Family::ResNet152 => "resnet152",
            Family::WideResNet50 => "wide_resnet50_2",
            Family::WideResNet101 => "wide_resnet101_2",
            Family::ResNeXt50 => "resnext50_32x4d",
            Family::ResNeXt101 => "resnext101_32x8d",
            Family::MobileNetV2Small => "mobilenet_v2_32",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no family; says which there are.
#[derive(Debug, thiserror::Error)]
#[error("no model is called {found}; there are {}", Family::ALL.map(Family::name).join(", "))]
pub struct UnknownFamily {
    /// The name that came.
    pub found: String,
}

impl FromStr for Family {
    type Err = UnknownFamily;

    fn from_str(name: &str) -> Result<Self, UnknownFamily> {
        Family::ALL.into_iter().find(|family| family.name() == name).ok_or_else(|| UnknownFamily { found: name.into() })
    }
}

/// The first layers of a ResNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stem {
    /// 7x7 convolution of stride 2 and max-pool, as for ImageNet.
    #[default]
    Imagenet,
    /// 3x3 convolution of stride 1, no max-pool: for images of up to 64 pixels.
    Small,
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

    /// A published number of channels times the width factor, rounded, at least 1.
    pub(super) fn channels(&self, published: i64) -> i64 {
        ((published as f64 * self.width).round() as i64).max(1)
    }
}
