//! Resumes a run: everything is checked first; then the folder is written to.

use std::path::{Path, PathBuf};

use toml::Value;

use super::begin::{carry_out, list_skipped, prepare, with_method};
use super::changed_settings::changes_between;
use super::saved_state::SavedState;
use super::{Event, Job, Observer, Options, Prepared, RunError, changed_settings, provenance, ranks};
use crate::config::{ConfigError, Configuration, Layers, SettingChange};
use crate::run_folder::{ChangeRecord, RunFolder, RunSummary};

/// What changes in the settings of a resumed run.
pub struct Changes<'a> {
    /// Puts new values over the run's own settings.
    pub over: &'a dyn Fn(Layers) -> Result<Layers, ConfigError>,
    /// Keys of the settings that may change.
    pub allowed: &'a [String],
}

impl Changes<'_> {
    /// The run keeps its settings.
    pub fn none() -> Self {
        Changes { over: &Ok, allowed: &[] }
    }
}

/// How a run that was to be resumed ended.
pub enum Resumed<J: Job> {
    /// It was carried out to its end.
    Finished(J::Finished),
    /// It had ended before, and nothing was done.
    FinishedBefore(J::Summary),
}

/// The folder of the run that layers name. An output that was given needs no other setting to be known.
///
/// # Errors
/// [`ConfigError`] when the output is automatic and the layers are not a configuration.
pub fn folder_of<J: Job>(layers: &Layers) -> Result<PathBuf, ConfigError> {
    let given = |key, word| layers.get(key).and_then(Value::as_str).filter(|&text| text != word).map(PathBuf::from);
    match (given("run.output", "auto"), given("run.experiment", "off")) {
        (Some(output), Some(experiment)) => Ok(output.join(experiment)),
        (Some(output), None) => Ok(output),
        (None, _) => Ok(J::of(layers)?.folder()),
    }
}

/// Whether a folder holds anything to resume. It may be damaged, or not a run at all; a run begins only in a folder
/// that is empty or does not exist.
///
/// # Errors
/// [`crate::run_folder::RunFolderError::Io`] when the folder cannot be read.
pub fn is_begun(root: &Path) -> Result<bool, RunError> {
    Ok(RunFolder::holds_run(root) || !RunFolder::is_free(root)?)
}

/// Resumes the run in the folder `root`, and carries it out to its end.
///
/// # Errors
/// [`ConfigError::ChangedOnResume`] and [`ConfigError::FixedOnResume`] for settings that may not change,
/// [`RunError::InputChanged`] for other images or another checkpoint, [`RunError::AllEpochsMade`] for a finished run with
/// other settings: the folder is as before then. [`RunError::UnderWay`] for what happens once the work has begun.
pub fn resume<J: Job>(
    root: &Path,
    changes: &Changes<'_>,
    options: Options,
    observer: &mut Observer<'_, J>,
) -> Result<Resumed<J>, RunError> {
    let world = options.world;
    let folder = if world.is_first() { RunFolder::resume(root)? } else { RunFolder::follow(root, world.rank())? };
    folder.expect(J::KIND)?;
    let (config, mut changes, dealt) = configuration::<J>(&folder, changes, &options)?;
    if let Some(summary) = folder.read_summary::<J::Summary>()? {
        if changes.is_empty() {
            return Ok(Resumed::FinishedBefore(summary));
        }
        refuse_if_nothing_is_left(summary.epochs(), config.train().epochs as u64)?;
    }
    changes.extend(dealt);
    with_method(&config, &options)?;
    let state = SavedState::check(&folder, config.recording(), config.train().epochs as u64)?;
    report(root, &state, &changes, observer);
    let prepared = prepare(&config, options, observer)?;
    prepared.check_memory()?;
    let inputs = prepared.provenance()?;
    ranks::compare(world, &prepared, &inputs)?;
    let differences = provenance::check_inputs(&folder, &inputs, &config)?;

    observer(&Event::FolderOpened(&folder));
    for difference in &differences {
        observer(&Event::Warning(difference));
    }
    list_skipped(&prepared, &folder, observer)?;
    if folder.read_provenance()?.is_none() {
        folder.write_provenance(&inputs)?;
    }
    take_changes(&folder, prepared.config(), state.step, &changes)?;
    carry_out(prepared, &folder, observer).map(Resumed::Finished)
}

