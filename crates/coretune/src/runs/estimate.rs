//! The memory and time of training, estimated from a few steps before it begins.

use std::time::{Duration, Instant};

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::RunError;
use crate::config::{RunSection, TrainSection};
use crate::data::Batch;
use crate::engine::{available_memory_bytes, guard, peak_rss_bytes, recent_peak_rss_bytes, reset_recent_peak};
use crate::models::{Backbone, Mode, Normalisation};
use crate::objectives::{Needs, QueueSize};
use crate::train::TrainingImages;

/// The cost of a run, estimated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Weights that are trained, and those that follow them.
    pub parameters: usize,
    /// Steps of training.
    pub steps: u64,
    /// Memory of this process in training, bytes: measured if a whole step was made, else extrapolated from steps on a
    /// few images. The host's, even if a GPU computes.
    pub memory_bytes: u64,
    /// Time of training and of every evaluation between and after, seconds. Fitting the linear probe is not included.
    pub seconds: f64,
}

/// Images of the small steps from which the memory of a whole one is extrapolated; the first only warms up.
const SMALL: [usize; 4] = [1, 2, 4, 8];

/// Height and width of images above which the memory of one is estimated before it is tried, pixels.
const LARGE: i64 = 512;

/// Steps of a real epoch that are timed, reading the images included.
const TIMED_STEPS: usize = 3;
/// After this long no further step is timed.
const ENOUGH: Duration = Duration::from_secs(20);

/// The memory of this process with so many images in the network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryByImages {
    images: usize,
    bytes: u64,
    per_image: u64,
}

impl MemoryByImages {
    /// Does `work` with a few images, up to `most`, and measures how much more memory each takes.
    pub(crate) fn measure(most: usize, mut work: impl FnMut(usize) -> Result<(), RunError>) -> Result<Self, RunError> {
        let mut memory = MemoryByImages { images: 0, bytes: peak_rss_bytes(), per_image: 0 };
        for images in SMALL.map(|images| images.min(most)) {
            // If a few images are a good part of what fits, fewer suffice.
            if images > memory.most_images() / 4 {
                break;
            }
            work(images)?;
            // The system counts approximately while threads run: the peak may seem to fall.
            let (bytes, more) = (peak_rss_bytes(), images.saturating_sub(memory.images).max(1));
            memory = MemoryByImages { images, bytes, per_image: bytes.saturating_sub(memory.bytes) / more as u64 };
        }
        Ok(memory)
    }

    /// The same for a process that may take `limit` bytes: with more and more images, until the memory of one shows and a few
    /// were tried, or the next ones would exceed the limit.
    pub(crate) fn measure_within(
        most: usize,
        limit: u64,
        mut work: impl FnMut(usize) -> Result<(), RunError>,
    ) -> Result<Self, RunError> {
        let mut memory = MemoryByImages { images: 0, bytes: 0, per_image: 0 };
        for images in (0..usize::BITS).map(|power| 1 << power).take_while(|images| *images <= most) {
            let enough = images > SMALL[SMALL.len() - 1] && memory.per_image > 0;
            if enough || (memory.images > 0 && images > memory.most_within(limit)) {
                break;
            }
            reset_recent_peak();
            work(images)?;
            let (bytes, more) = (recent_peak_rss_bytes(), (images - memory.images) as u64);
            // What the first takes is mostly not for itself.
            let per_image = if memory.images == 0 { 0 } else { bytes.saturating_sub(memory.bytes) / more };
            memory = MemoryByImages { images, bytes: bytes.max(memory.bytes), per_image };
        }
        Ok(memory)
    }

    /// The most images for which this process takes at most `limit` bytes; 0 if it takes more already.
    pub(crate) fn most_within(&self, limit: u64) -> usize {
        match (limit.checked_sub(self.bytes), self.per_image) {
            (None, _) if self.images <= 1 => 0,
            (None, per_image) => {
                let over = self.bytes - limit;
                self.images.saturating_sub(over.div_ceil(per_image.max(1)) as usize)
            }
            (Some(_), 0) => usize::MAX,
            (Some(free), per_image) => self.images + (free / per_image) as usize,
        }
    }

    pub(crate) fn with(&self, images: usize) -> u64 {
        self.bytes + self.per_image * images.saturating_sub(self.images) as u64
    }

    /// The most images for which the system has the memory.
    pub(crate) fn most_images(&self) -> usize {
        self.most_images_beside(0)
    }

    /// The same, if so many `bytes` are to be kept free for something else.
    fn most_images_beside(&self, bytes: u64) -> usize {
        match self.per_image {
            0 => usize::MAX,
            per_image => self.images + (available_memory_bytes().saturating_sub(bytes) / per_image) as usize,
        }
    }
}

/// A network that is tried on black images; nothing in it changes.
pub(crate) struct MemoryTrial<'a> {
    pub(crate) backbone: &'a Backbone,
    pub(crate) normalisation: Normalisation,
    pub(crate) device: Device,
    /// Height and width, pixels.
    pub(crate) img_size: i64,
    /// What the method needs: passes with a gradient for each image, copies of the network.
    pub(crate) needs: Needs,
    /// Rows that the method keeps, with the key of their setting.
    pub(crate) kept: Option<(QueueSize, &'static str)>,
}

