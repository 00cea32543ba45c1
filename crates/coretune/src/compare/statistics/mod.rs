//! Statistics of a comparison: differences paired by seed and image, their intervals and p-values, and how many seeds
//! would decide.

mod holm;
mod paired;
mod pixels;
mod seeds;
mod student;

pub use holm::holm;
pub use paired::{DRAWS, Difference, SEEDS_TO_DRAW, paired_difference};
pub use pixels::paired_pixel_difference;
pub use seeds::{MOST_SEEDS, SeedsNeeded, seeds_needed};
pub use student::{seed_interval, t_quantile};

/// Mean of values; 0 without any.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Standard deviation of a sample, with n - 1; `None` below two values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}
