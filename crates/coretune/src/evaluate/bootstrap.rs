//! How far a figure measured on n images can be trusted: 95 % percentile bootstrap intervals over images.
//!
//! Resampling n images with replacement and counting how many of them are correct *is* a draw from a binomial
//! distribution (from a multinomial one where two classifiers are compared), so that is what is drawn: the same
//! intervals as from resampled indices, without n draws per resample.

use rand::RngExt;
use rand_distr::{Binomial, Distribution};
use serde::{Deserialize, Serialize};

use super::EvaluateError;
use crate::engine::EngineError;
use crate::random::{self, Purpose, Stream};

/// Number of bootstrap resamples behind every interval.
pub const RESAMPLES: usize = 2000;

/// The central 95 % of a bootstrap distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// 2.5 % quantile.
    pub low: f64,
    /// 97.5 % quantile.
    pub high: f64,
}

/// Difference of two accuracies on the same images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Accuracy of the first minus accuracy of the second, a fraction.
    pub difference: f64,
    /// Its 95 % interval.
    pub interval: Interval,
    /// Images that only the first got right.
    pub only_first: usize,
    /// Images that only the second got right.
    pub only_second: usize,
}

impl Comparison {
    /// Whether the first is better by more than chance on these images: the whole interval lies above 0.
    pub fn first_is_better(&self) -> bool {
        self.interval.low > 0.0
    }
}

/// The 95 % interval of the accuracy when `correct` of `images` images were right; from stream (`seed`, bootstrap, 0, 0).
///
/// # Errors
/// [`EngineError::Value`] without images, or with more correct ones than images.
pub fn accuracy_interval(correct: usize, images: usize, seed: u64) -> Result<Interval, EngineError> {
    if images == 0 || correct > images {
        return Err(EngineError::Value {
            name: "correct images",
            expected: format!("at most {images} of at least one image"),
            found: correct.to_string(),
        });
    }
    let mut stream = random::stream(seed, Purpose::Bootstrap, 0, 0);
    let (correct, images) = (correct as u64, images as u64);
    Ok(interval(|| times_drawn(correct, images, images, &mut stream) as f64 / images as f64))
}

/// Compares two classifiers image by image: `first[i]` and `second[i]` say whether image i was right.
///
/// A resample holds each image with both its answers, so what the two have in common cancels; this is far sharper than
/// two separate intervals.
///
/// # Errors
/// [`EvaluateError::DifferentImages`] when the lists differ in length; [`EvaluateError::Empty`] without images.
pub fn paired_comparison(first: &[bool], second: &[bool], seed: u64) -> Result<Comparison, EvaluateError> {
    let images = first.len();
    if images != second.len() {
        return Err(EvaluateError::DifferentImages { first: images, second: second.len() });
    }
    if images == 0 {
        return Err(EvaluateError::Empty { tensor: "compared images", found: vec![0] });
    }
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|&(&a, &b)| a && !b).count();
    let (only_first, only_second) = (only(first, second), only(second, first));
    let mut stream = random::stream(seed, Purpose::Bootstrap, 0, 0);
    let [all, first, second] = [images, only_first, only_second].map(|count| count as u64);
    let interval = interval(|| {
        let wins = times_drawn(first, all, all, &mut stream);
        let losses = times_drawn(second, all - first, all - wins, &mut stream);
        (wins as f64 - losses as f64) / images as f64
    });
    let difference = (only_first as f64 - only_second as f64) / images as f64;
    Ok(Comparison { difference, interval, only_first, only_second })
}

/// How many of `times` draws with replacement from `total` images hit one of the `marked`.
pub(crate) fn times_drawn(marked: u64, total: u64, times: u64, stream: &mut Stream) -> u64 {
    let fraction = if total == 0 { 0.0 } else { marked as f64 / total as f64 };
    // A fraction of counts with marked <= total is in [0, 1], all that the distribution asks for.
    Binomial::new(times, fraction).map_or(0, |binomial| binomial.sample(stream))
}

/// Draws as many images as there are, with replacement: `times` becomes how often each was drawn.
pub(crate) fn draw_images(times: &mut [u64], stream: &mut Stream) {
    times.fill(0);
    for _ in 0..times.len() {
        times[stream.random_range(0..times.len())] += 1;
    }
}

/// The interval of a figure over resampled images: it is called with how many times each image was drawn.
pub(super) fn interval_of_resampled_images(images: usize, seed: u64, figure: impl Fn(&[u64]) -> f64) -> Interval {
    let mut stream = random::stream(seed, Purpose::Bootstrap, 0, 0);
    let mut times = vec![0; images];
    interval(|| {
        draw_images(&mut times, &mut stream);
        figure(&times)
    })
}

fn interval(resample: impl FnMut() -> f64) -> Interval {
    let mut figures: Vec<f64> = std::iter::repeat_with(resample).take(RESAMPLES).collect();
    figures.sort_by(f64::total_cmp);
    interval_of(&figures)
}

/// The central 95 % of sorted draws.
pub(crate) fn interval_of(sorted: &[f64]) -> Interval {
    Interval { low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) }
}

/// Quantile of sorted values, linear between neighbours.
fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let position = fraction * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}
