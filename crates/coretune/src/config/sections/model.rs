//! `[model]`: the network.

use serde::{Deserialize, Serialize};

use crate::config::automatic;
use crate::config::error::refuse_if;
use crate::config::{ConfigError, Trainable};
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
    /// What [`crate::config::Trainable::of`] reads: which weights of the backbone are trained.
    pub trainable: String,
    /// First stages kept as they are: 0 none, 1 the stem.
    pub frozen_stages: i64,
    /// Whether batch norm keeps its pre-trained weights and statistics.
    pub freeze_batch_norm: bool,
}

impl ModelSection {
    /// Which weights of the backbone are trained.
    pub fn trained(&self) -> Trainable {
        Trainable::of(&self.trainable).unwrap_or(Trainable::All)
    }

    /// Refuses a text that names no part of a backbone, and two settings that name one each.
    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
        refuse_if(Trainable::of(&self.trainable).is_none(), || ConfigError::Form {
            key: "model.trainable",
            expected: "all, norms, head, last:N of 1 stage or more, or names of tensors with * and commas".into(),
            found: self.trainable.clone(),
        })?;
        refuse_if(self.trained() != Trainable::All && self.frozen_stages > 0, || ConfigError::Conflict {
            first: "model.trainable".into(),
            second: "model.frozen_stages".into(),
            expected: "one of them".into(),
            found: format!("{} and {}", self.trainable, self.frozen_stages),
            hint: "leave out {model.frozen_stages}".into(),
        })
    }
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
    setting(
        "model.trainable",
        Kind::Text("all|norms|last:N|head|NAMES"),
        "part of the backbone to train: all, norms (batch-norm weights and biases), last:N stages, head (no backbone), or names with *",
    )
    .default("all")
    .on_resume(Fixed),
    setting(
        "model.frozen_stages",
        Kind::Whole(0, 99),
        "freeze the first N stages (1: the stem)",
    )
    .default("0")
    .on_resume(Fixed),
    setting("model.freeze_batch_norm", Kind::Switch, "keep batch norm as pre-trained")
        .default("false")
        .on_resume(Fixed),
];
