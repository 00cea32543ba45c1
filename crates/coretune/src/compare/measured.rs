//! What a finished run measured, read from its folder.

use std::path::Path;

use super::{CompareError, ComparedTask};
use crate::evaluate::calibration::{Bin, bins, error_of_bins};
use crate::evaluate::figure::MEAN_IOU;
use crate::evaluate::segmentation::{ClassPixels, PixelFigures};
use crate::figures::validation_name;
use crate::run_folder::{PixelRecord, PredictionRecord, RunFolder, RunFolderError, SegmentationSummary, Summary};

/// What a finished run measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    /// What settings are chosen by, the lowest being the best: of a classifier the mean negative log-likelihood of the
    /// validation images after temperature scaling, of segmentation the mean IoU of them with the sign turned.
    pub(super) validation_score: f64,
    /// The figure that methods are compared by, of the validation images: top-1, or mean IoU.
    pub(super) validation_figure: f64,
    /// The split that the other figures are of: `test`, or `validation` without one.
    pub(super) split: &'static str,
    /// Hash of the names and labels of its images, in their order.
    pub(super) images: String,
    /// Its images one by one.
    pub(super) evidence: Evidence,
    pub(super) seconds: f64,
    pub(super) memory_bytes: u64,
    /// Version of coretune and of libtorch.
    pub(super) versions: String,
}

/// What was measured of each image.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Evidence {
    /// Of a classifier.
    Classes(Classified),
    /// The pixels of each class, image by image.
    Pixels(Vec<Vec<ClassPixels>>),
}

/// What was measured of a classifier.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Classified {
    /// Image by image, whether the prediction is right.
    pub(super) correct: Vec<bool>,
    /// Mean negative log-likelihood after temperature scaling.
    pub(super) nll: f64,
    /// The bins of confidence after temperature scaling.
    pub(super) bins: Vec<Bin>,
}

impl Classified {
    /// Fraction of images whose prediction is right.
    pub(super) fn top1(&self) -> f64 {
        self.correct.iter().filter(|&&correct| correct).count() as f64 / self.correct.len().max(1) as f64
    }

    /// Expected calibration error after temperature scaling.
    pub(super) fn ece(&self) -> f64 {
        error_of_bins(&self.bins)
    }
}

impl Measured {
    /// Images that were evaluated.
    pub(super) fn count(&self) -> usize {
        match &self.evidence {
            Evidence::Classes(classes) => classes.correct.len(),
            Evidence::Pixels(images) => images.len(),
        }
    }

    /// What was measured of a classifier, if it was one.
    pub(super) fn classified(&self) -> Option<&Classified> {
        match &self.evidence {
            Evidence::Classes(classes) => Some(classes),
            Evidence::Pixels(_) => None,
        }
    }

    /// The pixels of each image, if the run segments images.
    pub(super) fn pixels(&self) -> Option<&[Vec<ClassPixels>]> {
        match &self.evidence {
            Evidence::Classes(_) => None,
            Evidence::Pixels(images) => Some(images),
        }
    }

    /// E2 over all images, if the run segments images.
    pub(super) fn pixel_figures(&self) -> Option<PixelFigures> {
        self.pixels().and_then(|images| PixelFigures::of_images(images, &vec![1; images.len()]))
    }

    /// What the run in this folder measured; none while it has not finished.
    ///
    /// # Errors
    /// [`RunFolderError`] when a file of the folder cannot be read.
    pub(super) fn read(folder: &Path, task: ComparedTask, classes: usize) -> Result<Option<Self>, CompareError> {
        if !RunFolder::holds_run(folder) {
            return Ok(None);
        }
        let folder = RunFolder::open_records(folder)?;
        match task {
            ComparedTask::Classification => read_classification(&folder),
            ComparedTask::Segmentation => read_segmentation(&folder, classes),
        }
    }
}

