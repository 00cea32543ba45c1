use std::collections::BTreeMap;

use super::recognised::Mismatched;
use crate::models::Architecture;

/// A backbone found under a prefix.
pub(super) struct EncoderInFile {
    /// What it is called, such as `query` or `teacher`.
    pub(super) encoder: String,
    /// Without wrappers.
    pub(super) prefix: String,
    pub(super) architecture: Architecture,
    /// Our name, and the file's without wrappers.
    pub(super) names: BTreeMap<String, String>,
    /// Those of another shape than the network's, which are not in `names`.
    pub(super) mismatched: Vec<Mismatched>,
}
