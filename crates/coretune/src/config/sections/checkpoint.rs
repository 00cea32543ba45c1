//! `[checkpoint]`: where the weights come from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::settings::OnResume::Free;
use crate::settings::{Kind, Setting, auto, setting};

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
}

/// The settings of the section, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("checkpoint.path", Kind::Path("CKPT"), "checkpoint to start from")
        .also_called(&["pretrained_path"])
        .on_resume(Free),
    setting("checkpoint.encoder", Kind::Text("NAME"), "which encoder, if the file holds several")
        .auto(|_| "as the file suggests".into()),
    setting("checkpoint.allow_missing", Kind::Texts("PATTERN"), "backbone tensors that may be missing").default("[]"),
];