fn read_classification(folder: &RunFolder) -> Result<Option<Measured>, CompareError> {
    let Some(summary) = folder.read_summary::<Summary>()? else { return Ok(None) };
    let records = folder.predictions()?.ok_or_else(|| lacking(folder, "it has finished without predictions.csv"))?;
    let of = |split: &str| records.iter().filter(|record| record.split == split).collect::<Vec<_>>();
    let (validation, test) = (of("validation"), of("test"));
    if validation.is_empty() {
        return Err(lacking(folder, "predictions.csv has no validation images").into());
    }
    let (split, evaluated) = if test.is_empty() { ("validation", &validation) } else { ("test", &test) };
    Ok(Some(Measured {
        validation_score: mean_nll(&validation),
        validation_figure: fraction_right(&validation),
        split,
        images: hash_of(evaluated.iter().map(|record| (&record.image[..], record.label as u64))),
        evidence: Evidence::Classes(Classified {
            correct: evaluated.iter().map(|record| record.is_right()).collect(),
            nll: mean_nll(evaluated),
            bins: bins(evaluated.iter().map(|record| (record.confidence, record.is_right()))),
        }),
        seconds: summary.wall_seconds,
        memory_bytes: summary.peak_rss_bytes,
        versions: versions(&summary.versions),
    }))
}

fn read_segmentation(folder: &RunFolder, classes: usize) -> Result<Option<Measured>, CompareError> {
    let Some(summary) = folder.read_summary::<SegmentationSummary>()? else { return Ok(None) };
    let records = folder.pixels()?.ok_or_else(|| lacking(folder, "it has finished without pixels.csv"))?;
    let mean_iou = summary.best.figures.get(&validation_name(MEAN_IOU.name));
    let mean_iou = mean_iou.ok_or_else(|| lacking(folder, "summary.json has no mean IoU of the validation images"))?;
    let images = images_of(&records, classes).ok_or_else(|| lacking(folder, "pixels.csv has other classes"))?;
    if images.is_empty() {
        return Err(lacking(folder, "pixels.csv has no images").into());
    }
    Ok(Some(Measured {
        validation_score: -mean_iou,
        validation_figure: mean_iou,
        split: if summary.test.is_some() { "test" } else { "validation" },
        images: hash_of(records.iter().filter(|record| record.truth > 0).map(|r| (&r.image[..], r.class as u64))),
        evidence: Evidence::Pixels(images),
        seconds: summary.wall_seconds,
        memory_bytes: summary.peak_rss_bytes,
        versions: versions(&summary.versions),
    }))
}

/// The pixels of each image, in the order of the file; `None` if a class is not one of so many.
fn images_of(records: &[PixelRecord], classes: usize) -> Option<Vec<Vec<ClassPixels>>> {
    let of_image = |records: &[PixelRecord]| {
        let mut pixels = vec![ClassPixels::default(); classes];
        for &PixelRecord { class, hit, truth, predicted, .. } in records {
            *pixels.get_mut(class)? = ClassPixels { hit, truth, predicted };
        }
        Some(pixels)
    };
    records.chunk_by(|a, b| a.image == b.image).map(of_image).collect()
}

fn lacking(folder: &RunFolder, found: &str) -> RunFolderError {
    RunFolderError::CannotGoOn { path: folder.root().into(), found: found.into() }
}

fn mean_nll(records: &[&PredictionRecord]) -> f64 {
    records.iter().map(|record| record.nll).sum::<f64>() / records.len() as f64
}

fn fraction_right(records: &[&PredictionRecord]) -> f64 {
    records.iter().filter(|record| record.is_right()).count() as f64 / records.len() as f64
}

fn versions(versions: &std::collections::BTreeMap<String, String>) -> String {
    ["coretune", "libtorch"].map(|name| versions.get(name).map_or("?", |v| v)).join(", ")
}

/// Of the names of images, each with a class.
fn hash_of<'a>(images: impl Iterator<Item = (&'a str, u64)>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, class) in images {
        hasher.update(name.as_bytes()).update(&class.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
