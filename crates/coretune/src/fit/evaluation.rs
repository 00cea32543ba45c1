//! Figures of a trained model on a split (E1, E3, E4), at the end of a run or later.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use tch::Kind;

use super::splits::Splits;
use crate::config::{DataSection, RunConfig};
use crate::data::check::{Depth, Problem, Report, check};
use crate::data::{Broken, Dataset, Role, Split, listed};
use crate::engine::{Stop, World, guard};
use crate::evaluate::calibration::{expected_calibration_error, negative_log_likelihood};
use crate::evaluate::classification::{Classification, classification};
use crate::evaluate::features::{Evaluator, Outputs};
use crate::evaluate::figure;
use crate::evaluate::geometry::{Geometry, geometry};
use crate::figures::Figures;
use crate::models::Model;
use crate::run_folder::{RunFolder, Summary};
use crate::runs::{Machine, RunError};
use crate::saved_models::{ModelDescription, load_model};
use crate::train::{Event, Observer, TrainError, unfinished};

/// Figures of a model on a split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Accuracy, per class and in all (E1).
    #[serde(flatten)]
    pub classification: Classification,
    /// Calibration (E4).
    pub calibration: Calibrated,
    /// Geometry of the features (E3).
    pub geometry: Geometry,
}

impl Evaluation {
    /// The figures of `summary.json`, by name.
    pub(crate) fn by_name(&self) -> Figures {
        let Evaluation { classification, calibration, geometry } = self;
        Figures::new()
            .with(figure::TOP1.name, classification.top1)
            .with(figure::TOP5.name, classification.top5)
            .with(figure::ECE.name, calibration.ece)
            .with(figure::ECE_CALIBRATED.name, calibration.ece_calibrated)
            .with(figure::WITHIN_BETWEEN.name, geometry.within_between())
    }
}

/// Calibration before and after temperature scaling.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Calibrated {
    /// Expected calibration error with 15 bins.
    pub ece: f64,
    /// The same after dividing the logits by the temperature; `None` if none was fitted.
    pub ece_calibrated: Option<f64>,
    /// Mean negative log-likelihood, nats.
    pub nll: f64,
    /// The same after temperature scaling.
    pub nll_calibrated: Option<f64>,
    /// Temperature fitted on the validation split.
    pub temperature: Option<f64>,
}

/// E1, E3 and E4 of these outputs; `temperature` was fitted on the validation split, `seed` draws the interval.
pub(crate) fn evaluate_outputs(outputs: &Outputs, temperature: Option<f64>, seed: u64) -> Result<Evaluation, RunError> {
    let Outputs { features, logits, labels } = outputs;
    let ece = |temperature| expected_calibration_error(logits, labels, temperature);
    let nll = |temperature| negative_log_likelihood(logits, labels, temperature);
    Ok(Evaluation {
        classification: classification(logits, labels, seed)?,
        calibration: Calibrated {
            ece: ece(1.0)?,
            ece_calibrated: temperature.map(ece).transpose()?,
            nll: nll(1.0)?,
            nll_calibrated: temperature.map(nll).transpose()?,
            temperature,
        },
        geometry: geometry(features, labels, logits.size()[1])?,
    })
}

/// A run evaluated again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunEvaluation {
    /// The run folder.
    pub run: PathBuf,
    /// The split that was evaluated.
    pub split: String,
    /// Names of the classes, in the order of the figures.
    pub class_names: Vec<String>,
    /// The figures.
    #[serde(flatten)]
    pub figures: Evaluation,
}

/// Features and logits of the best checkpoint of a run, for every image of a split.
#[derive(Debug)]
pub struct RunOutputs {
    /// The split.
    pub role: Role,
    /// Its images, in the order of the outputs.
    pub images: Split,
    /// Names of the classes, in the order of the logits.
    pub class_names: Vec<String>,
    /// Features and logits.
    pub outputs: Outputs,
    /// Fitted on the validation split at the end of the run; `None` before.
    pub temperature: Option<f64>,
    /// Seed of the run, which draws the intervals.
    pub seed: u64,
}

impl RunOutputs {
    /// E1, E3 and E4 of the outputs of the run in this folder.
    ///
    /// # Errors
    /// As [`RunOutputs::figures`].
    pub fn evaluation(&self, run: &Path) -> Result<RunEvaluation, RunError> {
        let (split, class_names) = (self.role.to_string(), self.class_names.clone());
        Ok(RunEvaluation { run: run.into(), split, class_names, figures: self.figures()? })
    }

    /// A table of CSV: `image`, `class`, and the logit of each class under its name.
    ///
    /// # Errors
    /// [`RunError`] for an exception of libtorch.
    ///
    /// # Panics
    /// Never: it is written to memory.
    pub fn logits_table(&self) -> Result<Vec<u8>, RunError> {
        let classes = self.class_names.len();
        let mut logits = vec![0.0; self.images.len() * classes];
        guard("reading the logits", || {
            let values = self.outputs.logits.to_kind(Kind::Double).contiguous();
            values.copy_data(&mut logits, self.images.len() * classes);
        })
        .map_err(TrainError::from)?;
        let mut table = csv::Writer::from_writer(Vec::new());
        let head = ["image", "class"].into_iter().chain(self.class_names.iter().map(String::as_str));
        table.write_record(head).expect("memory takes every row");
        for ((image, &label), logits) in
            self.images.images().iter().zip(&self.outputs.labels).zip(logits.chunks(classes))
        {
            let labelled = [image.to_string(), self.class_names[label as usize].clone()];
            let row = labelled.into_iter().chain(logits.iter().map(ToString::to_string));
            table.write_record(row).expect("memory takes every row");
        }
        Ok(table.into_inner().expect("memory takes every row"))
    }

