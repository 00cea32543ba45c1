use std::io::ErrorKind;
use std::path::PathBuf;

use thiserror::Error;

use crate::run_folder::RunFolderError;
use crate::settings::Hint;

/// Why a report cannot be made.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum ReportError {
    /// A run folder cannot be read.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// A figure cannot be drawn.
    #[error("a figure cannot be drawn: {message}")]
    Figure { message: String },
    /// The page cannot be written.
    #[error("{path} cannot be written")]
    Write { path: PathBuf, source: std::io::Error },
}

impl ReportError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            ReportError::RunFolder(error) => error.hint(),
            ReportError::Figure { .. } => Some("this is a bug in coretune: please report it".into()),
            ReportError::Write { source, .. } => Some(match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space on the disk".into(),
                _ => "name a file in an existing folder that can be written: {@output=FILE}".into(),
            }),
        }
    }
}
