use std::path::PathBuf;

use thiserror::Error;

/// Why a run folder cannot be used.
#[derive(Debug, Error)]
pub enum RunFolderError {
    /// Something is there already.
    #[error("the run folder {path} is not empty")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A file of it cannot be read or written.
    #[error("{path} cannot be {action}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: read, written, created.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is there and holds something else.
    #[error("{path} is no {expected}: {found}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// What is wrong.
        found: String,
    },
}

impl RunFolderError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        None
    }
}
