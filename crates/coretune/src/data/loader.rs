//! Batches, made by threads ahead of the step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use image::{GrayImage, RgbImage};
use tch::Tensor;

use super::{DataError, Split};
use crate::engine;
use crate::random::{Purpose, stream};
use crate::transforms::Transform;

/// What a step gets.
#[derive(Debug)]
pub struct Batch {
    /// RGB, uint8, `[views n, h, w, 3]`, contiguous, on the CPU: the first view of every image, then the second.
    pub images: Tensor,
    /// Class of each image; empty where the images have masks.
    pub labels: Vec<i64>,
    /// The masks, uint8, `[views n, h, w]`, contiguous, on the CPU: positions in the classes, 255 where a pixel is ignored.
    /// `None` where the images have a class each.
    pub masks: Option<Tensor>,
    /// Position of each image in the split.
    pub indices: Vec<usize>,
}

/// How a [`Loader`] works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Seed of the augmentation.
    pub seed: u64,
    /// Epoch of the augmentation.
    pub epoch: u64,
    /// Threads; 0 counts as 1. The batches do not depend on it.
    pub workers: usize,
    /// Finished batches that wait, per worker; 0 counts as 1.
    pub prefetch: usize,
    /// Times that each image is transformed, every time with other draws; 0 counts as 1.
    pub views: usize,
}

impl Default for LoaderOptions {
    /// One thread that stays two batches ahead, seed and epoch 0, one view.
    fn default() -> Self {
        LoaderOptions { seed: 0, epoch: 0, workers: 1, prefetch: 2, views: 1 }
    }
}

/// Iterator over batches that threads decode and transform ahead.
///
/// Worker w makes the batches w, w + W, ..., and the consumer takes them in turn, so they come in the order asked for.
/// The augmentation of a sample depends on (seed, epoch, its position in the split) alone. In memory are at most
/// W (prefetch + 1) batches beside the one that was handed out. The first error is the last item. Dropping the loader
/// stops its threads after the image each is at.
#[derive(Debug)]
pub struct Loader {
    receivers: Vec<Receiver<Result<Batch, DataError>>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    next: usize,
    batches: usize,
    waited: Duration,
}

/// What all workers share.
struct Work {
    split: Split,
    transform: Arc<Transform>,
    batches: Vec<Vec<usize>>,
    options: LoaderOptions,
    stop: Arc<AtomicBool>,
}

impl Loader {
    /// Starts the threads on `batches`, lists of positions in `split` as a [`super::sampler`] makes them.
    ///
    /// # Errors
    /// [`DataError::Index`] when a batch names a position beyond the end; [`DataError::Read`] when no thread can be
    /// started.
    pub fn new(
        split: Split,
        transform: Arc<Transform>,
        batches: Vec<Vec<usize>>,
        options: LoaderOptions,
    ) -> Result<Self, DataError> {
        if let Some(&index) = batches.iter().flatten().find(|&&index| index >= split.len()) {
            return Err(DataError::Index { index, images: split.len() });
        }
        let workers = options.workers.clamp(1, batches.len().max(1));
        let stop = Arc::new(AtomicBool::new(false));
        let mut loader = Loader {
            receivers: Vec::with_capacity(workers),
            threads: Vec::with_capacity(workers),
            stop: stop.clone(),
            next: 0,
            batches: batches.len(),
            waited: Duration::ZERO,
        };
        let work = Arc::new(Work { split, transform, batches, options, stop });
        for worker in 0..workers {
            let (sender, receiver) = sync_channel(options.prefetch.max(1));
            let work = work.clone();
            let mut own = (worker..loader.batches).step_by(workers);
            let thread = thread::Builder::new().name(format!("loader-{worker}")).spawn(move || {
                let _ = own.all(|batch| work.deliver(batch, &sender));
            });
            loader.threads.push(thread.map_err(|error| DataError::Worker { message: error.to_string() })?);
            loader.receivers.push(receiver);
        }
        Ok(loader)
    }

    /// Time that [`Iterator::next`] spent waiting for a batch, so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.batches {
            return None;
        }
        let started = Instant::now();
        let received = self.receivers[self.next % self.receivers.len()].recv();
        self.waited += started.elapsed();
        let batch = received.unwrap_or_else(|_| Err(DataError::Worker { message: "it ended early".to_string() }));
        self.next = if batch.is_ok() { self.next + 1 } else { self.batches };
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.next < self.batches), Some(self.batches - self.next))
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A worker that waits for room in its channel wakes up with an error.
        self.receivers.clear();
        for thread in self.threads.drain(..) {
            // Whatever it panicked with has been reported as a batch or is of no interest any more.
            let _ = thread.join();
        }
    }
}