    /// E1, E3 and E4 of the outputs.
    ///
    /// # Errors
    /// [`RunError`] for logits that are NaN or infinite.
    pub fn figures(&self) -> Result<Evaluation, RunError> {
        evaluate_outputs(&self.outputs, self.temperature, self.seed)
    }
}

/// Evaluates the best checkpoint of a run on a split of the data that `config` names.
///
/// `config` is the run's own with the user's changes; the data must have the classes of the run.
///
/// # Errors
/// As [`run_outputs`] and [`RunOutputs::figures`].
pub fn evaluate_run(
    run: &Path,
    config: &RunConfig,
    role: Role,
    observer: &mut Observer<'_>,
) -> Result<RunEvaluation, RunError> {
    run_outputs(run, config, Some(role), observer)?.evaluation(run)
}

/// Evaluates the best checkpoint of a run on every image of a split: that of `role`, else the test split, else the
/// validation split.
///
/// `config` as for [`evaluate_run`].
///
/// # Errors
/// [`RunError`] for a folder without a finished epoch, data with other classes, a split that the data lacks, images
/// that cannot be read, and a device that cannot be used.
pub fn run_outputs(
    run: &Path,
    config: &RunConfig,
    role: Option<Role>,
    observer: &mut Observer<'_>,
) -> Result<RunOutputs, RunError> {
    let folder = RunFolder::open(run)?;
    let machine = Machine::choose(&config.run)?;
    let (mut model, description) = load_model(&folder.best_model()?, machine.device)?;
    model.backbone.set_precision(machine.precision);
    let mut notes = machine.notes;
    notes.extend(unfinished(&folder)?);
    for note in notes {
        observer(&Event::Note(note));
    }
    let (role, images) = images_of(&description, config, role, observer)?;
    observer(&Event::Stage("evaluation"));
    let outputs = outputs_on(&model, &description, config, &images, observer)?;
    let temperature = folder.read_summary()?.and_then(|summary: Summary| summary.temperature);
    let (class_names, seed) = (description.classes, config.train.seed);
    Ok(RunOutputs { role, images, class_names, outputs, temperature, seed })
}

/// Features and logits of a model on a split of the data that `config` names.
///
/// # Errors
/// As [`evaluate_run`].
pub(crate) fn model_outputs(
    (model, description): (&Model, &ModelDescription),
    config: &RunConfig,
    role: Role,
    observer: &mut Observer<'_>,
) -> Result<Outputs, RunError> {
    let (_, images) = images_of(description, config, Some(role), observer)?;
    outputs_on(model, description, config, &images, observer)
}

/// The images of `role`, else of the test split, else of the validation split, with the classes of the model.
pub(super) fn images_of(
    description: &ModelDescription,
    config: &RunConfig,
    role: Option<Role>,
    observer: &mut Observer<'_>,
) -> Result<(Role, Split), RunError> {
    let dataset = Dataset::open(&config.data.dir, &config.data.options())?;
    if let Some(note) = without_images(&dataset, &description.classes) {
        observer(&Event::Note(note));
    }
    let dataset = dataset.with_classes(description.classes[..].into())?;
    let role = role.unwrap_or(if dataset.test.is_some() { Role::Test } else { Role::Validation });
    let (images, report) = split_of(&dataset, role, &config.data, config.train.seed)?;
    for finding in report.findings.iter().filter(|finding| finding.problem == Problem::Unreadable) {
        observer(&Event::Note(finding.to_string()));
    }
    Ok((role, images))
}

pub(super) fn outputs_on(
    model: &Model,
    description: &ModelDescription,
    config: &RunConfig,
    images: &Split,
    observer: &mut Observer<'_>,
) -> Result<Outputs, RunError> {
    let transform = description.evaluation_transform()?;
    let evaluator = Evaluator {
        transform: Arc::new(transform),
        batch_size: config.evaluation_batch(),
        workers: config.workers(),
        stop: Stop::default(),
        world: World::Alone,
    };
    let mut progress = |done, total| observer(&Event::Progress { done, total });
    Ok(evaluator.outputs_of_views(model, config.data.tta, images, &mut progress)?)
}

/// A note about classes of the run that the data does not have, if any.
fn without_images(dataset: &Dataset, of_run: &[String]) -> Option<String> {
    let lacking: Vec<String> = of_run.iter().filter(|class| !dataset.classes.contains(class)).cloned().collect();
    let (count, known) = (lacking.len(), of_run.len());
    let path = dataset.root.display();
    (count > 0).then(|| format!("{count} of the run's {known} classes are not in {path}: {}", listed(&lacking)))
}

/// The images of a role, without unreadable ones if the run skips them, and what was found in them. The test split is
/// taken whole; the others are those of the run's labelled budget.
pub(crate) fn split_of(
    dataset: &Dataset,
    role: Role,
    data: &DataSection,
    seed: u64,
) -> Result<(Split, Report), RunError> {
    if role == Role::Test {
        let path = data.dir.clone();
        let test = dataset.test.clone().ok_or(RunError::NoTestSplit { path })?;
        let report = if data.skip_broken { unreadable(&test) } else { Report::default() };
        return Ok((test.without(&report.broken.concat())?, report));
    }
    let (splits, report, _) = if data.skip_broken {
        let dataset = Dataset { test: None, ..dataset.clone() };
        Splits::choose_and_check(&dataset, data, seed, None, &mut |_, _| {})?
    } else {
        (Splits::choose(dataset, data, seed)?, Report::default(), Broken::default())
    };
    Ok((if role == Role::Train { splits.train } else { splits.validation }, report))
}

fn unreadable(test: &Split) -> Report {
    check(&[(Role::Test, test)], Depth::Full, None, true, &mut |_, _| {})
}
