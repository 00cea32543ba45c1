//! `[model]`: the network.

use serde::{Deserialize, Serialize};

use crate::models::{Family, Stem};
use crate::settings::{ANY, Command, Kind, Range, Setting, auto, setting};

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSection {
    /// Family of the backbone.
    #[serde(with = "auto")]
    pub name: Option<Family>,
    /// First layers.
    #[serde(with = "auto")]
    pub stem: Option<Stem>,
    /// Factor on the number of channels.
    #[serde(with = "auto")]
    pub width: Option<f64>,
    /// Outputs of the classifier.
    #[serde(with = "auto")]
    pub num_classes: Option<i64>,
    /// First stages kept as they are: 0 none, 1 the stem.
    pub frozen_stages: i64,
    /// Whether batch norm keeps its pre-trained weights and statistics.
    pub freeze_batch_norm: bool,
}

/// The settings of the section, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("model.name", Kind::Choice(families), "backbone; auto: as the checkpoint says")
        .flag_is("model")
        .auto()
        .pretraining("resnet18")
        .means_in_pretraining("backbone")
        .commands(Command::MODELLING)
        .common(),
    setting("model.stem", Kind::Choice(stems), "first layers; small: for images of up to 64 pixels")
        .auto()
        .commands(Command::MODELLING),
    setting("model.width", Kind::Number(Range::AboveUpTo(0.0, 16.0)), "factor on the number of channels")
        .auto()
        .commands(Command::MODELLING),
    setting("model.num_classes", Kind::Whole(2, ANY), "classes of the classifier; auto: the data says").auto(),
    setting("model.frozen_stages", Kind::Whole(0, 99), "first stages kept as they are (1: the stem)").default("0"),
    setting("model.freeze_batch_norm", Kind::Switch, "keep batch norm as pre-trained").default("false"),
];

fn families() -> Vec<&'static str> {
    Family::ALL.map(Family::name).to_vec()
}

fn stems() -> Vec<&'static str> {
    vec!["imagenet", "small"]
}
