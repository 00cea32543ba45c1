//! The runs of an average, checked to be of one start.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tch::Device;

use super::{AverageError, Recipe};
use crate::config::{HeadInit, Layers, RunConfig};
use crate::models::Model;
use crate::run_folder::{Provenance, RunFolder, Summary};
use crate::saved_models::{ModelDescription, load_model};
use crate::settings::RunKind;

/// Models of one start, with the records of the last run.
pub(super) struct Ingredients {
    pub(super) models: Vec<Model>,
    /// Of all of them, without projection head.
    pub(super) description: ModelDescription,
    /// `config.toml` of the last run.
    pub(super) config: String,
    pub(super) provenance: Provenance,
    pub(super) summary: Summary,
    /// Whether the runs had test images.
    pub(super) has_test: bool,
}

/// One run.
struct Run {
    path: PathBuf,
    model: Model,
    description: ModelDescription,
    config: RunConfig,
    text: String,
    provenance: Provenance,
    summary: Summary,
}

impl Ingredients {
    /// Opens the runs, and refuses those that do not begin where the last one does.
    pub(super) fn open(paths: &[PathBuf], recipe: Recipe, device: Device) -> Result<Self, AverageError> {
        let two = recipe == Recipe::Interpolate;
        if paths.len() < 2 || (two && paths.len() != 2) {
            return Err(AverageError::Count { recipe, found: paths.len() });
        }
        check_distinct(paths)?;
        let mut runs: Vec<Run> = paths.iter().map(|path| Run::open(path, device)).collect::<Result<_, _>>()?;
        let last = runs.pop().ok_or(AverageError::Count { recipe, found: 0 })?;
        for run in &runs {
            run.check_start(&last)?;
        }
        let models = runs.into_iter().map(|run| run.model).chain([last.model]).collect();
        Ok(Ingredients {
            models,
            description: last.description,
            config: last.text,
            has_test: last.summary.test.is_some(),
            provenance: last.provenance,
            summary: last.summary,
        })
    }
}

/// Refuses a folder that is given twice, under whatever name.
fn check_distinct(paths: &[PathBuf]) -> Result<(), AverageError> {
    let mut seen = HashSet::new();
    match paths.iter().find(|path| !seen.insert(path.canonicalize().unwrap_or_else(|_| (*path).clone()))) {
        Some(path) => Err(AverageError::Repeated { path: path.clone() }),
        None => Ok(()),
    }
}

impl Run {
    fn open(path: &Path, device: Device) -> Result<Self, AverageError> {
        let folder = RunFolder::open(path)?;
        folder.expect(RunKind::FineTuning)?;
        let unfinished = || AverageError::Unfinished { path: path.into() };
        let summary: Summary = folder.read_summary()?.ok_or_else(unfinished)?;
        // Where the start, the probe, was never beaten, the average needs what training made of it.
        let is_start = summary.best.epoch == 0 && summary.steps > 0;
        let checkpoint = if is_start { folder.last_checkpoint() } else { folder.best_model()? };
        let (model, description) = load_model(&checkpoint, device)?;
        let config = Layers::defaults().file(&folder.config()).and_then(|layers| layers.validate());
        Ok(Run {
            path: path.into(),
            model,
            description: ModelDescription { projection_width: None, projection_layers: None, ..description },
            config: config.map_err(crate::runs::RunError::from)?,
            text: folder.read_config()?,
            provenance: folder.read_provenance()?.ok_or_else(unfinished)?,
            summary,
        })
    }

    /// Refuses another network, other classes, and another start: the weights of runs from different starts lie in
    /// different valleys, and their mean is worthless.
    fn check_start(&self, last: &Run) -> Result<(), AverageError> {
        let differs = |what: &'static str, own: String, other: String| {
            let (path, last) = (self.path.clone(), last.path.clone());
            if own == other {
                Ok(())
            } else {
                Err(AverageError::OtherStart { path, last, what, found: own, expected: other })
            }
        };
        let network = |run: &Run| format!("{:?}", ModelDescription { classes: Vec::new(), ..run.description.clone() });
        differs("the classes", self.description.classes.join(", "), last.description.classes.join(", "))?;
        differs("the network", network(self), network(last))?;
        let digest = |run: &Run| run.provenance.checkpoint.clone().unwrap_or_else(|| "none".into());
        differs("the checkpoint", digest(self), digest(last))?;
        let start = |run: &Run| match run.config.method.head_init {
            HeadInit::Random => format!("random, seed {}", run.config.train.seed),
            // The probe is a function of the labelled images.
            HeadInit::LinearProbe => {
                let labelled = |name: &str| run.provenance.data.get(name).cloned().unwrap_or_default();
                format!("the linear probe on images {} and {}", labelled("train"), labelled("validation"))
            }
        };
        differs("the start of the classifier", start(self), start(last))
    }
}
