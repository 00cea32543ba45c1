use std::path::PathBuf;

use thiserror::Error;

use crate::config::ConfigError;
use crate::run_folder::RunFolderError;
use crate::runs::RunError;
use crate::settings::Hint;

/// Why methods are not compared.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum CompareError {
    /// An entry that is not a method with settings.
    #[error("`{entry}` cannot be compared: {found}")]
    Entry { entry: String, found: String },
    /// A name that is not that of a method.
    #[error("no method is called `{name}`")]
    UnknownMethod { name: String, known: Vec<&'static str> },
    /// Two rows would have the same name.
    #[error("`{name}` is to be compared twice")]
    Twice { name: String },
    /// An axis that is not a setting with values.
    #[error("`{axis}` cannot be tuned: {found}")]
    Axis { axis: String, found: String },
    /// A grid with more values than trials.
    #[error("{key} has {values} values, and each method has {trials} trials")]
    GridTooLarge { key: &'static str, values: usize, trials: usize },
    /// A setting that no method in the comparison reads, or that every one has given.
    #[error("{key} cannot be tuned: no method that is compared leaves it open")]
    NothingToTune { key: &'static str },
    /// A setting of an entry or an axis is refused.
    #[error("`{of}` is refused: {error}")]
    Setting { of: String, error: Box<ConfigError> },
    /// The validation images are the test images.
    #[error("settings cannot be chosen on the test images: the validation split is {split}")]
    ValidationIsTest { split: String },
    /// No method, no seed, no job, no trial.
    #[error("{what} is 0")]
    Nothing { what: &'static str },
    /// The images, the checkpoint or the machine.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The settings of every run.
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// A run folder cannot be read.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// Another comparison uses the folder.
    #[error("another comparison is writing into {path}")]
    InUse { path: PathBuf },
    /// The folder holds something else.
    #[error("{path} is not the folder of a comparison: {found}")]
    NotAComparison { path: PathBuf, found: String },
    /// A file cannot be read or written.
    #[error("{path} cannot be {action}")]
    Io { path: PathBuf, action: &'static str, source: std::io::Error },
    /// Ended because it was asked to.
    #[error("stopped: {finished} runs have finished, and those under way are saved")]
    Interrupted { finished: usize },
}

impl From<ConfigError> for CompareError {
    fn from(error: ConfigError) -> Self {
        CompareError::Config(Box::new(error))
    }
}

impl CompareError {
    /// The particulars, each a word and a text.
    pub fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Setting { error, .. } | Self::Config(error) => error.details(),
            Self::Run(error) => error.details(),
            _ => Vec::new(),
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        let hint: Hint = match self {
            Self::Entry { .. } => "an entry is METHOD or METHOD:KEY=VALUE, such as core-tuning:eta=0".into(),
            Self::UnknownMethod { known, .. } => format!("the methods are {}", known.join(", ")).into(),
            Self::Twice { .. } => "give it once in {@methods=LIST}".into(),
            Self::Axis { .. } => "an axis is KEY=VALUE,VALUE, such as {@tune=eta=0.1,1}".into(),
            Self::GridTooLarge { values, .. } => format!("give {{@trials={values}}} or more, or fewer values").into(),
            Self::NothingToTune { .. } => "leave it out, or compare a method that reads it".into(),
            Self::Setting { error, .. } | Self::Config(error) => return error.hint(),
            Self::ValidationIsTest { .. } => {
                "leave out {data.val_split}: images of the training split are set aside for validation".into()
            }
            Self::Nothing { .. } => "give at least 1".into(),
            Self::Run(error) => return error.hint(),
            Self::RunFolder(error) => return error.hint(),
            Self::InUse { .. } => "wait for it, or name another folder: {run.output=DIR}".into(),
            Self::NotAComparison { .. } => "name a new folder: {run.output=DIR}".into(),
            Self::Io { .. } => return None,
            Self::Interrupted { .. } => "the same command resumes the comparison".into(),
        };
        Some(hint)
    }
}
