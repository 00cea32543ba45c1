//! Decoded images that are kept in memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use image::{GrayImage, RgbImage};

/// A decoded image and its mask, if it has one.
pub(super) type Pair = (RgbImage, Option<GrayImage>);

/// Decoded images of a split, each kept from its first use on, until the memory for them is full.
#[derive(Debug)]
pub(super) struct ImageCache {
    pairs: Box<[OnceLock<Arc<Pair>>]>,
    most_bytes: u64,
    bytes: AtomicU64,
}

impl ImageCache {
    /// Room for `most_bytes` bytes of pixels of `images` images.
    pub(super) fn new(images: usize, most_bytes: u64) -> Self {
        ImageCache { pairs: (0..images).map(|_| OnceLock::new()).collect(), most_bytes, bytes: AtomicU64::new(0) }
    }

    /// The image at `index`, if it is kept.
    pub(super) fn get(&self, index: usize) -> Option<&Arc<Pair>> {
        self.pairs.get(index)?.get()
    }

    /// Keeps the image at `index`, if there is room.
    pub(super) fn keep(&self, index: usize, pair: &Arc<Pair>) {
        let (image, mask) = &**pair;
        let bytes = (image.len() + mask.as_ref().map_or(0, |mask| mask.len())) as u64;
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let kept = before + bytes <= self.most_bytes
            && self.pairs.get(index).is_some_and(|place| place.set(pair.clone()).is_ok());
        if !kept {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_kept_once_each_until_the_memory_is_full() {
        let cache = ImageCache::new(3, 2 * 12);
        let pair = |value| Arc::new((RgbImage::from_pixel(2, 2, image::Rgb([value; 3])), None));
        assert!(cache.get(1).is_none());
        cache.keep(1, &pair(1));
        cache.keep(1, &pair(9));
        cache.keep(0, &pair(0));
        cache.keep(2, &pair(2));
        assert_eq!(cache.get(1).unwrap().0, pair(1).0);
        assert!(cache.get(0).is_some());
        assert!(cache.get(2).is_none(), "a third image does not fit");
    }
}
