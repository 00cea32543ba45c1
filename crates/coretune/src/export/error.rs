use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Format;
use crate::checkpoints::CheckpointError;
use crate::engine::EngineError;
use crate::models::ModelError;
use crate::run_folder::RunFolderError;
use crate::saved_models::SavedModelError;
use crate::settings::Hint;
use crate::train::TrainError;

/// Why a model is not exported.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum ExportError {
    /// Neither `--to` nor the file's name says what to write.
    #[error("{} does not have the extension of a known format", path.display())]
    NoFormat { path: PathBuf },
    /// The file's name says one format and `--to` another.
    #[error("{} has the extension of {named}, but {asked} was asked for", path.display())]
    OtherFormat {
        path: PathBuf,
        /// What its name says.
        named: Format,
        asked: Format,
    },
    /// A file would be overwritten.
    #[error("{} exists already", path.display())]
    Exists { path: PathBuf },
    /// The output is a folder, or the model itself.
    #[error("{} cannot be the output: it is {found}", path.display())]
    Target { path: PathBuf, found: &'static str },
    /// The folder of the output is not there.
    #[error("{} cannot be written: its folder does not exist", path.display())]
    NoFolder { path: PathBuf },
    /// A pre-trained encoder in a format that ends at a classifier's logits.
    #[error("{} is a pre-training run: it has no classifier, which an ONNX file needs", path.display())]
    NoClassifier { path: PathBuf },
    /// A projection head was asked for, and the model has none of the form of G_c.
    #[error("{} has no projection head of the form Linear - ReLU - Linear", path.display())]
    NoProjection { path: PathBuf },
    /// A projection head was asked for in a graph that ends at the logits.
    #[error("an ONNX file has no projection head: its graph ends at the logits")]
    ProjectionInOnnx,
    /// A segmentation network in the layout of a script that has none.
    #[error("a segmentation network has no place in the layout of the published Core-tuning script")]
    SegmenterInTorch,
    /// More weights than an ONNX file can hold.
    #[error("an ONNX file of {bytes} bytes cannot be read by other programs; their limit is {most}")]
    TooLarge {
        /// What it would have.
        bytes: usize,
        /// What it may have.
        most: usize,
    },
    /// The file that was written is not the model.
    #[error("the {format} file that was written differs from the model: {found}, expected {expected}")]
    Differs { format: Format, expected: String, found: String },
    /// The model cannot be read.
    #[error(transparent)]
    Model(Box<TrainError>),
    /// The run folder.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// A file cannot be written, or not be read back.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// libtorch.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<TrainError> for ExportError {
    fn from(error: TrainError) -> Self {
        ExportError::Model(Box::new(error))
    }
}

impl From<SavedModelError> for ExportError {
    fn from(error: SavedModelError) -> Self {
        TrainError::from(error).into()
    }
}

impl From<ModelError> for ExportError {
    fn from(error: ModelError) -> Self {
        TrainError::from(error).into()
    }
}

impl ExportError {
    /// The error of a file that cannot be written.
    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| CheckpointError::File { path: path.into(), doing: "write", source }.into()
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::NoFormat { .. } => {
                Some("give {@format=safetensors}, torch or onnx, or end the name in .safetensors, .pth or .onnx".into())
            }
            Self::OtherFormat { named, asked, .. } => {
                Some(format!("give {{@format={named}}}, or end the name in .{}", asked.extension()).into())
            }
            Self::Exists { .. } => Some("name another file: {@output=FILE}; or replace it: {@force}".into()),
            Self::Target { .. } => Some("name a file: {@output=FILE}".into()),
            Self::NoFolder { .. } => Some("create the folder first, or name another one: {@output=FILE}".into()),
            Self::NoClassifier { .. } => Some("give {@format=torch} or safetensors".into()),
            Self::NoProjection { .. } | Self::ProjectionInOnnx => Some("leave out {@with-projection}".into()),
            Self::SegmenterInTorch => Some("give {@format=safetensors} or onnx".into()),
            Self::TooLarge { .. } => Some("give {@format=safetensors}".into()),
            Self::Differs { .. } => {
                Some("the file was removed; please report this with the output of {@inspect}".into())
            }
            Self::Model(error) => error.hint(),
            Self::RunFolder(error) => error.hint(),
            Self::Checkpoint(error) => error.hint(),
            Self::Engine(error) => error.hint(),
        }
    }

    /// Whether what was asked for cannot be done at all, as against something that failed on the way.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Differs { .. }
            | Self::Engine(EngineError::Torch { .. })
            | Self::Checkpoint(CheckpointError::File { doing: "write", .. }) => false,
            Self::Model(error) => error.is_refusal(),
            _ => true,
        }
    }
}
