//! Predictions of a trained model for images without labels.
//!
//! ```text
//! inputs::expand(arguments) -> paths          files, folders, patterns
//! Predictor::open(run)                        model, its own evaluation transform, temperature of the run
//!   .predict(paths, ..)                       one Prediction each, in order: the k likeliest classes, or why not
//! Rows::csv(sink), Rows::json_lines(sink)     written as they come
//! ```

mod error;
mod inputs;
mod predictor;
mod reader;
mod rows;

pub use error::PredictError;
pub use inputs::expand;
pub use predictor::{Options, Prediction, Predictor, Ranked};
pub use rows::Rows;
