//! A batch in the making, to which several threads add images.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use coretune_native::Slots;
use image::{GrayImage, RgbImage};
use tch::Tensor;

use super::DataError;
use crate::engine;

/// A batch in the making. The first image that is added decides about the size of all.
#[derive(Debug)]
pub(super) struct Assembly {
    number: usize,
    images: usize,
    views: usize,
    page_locked: bool,
    /// `None` when there is no memory for them.
    planes: OnceLock<Option<Planes>>,
    left: AtomicUsize,
    faults: Mutex<Faults>,
}

/// Where the pixels of a batch go.
#[derive(Debug)]
struct Planes {
    size: (u32, u32),
    images: Slots,
    masks: Option<Slots>,
}

/// What went wrong, by position in the batch.
#[derive(Debug, Default)]
struct Faults {
    errors: BTreeMap<usize, DataError>,
    /// (width, height) of images that do not have the size of the first that was added.
    other_sizes: BTreeMap<usize, (u32, u32)>,
}

/// The first image of a batch with another size than the one at position 0.
struct OtherSize {
    position: usize,
    size: (u32, u32),
    batch: (u32, u32),
}

impl Assembly {
    pub(super) fn new(number: usize, images: usize, views: usize, page_locked: bool) -> Self {
        let (left, faults) = (AtomicUsize::new(images), Mutex::default());
        Assembly { number, images, views, page_locked, planes: OnceLock::new(), left, faults }
    }

    /// Number of the batch.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Images of the batch, in one view.
    pub(super) fn images(&self) -> usize {
        self.images
    }

    /// Notes that `images` images were added or failed; whether they were the last ones.
    pub(super) fn finish(&self, images: usize) -> bool {
        self.left.fetch_sub(images, Ordering::AcqRel) == images
    }

    pub(super) fn is_finished(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }

    /// Copies a view of the image at `position`, and its mask if the images have masks.
    pub(super) fn add(
        &self,
        (position, view): (usize, usize),
        image: &RgbImage,
        mask: Option<&GrayImage>,
    ) -> Result<(), DataError> {
        let (size, mut failed) = (image.dimensions(), None);
        let planes = self.planes.get_or_init(|| match self.planes(size, mask.is_some()) {
            Ok(planes) => Some(planes),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        let Some(planes) = planes else { return failed.map_or(Ok(()), Err) };
        if size != planes.size {
            self.faults().other_sizes.entry(position).or_insert(size);
            return Ok(());
        }
        let slot = view * self.images + position;
        planes.images.write(slot, image);
        if let (Some(masks), Some(mask)) = (&planes.masks, mask) {
            masks.write(slot, mask);
        }
        Ok(())
    }

    fn planes(&self, (width, height): (u32, u32), with_masks: bool) -> Result<Planes, DataError> {
        let (count, pixels) = (self.views * self.images, width as usize * height as usize);
        let slots = |bytes| {
            // `guard` turns libtorch's exceptions into errors, whether they come as a panic or as a value.
            let new = || Slots::new(count, bytes, self.page_locked).expect("memory for a batch");
            engine::guard("making room for a batch", new)
        };
        let images = slots(3 * pixels)?;
        let masks = with_masks.then(|| slots(pixels)).transpose()?;
        Ok(Planes { size: (width, height), images, masks })
    }

    /// Notes why the image at `position` could not be added.
    pub(super) fn fail(&self, position: usize, error: DataError) {
        self.faults().errors.insert(position, error);
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Images `[views n, h, w, 3]` and masks `[views n, h, w]` of the finished batch. `name` names the image at a position.
    ///
    /// # Errors
    /// The error of the first image that has one, in the order of the batch; [`DataError::SizesDiffer`] for an image that
    /// does not have the size of the one at position 0.
    pub(super) fn tensors(&self, name: impl Fn(usize) -> String) -> Result<(Tensor, Option<Tensor>), DataError> {
        if let Some(error) = self.first_error(name) {
            return Err(error);
        }
        let count = (self.views * self.images) as i64;
        let shaped = |slots: &Slots, shape: &[i64]| engine::guard("making a batch", || slots.tensor().view(shape));
        match self.planes.get() {
            Some(Some(Planes { size: (width, height), images, masks })) => {
                let (width, height) = (i64::from(*width), i64::from(*height));
                let masks = masks.as_ref().map(|masks| shaped(masks, &[count, height, width])).transpose()?;
                Ok((shaped(images, &[count, height, width, 3])?, masks))
            }
            _ => Ok((engine::guard("making a batch", || Tensor::from_slice::<u8>(&[]).view([count, 0, 0, 3]))?, None)),
        }
    }

    fn first_error(&self, name: impl Fn(usize) -> String) -> Option<DataError> {
        let mut faults = self.faults();
        let failed = faults.errors.keys().next().copied();
        let other_size = self.first_of_another_size(&faults);
        match (failed, other_size) {
            (Some(failed), other) if other.as_ref().is_none_or(|other| failed < other.position) => {
                faults.errors.remove(&failed)
            }
            (_, Some(OtherSize { position, size: (width, height), batch: (batch_width, batch_height) })) => {
                Some(DataError::SizesDiffer { image: name(position), width, height, batch_width, batch_height })
            }
            _ => None,
        }
    }

    fn first_of_another_size(&self, faults: &Faults) -> Option<OtherSize> {
        let planes = self.planes.get()?.as_ref()?;
        let size_at = |position: usize| *faults.other_sizes.get(&position).unwrap_or(&planes.size);
        let succeeded = |position: &usize| !faults.errors.contains_key(position);
        let first = size_at((0..self.images).find(succeeded)?);
        if faults.other_sizes.is_empty() {
            return None;
        }
        let other = (0..self.images).filter(succeeded).find(|&position| size_at(position) != first)?;
        Some(OtherSize { position: other, size: size_at(other), batch: first })
    }
}
