//! `summary.json` from what was measured.

use super::Task;
use super::evaluation::Evaluation;
use super::frozen::FrozenFigures;
use super::unlabelled::Unlabelled;
use crate::engine::{peak_device_bytes, peak_rss_bytes};
use crate::evaluate::bootstrap::{Comparison, Interval};
use crate::figures::EpochFigures;
use crate::run_folder::{PairedDifference, Summary};
use crate::runs::versions;
use crate::train::Outcome;

/// Everything that the summary contains.
pub(super) struct Measured<'a> {
    pub(super) outcome: &'a Outcome,
    pub(super) best: &'a EpochFigures,
    pub(super) frozen: Option<&'a FrozenFigures>,
    pub(super) test: Option<&'a Evaluation>,
    pub(super) against_probe: Option<&'a Comparison>,
    pub(super) temperature: f64,
    pub(super) wall_seconds: f64,
}

pub(super) fn summary(task: &Task, measured: &Measured<'_>) -> Summary {
    let Measured { outcome, best, frozen, test, against_probe, temperature, wall_seconds } = measured;
    let above_probe = |comparison: &Comparison| {
        let Comparison { difference, interval: Interval { low, high }, .. } = *comparison;
        PairedDifference { difference, low, high }
    };
    Summary {
        method: task.config.method.word().into(),
        model: task.architecture.family.to_string(),
        data: task.config.data.dir.display().to_string(),
        seed: task.config.train.seed,
        epochs: outcome.progress.epochs,
        steps: outcome.progress.step,
        best: EpochFigures { epoch: best.epoch, figures: best.figures.of_validation() },
        test: test.map(Evaluation::by_name),
        probe: frozen.map(FrozenFigures::accuracies),
        top1_interval: test.map(|test| test.classification.top1_interval).map(|Interval { low, high }| [low, high]),
        above_probe: against_probe.map(above_probe),
        temperature: Some(*temperature),
        images_per_second: outcome.images_per_second,
        wall_seconds: *wall_seconds,
        peak_rss_bytes: peak_rss_bytes(),
        peak_device_bytes: peak_device_bytes(task.device),
        exchange: task.world.traffic(),
        coverage: task.report.coverage,
        class_weights: task.class_weights().map(|weights| task.classes.iter().cloned().zip(weights).collect()),
        pseudo_labels: task.unlabelled.as_ref().map(Unlabelled::summary),
        versions: versions(),
    }
}
