use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::data::DataError;
use crate::files::storage_hint;
use crate::runs::MachineError;
use crate::saved_models::SavedModelError;
use crate::settings::Hint;
use crate::train::TrainError;

/// Why nothing is predicted. An image that cannot be read is not an error: its row says so.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum PredictError {
    /// The model.
    #[error(transparent)]
    Model(#[from] TrainError),
    /// The machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A folder that cannot be listed.
    #[error(transparent)]
    Input(#[from] DataError),
    /// Nothing to predict.
    #[error("no images found in {found}")]
    NoImages { found: String },
    /// An invalid pattern.
    #[error("{pattern} is not a valid pattern of paths: {message}")]
    Pattern {
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A folder for results holds files already.
    #[error("the folder {} for the results is not empty", folder.display())]
    FolderInUse { folder: PathBuf },
    /// The results of two images would have one name.
    #[error(
        "{} and {} would both be written to {}",
        first.display(), second.display(), Path::new(name).display()
    )]
    SameName { name: OsString, first: PathBuf, second: PathBuf },
    /// The rows cannot be written.
    #[error("the predictions cannot be written")]
    Write(#[from] std::io::Error),
}

impl From<SavedModelError> for PredictError {
    fn from(error: SavedModelError) -> Self {
        TrainError::from(error).into()
    }
}

impl PredictError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Model(error) => error.hint(),
            Self::Machine(error) => error.hint(),
            Self::Input(error) => error.hint(),
            Self::NoImages { .. } => Some(
                "give image files, folders, patterns such as 'photos/*.jpg', or - for a list of paths on stdin".into(),
            ),
            Self::Pattern { .. } => Some("* matches any characters, ? one character, [ab] one of these".into()),
            Self::FolderInUse { .. } => Some("name a folder that is empty or does not exist".into()),
            Self::SameName { .. } => Some("predict the images of one folder at a time".into()),
            Self::Write(error) => storage_hint(error.kind()),
        }
    }

    /// Whether what was asked for cannot be done at all, as against something that failed on the way.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Model(error) => error.is_refusal(),
            Self::Machine(_)
            | Self::Input(_)
            | Self::NoImages { .. }
            | Self::Pattern { .. }
            | Self::FolderInUse { .. }
            | Self::SameName { .. } => true,
            Self::Write(_) => false,
        }
    }
}
