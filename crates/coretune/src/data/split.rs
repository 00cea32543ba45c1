use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use image::{GrayImage, RgbImage};

use super::bit_depth::{BitDepthRange, joined};
use super::image_cache::{ImageCache, Pair};
use super::image_source::size_in_header;
use super::left_out::LeftOut;
use super::on_threads::{on_threads, processors};
use super::{DataError, ImageSource, MaskSource, Masks};
use crate::files::below;

/// Images, not yet decoded, and the target of each: a class, or a mask. Clones share everything; a subset shares the encoded bytes.
#[derive(Debug, Clone)]
pub struct Split {
    images: Arc<[ImageSource]>,
    targets: Targets,
    classes: Arc<[String]>,
    bit_depth: BitDepthRange,
    cache: Option<Arc<ImageCache>>,
}

/// What belongs to the images of a split.
#[derive(Debug, Clone)]
enum Targets {
    /// A class each.
    Classes(Arc<[i64]>),
    /// The class of every pixel.
    Masks(Masks),
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
        let targets = Targets::Classes(labels.into());
        Ok(Split { images: images.into(), targets, classes, bit_depth: BitDepthRange::FULL, cache: None })
    }

    /// Pairs `images` with `masks`, whose coding says the classes.
    ///
    /// # Errors
    /// [`DataError::Argument`] when the lengths differ.
    pub fn with_masks(images: Vec<ImageSource>, masks: Masks) -> Result<Self, DataError> {
        if images.len() != masks.files().len() {
            let (expected, found) = (format!("{}, one for each image", images.len()), masks.files().len().to_string());
            return Err(DataError::Argument { name: "number of masks", expected, found });
        }
        let classes = masks.coding().classes().clone();
        let targets = Targets::Masks(masks);
        Ok(Split { images: images.into(), targets, classes, bit_depth: BitDepthRange::FULL, cache: None })
    }

    /// The same images, read with these values of 16-bit images as black and white.
    #[must_use]
    pub fn with_bit_depth(self, bit_depth: BitDepthRange) -> Self {
        Split { bit_depth, cache: None, ..self }
    }

    /// The same images, which the loader keeps decoded from their first use on, in `most_bytes` bytes of memory at most.
    #[must_use]
    pub fn cached(&self, most_bytes: u64) -> Self {
        Split { cache: Some(Arc::new(ImageCache::new(self.len(), most_bytes))), ..self.clone() }
    }

    /// Bytes that all images take when they are decoded, with their masks: estimated from the headers of a hundred.
    pub fn decoded_bytes(&self) -> u64 {
        const MEASURED: usize = 100;
        let step = self.len().div_ceil(MEASURED).max(1);
        let measured: Vec<u64> = (self.images.iter().step_by(step))
            .filter_map(|image| size_in_header(image).ok())
            .map(|(width, height)| u64::from(width) * u64::from(height))
            .collect();
        let pixels = measured.iter().map(|&pixels| pixels as f64).sum::<f64>() / measured.len().max(1) as f64;
        let channels = if self.masks().is_some() { 4.0 } else { 3.0 };
        (pixels * channels * self.len() as f64) as u64
    }

    /// The values of 16-bit images that become black and white.
    pub fn bit_depth(&self) -> BitDepthRange {
        self.bit_depth
    }

    /// From the least to the greatest value of the 16-bit images, all values without such images. Images that cannot be
    /// read are left to the check of the data.
    ///
    /// # Errors
    /// [`DataError::Worker`] when a thread ended without a result.
    pub fn measure_bit_depth(&self) -> Result<BitDepthRange, DataError> {
        let values = |image: &ImageSource| Ok(image.values_of_16_bits());
        let lost = |image: &ImageSource| Err(DataError::Worker { message: image.to_string() });
        let mut range = None;
        for values in on_threads(&self.images, processors(), values, lost) {
            range = joined(range, values?);
        }
        Ok(range.map_or(BitDepthRange::FULL, |(low, high)| BitDepthRange::new(low, high)))
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

    /// A position in [`Self::classes`] for each image; empty when the images have masks.
    pub fn labels(&self) -> &[i64] {
        match &self.targets {
            Targets::Classes(labels) => labels,
            Targets::Masks(_) => &[],
        }
    }

    /// The masks of the images, if that is what they have.
    pub fn masks(&self) -> Option<&Masks> {
        match &self.targets {
            Targets::Classes(_) => None,
            Targets::Masks(masks) => Some(masks),
        }
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
        self.image(index)?.load_over(self.bit_depth)
    }

    /// Reads and decodes image `index` and its mask, which has the size of the image; `None` without masks.
    ///
    /// # Errors
    /// Those of [`Self::load`] and [`Masks::load`]; [`DataError::MaskSize`] when the sizes differ.
    pub fn load_pair(&self, index: usize) -> Result<(RgbImage, Option<GrayImage>), DataError> {
        let image = self.load(index)?;
        let Some(masks) = self.masks() else { return Ok((image, None)) };
        let mask = masks.load(index)?;
        if mask.dimensions() == image.dimensions() {
            return Ok((image, Some(mask)));
        }
        let ((width, height), (image_width, image_height)) = (mask.dimensions(), image.dimensions());
        let turned = self.images[index].is_turned();
        let (mask, image) = (masks.files()[index].to_string(), self.images[index].to_string());
        Err(DataError::MaskSize { mask, width, height, image, image_width, image_height, turned })
    }

    /// [`Self::load_pair`], from memory if the pair is kept there.
    pub(super) fn shared_pair(&self, index: usize) -> Result<Arc<Pair>, DataError> {
        if let Some(kept) = self.cache.as_ref().and_then(|cache| cache.get(index)) {
            return Ok(kept.clone());
        }
        let pair = Arc::new(self.load_pair(index)?);
        if let Some(cache) = &self.cache {
            cache.keep(index, &pair);
        }
        Ok(pair)
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
        let targets = match &self.targets {
            Targets::Classes(labels) => Targets::Classes(indices.iter().map(|&index| labels[index]).collect()),
            Targets::Masks(masks) => Targets::Masks(masks.subset(indices)),
        };
        Ok(Split { images, targets, classes: self.classes.clone(), bit_depth: self.bit_depth, cache: None })
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

    /// Number of images of each class; none of any where the images have masks.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &label in self.labels() {
            counts[label as usize] += 1;
        }
        counts
    }

    /// Positions of the images of each class, ascending; of all images in one list where they have masks.
    pub(super) fn members(&self) -> Vec<Vec<usize>> {
        if self.masks().is_some() {
            return vec![(0..self.len()).collect()];
        }
        let mut members = vec![Vec::new(); self.classes.len()];
        for (index, &label) in self.labels().iter().enumerate() {
            members[label as usize].push(index);
        }
        members
    }

    /// The same images with other labels, positions in the same classes.
    ///
    /// # Errors
    /// [`DataError::Argument`] when there is not one label for each image, or one is no position in the classes.
    pub fn with_labels(&self, labels: Vec<i64>) -> Result<Self, DataError> {
        Ok(Split::new(self.images().to_vec(), labels, self.classes.clone())?.with_bit_depth(self.bit_depth))
    }

    /// The images of this split, then those of `more`, whose labels are of the same classes.
    ///
    /// # Errors
    /// [`DataError::Argument`] when one of the two has masks or a label is no position in the classes of this split.
    pub fn followed_by(&self, more: &Split) -> Result<Self, DataError> {
        let images = [self.images(), more.images()].concat();
        let labels = [self.labels(), more.labels()].concat();
        Ok(Split::new(images, labels, self.classes.clone())?.with_bit_depth(self.bit_depth))
    }

    /// BLAKE3 of the stored bytes of each image, without its label.
    ///
    /// # Errors
    /// Those of [`Self::content_hash`].
    pub(super) fn content_hashes(&self) -> Result<Vec<blake3::Hash>, DataError> {
        hashes(&self.images)
    }

    /// BLAKE3 of the stored bytes and the labels (or the masks and what their values mean) in order, in hexadecimal: equal for equal content wherever it lies. [`Self::bit_depth`] counts too, if it is not the full range.
    ///
    /// Reads every file once, on as many threads as there are processors.
    ///
    /// # Errors
    /// [`DataError::NotFound`] or [`DataError::Read`] when a file cannot be read.
    pub fn content_hash(&self) -> Result<String, DataError> {
        let mut hasher = blake3::Hasher::new();
        match &self.targets {
            Targets::Classes(labels) => {
                for (hash, label) in hashes(&self.images)?.iter().zip(labels.iter()) {
                    hasher.update(hash.as_bytes()).update(&label.to_le_bytes());
                }
            }
            Targets::Masks(masks) => {
                for (image, mask) in hashes(&self.images)?.iter().zip(mask_hashes(masks.files())?) {
                    hasher.update(image.as_bytes()).update(mask.as_bytes());
                }
                hasher.update(&masks.coding().fingerprint());
            }
        }
        if !self.bit_depth.is_full() {
            let [low, high] = <[u16; 2]>::from(self.bit_depth).map(u16::to_le_bytes);
            hasher.update(&low).update(&high);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// BLAKE3 of names below `root`, sizes and labels in order, in hexadecimal; no image is read.
    pub fn list_hash(&self, root: &Path) -> String {
        let mut hasher = blake3::Hasher::new();
        for image in self.images.iter() {
            hasher.update(name_and_size(image, root).as_bytes());
        }
        match &self.targets {
            Targets::Classes(labels) => {
                for label in labels.iter() {
                    hasher.update(&label.to_le_bytes());
                }
            }
            Targets::Masks(masks) => {
                for mask in masks.files() {
                    hasher.update(mask.list_entry(|file| name_and_size(file, root)).as_bytes());
                }
                hasher.update(&masks.coding().fingerprint());
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// A file below `root`, with its size; without reading it.
fn name_and_size(image: &ImageSource, root: &Path) -> String {
    let size = match image {
        ImageSource::File(path) => std::fs::metadata(path).map_or(0, |file| file.len()),
        ImageSource::Encoded { bytes, .. } => bytes.len() as u64,
        ImageSource::Raw(_) => 0,
    };
    // Ranks may name one folder in different ways.
    let name = below(root, Path::new(&image.to_string()));
    format!("{}\t{size}\n", name.display())
}

/// BLAKE3 of each mask as it is stored.
fn mask_hashes(masks: &[MaskSource]) -> Result<Vec<blake3::Hash>, DataError> {
    let lost = |mask: &MaskSource| Err(DataError::Worker { message: mask.to_string() });
    on_threads(masks, processors(), MaskSource::content_hash, lost).into_iter().collect()
}

/// BLAKE3 of the stored bytes of each file.
pub(super) fn hashes(files: &[ImageSource]) -> Result<Vec<blake3::Hash>, DataError> {
    let hash = |file: &ImageSource| Ok(blake3::hash(&file.bytes()?));
    let lost = |file: &ImageSource| Err(DataError::Worker { message: file.to_string() });
    on_threads(files, processors(), hash, lost).into_iter().collect()
}