/// Bytes of a number, f32.
const NUMBER: u64 = 4;

/// Memory that training keeps for each of `weights` beside the weight itself: a gradient, which a trial has too, and a
/// direction or two of the optimizer.
pub(crate) fn kept_bytes(weights: usize) -> u64 {
    const KEPT: u64 = 2;
    weights as u64 * NUMBER * KEPT
}

impl MemoryTrial<'_> {
    /// Refuses a queue or a batch for which the system does not have the memory; `step` is the number of images of a step
    /// that is computed in parts, if it can be.
    ///
    /// # Errors
    /// [`RunError::QueueDoesNotFit`], and [`RunError::BatchDoesNotFit`] with the largest batch that would fit.
    pub(crate) fn check(&self, batch: usize, step: Option<usize>) -> Result<(), RunError> {
        self.check_queue()?;
        match self.most_that_fit(batch)? {
            None => Ok(()),
            Some(largest) => Err(RunError::BatchDoesNotFit { batch, largest, step, img_size: self.img_size }),
        }
    }

    /// How many images of at most `batch` can be in the network at a time if this process may take `limit` bytes, with the
    /// gradients and the optimizer's tensors.
    ///
    /// # Errors
    /// Exceptions of libtorch.
    pub(crate) fn most_within(&self, batch: usize, limit: u64) -> Result<usize, RunError> {
        let limit =
            limit.saturating_sub(self.bytes_of_copies() + kept_bytes(self.backbone.parameters().weight_count()));
        let memory = MemoryByImages::measure_within(batch, limit, |images| self.pass(images, self.img_size))?;
        Ok(memory.most_within(limit).min(batch))
    }

    /// Refuses a queue for which the system does not have the memory.
    ///
    /// # Errors
    /// [`RunError::QueueDoesNotFit`].
    pub(crate) fn check_queue(&self) -> Result<(), RunError> {
        // While the first keys are drawn and normalised they are held four times.
        const TIMES: u64 = 4;
        let Some((QueueSize { keys, width }, setting)) = self.kept else { return Ok(()) };
        let bytes = keys as u64 * width as u64 * TIMES * NUMBER;
        let available = available_memory_bytes();
        if self.device == Device::Cpu && available > 0 && bytes > available {
            return Err(RunError::QueueDoesNotFit { keys, width, bytes, available, setting });
        }
        Ok(())
    }

    /// Memory of the copies of the network that the method keeps.
    fn bytes_of_copies(&self) -> u64 {
        (self.needs.copies * self.backbone.parameters().weight_count()) as u64 * NUMBER
    }

    /// How many images fit into memory at a time, if fewer than `batch`.
    ///
    /// Extrapolated from forward and backward passes on a few. Only for the host's memory: a GPU reports what does not
    /// fit, but Linux kills the process.
    fn most_that_fit(&self, batch: usize) -> Result<Option<usize>, RunError> {
        if self.device != Device::Cpu || available_memory_bytes() == 0 {
            return Ok(None);
        }
        if self.img_size > LARGE && self.bytes_of_large_image()? > available_memory_bytes() {
            return Ok(Some(0));
        }
        let memory = MemoryByImages::measure(batch, |images| self.pass(images, self.img_size))?;
        let most = memory.most_images_beside(self.bytes_of_copies());
        Ok((batch > most).then_some(most))
    }

    /// The memory of one image too large to be tried, extrapolated from smaller ones: activations grow with its area.
    fn bytes_of_large_image(&self) -> Result<u64, RunError> {
        self.pass(1, LARGE / 2)?;
        let before = peak_rss_bytes();
        self.pass(1, LARGE)?;
        let area = |size: i64| (size * size) as f64;
        let bytes = peak_rss_bytes().saturating_sub(before) as f64;
        Ok((bytes * area(self.img_size) / (area(LARGE) - area(LARGE / 2))) as u64)
    }

    /// Forward and backward pass.
    fn pass(&self, images: usize, size: i64) -> Result<(), RunError> {
        Ok(guard("measuring the memory of a step", || {
            let rows = (images * self.needs.gradient_passes) as i64;
            let pixels = Tensor::zeros([rows, size, size, 3], (Kind::Uint8, self.device));
            let pixels = self.normalisation.apply(&pixels, self.device);
            let sum = self.backbone.features(&pixels, Mode::TrainUntracked).sum(Kind::Float);
            let weights = self.backbone.parameters().iter().map(|entry| &entry.tensor);
            let trained: Vec<&Tensor> = weights.filter(|weight| weight.requires_grad()).collect();
            if sum.requires_grad() {
                drop(Tensor::run_backward(&[&sum], &trained, false, false));
            }
        })?)
    }
}

