//! A finished run, evaluated again.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::SegmentationEvaluator;
use crate::config::SegmentationConfig;
use crate::data::check::Problem;
use crate::data::{Dataset, Role, Split};
use crate::engine::{Stop, World};
use crate::evaluate::bootstrap::Interval;
use crate::evaluate::segmentation::{ClassPixels, PixelFigures, SegmentationMeasure, mean_iou_interval};
use crate::evaluate::{EvaluateError, Measure, figure};
use crate::figures::Figures;
use crate::fit::split_of;
use crate::models::Segmenter;
use crate::run_folder::RunFolder;
use crate::runs::{Machine, RunError};
use crate::saved_models::load_segmenter;
use crate::train::{Event, Observer, unfinished};

/// A segmentation run, evaluated on a split (E2).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentationEvaluation {
    /// The run folder.
    pub run: PathBuf,
    /// The split that was evaluated.
    pub split: String,
    /// Images of the split.
    pub images: usize,
    /// Accuracy and intersection over union.
    #[serde(flatten)]
    pub figures: PixelFigures,
    /// 95 % bootstrap interval of the mean IoU over the images.
    pub mean_iou_interval: Interval,
    /// Mean cross-entropy of the labelled pixels, nats.
    pub loss: Option<f64>,
    /// The figures of each class, in the order of the confusion matrix.
    pub classes: Vec<ClassEvaluation>,
    /// `confusion[truth][predicted]` counts pixels.
    pub confusion: Vec<Vec<u64>>,
}

/// Figures of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassEvaluation {
    /// Its name.
    pub name: String,
    /// Intersection over union; null for a class without a labelled pixel.
    pub iou: Option<f64>,
    /// Fraction of its pixels that were found; null for a class without a labelled pixel.
    pub accuracy: Option<f64>,
    /// Its labelled pixels.
    pub pixels: u64,
}

/// The network of a run's best epoch, and what it gives for a split.
#[derive(Debug)]
pub struct SegmentationOutputs {
    /// The network.
    pub network: Segmenter,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The split that was evaluated.
    pub role: Role,
    /// Its images.
    pub images: Split,
    /// The pixels of each of them.
    pub measured: SegmentationMeasure,
}

impl SegmentationOutputs {
    /// The figures of E2, by name.
    pub fn figures(&self) -> Figures {
        self.measured.figures()
    }
}

/// Evaluates the best checkpoint of a run on every image of a split, each at its own size; without a role, on the test
/// split, or the validation split if there is none.
///
/// `config` is the run's own with the user's changes; the data must have the classes of the run.
///
/// # Errors
/// What is wrong with the run, the machine or the data.
pub fn segmentation_outputs(
    run: &Path,
    config: &SegmentationConfig,
    role: Option<Role>,
    observer: &mut Observer<'_>,
) -> Result<SegmentationOutputs, RunError> {
    let folder = RunFolder::open(run)?;
    let machine = Machine::choose(&config.run)?;
    let (mut network, description) = load_segmenter(&folder.best_segmenter()?, machine.device)?;
    network.backbone.set_precision(machine.precision);
    for note in machine.notes.into_iter().chain(unfinished(&folder)?) {
        observer(&Event::Note(note));
    }
    let dataset = Dataset::open(&config.data.dir, &config.data.options())?;
    if !dataset.has_masks() {
        return Err(RunError::NoMasks { path: config.data.dir.clone() });
    }
    let role = role.unwrap_or(if dataset.test.is_some() { Role::Test } else { Role::Validation });
    let dataset = dataset.with_classes(description.classes[..].into())?;
    let (images, report) = split_of(&dataset, role, &config.data, config.train.seed)?;
    for finding in report.findings.iter().filter(|finding| finding.problem == Problem::Unreadable) {
        observer(&Event::Note(finding.to_string()));
    }
    observer(&Event::Stage("evaluation"));
    let evaluator = SegmentationEvaluator::new(config.views(), config.workers(), (Stop::default(), World::Alone))?;
    let measured = evaluator.measure(&network, &images)?;
    Ok(SegmentationOutputs { network, classes: description.classes, role, images, measured })
}

/// The figures of a run on every image of a split: see [`segmentation_outputs`].
///
/// # Errors
/// As [`segmentation_outputs`].
pub fn evaluate_segmentation(
    run: &Path,
    config: &SegmentationConfig,
    role: Role,
    observer: &mut Observer<'_>,
) -> Result<SegmentationEvaluation, RunError> {
    let outputs = segmentation_outputs(run, config, Some(role), observer)?;
    of_measure(run, role, &outputs.classes, &outputs.measured, config.train.seed)
}

fn of_measure(
    run: &Path,
    role: Role,
    names: &[String],
    measured: &SegmentationMeasure,
    seed: u64,
) -> Result<SegmentationEvaluation, RunError> {
    let confusion = measured.confusion();
    let images = measured.images().len();
    let empty = || EvaluateError::Empty { tensor: "labelled pixels", found: vec![images as i64] };
    let of_class = |(name, class): (&String, ClassPixels)| ClassEvaluation {
        name: name.clone(),
        iou: class.iou(),
        accuracy: class.accuracy(),
        pixels: class.truth,
    };
    Ok(SegmentationEvaluation {
        run: run.into(),
        split: role.to_string(),
        images,
        figures: confusion.figures().ok_or_else(empty)?,
        mean_iou_interval: mean_iou_interval(measured.images(), seed)?,
        loss: measured.figures().get(figure::LOSS.name),
        classes: names.iter().zip(confusion.of_classes()).map(of_class).collect(),
        confusion: confusion.rows(),
    })
}
