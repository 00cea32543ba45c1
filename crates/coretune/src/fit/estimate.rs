//! What a run will take, from a few steps of it.

use std::time::{Duration, Instant};

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::{Preparation, Splits, settings};
use crate::data::Batch;
use crate::engine::{available_memory_bytes, guard, peak_rss_bytes};
use crate::models::{Linear, Mode};
use crate::train::{Accumulation, TrainError, TrainingImages, step};

/// What a run will take, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Weights of backbone and heads.
    pub parameters: usize,
    /// Steps of training.
    pub steps: u64,
    /// Memory of this process in training, bytes: measured where a whole step was made, else drawn out from steps on a
    /// few images. The host's, also where a GPU computes.
    pub memory_bytes: u64,
    /// Time of training, validation and test, and of the probe's features, seconds. Fitting the linear probe is not in it.
    pub seconds: f64,
}

/// Images of the small steps from which the memory of a whole one is drawn out; the first only warms up.
const SMALL: [usize; 4] = [1, 2, 4, 8];

/// Height and width of images that are never tried without a guess before, pixels.
const LARGE: i64 = 512;

/// What an image costs in evaluation relative to training, where a backward pass follows the forward one.
const EVALUATION_SHARE: f64 = 1.0 / 3.0;

/// Steps of a real epoch that are timed, reading the images included, where the memory for them is there.
const TIMED_STEPS: usize = 3;
/// After this long no further step is timed.
const ENOUGH: Duration = Duration::from_secs(20);

/// What a second forward pass adds to a step, for the same reason.
const SECOND_FORWARD_SHARE: f64 = 1.0 / 3.0;

/// The memory of this process with so many images in the network.
#[derive(Debug, Clone, Copy)]
struct MemoryByImages {
    images: usize,
    bytes: u64,
    per_image: u64,
}

impl MemoryByImages {
    /// Does `work` with a few images, up to `most`, and watches how much more memory each takes.
    fn measure(most: usize, mut work: impl FnMut(usize) -> Result<(), TrainError>) -> Result<Self, TrainError> {
        let mut memory = MemoryByImages { images: 0, bytes: peak_rss_bytes(), per_image: 0 };
        for images in SMALL.map(|images| images.min(most)) {
            // Where a few images are a good part of what fits, fewer tell enough.
            if images > memory.most_images() / 4 {
                break;
            }
            work(images)?;
            let (bytes, more) = (peak_rss_bytes(), images.saturating_sub(memory.images).max(1));
            memory = MemoryByImages { images, bytes, per_image: (bytes - memory.bytes) / more as u64 };
        }
        Ok(memory)
    }

    fn with(&self, images: usize) -> u64 {
        self.bytes + self.per_image * images.saturating_sub(self.images) as u64
    }

    /// The most images for which the system has the memory.
    fn most_images(&self) -> usize {
        match self.per_image {
            0 => usize::MAX,
            per_image => self.images + (available_memory_bytes() / per_image) as usize,
        }
    }
}

impl Preparation {
    /// Refuses a batch for which the system does not have the memory; to be asked before anything large is computed.
    ///
    /// Drawn out from forward and backward passes on a few images; nothing in the model changes. Only of the host's
    /// memory: a GPU says itself what does not fit, and Linux kills the process.
    ///
    /// # Errors
    /// [`TrainError::BatchDoesNotFit`], which names the largest batch that would.
    pub fn check_memory(&self) -> Result<(), TrainError> {
        let (task, batch) = (&self.task, self.task.config.train.batch_size);
        if task.device != Device::Cpu || available_memory_bytes() == 0 {
            return Ok(());
        }
        let size = task.input.img_size;
        let step = task.config.train.effective_batch();
        let refused = |largest| Err(TrainError::BatchDoesNotFit { batch, largest, step, img_size: size });
        if size > LARGE && self.bytes_of_large_image(size)? > available_memory_bytes() {
            return refused(0);
        }
        let memory = MemoryByImages::measure(batch, |images| self.rehearse(images, size))?;
        let largest = memory.most_images();
        if batch <= largest { Ok(()) } else { refused(largest) }
    }

