//! How the process ends.

use std::process::ExitCode;

/// Exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Everything was done.
    Done,
    /// Failed while running.
    Failed,
    /// Refused: usage, configuration, data or checkpoint.
    Refused,
    /// Ended by a signal, whose number this is; what was computed is saved.
    Interrupted(u8),
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(match status {
            Status::Done => 0,
            Status::Failed => 1,
            Status::Refused => 2,
            Status::Interrupted(signal) => 128 + signal,
        })
    }
}
