//! How many seeds would decide whether a difference is more than chance.

use super::{deviation, mean, t_quantile};

/// More seeds than this are not proposed.
pub const MOST_SEEDS: usize = 200;

/// How many seeds would decide, if differences go on as they were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedsNeeded {
    /// With one seed it is unknown how much they differ.
    Unknown,
    /// So many seeds in all.
    About(usize),
    /// More than [`MOST_SEEDS`]: the difference is small against its deviation over seeds.
    TooMany,
}

/// The fewest seeds with which the t interval of such differences, one for each seed measured so far, excludes 0.
pub fn seeds_needed(differences: &[f64]) -> SeedsNeeded {
    let Some(deviation) = deviation(differences) else { return SeedsNeeded::Unknown };
    let centre = mean(differences).abs();
    let excludes_zero = |seeds: usize| t_quantile(0.975, seeds - 1) * deviation / (seeds as f64).sqrt() < centre;
    (2..=MOST_SEEDS).find(|&seeds| excludes_zero(seeds)).map_or(SeedsNeeded::TooMany, SeedsNeeded::About)
}
