//! What to say of a run that has not come to its end.

use toml::Value;

use super::{TrainError, saved_progress};
use crate::config::Layers;
use crate::run_folder::{RunFolder, RunKind, SegmentationSummary, Summary};

/// That the run has not finished, and which epoch its model is from; none for a run that has.
///
/// # Errors
/// [`TrainError::RunFolder`] when the summary cannot be read.
pub fn unfinished(folder: &RunFolder) -> Result<Option<String>, TrainError> {
    let is_finished = match folder.kind()? {
        RunKind::Segmentation => folder.read_summary::<SegmentationSummary>()?.is_some(),
        RunKind::FineTuning | RunKind::Pretraining => folder.read_summary::<Summary>()?.is_some(),
    };
    if is_finished {
        return Ok(None);
    }
    let sentence = match (best_epoch(folder), planned_epochs(folder)) {
        (Some(best), Some(planned)) => {
            format!("this run has not finished; its best epoch so far is used: {best} of {planned}")
        }
        _ => "this run has not finished; its best epoch so far is used".into(),
    };
    Ok(Some(sentence))
}

/// The epoch whose model is kept, as the saved state says.
fn best_epoch(folder: &RunFolder) -> Option<u64> {
    Some(saved_progress(&folder.last_checkpoint()).ok()?.best?.epoch)
}

fn planned_epochs(folder: &RunFolder) -> Option<i64> {
    let config = Layers::defaults_of(folder.kind().ok()?).file(&folder.config()).ok()?;
    config.get("train.epochs").and_then(Value::as_integer)
}
