//! Calibration (E4): does a confidence of 0.8 mean being right 8 times in 10?

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{EvaluateError, Logits, argmax, labelled_matrix};
use crate::engine::{guard, shape};

/// Number of equal bins of confidence.
pub const BINS: usize = 15;

/// Temperatures that [`fit_temperature`] considers.
pub const TEMPERATURES: (f64, f64) = (0.01, 100.0);

/// One bin of the reliability diagram: low < confidence <= high.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower edge, outside.
    pub low: f64,
    /// Upper edge, inside.
    pub high: f64,
    /// Images whose confidence lies in the bin.
    pub images: usize,
    /// Their mean confidence; 0 without images.
    pub confidence: f64,
    /// Fraction of them that is right; 0 without images.
    pub accuracy: f64,
}

/// Sum over bins of |accuracy - confidence| weighted by the fraction of images; confidence = max softmax(logits / T).
///
/// # Errors
/// As [`predictions`].
pub fn expected_calibration_error(logits: &Tensor, labels: &[i64], temperature: f64) -> Result<f64, EvaluateError> {
    Ok(error_of_bins(&reliability(logits, labels, temperature)?))
}

/// Sum over bins of |accuracy - confidence| weighted by the fraction of images; 0 without images.
pub fn error_of_bins(bins: &[Bin]) -> f64 {
    let images: usize = bins.iter().map(|bin| bin.images).sum();
    let gap = |bin: &Bin| bin.images as f64 * (bin.accuracy - bin.confidence).abs();
    bins.iter().map(gap).sum::<f64>() / images.max(1) as f64
}

/// The [`BINS`] bins behind the calibration error, from low to high confidence.
///
/// # Errors
/// As [`predictions`].
pub fn reliability(logits: &Tensor, labels: &[i64], temperature: f64) -> Result<Vec<Bin>, EvaluateError> {
    Ok(bins(predictions(logits, labels, temperature)?.iter().map(|image| (image.confidence, image.is_right()))))
}

/// The [`BINS`] bins of images, each given by its confidence and whether its prediction is right.
pub fn bins(images: impl IntoIterator<Item = (f64, bool)>) -> Vec<Bin> {
    let mut sums = [(0, 0.0, 0); BINS];
    for (confidence, is_right) in images {
        let (images, total, right) = &mut sums[bin_of(confidence)];
        *images += 1;
        *total += confidence;
        *right += usize::from(is_right);
    }
    let bin = |(index, (images, total, right)): (usize, (usize, f64, usize))| {
        let whole = images.max(1) as f64;
        let (low, high) = (edge(index), edge(index + 1));
        Bin { low, high, images, confidence: total / whole, accuracy: right as f64 / whole }
    };
    sums.into_iter().enumerate().map(bin).collect()
}

/// What a model says of an image whose class is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The true class.
    pub label: i64,
    /// The most probable class.
    pub predicted: i64,
    /// The probability of the most probable class.
    pub confidence: f64,
    /// Negative log-likelihood of the true class, nats.
    pub nll: f64,
}

impl Prediction {
    /// Whether the most probable class is the true one.
    pub fn is_right(&self) -> bool {
        self.predicted == self.label
    }
}

/// What softmax(logits / T) says of every image.
///
/// # Errors
/// [`EvaluateError`] for a temperature that is not above 0, for logits that are empty, NaN or infinite, and for labels
/// that are not one of their classes each.
pub fn predictions(logits: &Tensor, labels: &[i64], temperature: f64) -> Result<Vec<Prediction>, EvaluateError> {
    shape::positive("temperature", temperature)?;
    let logits = Logits::new(logits, labels)?;
    let of_row = |(row, &label): (&[f64], &i64)| {
        let predicted = argmax(row);
        let confidence = 1.0 / exponentials(row, row[predicted], temperature);
        Prediction { label, predicted: predicted as i64, confidence, nll: loss(row, label, temperature) }
    };
    Ok(logits.rows().zip(labels).map(of_row).collect())
}

/// Mean of -log softmax(logits / T) at the label, nats.
///
/// # Errors
/// As [`predictions`].
pub fn negative_log_likelihood(logits: &Tensor, labels: &[i64], temperature: f64) -> Result<f64, EvaluateError> {
    shape::positive("temperature", temperature)?;
    let logits = Logits::new(logits, labels)?;
    let total: f64 = logits.rows().zip(labels).map(|(row, &label)| loss(row, label, temperature)).sum();
    Ok(total / labels.len() as f64)
}

/// -log softmax(row / T) at the label, nats.
pub(super) fn loss(row: &[f64], label: i64, temperature: f64) -> f64 {
    let largest = row[argmax(row)];
    exponentials(row, largest, temperature).ln() + (largest - row[label as usize]) / temperature
}

/// The temperature T that minimises the negative log-likelihood of `logits` / T (Guo et al., ICML 2017).
///
/// The loss is convex in 1/T, so its slope changes sign once; log T is bisected between [`TEMPERATURES`] for that
/// point. If the loss falls towards an end (every image right, or logits worse than chance), that end is the answer.
///
/// # Errors
/// [`EvaluateError`] for logits that are empty, NaN or infinite, and for labels that are not one of their classes each.
pub fn fit_temperature(logits: &Tensor, labels: &[i64]) -> Result<f64, EvaluateError> {
    labelled_matrix("logits", logits, labels, None)?;
    let (low, high) = (TEMPERATURES.0.ln(), TEMPERATURES.1.ln());
    Ok(guard("fitting the temperature", || {
        let logits = logits.to_kind(Kind::Double);
        let own = logits.gather(1, &Tensor::from_slice(labels).to_device(logits.device()).unsqueeze(1), false);
        let above_own = &logits - own;
        // d NLL / d(1/T): the mean over images of (expected logit - logit of the label).
        let slope = |log_temperature: f64| {
            let probability = (&logits / log_temperature.exp()).softmax(1, Kind::Double);
            (probability * &above_own).sum(Kind::Double).double_value(&[])
        };
        bisect(low, high, slope).exp()
    })?)
}

/// Where `slope` (positive to the left, negative to the right of one place) changes sign, to 2^-45 of the range.
fn bisect(mut low: f64, mut high: f64, slope: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..45 {
        let middle = f64::midpoint(low, high);
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// Sum over classes of exp((logit - largest) / T), at least 1.
fn exponentials(row: &[f64], largest: f64, temperature: f64) -> f64 {
    row.iter().map(|logit| ((logit - largest) / temperature).exp()).sum()
}

fn edge(index: usize) -> f64 {
    index as f64 / BINS as f64
}

/// The lowest bin whose upper edge is not below `confidence`.
fn bin_of(confidence: f64) -> usize {
    (0..BINS - 1).find(|&index| confidence <= edge(index + 1)).unwrap_or(BINS - 1)
}
