//! A trained segmentation network that maps images.

use std::path::{Path, PathBuf};

use image::{GrayImage, RgbImage};
use tch::{Device, Kind, Tensor};

use super::PredictError;
use super::reader::{ReadImage, Reader};
use crate::config::RunSection;
use crate::data::{DataError, MaskLegend, overlay, stack_images};
use crate::engine::guard;
use crate::models::{PixelViews, Segmenter};
use crate::run_folder::RunFolder;
use crate::runs::Machine;
use crate::saved_models::load_segmenter;
use crate::train::{Event, Observer, TrainError, unfinished};
use crate::transforms::Transform;

/// A segmentation network with what it needs to map files.
#[derive(Debug)]
pub struct MaskPredictor {
    network: Segmenter,
    classes: Vec<String>,
    legend: MaskLegend,
    reader: Reader,
    views: PixelViews,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// What the network gives for an image.
#[derive(Debug)]
pub struct MaskPrediction {
    /// The file.
    pub path: PathBuf,
    /// The class of each pixel; or why there is none.
    pub outcome: Result<Segmented, DataError>,
}

/// An image with the class of each of its pixels.
#[derive(Debug)]
pub struct Segmented {
    /// The image, upright, at its own size.
    pub image: RgbImage,
    /// The class of each pixel, as its position in the classes.
    pub mask: GrayImage,
}

impl Segmented {
    /// Fraction of the pixels that is of each of the first `classes` classes.
    pub fn areas(&self, classes: usize) -> Vec<f64> {
        let mut counts = vec![0u64; classes];
        for &class in self.mask.as_raw() {
            if let Some(count) = counts.get_mut(usize::from(class)) {
                *count += 1;
            }
        }
        let pixels = self.mask.as_raw().len() as f64;
        counts.into_iter().map(|count| count as f64 / pixels).collect()
    }

    /// The image with the colours of the classes over it.
    pub fn overlay(&self, legend: &MaskLegend) -> RgbImage {
        overlay(self.image.clone(), &self.mask, &legend.colors)
    }
}

impl MaskPredictor {
    /// Opens a run that segments images (its best epoch) or one of its model files, to map images in these views; `workers`
    /// threads read images.
    ///
    /// # Errors
    /// What is wrong with the run, the file or the machine.
    pub fn open(run: &Path, machine: &RunSection, views: PixelViews, workers: usize) -> Result<Self, PredictError> {
        let Machine { device, precision, mut notes } = Machine::choose(machine)?;
        let file = if run.is_file() { run.to_path_buf() } else { best_epoch(run, &mut notes)? };
        let (mut network, description) = load_segmenter(&file, device)?;
        network.backbone.set_precision(precision);
        let transform = Transform::new(Vec::new()).map_err(TrainError::from)?;
        let reader =
            Reader { transform, bit_depth: description.bit_depth_range.unwrap_or_default(), workers: workers.max(1) };
        let legend = description.legend();
        Ok(MaskPredictor { network, classes: description.classes, legend, reader, views, notes })
    }

    /// Names of the classes: a pixel of [`Segmented::mask`] is a position here.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How the masks of the run store the classes.
    pub fn legend(&self) -> &MaskLegend {
        &self.legend
    }

    /// Maps every file in turn, each at its own size, and hands the result to `take`.
    ///
    /// # Errors
    /// What `take` gives, or libtorch. A file that cannot be read is a prediction with an error.
    pub fn predict(
        &self,
        files: &[PathBuf],
        take: &mut dyn FnMut(MaskPrediction) -> Result<(), PredictError>,
        observer: &mut Observer<'_>,
    ) -> Result<(), PredictError> {
        let mut done = 0;
        self.reader.visit(files, self.reader.workers, &mut |batch, images| {
            for (path, image) in batch.iter().zip(images) {
                take(MaskPrediction { path: path.clone(), outcome: self.map(image)? })?;
                done += 1;
                observer(&Event::Progress { done, total: files.len() });
            }
            Ok(())
        })
    }

    /// The class of each pixel of an image that could be read.
    fn map(&self, image: ReadImage) -> Result<Result<Segmented, DataError>, PredictError> {
        let image = match image {
            Err(error) => return Ok(Err(error)),
            Ok(image) => image,
        };
        let pixels = stack_images(&[&image])?;
        let logits = self.views.logits(&self.network, &pixels).map_err(TrainError::from)?;
        let classes = guard("choosing classes", || classes_of(&logits)).map_err(TrainError::from)?;
        let (width, height) = image.dimensions();
        let mask = GrayImage::from_raw(width, height, classes).expect("one class for each pixel");
        Ok(Ok(Segmented { image, mask }))
    }
}

/// The class with the largest logit of each pixel of one image, row by row; of equals the first.
fn classes_of(logits: &Tensor) -> Vec<u8> {
    let classes = logits.argmax(1, false).to_kind(Kind::Uint8).to_device(Device::Cpu).contiguous();
    let mut bytes = vec![0; classes.numel()];
    classes.copy_data_u8(&mut bytes, classes.numel());
    bytes
}

/// The network of a run's best epoch; a note if the run has not finished.
fn best_epoch(run: &Path, notes: &mut Vec<String>) -> Result<PathBuf, TrainError> {
    let folder = RunFolder::open(run)?;
    notes.extend(unfinished(&folder)?);
    Ok(folder.best_segmenter()?)
}
