//! Student's t: an interval of a mean over few seeds.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{deviation, mean};
use crate::evaluate::bootstrap::Interval;

/// The quantile of Student's t distribution with so many degrees of freedom; infinite below one degree.
pub fn t_quantile(fraction: f64, degrees: usize) -> f64 {
    StudentsT::new(0.0, 1.0, degrees as f64).map_or(f64::INFINITY, |student| student.inverse_cdf(fraction))
}

/// The 95 % interval of the mean of values, one for each seed; `None` below two seeds.
pub fn seed_interval(values: &[f64]) -> Option<Interval> {
    let half = t_quantile(0.975, values.len().saturating_sub(1)) * deviation(values)? / (values.len() as f64).sqrt();
    let centre = mean(values);
    Some(Interval { low: centre - half, high: centre + half })
}