/// The run's own configuration with the changes, which settings then are others, and which of them only because other
/// ranks share a step.
///
/// If the changed settings are not a configuration, a setting that cannot change at all is the error: the run's own
/// settings are not to be fitted to it.
fn configuration<J: Job>(
    folder: &RunFolder,
    changes: &Changes<'_>,
    options: &Options,
) -> Result<(J, Vec<SettingChange>, Vec<SettingChange>), RunError> {
    let saved = Layers::defaults_of(J::KIND).file(&folder.config())?;
    let now = (changes.over)(saved.clone())?;
    let mut config = match J::of(&now) {
        Ok(config) => config,
        Err(error) => {
            changes_between(saved.to_table(), now.to_table(), changes.allowed)?;
            return Err(error.into());
        }
    };
    if options.objective.is_some() {
        config = config.with_own_method()?;
    }
    let saved = J::of(&saved)?;
    let ranks = options.world.ranks();
    let of_batch = |config: &J| (config.train().batch_size, config.train().grad_accum_steps);
    if is_divided(&saved, changes)? {
        (config.train_mut().batch_size, config.train_mut().grad_accum_steps) = of_batch(&saved);
    }
    let (saved, dealt) = if of_batch(&saved) == of_batch(&config) {
        let (dealt_anew, dealt) = ranks::dealt_anew(&saved, ranks)?;
        (config.train_mut().batch_size, config.train_mut().grad_accum_steps) = of_batch(&dealt_anew);
        (dealt_anew, dealt)
    } else {
        (saved, Vec::new())
    };
    let changed = changed_settings(&saved, &config, changes.allowed)?;
    config.run_mut().output.clone_from(&saved.run().output);
    Ok((ranks::shared(&config, options.world), changed, dealt))
}

/// Whether a limit of memory has divided the batch when the run began, and the new values name it undivided, as the command line of
/// the run does.
fn is_divided<J: Job>(saved: &J, changes: &Changes<'_>) -> Result<bool, ConfigError> {
    let of_new_run = (changes.over)(Layers::defaults_of(J::KIND))?;
    let number = |key| of_new_run.get(key).and_then(Value::as_integer).and_then(|number| usize::try_from(number).ok());
    let (Some(batch), Some(parts)) = (number("train.batch_size"), number("train.grad_accum_steps")) else {
        return Ok(false);
    };
    let train = saved.train();
    let is_same_step = batch * parts == train.batch_size * train.grad_accum_steps;
    Ok(saved.run().memory_limit.is_some() && batch > train.batch_size && is_same_step)
}

/// Refuses other settings for a run that has made all its epochs: nothing is left to compute with them.
fn refuse_if_nothing_is_left(made: u64, epochs: u64) -> Result<(), RunError> {
    if made == epochs { Err(RunError::AllEpochsMade { made }) } else { Ok(()) }
}

/// Reports which state is resumed, and what changes from here on.
fn report<J: Job>(root: &Path, state: &SavedState, changes: &[SettingChange], observer: &mut Observer<'_, J>) {
    observer(&Event::Resumed { folder: root, step: state.step });
    for note in &state.notes {
        observer(&Event::Warning(note));
    }
    for change in changes {
        observer(&Event::SettingChanged(change));
    }
}

/// Makes the changed settings those of the run. A run that has not made a step begins with them.
fn take_changes(
    folder: &RunFolder,
    config: &impl Configuration,
    step: u64,
    changes: &[SettingChange],
) -> Result<(), RunError> {
    if changes.is_empty() {
        return Ok(());
    }
    let record = |SettingChange { key, was, now }: &SettingChange| ChangeRecord {
        step,
        key: key.clone(),
        was: was.clone(),
        now: now.clone(),
    };
    if step > 0 {
        folder.record_changes(&changes.iter().map(record).collect::<Vec<_>>())?;
    }
    folder.remove_summary()?;
    Ok(folder.write_config(&config.to_toml())?)
}
