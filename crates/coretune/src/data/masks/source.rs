use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::drawing::Drawing;
use super::stored::{StoredMask, decode_mask};
use crate::data::{DataError, ImageSource};

/// Where a mask comes from; cheap to clone.
#[derive(Debug, Clone)]
pub enum MaskSource {
    /// An image whose pixels are numbers or colours.
    File(ImageSource),
    /// Outlines of objects, which are filled when the mask is read.
    Drawing(Arc<Drawing>),
}

impl MaskSource {
    /// The numbers or colours of all pixels.
    pub(super) fn stored(&self) -> Result<StoredMask, DataError> {
        match self {
            MaskSource::File(file) => decode_mask(&file.bytes()?, file),
            MaskSource::Drawing(drawing) => drawing.filled(),
        }
    }

    /// BLAKE3 of what is stored: of the file, or of the outlines.
    pub(in crate::data) fn content_hash(&self) -> Result<blake3::Hash, DataError> {
        Ok(match self {
            MaskSource::File(file) => blake3::hash(&file.bytes()?),
            MaskSource::Drawing(drawing) => drawing.content_hash(),
        })
    }

    /// A file as `of_file` names it, outlines by their hash.
    pub(in crate::data) fn list_entry(&self, of_file: impl Fn(&ImageSource) -> String) -> String {
        match self {
            MaskSource::File(file) => of_file(file),
            MaskSource::Drawing(drawing) => drawing.content_hash().to_hex().to_string(),
        }
    }
}

impl From<ImageSource> for MaskSource {
    fn from(file: ImageSource) -> Self {
        MaskSource::File(file)
    }
}

impl From<PathBuf> for MaskSource {
    fn from(path: PathBuf) -> Self {
        MaskSource::File(ImageSource::File(Arc::from(path)))
    }
}

impl fmt::Display for MaskSource {
    /// The file, for messages; of outlines also the image that they belong to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaskSource::File(file) => file.fmt(f),
            MaskSource::Drawing(drawing) => drawing.fmt(f),
        }
    }
}
