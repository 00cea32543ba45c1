//! Classification (E1): top-1, top-5, per-class precision, recall and F1, macro means, confusion matrix.

use serde::Serialize;
use tch::Tensor;

use super::bootstrap::{Interval, accuracy_interval};
use super::{EvaluateError, Logits, argmax};

/// The figures of E1. All are fractions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classification {
    /// Number of images.
    pub images: usize,
    /// Fraction of images whose label has the largest logit.
    pub top1: f64,
    /// 95 % bootstrap interval of `top1` over the images.
    pub top1_interval: Interval,
    /// Fraction of images whose label is among the min(5, C) largest logits.
    pub top5: f64,
    /// Means over the classes that have images.
    pub macro_mean: ClassScores,
    /// One entry per class.
    pub classes: Vec<ClassScores>,
    /// `confusion[truth][predicted]` counts images.
    pub confusion: Vec<Vec<u64>>,
}

/// Precision, recall and F1 of a class (or their mean).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassScores {
    /// The fraction of the images predicted as this class that belongs to it; 0 without such images.
    pub precision: f64,
    /// The fraction of the images of this class that was found; 0 without such images.
    pub recall: f64,
    /// 2 precision recall / (precision + recall); 0 when both are 0.
    pub f1: f64,
    /// Number of images of this class.
    pub support: u64,
}

/// Compares `logits` `[n, C]` with `labels` (n classes in 0..C); the interval is drawn from `seed`.
///
/// On equal logits the lower class number goes first, in top-1 and top-5 alike. A class without images is left out of
/// the macro means (as E2 does).
///
/// # Errors
/// Shapes that do not fit, a label outside 0..C, no image, a logit that is not finite.
pub fn classification(logits: &Tensor, labels: &[i64], seed: u64) -> Result<Classification, EvaluateError> {
    let logits = Logits::new(logits, labels)?;
    let images = labels.len();
    let mut confusion = vec![vec![0; logits.classes]; logits.classes];
    let mut in_top5 = 0;
    for (row, &label) in logits.rows().zip(labels) {
        confusion[label as usize][argmax(row)] += 1;
        in_top5 += usize::from(rank(row, label as usize) < 5);
    }
    let correct = (0..logits.classes).map(|class| confusion[class][class] as usize).sum();
    let classes: Vec<_> = (0..logits.classes).map(|class| class_scores(&confusion, class)).collect();
    Ok(Classification {
        images,
        top1: correct as f64 / images as f64,
        top1_interval: accuracy_interval(correct, images, seed)?,
        top5: in_top5 as f64 / images as f64,
        macro_mean: macro_mean(&classes),
        classes,
        confusion,
    })
}

/// For each image whether its label has the largest logit: what [`super::bootstrap::paired_comparison`] takes.
///
/// # Errors
/// [`EvaluateError`] for logits that are empty, NaN or infinite, and for labels that are not one of their classes each.
pub fn correct(logits: &Tensor, labels: &[i64]) -> Result<Vec<bool>, EvaluateError> {
    let logits = Logits::new(logits, labels)?;
    Ok(logits.rows().zip(labels).map(|(row, &label)| argmax(row) == label as usize).collect())
}

/// Fraction of the images that were right; NaN without images.
pub fn accuracy(correct: &[bool]) -> f64 {
    correct.iter().filter(|&&right| right).count() as f64 / correct.len() as f64
}

/// How many classes come before `label` when sorted by falling logit, then by number.
fn rank(row: &[f64], label: usize) -> usize {
    let own = row[label];
    let before = |(class, logit): (usize, &f64)| if class < label { *logit >= own } else { *logit > own };
    row.iter().enumerate().filter(|&entry| before(entry)).count()
}

fn class_scores(confusion: &[Vec<u64>], class: usize) -> ClassScores {
    let hit = confusion[class][class];
    let support: u64 = confusion[class].iter().sum();
    let predicted: u64 = confusion.iter().map(|row| row[class]).sum();
    let f1 = ratio(2 * hit, support + predicted);
    ClassScores { precision: ratio(hit, predicted), recall: ratio(hit, support), f1, support }
}

fn macro_mean(classes: &[ClassScores]) -> ClassScores {
    let present: Vec<_> = classes.iter().filter(|class| class.support > 0).collect();
    let mean = |score: fn(&ClassScores) -> f64| present.iter().map(|c| score(c)).sum::<f64>() / present.len() as f64;
    ClassScores {
        precision: mean(|c| c.precision),
        recall: mean(|c| c.recall),
        f1: mean(|c| c.f1),
        support: present.iter().map(|c| c.support).sum(),
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
