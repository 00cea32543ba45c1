//! Repeats a finished run, and compares the weights.

use std::path::Path;

use super::begin::{prepare, start};
use super::{Event, Job, Observer, Options, Prepared, RunError, provenance, ranks};
use crate::checkpoints::safetensors_file;
use crate::config::Layers;
use crate::run_folder::RunFolder;
use crate::train::{StateComparison, compare_states};

/// Carries out the run in `original` once more, in the folder `copy`, and compares the two last states.
///
/// # Errors
/// [`RunError::Unfinished`], [`RunError::SettingsChanged`], [`RunError::NotFree`], [`RunError::InputChanged`]: nothing is
/// computed then. [`RunError::UnderWay`] for what happens later.
pub fn repeat<J: Job>(
    original: &Path,
    copy: &Path,
    options: Options,
    observer: &mut Observer<'_, J>,
) -> Result<StateComparison, RunError> {
    let original = RunFolder::open(original)?;
    original.expect(J::KIND)?;
    check::<J>(&original, copy)?;
    let mut config = J::of(&Layers::defaults_of(J::KIND).file(&original.config())?)?;
    (config.run_mut().experiment, config.run_mut().output) = (None, Some(copy.into()));
    // One process makes the same steps in more parts.
    let world = options.world;
    let (config, _) = ranks::dealt_anew(&config, world.ranks())?;
    let prepared = prepare(&config, options, observer)?;
    for difference in provenance::check_inputs(&original, &prepared.provenance()?, &config)? {
        observer(&Event::Warning(&difference));
    }
    start(prepared, world, observer)?;
    Ok(compare_states(&original.last_checkpoint(), &RunFolder::open(copy)?.last_checkpoint())?)
}

/// Refuses a run that cannot be repeated, and a place that is taken.
fn check<J: Job>(original: &RunFolder, copy: &Path) -> Result<(), RunError> {
    let run = || original.root().to_path_buf();
    if original.read_summary::<J::Summary>()?.is_none() {
        return Err(RunError::Unfinished { run: run(), kind: J::KIND });
    }
    let changes = original.changes()?;
    if !changes.is_empty() {
        return Err(RunError::SettingsChanged { run: run(), config: original.config(), kind: J::KIND, changes });
    }
    // What is compared at the end has to be there, and whole, before anything is repeated.
    safetensors_file::check(original.last_checkpoint())?;
    if !RunFolder::is_free(copy)? {
        return Err(RunError::NotFree { copy: copy.into(), run: run() });
    }
    Ok(())
}
