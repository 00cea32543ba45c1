//! Everything that needs the model and the images: outputs of the fine-tuned model, features of the frozen checkpoint.

use std::error::Error;

use tch::Tensor;

use super::Source;
use super::records::Records;
use crate::data::Split;
use crate::evaluate::bootstrap::{Comparison, paired_comparison};
use crate::evaluate::geometry::{Geometry, geometry};
use crate::fit::{Evaluation, FrozenFigures, Preparation, RunOutputs, prepare, run_outputs};
use crate::run_folder::Summary;
use crate::runs::RunError;
use crate::train::Observer;

/// Figures of a run on its evaluation split.
pub(super) struct Measurements {
    /// The fine-tuned model.
    pub(super) evaluated: RunOutputs,
    /// Its figures.
    pub(super) figures: Evaluation,
    /// Image by image, whether it was right.
    pub(super) correct: Vec<bool>,
    /// The checkpoint that it started from; the error says why it cannot be measured.
    pub(super) frozen: Result<Frozen, String>,
}

/// The frozen checkpoint on the same images.
pub(super) struct Frozen {
    /// f32 `[n, D]`.
    pub(super) features: Tensor,
    pub(super) geometry: Geometry,
    /// Measured again if the run has measured it.
    pub(super) probe: Option<Probe>,
}

/// The linear probe, measured again image by image.
pub(super) struct Probe {
    pub(super) linear_top1: f64,
    pub(super) knn_top1: f64,
    /// Fine-tuned model against linear probe.
    pub(super) comparison: Comparison,
}

impl Measurements {
    /// The figures of a run.
    ///
    /// # Errors
    /// Why it cannot be evaluated, as text.
    pub(super) fn of(source: &Source, records: &Records<Summary>, observer: &mut Observer<'_>) -> Result<Self, String> {
        let evaluated =
            run_outputs(&source.folder, &source.config, None, observer).map_err(|error| in_words(&error))?;
        let figures = evaluated.figures().map_err(|error| in_words(&error))?;
        let correct = evaluated.outputs.correct().map_err(|error| in_words(&error))?;
        let with_probe = records.summary.as_ref().is_some_and(|summary| summary.probe.is_some());
        let frozen = Frozen::of(source, &evaluated.images, &correct, with_probe, observer);
        Ok(Measurements { evaluated, figures, correct, frozen })
    }

    /// Names of the classes, in the order of the figures.
    pub(super) fn class_names(&self) -> &[String] {
        &self.evaluated.class_names
    }
}

impl Frozen {
    fn of(
        source: &Source,
        images: &Split,
        correct: &[bool],
        with_probe: bool,
        observer: &mut Observer<'_>,
    ) -> Result<Self, String> {
        // What was trained on does not matter here.
        let mut config = source.config.clone();
        config.data.unlabelled = None;
        let preparation = prepare(&config).map_err(|error| in_words(&error))?;
        let (_, now) = preparation.task.splits.evaluation_split();
        if now.labels() != images.labels() || now.classes() != images.classes() {
            return Err("the classes of the data are not those of the run".into());
        }
        Frozen::measure(&preparation, correct, with_probe, observer).map_err(|error| in_words(&error))
    }

    fn measure(
        Preparation { task, backbone, .. }: &Preparation,
        correct: &[bool],
        with_probe: bool,
        observer: &mut Observer<'_>,
    ) -> Result<Self, RunError> {
        let (_, images) = task.splits.evaluation_split();
        let features = task.evaluation_features(backbone, observer)?;
        let geometry = geometry(&features, images.labels(), task.classes.len() as i64)?;
        let probe = if with_probe {
            let FrozenFigures { linear_top1, knn_top1, linear_correct, .. } = task.probe(backbone, observer)?;
            let comparison = paired_comparison(correct, &linear_correct, task.config.train.seed)?;
            Some(Probe { linear_top1, knn_top1, comparison })
        } else {
            None
        };
        Ok(Frozen { features, geometry, probe })
    }
}

/// An error with its causes, as one sentence.
pub(super) fn in_words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}
