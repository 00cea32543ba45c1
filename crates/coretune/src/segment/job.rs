//! Segmentation as a job: what [`crate::runs`] calls.

use std::collections::BTreeMap;

use super::{SegmentationFinished, SegmentationPreparation};
use crate::config::{Configuration, SegmentationConfig};
use crate::run_folder::{Provenance, Recording, RunFolder, SegmentationSummary};
use crate::runs::{Estimate, Job, Options, Prepared, RunError, provenance};
use crate::train::Observer;

impl Job for SegmentationConfig {
    type Prepared = SegmentationPreparation;
    type Finished = SegmentationFinished;
    type Summary = SegmentationSummary;

    fn has_own_method(&self) -> bool {
        self.method.name.is_none()
    }

    fn with_own_method(&self) -> Result<Self, RunError> {
        Err(RunError::NoOwnMethod { kind: Self::KIND })
    }

    fn prepare(&self, options: Options, observer: &mut Observer<'_>) -> Result<SegmentationPreparation, RunError> {
        SegmentationPreparation::prepare(self, options, observer)
    }

    fn recording(&self) -> Recording {
        Recording { log_every: self.train.log_every as u64, evaluated_every: Some(1) }
    }
}

impl Prepared for SegmentationPreparation {
    type Job = SegmentationConfig;

    fn config(&self) -> &SegmentationConfig {
        &self.task.config
    }

    fn skipped(&self) -> &[String] {
        &self.skipped
    }

    fn steps_per_epoch(&self) -> Result<u64, RunError> {
        self.task.steps_per_epoch()
    }

    fn check_memory(&self) -> Result<(), RunError> {
        self.check_batch()
    }

    fn fit_into_memory(&mut self) -> Result<(), RunError> {
        self.divide_batch()
    }

    fn provenance(&self) -> Result<Provenance, RunError> {
        let task = &self.task;
        let data = task.world.by_first(|| task.splits.content_hashes())?;
        let checkpoint = Some(task.checkpoint_hash.clone());
        Ok(provenance(data, checkpoint, task.config.train.seed, task.device, task.precision))
    }

    fn file_lists(&self) -> BTreeMap<String, String> {
        self.task.splits.list_hashes(&self.task.config.data.dir)
    }

    fn estimate(self) -> Result<Estimate, RunError> {
        self.make_few_steps()
    }

    fn run(self, folder: &RunFolder, observer: &mut Observer<'_>) -> Result<SegmentationFinished, RunError> {
        self.probe_and_train(folder, observer)
    }
}
