//! The backbone that a run starts from: a checkpoint that was recognised, checked and loaded.

use std::fs::File;
use std::path::Path;

use super::{Machine, RunError};
use crate::checkpoints::{
    Checkpoint, CheckpointError, LoadReport, NamePattern, Projector, check_coverage, load_backbone, load_projector,
    recognise,
};
use crate::config::{CheckpointSection, Input, ModelSection, Trainable};
use crate::models::{Architecture, Backbone, Role};
use crate::run_folder::RunFolder;
use crate::saved_models::RecordedInput;

/// The backbone with the checkpoint's weights, and what is known about it.
pub(crate) struct StartingPoint {
    pub(crate) architecture: Architecture,
    pub(crate) backbone: Backbone,
    /// How an image becomes the input, unless the configuration says otherwise.
    pub(crate) input: Input,
    /// What was loaded, left out, missing.
    pub(crate) report: LoadReport,
    /// BLAKE3 of the checkpoint's bytes.
    pub(crate) hash: String,
    /// The checkpoint's own projection head, if the run starts from it.
    pub(crate) projector: Option<Projector>,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

/// Whether the projection head of a checkpoint is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadHead {
    /// It is not needed.
    No,
    /// It has to be there.
    Required,
    /// It is read if it has the form of G_c; else a note says that it does not.
    IfAny,
}

impl StartingPoint {
    /// Loads the checkpoint into the network that it names, or that `model` names instead; frozen as `model` says. `seed`
    /// draws the weights that may be missing.
    pub(crate) fn load(
        from: &CheckpointSection,
        (model, seed): (&ModelSection, u64),
        head: ReadHead,
        machine: &Machine,
    ) -> Result<Self, RunError> {
        let checkpoint = Checkpoint::open(&from.path)?;
        let recognised = recognise(&checkpoint, from.encoder.as_deref())?;
        let architecture = chosen_architecture(model, recognised.architecture);
        recognised.check_fits(&checkpoint, &architecture)?;
        let allowed: Vec<NamePattern> =
            from.allow_missing.iter().map(|text| NamePattern::from(text.as_str())).collect();
        check_coverage(&checkpoint, &recognised, &architecture, &allowed)?;

        let mut backbone = Backbone::new(&architecture, seed, machine.device)?;
        backbone.check_trainable()?;
        backbone.set_precision(machine.precision);
        let mut report = load_backbone(&checkpoint, &recognised, backbone.parameters(), &allowed)?;
        let mut notes: Vec<String> = taken_from_folder(&from.path, checkpoint.path()).into_iter().collect();
        if from.random_weights {
            backbone.copy_from(&Backbone::new(&architecture, seed, machine.device)?)?;
            report.coverage = 0.0;
            notes.push("the run starts from random weights: the checkpoint only names the network".into());
        }
        freeze(&mut backbone, model)?;
        let input = input(&checkpoint, &architecture)?;
        let projector = match head {
            ReadHead::No => None,
            ReadHead::Required if from.random_weights => {
                Some(load_projector(&checkpoint, &recognised)?.with_random_weights(seed)?)
            }
            ReadHead::Required => Some(load_projector(&checkpoint, &recognised)?),
            ReadHead::IfAny => {
                let found = match load_projector(&checkpoint, &recognised) {
                    Ok(projector) if projector.is_plain() => Ok(projector),
                    Ok(projector) => Err(projector.described()),
                    Err(CheckpointError::NoProjector { found, .. }) => Err(found),
                    Err(error) => return Err(error.into()),
                };
                let note = |found| {
                    notes.push(format!(
                        "the projection head starts from random weights: the checkpoint has none of the form Linear(D, D) \
                         - ReLU - Linear(D, d), found {found}"
                    ));
                };
                found.map_err(note).ok()
            }
        };
        Ok(StartingPoint { architecture, backbone, input, report, hash: hash_of(&checkpoint)?, projector, notes })
    }
}

/// The checkpoint's own architecture, except for what the configuration sets.
fn chosen_architecture(model: &ModelSection, found: Architecture) -> Architecture {
    Architecture {
        family: model.name.unwrap_or(found.family),
        stem: model.stem.unwrap_or(found.stem),
        width: model.width.unwrap_or(found.width),
    }
}

/// The input that the checkpoint was trained on, if it records that; else what is usual for the architecture.
fn input(checkpoint: &Checkpoint, architecture: &Architecture) -> Result<Input, RunError> {
    let usual = Input::usual(architecture);
    Ok(match RecordedInput::of(checkpoint)? {
        Some(RecordedInput { mean, std, img_size }) => Input { img_size, mean, std, ..usual },
        None => usual,
    })
}

/// Names of the weights that `picks` picks.
fn trained_names(backbone: &Backbone, picks: impl Fn(&str) -> bool) -> Vec<String> {
    let weights = backbone.parameters().iter().filter(|parameter| parameter.role == Role::Weight);
    weights.filter(|weight| picks(&weight.name)).map(|weight| weight.name.clone()).collect()
}

fn names_of(backbone: &Backbone) -> Vec<String> {
    backbone.stage_names().into_iter().map(String::from).collect()
}

/// Freezes what the configuration does not train of a backbone.
pub(crate) fn freeze(backbone: &mut Backbone, model: &ModelSection) -> Result<(), RunError> {
    backbone.freeze_stages(model.frozen_stages as usize)?;
    let stages = backbone.stage_names().len();
    match model.trained() {
        Trainable::All => {}
        Trainable::Head => backbone.freeze_stages(stages)?,
        Trainable::Last(trained) => match stages.checked_sub(trained) {
            Some(frozen) => backbone.freeze_stages(frozen)?,
            None => return Err(RunError::NotTrainable { given: model.trainable.clone(), names: names_of(backbone) }),
        },
        Trainable::Norms => {
            let norms: Vec<String> = trained_names(backbone, |name| backbone.is_of_norm(name));
            backbone.train_only(|name| norms.iter().any(|norm| norm == name));
            backbone.freeze_batch_norm();
        }
        Trainable::Named(patterns) => {
            for pattern in &patterns {
                if trained_names(backbone, |name| Trainable::fits(std::slice::from_ref(pattern), name)).is_empty() {
                    return Err(RunError::NotTrainable { given: pattern.clone(), names: names_of(backbone) });
                }
            }
            backbone.train_only(|name| Trainable::fits(&patterns, name));
        }
    }
    if model.freeze_batch_norm {
        backbone.freeze_batch_norm();
    }
    Ok(())
}

/// A note about which file of a folder is taken, if a folder was named.
fn taken_from_folder(named: &Path, taken: &Path) -> Option<String> {
    let (folder, file) = (named.display(), taken.display());
    let kind = if RunFolder::holds_run(named) { "run folder; its encoder" } else { "folder; its network" };
    (named != taken).then(|| format!("{folder} is a {kind} is used: {file}"))
}

/// The hash of the checkpoint's bytes, of all files one after the other.
fn hash_of(checkpoint: &Checkpoint) -> Result<String, RunError> {
    let mut hasher = blake3::Hasher::new();
    for path in checkpoint.files() {
        let read = File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ()));
        read.map_err(|source| RunError::Read { path: path.into(), source })?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}
