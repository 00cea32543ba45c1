//! The difference of two methods, paired by seed and image, with interval and p-value from one bootstrap.
//!
//! With n images a draw of n images with replacement *is* a draw from a multinomial distribution over the patterns of
//! differences that images show, so that is what is drawn: the same result as from resampled indices, in less time.

use std::collections::BTreeMap;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::mean;
use crate::evaluate::bootstrap::{Interval, interval_of, times_drawn};
use crate::random::{self, Purpose, Stream};

/// Draws of the bootstrap.
pub const DRAWS: usize = 10_000;

/// From so many seeds on, seeds are drawn too: fewer say too little about how seeds differ.
pub const SEEDS_TO_DRAW: usize = 5;

/// The difference of two methods over seeds and images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The figure (top-1 accuracy, mean IoU) of the method minus that of the baseline, the mean over seeds; a fraction.
    pub mean: f64,
    /// Its 95 % interval.
    pub interval: Interval,
    /// Two-sided p-value of no difference.
    pub p: f64,
    /// Whether the draws are of seeds too, not only of images.
    pub seeds_drawn: bool,
    /// The difference of each seed.
    pub of_seeds: Vec<f64>,
}

/// Compares a method with a baseline: `method[s][i]` says whether it was right with seed s on image i.
///
/// A draw takes images with replacement. If the images of all seeds are the same (`same_images`: a test split), a draw
/// takes the same ones for every seed, as an image that is hard for one seed is hard for the next; else each seed has a
/// draw of its own. From [`SEEDS_TO_DRAW`] seeds on, seeds are drawn with replacement as well.
///
/// # Panics
/// When the lists do not pair: other numbers of seeds or images, or none at all.
pub fn paired_difference(method: &[&[bool]], baseline: &[&[bool]], same_images: bool, seed: u64) -> Difference {
    assert!(!method.is_empty() && method.len() == baseline.len(), "a method and a baseline have the same seeds");
    let differences: Vec<Vec<i8>> = method.iter().zip(baseline).map(|(a, b)| differences(a, b)).collect();
    let of_seeds: Vec<f64> = differences.iter().map(|of_seed| mean_of(of_seed)).collect();
    let blocks = blocks(&differences, same_images);
    bootstrap(of_seeds, seed, |stream| blocks.iter().flat_map(|block| block.draw(stream)).collect())
}

/// The mean of `of_seeds` with its interval and p-value. `draw` gives the difference of each seed over images that it draws.
pub(super) fn bootstrap(of_seeds: Vec<f64>, seed: u64, draw: impl Fn(&mut Stream) -> Vec<f64>) -> Difference {
    let seeds_drawn = of_seeds.len() >= SEEDS_TO_DRAW;
    let mut stream = random::stream(seed, Purpose::Bootstrap, 0, 0);
    let mut draw_mean = || {
        let means = draw(&mut stream);
        if !seeds_drawn {
            return mean(&means);
        }
        means.iter().map(|_| means[stream.random_range(0..means.len())]).sum::<f64>() / means.len() as f64
    };
    let mut draws: Vec<f64> = std::iter::repeat_with(&mut draw_mean).take(DRAWS).collect();
    draws.sort_by(f64::total_cmp);
    Difference { mean: mean(&of_seeds), interval: interval_of(&draws), p: two_sided_p(&draws), seeds_drawn, of_seeds }
}

/// Twice the fraction of draws on the rarer side of 0, which is on both sides; at least what so many draws can show.
fn two_sided_p(draws: &[f64]) -> f64 {
    let at_least = |count: usize| (count + 1) as f64 / (draws.len() + 1) as f64;
    let below = draws.iter().filter(|&&draw| draw <= TINY).count();
    let above = draws.iter().filter(|&&draw| draw >= -TINY).count();
    (2.0 * at_least(below.min(above))).min(1.0)
}

/// Sums of fractions that cancel are this close to 0; a single image of a million is not.
const TINY: f64 = 1e-9;

/// 1 where only the method is right, -1 where only the baseline is, else 0.
fn differences(method: &[bool], baseline: &[bool]) -> Vec<i8> {
    assert!(!method.is_empty() && method.len() == baseline.len(), "a method and a baseline have the same images");
    method.iter().zip(baseline).map(|(&a, &b)| i8::from(a) - i8::from(b)).collect()
}

fn mean_of(differences: &[i8]) -> f64 {
    differences.iter().map(|&difference| f64::from(difference)).sum::<f64>() / differences.len() as f64
}

/// Seeds whose images are drawn together.
struct Block {
    /// How an image can come out, seed by seed, and how many images do.
    patterns: Vec<(Vec<i8>, u64)>,
    images: u64,
    seeds: usize,
}

fn blocks(differences: &[Vec<i8>], same_images: bool) -> Vec<Block> {
    if same_images { vec![Block::of(differences)] } else { differences.chunks(1).map(Block::of).collect() }
}

impl Block {
    fn of(differences: &[Vec<i8>]) -> Self {
        let images = differences[0].len();
        assert!(differences.iter().all(|seed| seed.len() == images), "the seeds have the same images");
        let mut counts: BTreeMap<Vec<i8>, u64> = BTreeMap::new();
        for image in 0..images {
            *counts.entry(differences.iter().map(|seed| seed[image]).collect()).or_default() += 1;
        }
        Block { patterns: counts.into_iter().collect(), images: images as u64, seeds: differences.len() }
    }

    /// The mean difference of each seed over as many images as there are, drawn with replacement.
    fn draw(&self, stream: &mut Stream) -> Vec<f64> {
        let mut sums = vec![0.0; self.seeds];
        let (mut to_draw, mut to_come) = (self.images, self.images);
        for (pattern, count) in &self.patterns {
            let drawn = times_drawn(*count, to_come, to_draw, stream);
            (to_draw, to_come) = (to_draw - drawn, to_come - count);
            for (sum, &difference) in sums.iter_mut().zip(pattern) {
                *sum += f64::from(difference) * drawn as f64;
            }
        }
        sums.into_iter().map(|sum| sum / self.images as f64).collect()
    }
}
