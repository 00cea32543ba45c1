//! Trained networks on disk that can be used without the runs that they came from: the weights, and a description of the
//! network, its classes and its input.
//!
//! `best.safetensors` of a run is such a file. `last.safetensors` is one too: it also holds the state of training, which
//! [`crate::train`] writes and reads.

mod classifier;
mod error;
mod named_tensors;
mod recorded_input;
mod segmenter;

pub use classifier::{ModelDescription, load_model, save_model};
pub use error::SavedModelError;
pub(crate) use named_tensors::{copy_named, first_not_finite};
pub(crate) use recorded_input::RecordedInput;
pub use segmenter::{SegmenterDescription, is_segmentation, load_segmenter, save_segmenter};
