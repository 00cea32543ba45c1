//! `pixels.csv`: how many pixels of each class every image of the evaluated split has, and how many of them were found.

use serde::{Deserialize, Serialize};

/// A line of `pixels.csv`. A class that an image has neither in truth nor in prediction has no line; an image without a
/// labelled pixel has one line of zeros.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PixelRecord {
    /// `validation` or `test`.
    pub split: String,
    /// The image: its file.
    pub image: String,
    /// Number of the class.
    pub class: usize,
    /// Pixels of the class that were found.
    pub hit: u64,
    /// Pixels of the class.
    pub truth: u64,
    /// Labelled pixels that were predicted as the class.
    pub predicted: u64,
}