    /// The memory of one image too large to be tried: activations grow with its area, drawn out from smaller ones.
    fn bytes_of_large_image(&self, size: i64) -> Result<u64, TrainError> {
        self.rehearse(1, LARGE / 2)?;
        let before = peak_rss_bytes();
        self.rehearse(1, LARGE)?;
        let area = |size: i64| (size * size) as f64;
        let bytes = peak_rss_bytes().saturating_sub(before) as f64;
        Ok((bytes * area(size) / (area(LARGE) - area(LARGE / 2))) as u64)
    }

    /// Forward and backward passes on black images; nothing in the model changes.
    fn rehearse(&self, images: usize, size: i64) -> Result<(), TrainError> {
        let (device, normalisation) = (self.task.device, self.task.normalisation());
        Ok(guard("measuring the memory of a step", || {
            let pixels = Tensor::zeros([images as i64, size, size, 3], (Kind::Uint8, device));
            let pixels = normalisation.apply(&pixels, device);
            let sum = self.backbone.features(&pixels, Mode::Rehearse).sum(Kind::Float);
            let weights = self.backbone.parameters().iter().map(|entry| &entry.tensor);
            let trained: Vec<&Tensor> = weights.filter(|weight| weight.requires_grad()).collect();
            if sum.requires_grad() {
                drop(Tensor::run_backward(&[&sum], &trained, false, false));
            }
        })?)
    }

    /// Makes steps on a few images, and a whole one only where the memory for it is there; draws them out over the run.
    pub fn estimate(self) -> Result<Estimate, TrainError> {
        let Preparation { task, backbone, .. } = self;
        let (config, seed) = (&task.config, task.config.train.seed);
        let objective = settings::objective(&config.method, config.train.label_smoothing);
        let classes = task.classes.len() as i64;
        let classifier = Linear::classifier(backbone.feature_width(), classes, seed, task.device)?;
        let model = task.model(backbone, classifier, &*objective)?;
        let mut optimizer = settings::optimizer(&model, &config.train);
        let images = task.training_images()?;
        let steps_per_epoch = images.steps_per_epoch()?;
        let batch = images.epoch(0, 0)?.next().ok_or(TrainError::BatchTooLarge { batch: 1, images: 0 })??;
        // Of a step in parts, one part is in memory at a time.
        let at_a_time = config.train.batch_size.min(batch.labels.len());

        let accumulation = settings::accumulation(&config.train);
        let mut make_step = |batch: &Batch, accumulation| -> Result<(), TrainError> {
            step(&model, &*objective, &mut optimizer, batch, (seed, 0), RATE, accumulation)?.read()?;
            Ok(())
        };
        let mut image_seconds = 0.0;
        let memory = MemoryByImages::measure(at_a_time, |size| {
            let (part, started) = (first_images(&batch, size), Instant::now());
            make_step(&part, Accumulation::Whole)?;
            image_seconds = started.elapsed().as_secs_f64() / size as f64;
            Ok(())
        })?;
        let mut memory_bytes = memory.with(at_a_time);
        if at_a_time <= memory.most_images() {
            image_seconds = seconds_per_image(&images, |batch| make_step(batch, accumulation))?;
            memory_bytes = peak_rss_bytes();
        } else if matches!(accumulation, Accumulation::Exact { .. }) {
            image_seconds *= 1.0 + SECOND_FORWARD_SHARE;
        }

        let epochs = config.train.epochs as u64;
        let trained = (epochs * steps_per_epoch * batch.labels.len() as u64) as f64;
        let evaluated = evaluated_images(&task.splits, epochs, config.run.probe) as f64;
        Ok(Estimate {
            parameters: model.parameters().weight_count(),
            steps: epochs * steps_per_epoch,
            memory_bytes,
            seconds: image_seconds * (trained + EVALUATION_SHARE * evaluated),
        })
    }
}

