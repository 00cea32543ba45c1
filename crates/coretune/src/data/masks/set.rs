use std::sync::Arc;

use image::GrayImage;

use super::MaskCoding;
use crate::data::{DataError, ImageSource};

/// A mask for each image of a split, not yet decoded; cheap to clone.
#[derive(Debug, Clone)]
pub struct Masks {
    files: Arc<[ImageSource]>,
    coding: Arc<MaskCoding>,
}

impl Masks {
    /// Masks in the order of their images, all with one coding.
    pub fn new(files: Vec<ImageSource>, coding: Arc<MaskCoding>) -> Self {
        Masks { files: files.into(), coding }
    }

    /// Where the masks come from.
    pub fn files(&self) -> &[ImageSource] {
        &self.files
    }

    /// What their values mean.
    pub fn coding(&self) -> &Arc<MaskCoding> {
        &self.coding
    }

    /// Reads mask `index`: positions in the classes, [`IGNORED`](crate::transforms::IGNORED) where the pixel is ignored.
    ///
    /// # Errors
    /// [`DataError::Index`] beyond the end; what is wrong with the file; [`DataError::MaskValue`] when a pixel is of no class.
    pub fn load(&self, index: usize) -> Result<GrayImage, DataError> {
        let file = self.files.get(index).ok_or(DataError::Index { index, images: self.files.len() })?;
        self.coding.read(file)
    }

    /// The masks at `indices`, which lie within.
    pub(in crate::data) fn subset(&self, indices: &[usize]) -> Self {
        let files = indices.iter().map(|&index| self.files[index].clone()).collect();
        Masks { files, coding: self.coding.clone() }
    }

    /// The same masks with another coding.
    pub(in crate::data) fn with_coding(&self, coding: Arc<MaskCoding>) -> Self {
        Masks { files: self.files.clone(), coding }
    }
}
