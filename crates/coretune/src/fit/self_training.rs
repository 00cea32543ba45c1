//! Pseudo-labels from the models of finished runs (B14).

use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

use super::Task;
use super::evaluation::outputs_on;
use crate::data::{Role, Split};
use crate::engine::guard;
use crate::evaluate::label_propagation::PseudoLabel;
use crate::run_folder::{RunFolder, Summary};
use crate::runs::RunError;
use crate::saved_models::load_model;
use crate::settings::RunKind;
use crate::train::{Event, Observer};

impl Task {
    /// The labels that the models of these runs give to images together: of the mean of their probabilities.
    pub(super) fn labels_by_runs(
        &self,
        runs: &[PathBuf],
        images: &Split,
        observer: &mut Observer<'_>,
    ) -> Result<Vec<Option<PseudoLabel>>, RunError> {
        self.world.by_first(|| {
            let mut sum: Option<Tensor> = None;
            for run in runs {
                let probabilities = self.probabilities(run, images, observer)?;
                sum = Some(match sum {
                    Some(sum) => guard("adding probabilities", || sum + probabilities)?,
                    None => probabilities,
                });
            }
            let Some(sum) = sum else { return Ok(vec![None; images.len()]) };
            let rows = guard("reading probabilities", || Vec::<Vec<f64>>::try_from(sum))?;
            Ok(rows.unwrap_or_default().iter().map(|row| PseudoLabel::of(row)).collect())
        })
    }

    /// The probabilities `[n, C]`, float64, that the best model of a run gives to images.
    fn probabilities(&self, run: &Path, images: &Split, observer: &mut Observer<'_>) -> Result<Tensor, RunError> {
        let folder = RunFolder::open(run)?;
        folder.expect(RunKind::FineTuning)?;
        if folder.read_summary::<Summary>()?.is_none() {
            return Err(RunError::Unfinished { run: run.into(), kind: RunKind::FineTuning });
        }
        self.refuse_other_splits(run, &folder)?;
        let (mut model, description) = load_model(&folder.best_model()?, self.device)?;
        if description.classes != self.classes {
            return Err(RunError::OtherClassesThan { run: run.into(), expected: self.classes.len() });
        }
        model.backbone.set_precision(self.precision);
        observer(&Event::Stage("labels of the unlabelled images by an earlier run"));
        let outputs = outputs_on(&model, &description, &self.config, images, observer)?;
        Ok(guard("computing probabilities", || outputs.logits.softmax(-1, Kind::Double))?)
    }

    /// Refuses a run with other validation or test images: it may have trained on those of this run.
    fn refuse_other_splits(&self, run: &Path, folder: &RunFolder) -> Result<(), RunError> {
        let recorded = folder.read_provenance()?.map(|provenance| provenance.data).unwrap_or_default();
        for (role, split) in self.splits.present().into_iter().filter(|(role, _)| *role != Role::Train) {
            if recorded.get(&role.to_string()) != Some(&split.content_hash()?) {
                return Err(RunError::OtherSplit { run: run.into(), split: role.to_string() });
            }
        }
        Ok(())
    }
}
