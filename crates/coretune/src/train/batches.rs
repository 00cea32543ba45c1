//! Which images make up the batches of an epoch.

use std::sync::Arc;

use super::TrainError;
use crate::data::{DataError, Loader, LoaderOptions, Split, sampler};
use crate::engine::World;
use crate::transforms::Transform;

/// How batches are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// A permutation of the images each epoch; the last short batch is dropped.
    Shuffle {
        /// Images in a batch.
        batch_size: usize,
    },
    /// P classes x K images in each batch.
    Balanced {
        /// P.
        classes_per_batch: usize,
        /// K.
        images_per_class: usize,
    },
}

impl Sampling {
    /// Images in a batch.
    pub fn batch_size(self) -> usize {
        match self {
            Sampling::Shuffle { batch_size } => batch_size,
            Sampling::Balanced { classes_per_batch, images_per_class } => classes_per_batch * images_per_class,
        }
    }
}

/// The training images and how they reach the model.
#[derive(Debug, Clone)]
pub struct TrainingImages {
    /// Images and labels.
    pub split: Split,
    /// How batches are drawn.
    pub sampling: Sampling,
    /// What is done to an image, drawn anew each time.
    pub transform: Arc<Transform>,
    /// Views of each image in a batch.
    pub views: usize,
    /// Threads that read images.
    pub workers: usize,
    /// Whether batches lie in page-locked memory, from which a GPU copies without help of the processor.
    pub page_locked: bool,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// The processes that share a batch: each reads its part.
    pub world: World,
}

impl TrainingImages {
    /// Steps that an epoch has; refuses a batch for which there are too few images or, balanced, too few classes.
    ///
    /// # Errors
    /// [`TrainError::BatchTooLarge`] for too few images, [`DataError::BatchTooLarge`] for too few classes.
    pub fn steps_per_epoch(&self) -> Result<u64, TrainError> {
        let (batch, images) = (self.sampling.batch_size(), self.split.len());
        if let Sampling::Balanced { classes_per_batch: asked, .. } = self.sampling {
            let available = self.split.class_counts().iter().filter(|&&images| images > 0).count();
            if available < asked {
                return Err(DataError::BatchTooLarge { asked, available, unit: "classes" }.into());
            }
        }
        match images / batch {
            0 => Err(TrainError::BatchTooLarge { batch, images, ranks: self.world.ranks() }),
            steps => Ok(steps as u64),
        }
    }

    /// The batches of an epoch (counted from 0), without the first `skip`.
    ///
    /// # Errors
    /// [`TrainError::Data`] for a batch that the images or classes do not fill.
    pub fn epoch(&self, epoch: u64, skip: usize) -> Result<Loader, TrainError> {
        let mut batches = match self.sampling {
            Sampling::Shuffle { batch_size } => sampler::shuffle(self.split.len(), batch_size, self.seed, epoch, true)?,
            Sampling::Balanced { classes_per_batch, images_per_class } => {
                sampler::balanced(self.split.labels(), classes_per_batch, images_per_class, self.seed, epoch)?
            }
        };
        batches.drain(..skip.min(batches.len()));
        if !self.world.is_alone() {
            for batch in &mut batches {
                *batch = self.world.part(batch).to_vec();
            }
        }
        let TrainingImages { seed, workers, views, page_locked, .. } = *self;
        let options = LoaderOptions { seed, epoch, workers, views, page_locked, ..LoaderOptions::default() };
        Ok(Loader::new(self.split.clone(), Arc::clone(&self.transform), batches, options)?)
    }
}
