use serde::Deserialize;

use super::{CrossEntropy, Method, Needs, Objective, ObjectiveLoss, Pass, Requirement, Start};
use crate::models::{ModelError, Network};
use crate::settings::{Kind, RunKind, Setting, setting};

pub(super) const METHOD: Method = Method {
    word: "rifle",
    summary: "cross-entropy, with a classifier that is drawn anew a few times in the run",
    kind: RunKind::FineTuning,
    settings: &[REDRAWS],
    defaults: &[],
    requires: &[Requirement {
        key: "method.head_init",
        value: "random",
        because: "the classifier is drawn anew, so the probe would be lost",
    }],
    pretraining: None,
    build: |values| {
        let Settings { rifle_redraws: redraws } = values.read();
        Box::new(Rifle::new(redraws, values.label_smoothing))
    },
};

const REDRAWS: Setting =
    setting("method.rifle_redraws", Kind::Whole(1, 1000), "times that rifle draws the classifier anew").default("2");

#[derive(Deserialize)]
struct Settings {
    rifle_redraws: u64,
}

/// B5: cross-entropy; the classifier is drawn anew at the start of each of N + 1 equal periods of the run, except in its
/// last tenth. The optimizer keeps its memory of the classifier.
///
/// The drawing is a function of the seed and the number of the period, and there is no state.
#[derive(Debug)]
pub struct Rifle {
    redraws: u64,
    label_smoothing: f64,
    /// The first step of the second and of each later period; set by [`Objective::begin`].
    starts: Vec<u64>,
}

impl Rifle {
    /// The method before its first step; `redraws` is N.
    pub fn new(redraws: u64, label_smoothing: f64) -> Self {
        Rifle { redraws, label_smoothing, starts: Vec::new() }
    }

    /// The number of the period that begins with this step, from 1; `None` in the middle of one.
    fn period_that_begins(&self, step: u64) -> Option<u64> {
        self.starts.iter().position(|&start| start == step).map(|place| place as u64 + 1)
    }
}

/// The first steps of the second and of each later of N + 1 equal periods, without those in the last tenth.
fn starts(redraws: u64, steps: u64) -> Vec<u64> {
    let starts = (1..=redraws).map(|period| (period as f64 * steps as f64 / (redraws + 1) as f64).round() as u64);
    let mut starts: Vec<u64> = starts.filter(|&start| start > 0 && 10 * start < 9 * steps).collect();
    starts.dedup();
    starts
}

impl Objective for Rifle {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    fn needs(&self) -> Needs {
        Needs { soft_targets: true, ..Needs::CLASSIFIER }
    }

    fn begin(&mut self, start: &Start<'_>) -> Result<(), ModelError> {
        self.starts = starts(self.redraws, start.steps);
        Ok(())
    }

    fn before_step(&mut self, network: &dyn Network, (seed, step): (u64, u64)) -> Result<(), ModelError> {
        match (self.period_that_begins(step), network.classifier()) {
            (Some(period), Some(classifier)) => classifier.draw_anew(seed, period),
            _ => Ok(()),
        }
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        CrossEntropy { label_smoothing: self.label_smoothing }.loss(pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_equal_and_none_begins_in_the_last_tenth() {
        assert_eq!(starts(2, 12), [4, 8]);
        assert_eq!(starts(2, 100), [33, 67]);
        assert_eq!(starts(19, 20), (1..18).collect::<Vec<u64>>());
        assert_eq!(starts(9, 100).last(), Some(&80), "the tenth period would begin with the last tenth");
        assert_eq!(starts(4, 2), [1], "fewer steps than periods");
    }
}
