//! `summary.json` from what was measured.

use std::collections::BTreeMap;

use super::Task;
use super::evaluation::Evaluation;
use super::frozen::FrozenFigures;
use crate::engine::{self, peak_rss_bytes};
use crate::run_folder::{BestSummary, ProbeSummary, Summary, TestSummary};
use crate::train::{Best, Outcome};

/// Everything that the summary quotes.
pub(super) struct Measured<'a> {
    pub(super) outcome: &'a Outcome,
    pub(super) best: Best,
    pub(super) frozen: Option<&'a FrozenFigures>,
    pub(super) test: Option<&'a Evaluation>,
    pub(super) temperature: f64,
    pub(super) wall_seconds: f64,
}

pub(super) fn summary(task: &Task, measured: &Measured<'_>) -> Summary {
    let Measured { outcome, best, frozen, test, temperature, wall_seconds } = measured;
    Summary {
        method: task.config.method.name.name().into(),
        model: task.architecture.family.to_string(),
        data: task.config.data.dir.display().to_string(),
        seed: task.config.train.seed,
        epochs: outcome.progress.epochs,
        steps: outcome.progress.step,
        best: BestSummary { epoch: best.epoch, val_top1: best.top1 },
        test: test.map(|test| TestSummary {
            top1: test.classification.top1,
            top5: test.classification.top5,
            ece: test.calibration.ece,
            ece_calibrated: test.calibration.ece_calibrated.unwrap_or(test.calibration.ece),
            within_between: test.geometry.within_between(),
        }),
        probe: frozen.map(|frozen| ProbeSummary { knn_top1: frozen.knn_top1, linear_top1: frozen.linear_top1 }),
        temperature: Some(*temperature),
        images_per_second: outcome.images_per_second,
        wall_seconds: *wall_seconds,
        peak_rss_bytes: peak_rss_bytes(),
        coverage: task.report.coverage,
        versions: versions(),
    }
}

/// Versions that figures depend on, by name.
pub(crate) fn versions() -> BTreeMap<String, String> {
    let engine = engine::versions();
    BTreeMap::from([
        ("coretune".to_string(), env!("CARGO_PKG_VERSION").to_string()),
        ("libtorch".to_string(), engine.libtorch),
        ("tch".to_string(), engine.tch.to_string()),
    ])
}
