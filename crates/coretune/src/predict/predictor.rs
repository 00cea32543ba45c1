//! A trained model that looks at images.

use std::path::{Path, PathBuf};

use image::RgbImage;
use tch::{Kind, Tensor, no_grad};

use super::PredictError;
use super::reader::Reader;
use crate::config::{Layers, RunSection};
use crate::data::{DataError, stack_images};
use crate::engine::{guard, shape};
use crate::models::{Mode, Model, Network, TestViews};
use crate::run_folder::{RunFolder, Summary};
use crate::runs::Machine;
use crate::saved_models::load_model;
use crate::train::{Event, Observer, TrainError, unfinished};

/// How predictions are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Classes of each prediction; at most as many as there are.
    pub top_k: usize,
    /// Images in a batch.
    pub batch_size: usize,
    /// Threads that read images.
    pub workers: usize,
    /// Views of an image whose features are averaged; `None`: as the run was evaluated.
    pub tta: Option<TestViews>,
    /// Whether probabilities are calibrated with the temperature that the run has fitted on its validation images (E4).
    pub calibrated: bool,
}

/// A model, and what it needs to read and classify files.
#[derive(Debug)]
pub struct Predictor {
    model: Model,
    classes: Vec<String>,
    reader: Reader,
    views: TestViews,
    temperature: f64,
    options: Options,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// What the model says of an image.
#[derive(Debug)]
pub struct Prediction {
    /// The image.
    pub path: PathBuf,
    /// The likeliest classes, the first first; or why none was predicted.
    pub outcome: Result<Vec<Ranked>, DataError>,
}

/// A class with its probability.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Name of the class.
    pub label: String,
    /// In [0, 1].
    pub probability: f64,
}

impl Predictor {
    /// Opens a run (its best epoch) or one of our model files.
    ///
    /// # Errors
    /// [`PredictError`] for a run without a finished epoch, a file that is not one of our models, and a device that
    /// cannot be used.
    pub fn open(run: &Path, machine: &RunSection, options: Options) -> Result<Self, PredictError> {
        let Machine { device, precision, mut notes } = Machine::choose(machine)?;
        let of_file = run.is_file();
        let (file, fitted) = if of_file { (run.to_path_buf(), None) } else { best_epoch(run, &mut notes)? };
        let of_run = if of_file { TestViews::Plain } else { views_of(run) };
        let (mut model, description) = load_model(&file, device)?;
        model.backbone.set_precision(precision);
        let transform = description.evaluation_transform();
        if options.calibrated && fitted.is_none() {
            notes.push("probabilities are not calibrated: no temperature was fitted for this model".into());
        }
        Ok(Predictor {
            model,
            reader: Reader {
                transform: transform.map_err(TrainError::from)?,
                bit_depth: description.bit_depth_range.unwrap_or_default(),
                workers: options.workers.max(1),
            },
            views: options.tta.unwrap_or(of_run),
            temperature: fitted.filter(|_| options.calibrated).unwrap_or(1.0),
            options: Options { top_k: options.top_k.clamp(1, description.classes.len().max(1)), ..options },
            classes: description.classes,
            notes,
        })
    }

    /// Classes of each prediction.
    pub fn top_k(&self) -> usize {
        self.options.top_k
    }

    /// Looks at every file in turn and hands each prediction to `take`; in memory are the images of two batches.
    ///
    /// # Errors
    /// What `take` gives, or libtorch. A file that cannot be read is a prediction with an error.
    pub fn predict(
        &self,
        files: &[PathBuf],
        take: &mut dyn FnMut(Prediction) -> Result<(), PredictError>,
        observer: &mut Observer<'_>,
    ) -> Result<(), PredictError> {
        let mut done = 0;
        self.reader.visit(files, self.options.batch_size, &mut |batch, images| {
            for (path, outcome) in batch.iter().zip(self.look_at(images)?) {
                take(Prediction { path: path.clone(), outcome })?;
            }
            done += batch.len();
            observer(&Event::Progress { done, total: files.len() });
            Ok(())
        })
    }

    /// The likeliest classes of each image that could be read.
    fn look_at(
        &self,
        images: Vec<Result<RgbImage, DataError>>,
    ) -> Result<Vec<Result<Vec<Ranked>, DataError>>, PredictError> {
        let readable: Vec<&RgbImage> = images.iter().filter_map(|image| image.as_ref().ok()).collect();
        if readable.is_empty() {
            return Ok(images.into_iter().map(|image| image.map(|_| Vec::new())).collect());
        }
        let pixels = stack_images(&readable)?;
        let mut rows = self.probabilities(&pixels)?.into_iter();
        let ranked = |image: Result<RgbImage, DataError>| image.map(|_| self.rank(&rows.next().unwrap_or_default()));
        Ok(images.into_iter().map(ranked).collect())
    }

    /// softmax(logits / T) of images u8 `[n, h, w, 3]`, row by row.
    fn probabilities(&self, images: &Tensor) -> Result<Vec<Vec<f64>>, TrainError> {
        let of = |images: &Tensor| self.model.features(images, Mode::Evaluate);
        let features = no_grad(|| self.views.features(images, of))?;
        Ok(guard("computing probabilities", || {
            let logits = no_grad(|| self.model.classifier.forward(&features));
            let probabilities = (logits.to_kind(Kind::Double) / self.temperature).softmax(1, Kind::Double);
            Vec::<Vec<f64>>::try_from(probabilities.to_device(tch::Device::Cpu)).expect("a matrix of f64")
        })?)
    }

    fn rank(&self, probabilities: &[f64]) -> Vec<Ranked> {
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        // Of equals the class that comes first, as elsewhere.
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]).then(a.cmp(&b)));
        order.truncate(self.options.top_k);
        let ranked = |class: usize| Ranked { label: self.classes[class].clone(), probability: probabilities[class] };
        order.into_iter().map(ranked).collect()
    }
}

/// The views with which the run was evaluated; the image alone if its configuration cannot be read, which predictions do
/// not need.
fn views_of(run: &Path) -> TestViews {
    let layers = RunFolder::open(run).ok().and_then(|folder| Layers::defaults().file(&folder.config()).ok());
    let word = layers.as_ref().and_then(|layers| layers.get("data.tta")?.as_str()?.parse().ok());
    word.unwrap_or(TestViews::Plain)
}

/// The best epoch of a run, and the temperature fitted for it; a note where the run has not finished.
fn best_epoch(run: &Path, notes: &mut Vec<String>) -> Result<(PathBuf, Option<f64>), TrainError> {
    let folder = RunFolder::open(run)?;
    notes.extend(unfinished(&folder)?);
    let temperature = folder.read_summary()?.and_then(|summary: Summary| summary.temperature);
    Ok((folder.best_model()?, temperature.filter(|&value| shape::is_positive(value))))
}
