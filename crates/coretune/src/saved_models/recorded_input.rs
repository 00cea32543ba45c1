//! How an image became the input of a network, as a file of coretune records it.

use std::path::Path;

use serde::Deserialize;

use super::SavedModelError;
use crate::checkpoints::{Checkpoint, safetensors_file};

/// How an image became the input of the network in a file that coretune wrote.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct RecordedInput {
    /// Mean of red, green, blue, of pixels in [0, 1].
    pub(crate) mean: [f64; 3],
    /// Their standard deviation.
    pub(crate) std: [f64; 3],
    /// Height and width, pixels.
    pub(crate) img_size: i64,
}

/// Sides of an input that can be true, pixels: what `--img-size` takes.
const SIDES: std::ops::RangeInclusive<i64> = 8..=4096;

impl RecordedInput {
    /// What a checkpoint says; none where coretune has not written it.
    ///
    /// # Errors
    /// [`SavedModelError::Description`] when it cannot be true.
    pub(crate) fn of(checkpoint: &Checkpoint) -> Result<Option<Self>, SavedModelError> {
        let text = checkpoint.metadata().get(safetensors_file::DESCRIPTION).map_or("", String::as_str);
        let described = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
        let recorded =
            ["pretrained", "model", "segmenter"].into_iter().find_map(|kind| Self::deserialize(&described[kind]).ok());
        recorded.map(|input| input.check(checkpoint.path()).map(|()| input)).transpose()
    }

    /// Refuses what cannot be true of a model.
    pub(super) fn check(&self, path: &Path) -> Result<(), SavedModelError> {
        let refused =
            |name, expected, found| Err(SavedModelError::Description { path: path.into(), name, expected, found });
        let RecordedInput { img_size, mean, std } = self;
        if !SIDES.contains(img_size) {
            return refused("img_size", "8 to 4096 pixels", img_size.to_string());
        }
        if !mean.iter().all(|value| value.is_finite()) {
            return refused("mean", "finite numbers", format!("{mean:?}"));
        }
        if !std.iter().all(|value| value.is_finite() && *value > 0.0) {
            return refused("std", "numbers above 0", format!("{std:?}"));
        }
        Ok(())
    }
}
