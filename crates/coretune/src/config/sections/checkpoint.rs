//! `[checkpoint]`: where the weights come from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::settings::OnResume::{Fixed, Free};
use crate::settings::{Kind, RunKind, Setting, auto, off, setting};

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointSection {
    /// The file.
    pub path: PathBuf,
    /// The encoder to use if there are several (`query`, `key`, `student`, `teacher`, ...).
    #[serde(with = "auto")]
    pub encoder: Option<String>,
    /// Patterns of backbone tensors that may be missing.
    pub allow_missing: Vec<String>,
    /// Whether the file only names the network, whose weights are drawn by the seed.
    pub random_weights: bool,
}

/// Where the weights of a pre-training run come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainCheckpointSection {
    /// The file; `None`: random weights.
    #[serde(with = "off")]
    pub path: Option<PathBuf>,
    /// As [`CheckpointSection::encoder`].
    #[serde(with = "auto")]
    pub encoder: Option<String>,
    /// As [`CheckpointSection::allow_missing`].
    pub allow_missing: Vec<String>,
}

impl PretrainCheckpointSection {
    /// The checkpoint to start from, if any.
    pub fn given(&self) -> Option<CheckpointSection> {
        let (encoder, allow_missing) = (self.encoder.clone(), self.allow_missing.clone());
        self.path.clone().map(|path| CheckpointSection { path, encoder, allow_missing, random_weights: false })
    }
}

/// The settings of the section, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("checkpoint.path", Kind::Path("CKPT"), "checkpoint to start from")
        .word("off")
        .default_in_pretraining("off")
        .also_called(&["pretrained_path"])
        .on_resume(Free)
        .read_by(RunKind::ALL),
    setting("checkpoint.encoder", Kind::Text("NAME"), "which encoder, if the file holds several")
        .auto(|_| "as the file suggests".into())
        .read_by(RunKind::ALL),
    setting("checkpoint.allow_missing", Kind::Texts("PATTERN"), "backbone tensors that may be missing")
        .default("[]")
        .read_by(RunKind::ALL),
    setting("checkpoint.random_weights", Kind::Switch, "random weights instead of the checkpoint's, as a baseline")
        .default("false")
        .on_resume(Fixed)
        .read_by(RunKind::LABELLED),
];
