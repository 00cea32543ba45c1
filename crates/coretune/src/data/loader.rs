//! Batches, made by threads ahead of the step.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use image::RgbImage;
use tch::Tensor;

use super::assembly::Assembly;
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

impl Batch {
    /// The first `images` images, in all their views.
    #[must_use]
    pub(crate) fn first(&self, images: usize) -> Batch {
        let first_of = |all: &Tensor| {
            let views = all.chunk((all.size()[0] / self.indices.len().max(1) as i64).max(1), 0);
            let first: Vec<Tensor> = views.iter().map(|view| view.narrow(0, 0, images as i64)).collect();
            Tensor::cat(&first, 0)
        };
        Batch {
            images: first_of(&self.images),
            labels: self.labels.iter().copied().take(images).collect(),
            masks: self.masks.as_ref().map(first_of),
            indices: self.indices[..images].to_vec(),
        }
    }
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
    /// Batches that are finished or in the making while one is used; 0 counts as 1. There are more if the threads would
    /// otherwise have less than [`IMAGES_AHEAD`] images each.
    pub prefetch: usize,
    /// Times that each image is transformed, every time with other draws; 0 counts as 1.
    pub views: usize,
    /// Whether batches lie in page-locked memory, from which a GPU copies while the processor works; needs CUDA.
    pub page_locked: bool,
}

/// Images that each thread may be ahead of the step.
pub const IMAGES_AHEAD: usize = 2;

impl Default for LoaderOptions {
    /// One thread that stays three batches ahead, seed and epoch 0, one view, memory of the usual kind.
    fn default() -> Self {
        LoaderOptions { seed: 0, epoch: 0, workers: 1, prefetch: 3, views: 1, page_locked: false }
    }
}

/// Iterator over batches that threads decode and transform ahead.
///
/// The threads share the images of each batch, a few at a time, and the batches come in the order asked for. The
/// augmentation of a sample depends on (seed, epoch, its position in the split) alone. The first error is the last item.
/// Dropping the loader stops its threads after the image each is at.
#[derive(Debug)]
pub struct Loader {
    work: Arc<Work>,
    threads: Vec<JoinHandle<()>>,
    next: usize,
    waited: Duration,
}

/// What the threads and the consumer share.
#[derive(Debug)]
struct Work {
    split: Split,
    transform: Arc<Transform>,
    batches: Vec<Vec<usize>>,
    options: LoaderOptions,
    /// Images that a thread takes at a time.
    handful: usize,
    /// Batches that may be finished or in the making.
    ahead: usize,
    queue: Mutex<Queue>,
    /// A batch was handed out, so that another may be begun.
    room: Condvar,
    /// A batch is finished.
    finished: Condvar,
    stop: AtomicBool,
}

/// The batches that are finished or in the making, and what is to be made next.
#[derive(Debug, Default)]
struct Queue {
    assemblies: VecDeque<Arc<Assembly>>,
    /// Batches begun so far.
    begun: usize,
    /// Images of the last one that threads have taken.
    taken: usize,
}

/// Images of a batch for one thread.
struct Handful {
    assembly: Arc<Assembly>,
    first: usize,
    end: usize,
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
        let images: usize = batches.iter().map(Vec::len).sum();
        let workers = options.workers.clamp(1, images.max(1));
        let batch = batches.first().map_or(1, Vec::len).max(1);
        let work = Arc::new(Work {
            split,
            transform,
            batches,
            options,
            handful: handful(batch, workers),
            ahead: options.prefetch.max(1).max((IMAGES_AHEAD * workers).div_ceil(batch)),
            queue: Mutex::default(),
            room: Condvar::new(),
            finished: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let mut loader = Loader { work, threads: Vec::with_capacity(workers), next: 0, waited: Duration::ZERO };
        for worker in 0..workers {
            let work = loader.work.clone();
            let thread = thread::Builder::new().name(format!("loader-{worker}")).spawn(move || work.run());
            loader.threads.push(thread.map_err(|error| DataError::Worker { message: error.to_string() })?);
        }
        Ok(loader)
    }

    /// Time that [`Iterator::next`] spent waiting for a batch, so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Whether threads have taken the last images, so that some of them have nothing left to do.
    pub fn is_running_out(&self) -> bool {
        let queue = self.work.queue();
        queue.begun == self.work.batches.len() && self.work.batches.last().is_none_or(|last| queue.taken == last.len())
    }
}

/// Images that each of `workers` threads takes of a batch at a time: few enough that all of them end at about the same time.
fn handful(batch: usize, workers: usize) -> usize {
    const MOST: usize = 8;
    (batch / (4 * workers)).clamp(1, MOST)
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.work.batches.len() {
            return None;
        }
        let started = Instant::now();
        let assembly = self.work.take_finished();
        self.waited += started.elapsed();
        let batch = self.work.batch(&assembly);
        self.next = if batch.is_ok() { self.next + 1 } else { self.work.batches.len() };
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.work.batches.len() - self.next;
        (usize::from(left > 0), Some(left))
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.work.stop.store(true, Ordering::Relaxed);
        // The lock makes sure that no thread is between its look at the flag and its wait.
        drop(self.work.queue());
        self.work.room.notify_all();
        for thread in self.threads.drain(..) {
            // Whatever it panicked with has been reported as a batch or is of no interest any more.
            let _ = thread.join();
        }
    }
}

