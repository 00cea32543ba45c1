//! The lines of `changes.jsonl`.

use serde::{Deserialize, Serialize};

/// A setting that a resumed run has taken on instead of the one that it began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// Steps made when it was changed.
    pub step: u64,
    /// The setting, `section.key`.
    pub key: String,
    /// Its value up to there, as TOML.
    pub was: String,
    /// Its value from there on.
    pub now: String,
}
