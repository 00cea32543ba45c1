use thiserror::Error;

use super::ranks::RanksError;
use crate::settings::Hint;

/// What can go wrong between this crate and libtorch.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum EngineError {
    /// A tensor has another shape than the formula needs.
    #[error("{tensor} has shape {found:?}, expected {expected}")]
    Shape {
        /// Name of the tensor, as in the signature.
        tensor: &'static str,
        /// The shape as text, such as `[n, D]`.
        expected: String,
        found: Vec<i64>,
    },
    /// A tensor has another element type than the formula needs.
    #[error("{tensor} holds {found}, expected {expected}")]
    Kind {
        /// Name of the tensor.
        tensor: &'static str,
        /// Element types accepted, as text.
        expected: &'static str,
        found: String,
    },
    /// A value lies outside the range where the formula is defined.
    #[error("{name} is {found}, expected {expected}")]
    Value {
        /// Name of the argument.
        name: &'static str,
        /// The range as text.
        expected: String,
        found: String,
    },
    /// libtorch threw an exception.
    #[error("libtorch failed while {doing}: {message}")]
    Torch {
        /// What was being done, as text.
        doing: &'static str,
        /// First line of the exception's message.
        message: String,
    },
    /// Another rank.
    #[error(transparent)]
    Ranks(#[from] RanksError),
}

impl EngineError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Torch { message, .. } if message.contains("memory") => {
                Some("a smaller {train.batch_size} or {data.img_size} needs less memory".into())
            }
            Self::Ranks(error) => error.hint(),
            _ => None,
        }
    }
}
