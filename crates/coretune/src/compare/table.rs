//! The table of a comparison: a row for each method and labelled budget.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ComparedTask;
use super::statistics::{Difference, deviation, mean};
use crate::evaluate::bootstrap::Interval;
use crate::evaluate::calibration::Bin;

/// Rows whose p-value, corrected by Holm, is below this differ from the baseline by more than chance.
pub(super) const SIGNIFICANT: f64 = 0.05;

/// Fewest seeds whose interval is shown: that of two is twelve times as wide as their distance from each other.
pub(super) const FEWEST_SEEDS: usize = 3;

/// Differences of fractions this close are equal: a single image of a million is not.
const EQUAL: f64 = 1e-9;

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What the runs learn.
    #[serde(default)]
    pub task: ComparedTask,
    /// Where the images came from.
    pub data: String,
    /// The checkpoint that every run starts from.
    pub checkpoint: String,
    /// The split that the figures are of: `test`, or `validation` without one; `none` before a run has finished.
    pub split: String,
    /// Its images.
    pub images: usize,
    /// Seeds of every row, the first of which settings were chosen on.
    pub seeds: Vec<u64>,
    /// The row that the others are compared with.
    pub baseline: String,
    /// The rows, budget by budget.
    pub rows: Vec<Row>,
    /// What to use, and how sure that is: a sentence for each budget.
    pub verdict: Vec<String>,
    /// What a reader of the table has to know, a sentence each.
    pub notes: Vec<String>,
    /// Runs of the table that have finished, trials included.
    pub runs: usize,
    /// Identity of the run to use: that of the recommended row's first seed, with several budgets at the largest of them.
    #[serde(default)]
    pub best_run: Option<String>,
    /// Methods with finished runs in the folder that an earlier table had and this one has not.
    #[serde(default)]
    pub left_out: Vec<String>,
}

/// A method at a labelled budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The method with its settings, as it was given.
    pub method: String,
    /// Training labels of each class; null if the comparison has one budget, that of its settings.
    pub labels_per_class: Option<usize>,
    /// The settings that were chosen, by key.
    pub settings: BTreeMap<String, String>,
    /// Runs by which they were chosen.
    pub trials: usize,
    /// The seeds that have finished.
    pub seeds: Vec<u64>,
    /// Top-1 accuracy, a fraction; of classifiers.
    pub top1: Option<Spread>,
    /// What settings are chosen by, the lowest being the best: of a classifier the negative log-likelihood of the validation
    /// images after temperature scaling, of segmentation their mean IoU with the sign turned.
    #[serde(default)]
    pub validation_score: Option<Spread>,
    /// Negative log-likelihood after temperature scaling, nats; of classifiers.
    pub nll: Option<Spread>,
    /// Expected calibration error after temperature scaling; of classifiers.
    pub ece: Option<Spread>,
    /// Mean intersection over union, a fraction; of segmentation, as the next three.
    #[serde(default)]
    pub mean_iou: Option<Spread>,
    /// Fraction of the labelled pixels that are right.
    #[serde(default)]
    pub pixel_accuracy: Option<Spread>,
    /// Mean over classes of the fraction of their pixels that are right.
    #[serde(default)]
    pub mean_pixel_accuracy: Option<Spread>,
    /// Intersection over union, each class weighted by its pixels.
    #[serde(default)]
    pub frequency_weighted_iou: Option<Spread>,
    /// Top-1, or mean IoU, minus that of the baseline, paired by seed and image; null for the baseline.
    pub difference: Option<Difference>,
    /// The differences of the other figures of segmentation, by their names.
    #[serde(default)]
    pub other_differences: BTreeMap<String, Difference>,
    /// The p-value of the difference after Holm's correction over all rows.
    pub p_holm: Option<f64>,
    /// The 95 % t interval of the difference over two seeds or more.
    pub t_interval: Option<Interval>,
    /// The smallest difference that these seeds could have shown: half the width of the t interval.
    #[serde(default)]
    pub detectable: Option<f64>,
    /// Seeds that would decide a difference that is open; null if it is not open or the number is not known.
    pub seeds_to_decide: Option<usize>,
    /// Bins of confidence after temperature scaling, over all seeds.
    pub calibration: Vec<Bin>,
    /// Mean time of a run, seconds.
    pub seconds: Option<f64>,
    /// Time of all runs of the row, trials included, seconds.
    pub total_seconds: f64,
    /// Most memory that a run held.
    pub memory_bytes: Option<u64>,
    /// What went wrong or is missing, and choices at the edge of a grid; a sentence each.
    pub remarks: Vec<String>,
    /// Identities of the runs, in the order of `seeds`: the names of their folders in `runs`.
    pub runs: Vec<String>,
}

/// A figure over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Mean over seeds.
    pub mean: f64,
    /// Standard deviation over seeds; null below two.
    pub sd: Option<f64>,
    /// The value of each seed.
    pub of_seeds: Vec<f64>,
}

impl Spread {
    /// The figure over these values, one for each seed; `None` without any.
    pub(super) fn of(values: Vec<f64>) -> Option<Self> {
        let (mean, sd) = (mean(&values), deviation(&values));
        (!values.is_empty()).then_some(Spread { mean, sd, of_seeds: values })
    }
}

impl Comparison {
    /// The methods of the table, each once.
    pub fn methods(&self) -> Vec<&str> {
        let mut methods: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !methods.contains(&row.method.as_str()) {
                methods.push(&row.method);
            }
        }
        methods
    }
}

impl Row {
    /// The figure that methods are compared by: top-1, or mean IoU.
    pub fn figure(&self) -> Option<&Spread> {
        self.top1.as_ref().or(self.mean_iou.as_ref())
    }

    /// The t interval over seeds, if it says anything: of three seeds or more that do not all agree.
    pub fn interval_over_seeds(&self) -> Option<Interval> {
        let seeds = self.difference.as_ref()?.of_seeds.len();
        self.t_interval.filter(|interval| seeds >= FEWEST_SEEDS && interval.high - interval.low > EQUAL)
    }

    /// Whether the row differs from the baseline by more than chance.
    pub fn is_decided(&self) -> bool {
        self.p_holm.is_some_and(|p| p < SIGNIFICANT)
    }
}
