use std::collections::HashSet;
use std::sync::Arc;

use image::RgbImage;

use super::left_out::LeftOut;
use super::on_threads::{on_threads, processors};
use super::{DataError, ImageSource};

/// Images, not yet decoded, and their labels. Clones share everything; a subset shares the encoded bytes.
#[derive(Debug, Clone)]
pub struct Split {
    images: Arc<[ImageSource]>,
    labels: Arc<[i64]>,
    classes: Arc<[String]>,
}

impl Split {
    /// Pairs `images` with `labels`, which are positions in `classes`.
    ///
    /// # Errors
    /// [`DataError::Argument`] when the lengths differ or a label is no position in `classes`.
    pub fn new(images: Vec<ImageSource>, labels: Vec<i64>, classes: Arc<[String]>) -> Result<Self, DataError> {
        if images.len() != labels.len() {
            let (expected, found) = (format!("{}, one for each image", images.len()), labels.len().to_string());
            return Err(DataError::Argument { name: "number of labels", expected, found });
        }
        if let Some(label) = labels.iter().find(|&&label| label < 0 || label >= classes.len() as i64) {
            let (expected, found) = (format!("0 to {}", classes.len().saturating_sub(1)), label.to_string());
            return Err(DataError::Argument { name: "label", expected, found });
        }
        Ok(Split { images: images.into(), labels: labels.into(), classes })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Where the images come from.
    pub fn images(&self) -> &[ImageSource] {
        &self.images
    }

    /// A position in [`Self::classes`] for each image.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// Names of the classes.
    pub fn classes(&self) -> &Arc<[String]> {
        &self.classes
    }

    /// Reads and decodes image `index`; see [`ImageSource::load`].
    ///
    /// # Errors
    /// [`DataError::Index`] beyond the end, otherwise those of [`ImageSource::load`].
    pub fn load(&self, index: usize) -> Result<RgbImage, DataError> {
        self.image(index)?.load()
    }

    pub(super) fn image(&self, index: usize) -> Result<&ImageSource, DataError> {
        self.images.get(index).ok_or(DataError::Index { index, images: self.len() })
    }

    /// The images at `indices`, in that order.
    ///
    /// # Errors
    /// [`DataError::Index`] beyond the end.
    pub fn subset(&self, indices: &[usize]) -> Result<Self, DataError> {
        let images: Result<Vec<_>, _> = indices.iter().map(|&index| self.image(index).cloned()).collect();
        let images = images?.into();
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Ok(Split { images, labels, classes: self.classes.clone() })
    }

    /// All images but those at these positions.
    ///
    /// # Errors
    /// [`DataError::NoImages`] when none is left.
    pub fn without(&self, left_out: &[usize]) -> Result<Self, DataError> {
        let left_out: HashSet<usize> = left_out.iter().copied().collect();
        let kept: Vec<usize> = (0..self.len()).filter(|index| !left_out.contains(index)).collect();
        if kept.is_empty() {
            let first = self.images.first().map(ToString::to_string).unwrap_or_default();
            return Err(DataError::NoImages { path: first.into(), left_out: LeftOut::default() });
        }
        self.subset(&kept)
    }

    /// Number of images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &label in self.labels.iter() {
            counts[label as usize] += 1;
        }
        counts
    }

    /// Positions of the images of each class, ascending.
    pub(super) fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.classes.len()];
        for (index, &label) in self.labels.iter().enumerate() {
            members[label as usize].push(index);
        }
        members
    }

    /// BLAKE3 of the stored bytes and the labels in order, in hexadecimal: equal for equal content wherever it lies.
    ///
    /// Reads every file once, on as many threads as there are processors.
    ///
    /// # Errors
    /// [`DataError::NotFound`] or [`DataError::Read`] when a file cannot be read.
    pub fn content_hash(&self) -> Result<String, DataError> {
        let hash = |image: &ImageSource| Ok(blake3::hash(&image.bytes()?));
        let lost = |image: &ImageSource| Err(DataError::Worker { message: image.to_string() });
        let hashes: Vec<Result<blake3::Hash, DataError>> = on_threads(&self.images, processors(), hash, lost);
        let mut hasher = blake3::Hasher::new();
        for (hash, label) in hashes.into_iter().zip(self.labels.iter()) {
            hasher.update(hash?.as_bytes()).update(&label.to_le_bytes());
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}
