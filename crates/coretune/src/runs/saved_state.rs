//! The saved state of a run, checked before the run is resumed from it.

use super::RunError;
use crate::checkpoints::safetensors_file;
use crate::run_folder::{Recording, RunFolder, RunFolderError};
use crate::train::{TrainError, saved_progress};

/// What a run is resumed from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SavedState {
    /// Steps that it has made; 0 when nothing is saved yet.
    pub(super) step: u64,
    /// Warnings about what is missing and changes no result, a sentence each.
    pub(super) notes: Vec<String>,
}

impl SavedState {
    /// Checks what resuming a run of `epochs` epochs needs; nothing is written.
    ///
    /// # Errors
    /// [`RunFolderError::CannotGoOn`] when the saved state is damaged, or lacks the best epoch or the record of its
    /// inputs; [`RunError::FewerEpochs`] when it has made more than that.
    pub(super) fn check(folder: &RunFolder, recording: Recording, epochs: u64) -> Result<Self, RunError> {
        if !folder.last_checkpoint().exists() {
            return Ok(SavedState::nothing(folder));
        }
        let refused = |found: String| RunFolderError::CannotGoOn { path: folder.root().into(), found };
        let progress = safetensors_file::check(folder.last_checkpoint())
            .map_err(TrainError::from)
            .and_then(|()| saved_progress(&folder.last_checkpoint()))
            .map_err(|error| refused(damage(folder, &error)))?;
        if progress.epochs > epochs {
            return Err(RunError::FewerEpochs { made: progress.epochs, asked: epochs });
        }
        if let Some(best) = &progress.best {
            let (file, epoch) = (folder.best_checkpoint(), best.epoch);
            if !file.is_file() {
                return Err(
                    refused(format!("{} is missing, and epoch {epoch} is the best so far", file.display())).into()
                );
            }
            let damaged = |error| refused(format!("the model of its best epoch cannot be read: {error}"));
            safetensors_file::check(file).map_err(damaged)?;
        }
        if folder.read_provenance()?.is_none() {
            let found = "provenance.json is missing, so it is unknown whether images and checkpoint are still the same";
            return Err(refused(found.into()).into());
        }
        let gap = folder.gap_in_metrics(progress.step, progress.epochs, recording)?;
        let note = |gap| format!("{} lacks {gap}; curves and tables will not show it", folder.metrics_file().display());
        Ok(SavedState { step: progress.step, notes: gap.map(note).into_iter().collect() })
    }

    /// Nothing has been saved yet.
    fn nothing(folder: &RunFolder) -> Self {
        let note =
            "there is no saved state, so the run starts again and replaces the best epoch that it has saved".into();
        SavedState { step: 0, notes: folder.best_checkpoint().exists().then_some(note).into_iter().collect() }
    }
}

/// The report of a saved state that cannot be read.
fn damage(folder: &RunFolder, error: &TrainError) -> String {
    let best = folder.best_checkpoint();
    let left = if best.is_file() {
        format!("; the best epoch is still there, for evaluate, predict and export: {}", best.display())
    } else {
        String::new()
    };
    format!("its saved state cannot be read, and there is no earlier one: {error}{left}")
}
