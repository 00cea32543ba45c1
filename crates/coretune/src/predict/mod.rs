//! Predictions of a trained model for images without labels.
//!
//! ```text
//! inputs::expand(arguments) -> paths          files, folders, patterns
//! Predictor::open(run)                        model, its own evaluation transform, temperature of the run
//!   .predict(paths, ..)                       one Prediction each, in order: the k likeliest classes, or why not
//! Rows::csv(sink), Rows::json_lines(sink)     written as they come
//! MaskPredictor::open(run).predict(..)        a run that segments images: one MaskPrediction each, the class of each pixel
//! AreaRows, MaskFiles                         their areas as rows; masks and overlays as PNG
//! ```

mod area_rows;
mod error;
mod inputs;
mod mask_files;
mod mask_predictor;
mod predictor;
mod reader;
mod rows;

pub use area_rows::AreaRows;
pub use error::PredictError;
pub use inputs::expand;
pub use mask_files::MaskFiles;
pub use mask_predictor::{MaskPrediction, MaskPredictor, Segmented};
pub use predictor::{Options, Prediction, Predictor, Ranked};
pub use rows::Rows;
