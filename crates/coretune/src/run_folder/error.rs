use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::names::holds_run;
use crate::files;
use crate::settings::{Hint, RunKind, literal};

/// What is found in a folder that holds files and no run.
pub(super) const NO_CONFIG: &str = "it holds files, but no config.toml";

/// Why a run folder cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum RunFolderError {
    /// A new run would mix with what is there already.
    #[error("the run folder {path} is not empty")]
    NotEmpty { path: PathBuf },
    /// A file has the name of the folder.
    #[error("{path} cannot be a run folder: it is a file")]
    IsFile { path: PathBuf },
    /// The path named is not the folder of a run.
    #[error("{path} is not a run folder: {found}")]
    NoRun { path: PathBuf, found: &'static str },
    /// A run that has not finished an epoch, or whose checkpoints were removed.
    #[error("{path} has no model yet: checkpoints/{file} does not exist")]
    NoModel { path: PathBuf, file: &'static str, kind: RunKind },
    /// The folder holds a run of another kind.
    #[error("{path} is a run of {found}, not of {expected}")]
    OtherKind { path: PathBuf, found: RunKind, expected: RunKind },
    /// A run lacks what resuming needs.
    #[error("the run in {} cannot be resumed: {found}", path.display())]
    CannotGoOn { path: PathBuf, found: String },
    /// Another process writes into it.
    #[error("another run is writing into {path}")]
    InUse { path: PathBuf },
    /// A file of it cannot be read or written.
    #[error("{path} cannot be {action}")]
    Io { path: PathBuf, action: &'static str, source: std::io::Error },
    /// A file exists and holds something else.
    #[error("{path} is not a {expected}: {found}")]
    Content { path: PathBuf, expected: &'static str, found: String },
}

impl RunFolderError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        let hint: Hint = match self {
            RunFolderError::NotEmpty { .. } => {
                "name another folder: {run.output=DIR}; or resume the run in it: {@resume}".into()
            }
            RunFolderError::NoRun { found: NO_CONFIG, .. } => "start the run in another folder: {run.output=DIR}".into(),
            RunFolderError::IsFile { .. } => "a run is a folder of several files; name a new one: {run.output=DIR}".into(),
            RunFolderError::NoRun { path, .. } if let Some(run) = run_of(path) => {
                format!("give the run folder: {}", literal(run.display())).into()
            }
            RunFolderError::NoRun { path, .. } if let Some(run) = best_of(path) => {
                format!("it is the folder of a comparison; its best run is {}", literal(run.display())).into()
            }
            RunFolderError::NoRun { path, .. } if is_comparison(path) => {
                let runs = path.join(RUNS);
                format!("it is the folder of a comparison: name one of the runs in {}", literal(runs.display())).into()
            }
            RunFolderError::NoRun { found: "it is a file", .. } => {
                "name the folder of a run of {@fit}; {@inspect} and {@probe} read a checkpoint from elsewhere, and {@fit} with \
                 {checkpoint.path} trains it"
                    .into()
            }
            RunFolderError::NoRun { .. } => {
                "name the folder of a run of {@fit} or {@pretrain}".into()
            }
            RunFolderError::NoModel { path, kind, .. } => {
                let (action, path) = (kind.action(), literal(path.display()));
                format!("the first one is saved after an epoch; {action} {{@resume}} {{run.output={path}}} resumes the run").into()
            }
            RunFolderError::OtherKind { found: RunKind::Pretraining, path, .. } => {
                let path = literal(path.display());
                format!(
                    "{{@probe}} {path} measures its encoder, {{@fit}} {{checkpoint.path={path}}} makes a classifier of it"
                )
                .into()
            }
            RunFolderError::OtherKind { expected: RunKind::Segmentation, .. } => {
                "name a run that trained on images with masks".into()
            }
            RunFolderError::OtherKind { found: RunKind::Segmentation, .. } => {
                "this command does not read runs of segmentation".into()
            }
            RunFolderError::OtherKind { found: RunKind::FineTuning, .. } => {
                "name a run of {@pretrain}; {@fit} resumes this one, {@report} compares it with others".into()
            }
            RunFolderError::CannotGoOn { .. } => {
                "restore the file from a copy of the folder, or start again in another folder: {run.output=DIR}".into()
            }
            RunFolderError::Content { .. } => "was it edited, or written by another program?".into(),
            RunFolderError::Io { source, .. } => return files::storage_hint(source.kind()),
            RunFolderError::InUse { .. } => "wait until the other one has finished, or name another folder: {run.output=DIR}".into(),
        };
        Some(hint)
    }
}

/// The folder of the runs and the table of a comparison (`compare`), in its folder.
const RUNS: &str = "runs";
const TABLE: &str = "table.json";

fn is_comparison(folder: &Path) -> bool {
    folder.join(RUNS).is_dir() && folder.join(TABLE).is_file()
}

/// The run that the comparison in a folder recommends: the link to it, or where there is none the folder that the table names.
fn best_of(folder: &Path) -> Option<PathBuf> {
    if !is_comparison(folder) {
        return None;
    }
    let link = folder.join("best");
    if holds_run(&link) {
        return Some(link);
    }
    let table: serde_json::Value = serde_json::from_str(&fs::read_to_string(folder.join(TABLE)).ok()?).ok()?;
    let run = folder.join(RUNS).join(table.get("best_run")?.as_str()?);
    holds_run(&run).then_some(run)
}

/// The run folder that a file lies in, such as `RUN/checkpoints/best.safetensors`.
fn run_of(file: &Path) -> Option<&Path> {
    file.ancestors().skip(1).take(2).find(|folder| holds_run(folder))
}