/// Has a step computed in the largest equal parts of at most `largest` images, if its parts are larger now; the configuration
/// says so from then on, and a resumed run keeps it. A note for the user, if something changed.
///
/// # Errors
/// [`RunError::BatchDoesNotFit`] if not even parts of two images fit.
pub(crate) fn divide(
    train: &mut TrainSection,
    run: &RunSection,
    largest: usize,
    img_size: i64,
) -> Result<Option<String>, RunError> {
    let (batch, step) = (train.batch_size, train.batch_of_rank());
    if largest >= batch {
        return Ok(None);
    }
    let Some(part) = largest_part(step, largest) else {
        return Err(RunError::BatchDoesNotFit { batch, largest, step: Some(step), img_size });
    };
    (train.batch_size, train.grad_accum_steps) = (part, step / part);
    let (parts, limit) = (step / part, run.memory_limit.as_deref().unwrap_or("memory"));
    Ok(Some(format!(
        "a step of {step} images is computed in {parts} parts of {part}: about {largest} images fit into {limit}"
    )))
}

/// Time of an image in training: from the moment that the first is asked for, over a few steps of a real epoch.
pub(crate) fn seconds_per_image(
    images: &TrainingImages,
    mut make_step: impl FnMut(&Batch) -> Result<(), RunError>,
) -> Result<f64, RunError> {
    let (started, mut seen) = (Instant::now(), 0);
    for batch in images.epoch(0, 0)?.take(TIMED_STEPS) {
        let batch = batch?;
        make_step(&batch)?;
        seen += batch.indices.len();
        if started.elapsed() > ENOUGH {
            break;
        }
    }
    Ok(started.elapsed().as_secs_f64() / seen.max(1) as f64)
}

/// The largest part of at least two images, at most `most`, of which a step has a whole number.
fn largest_part(step: usize, most: usize) -> Option<usize> {
    (2..=most.min(step)).rev().find(|part| step.is_multiple_of(*part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Architecture, Family, Stem};

    /// Memory that was really touched, so that it counts.
    fn held(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|index| index as u8).collect()
    }

    /// The peak of a process is that of all its threads, so the test runs in a process of its own.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_of_an_image_is_extrapolated_from_a_few() {
        const ALONE: &str = "CORETUNE_TEST_ALONE";
        if std::env::var_os(ALONE).is_some() {
            return memory_of_an_image_is_extrapolated_from_a_few();
        }
        let (_, module) = module_path!().split_once("::").unwrap();
        let test = format!("{module}::the_memory_of_an_image_is_extrapolated_from_a_few");
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &test])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_queue_and_copies_of_the_network_count_towards_the_memory_of_a_method() {
        let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
        let backbone = Backbone::new(&architecture, 0, Device::Cpu).unwrap();
        let check = |kept| {
            let (normalisation, device, img_size) = (Normalisation::IMAGENET, Device::Cpu, 16);
            let needs = Needs::CLASSIFIER;
            MemoryTrial { backbone: &backbone, normalisation, device, img_size, needs, kept }.check(2, Some(2))
        };
        check(None).unwrap();
        let error = check(Some((QueueSize { keys: 1 << 40, width: 128 }, "method.memory"))).unwrap_err();
        assert!(matches!(error, RunError::QueueDoesNotFit { width: 128, .. }), "{error}");
        assert!(format!("{:?}", error.hint()).contains("method.memory"));

        let memory = MemoryByImages { images: 8, bytes: 0, per_image: 1_000_000 };
        assert_eq!(memory.most_images_beside(u64::MAX), 8, "copies that take all memory leave none for further images");
        assert!(memory.most_images_beside(0) > memory.most_images_beside(1 << 30));
    }

    #[test]
    fn a_step_is_divided_into_the_largest_equal_parts_that_fit() {
        assert_eq!(largest_part(64, 20), Some(16));
        assert_eq!(largest_part(64, 64), Some(64));
        assert_eq!(largest_part(60, 7), Some(6));
        assert_eq!(largest_part(64, 1), None);
        assert_eq!(largest_part(7, 6), None);
    }

    #[test]
    fn what_fits_into_a_limit_is_extrapolated() {
        let memory = MemoryByImages { images: 8, bytes: 1000, per_image: 50 };
        assert_eq!(memory.most_within(1000), 8);
        assert_eq!(memory.most_within(1120), 10);
        assert_eq!(memory.most_within(899), 5);
        assert_eq!(memory.most_within(10), 0);
        assert_eq!(MemoryByImages { images: 1, ..memory }.most_within(999), 0);
    }

    #[cfg(target_os = "linux")]
    fn memory_of_an_image_is_extrapolated_from_a_few() {
        const PER_IMAGE: usize = 30_000_000;
        let memory = MemoryByImages::measure(64, |images| {
            let block = held(images * PER_IMAGE);
            assert!(block.len() > block[1] as usize);
            Ok(())
        });
        let memory = memory.unwrap();
        let per_image = memory.per_image as f64 / PER_IMAGE as f64;
        assert!((0.8..1.3).contains(&per_image), "{per_image} of what it took");
        assert_eq!(memory.with(8), memory.bytes);
        assert_eq!(memory.with(18) - memory.bytes, 10 * memory.per_image);
        assert!(memory.most_images() > 8);
    }
}