impl Work {
    /// Makes batch number `batch` and sends it; whether the worker should go on.
    fn deliver(&self, batch: usize, sender: &SyncSender<Result<Batch, DataError>>) -> bool {
        let made = catch_unwind(AssertUnwindSafe(|| self.make(&self.batches[batch])));
        let made =
            made.unwrap_or_else(|panic| Err(DataError::Worker { message: engine::panic_text(panic.as_ref()).into() }));
        match made.transpose() {
            None => false,
            Some(made) => {
                let go_on = made.is_ok();
                sender.send(made).is_ok() && go_on
            }
        }
    }

    /// Decodes and transforms the images at `indices`; `None` when the loader was dropped meanwhile.
    fn make(&self, indices: &[usize]) -> Result<Option<Batch>, DataError> {
        let views = self.options.views.max(1);
        let (mut images, mut masks) = (vec![Vec::new(); views], vec![Vec::new(); views]);
        let mut size = None;
        for &index in indices {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            for (view, (image, mask)) in self.sample(index, views)?.into_iter().enumerate() {
                let (batch_width, batch_height) = *size.get_or_insert(image.dimensions());
                let (width, height) = image.dimensions();
                if (width, height) != (batch_width, batch_height) {
                    let image = self.split.image(index)?.to_string();
                    return Err(DataError::SizesDiffer { image, width, height, batch_width, batch_height });
                }
                append(&mut images[view], &image, indices.len());
                if let Some(mask) = mask {
                    append(&mut masks[view], &mask, indices.len());
                }
            }
        }
        let (width, height) = size.unwrap_or_default();
        let [n, width, height] = [(views * indices.len()) as i64, i64::from(width), i64::from(height)];
        let tensor = |values: Vec<Vec<u8>>, shape: &[i64]| {
            let values = joined(values);
            engine::guard("making a batch", || Tensor::from_slice(&values).view(shape))
        };
        let has_masks = self.split.masks().is_some();
        let labels =
            if has_masks { Vec::new() } else { indices.iter().map(|&index| self.split.labels()[index]).collect() };
        Ok(Some(Batch {
            images: tensor(images, &[n, height, width, 3])?,
            labels,
            masks: has_masks.then(|| tensor(masks, &[n, height, width])).transpose()?,
            indices: indices.to_vec(),
        }))
    }

    /// The views of an image, which is decoded once, each with its mask if the images have masks; the draws of the views
    /// follow each other in one stream.
    fn sample(&self, index: usize, views: usize) -> Result<Vec<(RgbImage, Option<GrayImage>)>, DataError> {
        let source = self.split.image(index)?;
        let mut stream = stream(self.options.seed, Purpose::Augmentation, self.options.epoch, index as u64);
        let pair = self.split.load_pair(index)?;
        let draw = |_| self.transform.draw(pair.0.dimensions(), &mut stream);
        let drawn = (0..views).map(draw).collect::<Result<Vec<_>, _>>();
        let drawn = drawn.map_err(|error| DataError::Transform { image: source.to_string(), source: error })?;
        let copies = std::iter::repeat_n(pair, views);
        let apply = |((image, mask), drawn): ((RgbImage, Option<GrayImage>), &Vec<_>)| {
            (Transform::apply(drawn, image), mask.map(|mask| Transform::apply_to_mask(drawn, mask)))
        };
        Ok(copies.zip(&drawn).map(apply).collect())
    }
}

/// Adds the pixels of one of `images` images of one size.
fn append(pixels: &mut Vec<u8>, image: &[u8], images: usize) {
    pixels.reserve_exact((image.len() * images).saturating_sub(pixels.len()));
    pixels.extend_from_slice(image);
}

/// One after the other; a single one is not copied.
fn joined(mut views: Vec<Vec<u8>>) -> Vec<u8> {
    if views.len() == 1 { views.swap_remove(0) } else { views.concat() }
}

/// Images of one size as u8 `[n, h, w, 3]`.
///
/// # Errors
/// [`DataError::SizesDiffer`] when they are of several sizes.
pub(crate) fn stack_images(images: &[&RgbImage]) -> Result<Tensor, DataError> {
    let (batch_width, batch_height) = images.first().map_or((0, 0), |image| image.dimensions());
    if let Some(other) = images.iter().find(|image| image.dimensions() != (batch_width, batch_height)) {
        let (width, height) = other.dimensions();
        return Err(DataError::SizesDiffer { image: "an image".into(), width, height, batch_width, batch_height });
    }
    let pixels: Vec<u8> = images.iter().flat_map(|image| image.as_raw()).copied().collect();
    let shape = [images.len() as i64, i64::from(batch_height), i64::from(batch_width), 3];
    Ok(engine::guard("making a batch", || Tensor::from_slice(&pixels).view(shape))?)
}
