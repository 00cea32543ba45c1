use std::path::PathBuf;

use crate::config::RunConfig;

/// A run to report on, of the kind that its configuration says.
#[derive(Debug, Clone)]
pub struct Source<C = RunConfig> {
    /// The run folder.
    pub folder: PathBuf,
    /// The configuration of the run with the user's changes, such as the device or where the data lies now.
    pub config: C,
}