impl Work {
    /// Nothing that panics is done under the lock.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn run(&self) {
        while let Some(Handful { assembly, first, end }) = self.next_handful() {
            for position in first..end {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                let made = catch_unwind(AssertUnwindSafe(|| self.add(&assembly, position)));
                let panicked = |panic: Box<dyn std::any::Any + Send>| {
                    Err(DataError::Worker { message: engine::panic_text(panic.as_ref()).into() })
                };
                if let Err(error) = made.unwrap_or_else(panicked) {
                    assembly.fail(position, error);
                }
            }
            if assembly.finish(end - first) {
                drop(self.queue());
                self.finished.notify_one();
            }
        }
    }

    /// The next images that nobody has taken, once there is room for their batch; `None` when all are taken or the loader
    /// was dropped.
    fn next_handful(&self) -> Option<Handful> {
        let mut queue = self.queue();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(assembly) = queue.assemblies.back().filter(|assembly| queue.taken < assembly.images()) {
                let assembly = assembly.clone();
                let (first, end) = (queue.taken, assembly.images().min(queue.taken + self.handful));
                queue.taken = end;
                return Some(Handful { assembly, first, end });
            }
            if queue.begun == self.batches.len() {
                return None;
            }
            if queue.assemblies.len() < self.ahead {
                let images = self.batches[queue.begun].len();
                let views = self.options.views.max(1);
                let assembly = Arc::new(Assembly::new(queue.begun, images, views, self.options.page_locked));
                queue.assemblies.push_back(assembly);
                (queue.begun, queue.taken) = (queue.begun + 1, 0);
                if images == 0 {
                    self.finished.notify_one();
                }
            } else {
                queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Waits until the oldest batch is finished and takes it out of the queue.
    fn take_finished(&self) -> Arc<Assembly> {
        let mut queue = self.queue();
        loop {
            match queue.assemblies.pop_front() {
                Some(assembly) if assembly.is_finished() => {
                    self.room.notify_all();
                    return assembly;
                }
                Some(unfinished) => queue.assemblies.push_front(unfinished),
                None => {}
            }
            queue = self.finished.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Decodes the image at `position` of a batch once, transforms it for each view, and adds the views to the batch; their
    /// draws follow each other in one stream.
    fn add(&self, assembly: &Assembly, position: usize) -> Result<(), DataError> {
        let index = self.batches[assembly.number()][position];
        let mut stream = stream(self.options.seed, Purpose::Augmentation, self.options.epoch, index as u64);
        let pair = self.split.shared_pair(index)?;
        let (image, mask) = &*pair;
        for view in 0..self.options.views.max(1) {
            let drawn = self.transform.draw(image.dimensions(), &mut stream).map_err(|source| {
                let image = self.split.images()[index].to_string();
                DataError::Transform { image, source }
            })?;
            let mask = mask.as_ref().map(|mask| Transform::apply_to_mask(&drawn, mask.clone()));
            assembly.add((position, view), &Transform::apply_to_copy(&drawn, image), mask.as_ref())?;
        }
        Ok(())
    }

    fn batch(&self, assembly: &Assembly) -> Result<Batch, DataError> {
        let indices = self.batches[assembly.number()].clone();
        let (images, masks) = assembly.tensors(|position| self.split.images()[indices[position]].to_string())?;
        let labels = match self.split.masks() {
            Some(_) => Vec::new(),
            None => indices.iter().map(|&index| self.split.labels()[index]).collect(),
        };
        Ok(Batch { images, labels, masks, indices })
    }
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
