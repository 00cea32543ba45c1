use std::path::PathBuf;

use thiserror::Error;

use crate::data::DataError;
use crate::engine::EngineError;
use crate::models::ModelError;
use crate::settings::Hint;

/// Why something could not be evaluated.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum EvaluateError {
    /// A tensor has the wrong shape, element type or label, or libtorch failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The images cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Stopped between two batches, as requested.
    #[error("stopped before the evaluation was complete")]
    Interrupted,
    /// There is nothing to evaluate.
    #[error("{tensor} is empty: {found:?}")]
    Empty { tensor: &'static str, found: Vec<i64> },
    /// A tensor holds NaN or an infinity.
    #[error("{tensor} holds a value that is not finite, first in row {row}")]
    NotFinite { tensor: &'static str, row: i64 },
    /// A figure is NaN or infinite.
    #[error("the figure {name} is {value}")]
    FigureNotFinite { name: String, value: f64 },
    /// A classifier cannot be fitted to images of one class.
    #[error("all {images} training images are of class {class}, expected at least two classes")]
    OneClass { class: i64, images: usize },
    /// Two lists that speak of the same images differ in length.
    #[error("two classifiers were compared on different images: {first} and {second}")]
    DifferentImages { first: usize, second: usize },
    /// The optimizer of the linear probe gave up.
    #[error("the linear probe with penalty {penalty} could not be fitted: {message}")]
    Probe { penalty: f64, message: String },
    /// A thread ended without a result.
    #[error("a thread ended without a result while {doing}")]
    Thread { doing: &'static str },
    /// The features cache could not be written.
    #[error("the features cache {path} could not be written")]
    Cache { path: PathBuf, source: std::io::Error },
}

impl EvaluateError {
    /// When values are NaN or infinite: which ones, as a sentence about `images`, such as `validation`.
    pub fn not_finite(&self, images: &str) -> Option<String> {
        match self {
            EvaluateError::NotFinite { tensor, .. } => Some(format!("the {tensor} of {images} hold NaN or infinity")),
            EvaluateError::FigureNotFinite { name, value } => Some(format!("the {name} of {images} is {value}")),
            _ => None,
        }
    }

    /// What the user can do about it, if anything.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            EvaluateError::Data(error) => error.hint(),
            EvaluateError::Model(error) => error.hint(),
            EvaluateError::NotFinite { .. } | EvaluateError::FigureNotFinite { .. } => Some(
                "check the weights for NaN ({@inspect}); features that overflow in bf16 may fit in f32: {run.amp=off}"
                    .into(),
            ),
            EvaluateError::OneClass { .. } => {
                Some("give images of at least two classes: one folder per class below the split".into())
            }
            EvaluateError::Cache { .. } => Some("set XDG_CACHE_HOME to a folder that can be written".into()),
            _ => None,
        }
    }
}