/// Images that are looked at without training: by the probe (those of training twice, once mirrored), after each epoch,
/// and at the end.
fn evaluated_images(splits: &Splits, epochs: u64, probe: bool) -> u64 {
    let train = splits.train.len() as u64;
    let validation = splits.validation.len() as u64;
    let test = splits.test.as_ref().map_or(0, |test| test.len() as u64);
    let probed = if probe { 2 * train + validation + test } else { 0 };
    probed + epochs * validation + validation + test
}

/// Time of an image in training: from the moment that the first is asked for, over a few steps of a real epoch.
fn seconds_per_image(
    images: &TrainingImages,
    mut make_step: impl FnMut(&Batch) -> Result<(), TrainError>,
) -> Result<f64, TrainError> {
    let (started, mut seen) = (Instant::now(), 0);
    for batch in images.epoch(0, 0)?.take(TIMED_STEPS) {
        let batch = batch?;
        make_step(&batch)?;
        seen += batch.labels.len();
        if started.elapsed() > ENOUGH {
            break;
        }
    }
    Ok(started.elapsed().as_secs_f64() / seen.max(1) as f64)
}

/// Learning rate of these steps: nothing is to be learned.
const RATE: f64 = 0.0;

/// The first `size` images of a batch.
fn first_images(batch: &Batch, size: usize) -> Batch {
    Batch {
        images: batch.images.narrow(0, 0, size as i64),
        labels: batch.labels[..size].to_vec(),
        indices: batch.indices[..size].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::data::{ImageSource, Split};
    use crate::fit::ValidationSource;

    /// Memory that was really touched, so that it counts.
    fn held(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|index| index as u8).collect()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_of_an_image_is_drawn_out_from_a_few() {
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

    #[test]
    fn the_probe_looks_at_training_images_twice_and_every_split_is_looked_at_once_more_at_the_end() {
        let split = |images: usize| {
            let classes: Arc<[String]> = ["a", "b"].map(String::from).into();
            let image = |index: usize| ImageSource::File(Path::new(&format!("{index}.png")).into());
            let labels = (0..images as i64).map(|index| index % 2).collect();
            Split::new((0..images).map(image).collect(), labels, classes).unwrap()
        };
        let (train, validation, test) = (split(100), split(20), Some(split(7)));
        let splits = Splits { train, validation, validation_source: ValidationSource::OwnSplit, test };
        assert_eq!(evaluated_images(&splits, 3, false), 3 * 20 + 20 + 7);
        assert_eq!(evaluated_images(&splits, 3, true), 3 * 20 + 2 * (20 + 7) + 200);
        assert_eq!(evaluated_images(&Splits { test: None, ..splits }, 3, true), 3 * 20 + 2 * 20 + 200);
    }

    #[test]
    fn a_batch_that_does_not_fit_is_offered_in_parts_that_do() {
        let of_step =
            |step, batch, largest| TrainError::BatchDoesNotFit { batch, largest, step, img_size: 224 }.hint().unwrap();
        let hint = |batch, largest| of_step(batch, batch, largest);
        assert!(hint(256, 100).contains("about 100 would; --batch-size 64 --grad-accum-steps 4"));
        assert!(hint(64, 33).contains("--batch-size 32 --grad-accum-steps 2"));
        assert!(hint(96, 2).contains("--batch-size 2 --grad-accum-steps 48"));
        assert!(of_step(256, 64, 20).contains("--batch-size 16 --grad-accum-steps 16"));
        assert!(!hint(97, 50).contains("--grad-accum-steps"), "97 is a prime");
        assert!(hint(64, 1).contains("smaller --img-size than 224") && !hint(64, 0).contains("--grad-accum-steps"));
    }
}
