use std::path::PathBuf;

use thiserror::Error;

use crate::checkpoints::CheckpointError;
use crate::engine::EngineError;
use crate::models::ModelError;
use crate::run_folder::RunFolderError;
use crate::settings::Hint;

/// Why a model cannot be written, or not be read back.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum SavedModelError {
    /// libtorch.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The network that is described.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The file itself.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The run folder that was named.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// A file that is not a checkpoint of a run.
    #[error("{path} is not a coretune run or one of its checkpoints: {found}")]
    NotARunCheckpoint {
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// The description of the model cannot be true.
    #[error("{} describes a model with {name} {found}, expected {expected}", path.display())]
    Description {
        path: PathBuf,
        name: &'static str,
        /// What may stand there.
        expected: &'static str,
        found: String,
    },
    /// A tensor of a run's checkpoint that does not fit its own description.
    #[error("{path}: tensor {name} has shape {found}, expected {expected}")]
    TensorMismatch {
        path: PathBuf,
        name: String,
        /// The shape that the description asks for.
        expected: String,
        /// The shape in the file.
        found: String,
    },
}

impl SavedModelError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Model(error) => error.hint(),
            Self::Checkpoint(error) => error.hint(),
            Self::RunFolder(error) => error.hint(),
            Self::Description { .. } => Some("was the file written by coretune, and has it been edited since?".into()),
            Self::NotARunCheckpoint { .. } => Some(
                "name the folder of a run of {@fit}; {@inspect} and {@probe} read a checkpoint from elsewhere, and {@fit} with \
                 {checkpoint.path} trains it"
                    .into(),
            ),
            Self::TensorMismatch { .. } => Some("{@inspect} shows what the file holds".into()),
        }
    }
}
