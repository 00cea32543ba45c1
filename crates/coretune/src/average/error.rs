use std::path::PathBuf;

use thiserror::Error;

use super::Recipe;
use crate::evaluate::EvaluateError;
use crate::models::ModelError;
use crate::run_folder::RunFolderError;
use crate::runs::RunError;
use crate::saved_models::SavedModelError;
use crate::settings::Hint;
use crate::train::TrainError;

/// Why runs cannot be averaged.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum AverageError {
    /// Too few runs, or more than two between which a line is drawn.
    #[error("{found} runs are given")]
    Count { recipe: Recipe, found: usize },
    /// A run that is given twice, and would count twice.
    #[error("{path} is given twice")]
    Repeated { path: PathBuf },
    /// A run without summary or provenance.
    #[error("{path} is not a finished run")]
    Unfinished { path: PathBuf },
    /// Runs that began differently.
    #[error("{path} and {last} do not begin alike: {what} differs")]
    OtherStart { path: PathBuf, last: PathBuf, what: &'static str, found: String, expected: String },
    /// A tensor that one of the models does not have.
    #[error("a model has no tensor {name}")]
    Tensor { name: String },
    /// A run folder.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// Images, configuration or machine.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A model file.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// An exception of libtorch.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Figures.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

impl From<SavedModelError> for AverageError {
    fn from(error: SavedModelError) -> Self {
        TrainError::from(error).into()
    }
}

impl AverageError {
    /// What was expected and found, beside the sentence.
    pub fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Count { recipe: Recipe::Interpolate, .. } => vec![("expected", "two runs".into())],
            Self::Count { .. } => vec![("expected", "two runs or more".into())],
            Self::OtherStart { found, expected, .. } => {
                vec![("expected", expected.clone()), ("found", found.clone())]
            }
            _ => Vec::new(),
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Count { recipe: Recipe::Interpolate, .. } => {
                Some("give a run of {method.name=linear-probe} first, then the fine-tuned run".into())
            }
            Self::Repeated { .. } => Some("name every run once".into()),
            Self::Unfinished { .. } => Some("finish it with {@resume=RUN}".into()),
            Self::OtherStart { .. } => {
                Some("average runs of one checkpoint and one seed, or all with {method.head_init=linear-probe}".into())
            }
            Self::Count { .. } | Self::Tensor { .. } | Self::Evaluate(_) => None,
            Self::RunFolder(error) => error.hint(),
            Self::Run(error) => error.hint(),
            Self::Train(error) => error.hint(),
            Self::Model(error) => error.hint(),
        }
    }
}
