use std::sync::Arc;

use image::GrayImage;

use super::{MaskCoding, MaskSource};
use crate::data::DataError;
use crate::data::on_threads::{on_threads, processors};

/// A mask for each image of a split, not yet decoded; cheap to clone.
#[derive(Debug, Clone)]
pub struct Masks {
    files: Arc<[MaskSource]>,
    coding: Arc<MaskCoding>,
}

impl Masks {
    /// Masks in the order of their images, all with one coding.
    pub fn new(files: Vec<impl Into<MaskSource>>, coding: Arc<MaskCoding>) -> Self {
        Masks { files: files.into_iter().map(Into::into).collect(), coding }
    }

    /// Where the masks come from.
    pub fn files(&self) -> &[MaskSource] {
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

    /// Pixels of each class over all masks.
    ///
    /// # Errors
    /// What is wrong with the first mask that cannot be read.
    pub fn class_pixels(&self) -> Result<Vec<u64>, DataError> {
        let count = |file: &MaskSource| -> Result<[u64; 256], DataError> {
            let mut counts = [0; 256];
            for &class in self.coding.read(file)?.as_raw() {
                counts[usize::from(class)] += 1;
            }
            Ok(counts)
        };
        let lost = |file: &MaskSource| Err(DataError::Worker { message: file.to_string() });
        let mut sums = vec![0; self.coding.classes().len()];
        for counts in on_threads(&self.files, processors(), count, lost) {
            sums.iter_mut().zip(counts?).for_each(|(sum, count)| *sum += count);
        }
        Ok(sums)
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
