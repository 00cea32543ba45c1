//! `[model]`: the network.

use serde::{Deserialize, Serialize};

use crate::config::automatic;
use crate::models::{Family, Stem};
use crate::settings::OnResume::Fixed;
use crate::settings::{ANY, Kind, Range, RunKind, Setting, auto, setting};

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
    setting("model.name", Kind::Choice(Family::names), "backbone")
        .auto(automatic::family_text)
        .on_resume(Fixed)
        .read_by(RunKind::ALL),
    setting("model.stem", Kind::Choice(Stem::names), "first layers; small: for images of up to 64 pixels")
        .auto(automatic::stem_text)
        .on_resume(Fixed)
        .read_by(RunKind::ALL),
    setting("model.width", Kind::Number(Range::AboveUpTo(0.0, 16.0)), "factor on the number of channels")
        .auto(automatic::width_text)
        .on_resume(Fixed)
        .read_by(RunKind::ALL),
    setting("model.num_classes", Kind::Whole(2, ANY), "classes of the classifier")
        .auto(|_| "those of the data".into())
        .on_resume(Fixed),
    setting("model.frozen_stages", Kind::Whole(0, 99), "first stages kept as they are (1: the stem)")
        .default("0")
        .on_resume(Fixed),
    setting("model.freeze_batch_norm", Kind::Switch, "keep batch norm as pre-trained")
        .default("false")
        .on_resume(Fixed),
];
