//! The comparison of an export with the model in memory, and the files that keep it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rand::Rng;
use serde::Serialize;
use tch::{Kind, Tensor};

use super::source::Source;
use super::{ExportError, Format, Request};
use crate::checkpoints::CheckpointError;
use crate::checkpoints::safetensors_file;
use crate::engine::{self, guard};
use crate::files::{beside, write_whole};
use crate::random::{Purpose, stream};

/// Images of a comparison.
const IMAGES: i64 = 4;
/// Seed of their pixels.
const SEED: u64 = 0;
/// Logits that the report spells out.
const FIRST: usize = 10;

/// How far the logits of an export are from the model's, on fixed random images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parity {
    /// Name of the export without its folder.
    pub file: String,
    /// Its format.
    pub format: Format,
    /// BLAKE3 of its bytes.
    pub blake3: String,
    /// What was computed on.
    pub images: ParityImages,
    /// Largest difference of two logits.
    pub max_abs_difference: f64,
    /// Largest absolute logit of the model.
    pub largest_logit: f64,
    /// The one divided by the other.
    pub relative_difference: f64,
    /// The most that `relative_difference` may be.
    pub tolerance: f64,
    /// The first logits of the first image.
    pub first_logits: Vec<f64>,
    /// Of coretune and of what it computed with.
    pub versions: BTreeMap<&'static str, String>,
}

/// The images of a comparison: squares of random colour of 4, 8, 16 and 32 pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ParityImages {
    /// Seed of the pixels.
    pub seed: u64,
    /// How many.
    pub count: i64,
    /// Height and width, pixels.
    pub size: i64,
}

/// `<output>.parity.json`.
pub(super) fn report_of(output: &Path) -> PathBuf {
    beside(output, ".parity.json")
}

/// `<output>.parity.safetensors`.
pub(super) fn tensors_of(output: &Path) -> PathBuf {
    beside(output, ".parity.safetensors")
}

/// The images u8 `[4, size, size, 3]`.
pub(super) fn images(size: i64) -> Result<Tensor, ExportError> {
    let pixels: Vec<u8> = (0..IMAGES as u64).flat_map(|index| pixels(index, size as usize)).collect();
    Ok(guard("making the images of a comparison", || Tensor::from_slice(&pixels).view([IMAGES, size, size, 3]))?)
}

/// Images u8 `[4, height, width, 3]`: the corners of larger squares.
pub(super) fn images_of([height, width]: [i64; 2]) -> Result<Tensor, ExportError> {
    let images = images(height.max(width))?;
    Ok(guard("making the images of a comparison", || images.narrow(1, 0, height).narrow(2, 0, width).contiguous())?)
}

fn pixels(index: u64, size: usize) -> Vec<u8> {
    let side = 4 << index;
    let across = size.div_ceil(side);
    let mut colours = vec![0; across * across * 3];
    stream(SEED, Purpose::ExportCheck, 0, index).fill_bytes(&mut colours);
    let colour = |y: usize, x: usize| {
        let first = (y / side * across + x / side) * 3;
        [colours[first], colours[first + 1], colours[first + 2]]
    };
    (0..size).flat_map(|y| (0..size).map(move |x| (y, x))).flat_map(|(y, x)| colour(y, x)).collect()
}

impl Parity {
    /// Compares logits `[n, classes]` of the model and of the file `candidate`.
    ///
    /// # Errors
    /// [`ExportError::Differs`] above the tolerance.
    pub(super) fn compare(
        source: &Source,
        request: &Request,
        candidate: &Path,
        expected: &Tensor,
        found: &Tensor,
    ) -> Result<Self, ExportError> {
        let first_logits = guard("comparing logits", || {
            let row: Vec<f64> = Vec::try_from(expected.get(0).to_kind(Kind::Double)).unwrap_or_default();
            row.into_iter().take(FIRST).collect()
        })?;
        let tolerance = tolerance(request.format);
        let Gap { max_abs_difference, largest_logit, relative_difference } = gap(request.format, expected, found)?;
        Ok(Parity {
            file: request.output.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            format: request.format,
            blake3: hash(candidate)?,
            images: ParityImages { seed: SEED, count: IMAGES, size: source.description.img_size },
            max_abs_difference,
            largest_logit,
            relative_difference,
            tolerance,
            first_logits,
            versions: versions(),
        })
    }

    /// Writes the report, and the images u8 `[n, 3, h, w]` with the model's logits for other programs to check with;
    /// gives the path of the report.
    pub(super) fn write(&self, output: &Path, images: &Tensor, logits: &Tensor) -> Result<PathBuf, ExportError> {
        write_tensors(output, images, logits)?;
        let report = report_of(output);
        write_whole(&report, format!("{:#}\n", serde_json::json!(self)).as_bytes())
            .map_err(ExportError::write(&report))?;
        Ok(report)
    }
}

/// How far two tensors of logits are from each other.
pub(super) struct Gap {
    pub(super) max_abs_difference: f64,
    pub(super) largest_logit: f64,
    pub(super) relative_difference: f64,
}

/// Compares the logits of a model with those of a file.
///
/// # Errors
/// [`ExportError::Differs`] for another shape and above the tolerance.
pub(super) fn gap(format: Format, expected: &Tensor, found: &Tensor) -> Result<Gap, ExportError> {
    let differs = |expected, found| ExportError::Differs { format, expected, found };
    if found.size() != expected.size() {
        let (expected, found) = (format!("{:?}", expected.size()), format!("logits {:?}", found.size()));
        return Err(differs(expected, found));
    }
    let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    let (max_abs_difference, largest_logit) =
        guard("comparing logits", || (largest(&(found - expected)), largest(expected)))?;
    let relative_difference = max_abs_difference / largest_logit.max(f64::MIN_POSITIVE);
    let tolerance = tolerance(format);
    if relative_difference.is_nan() || relative_difference > tolerance {
        let found = format!("logits differ by {relative_difference:.1e} of the largest");
        return Err(differs(format!("at most {tolerance:e}"), found));
    }
    Ok(Gap { max_abs_difference, largest_logit, relative_difference })
}

/// Writes images u8 `[n, h, w, 3]` as `[n, 3, h, w]` with the model's logits, for other programs to check with.
pub(super) fn write_tensors(output: &Path, images: &Tensor, logits: &Tensor) -> Result<(), ExportError> {
    let images = guard("arranging the images", || images.permute([0, 3, 1, 2]))?;
    let tensors = [("images".to_string(), images), ("logits".to_string(), logits.shallow_clone())];
    Ok(safetensors_file::write(tensors_of(output), &BTreeMap::new(), &tensors)?)
}

/// Weights come back bit for bit, and only the order of sums may differ (with the strides of a weight, for which libtorch
/// has several kernels); a graph normalises pixels in another way as well.
fn tolerance(format: Format) -> f64 {
    match format {
        Format::Safetensors | Format::Torch => 1e-5,
        Format::Onnx => 1e-4,
    }
}

fn hash(path: &Path) -> Result<String, ExportError> {
    let mut hasher = blake3::Hasher::new();
    let read = File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ()));
    read.map_err(|source| CheckpointError::File { path: path.into(), doing: "read", source })?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn versions() -> BTreeMap<&'static str, String> {
    let engine = engine::versions();
    BTreeMap::from([
        ("coretune", env!("CARGO_PKG_VERSION").to_string()),
        ("libtorch", engine.libtorch),
        ("tch", engine.tch.to_string()),
    ])
}
