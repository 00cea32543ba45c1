//! How the process ends.

use std::process::ExitCode;

/// Exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Everything was done.
    Done = 0,
    /// Failed while running.
    Failed = 1,
    /// Refused: usage, configuration, data or checkpoint.
    Refused = 2,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(status as u8)
    }
}
