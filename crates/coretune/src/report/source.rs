use std::path::PathBuf;

use crate::config::RunConfig;

/// A run to report on.
#[derive(Debug, Clone)]
pub struct Source {
    /// The run folder.
    pub folder: PathBuf,
    /// The configuration of the run with the user's changes, such as the device or where the data lies now.
    pub config: RunConfig,
}
