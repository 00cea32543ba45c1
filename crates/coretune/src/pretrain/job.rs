//! Pre-training as a job: what [`crate::runs`] calls.

use std::collections::BTreeMap;

use super::PretrainTask;
use crate::config::{Configuration, PretrainConfig};
use crate::data::DataError;
use crate::run_folder::{PretrainSummary, Provenance, Recording, RunFolder};
use crate::runs::{Estimate, Job, Options, Prepared, RunError, provenance};
use crate::train::Observer;

impl Job for PretrainConfig {
    type Prepared = PretrainTask;
    type Finished = PretrainSummary;
    type Summary = PretrainSummary;

    fn has_own_method(&self) -> bool {
        false
    }

    fn with_own_method(&self) -> Result<Self, RunError> {
        Err(RunError::NoOwnMethod { kind: Self::KIND })
    }

    fn prepare(&self, options: Options, observer: &mut Observer<'_>) -> Result<PretrainTask, RunError> {
        PretrainTask::prepare(self, (options.stop, options.world), observer)
    }

    fn recording(&self) -> Recording {
        Recording { log_every: self.train.log_every as u64, evaluated_every: self.pretrain.probe_epochs }
    }
}

impl Prepared for PretrainTask {
    type Job = PretrainConfig;

    fn config(&self) -> &PretrainConfig {
        &self.config
    }

    fn skipped(&self) -> &[String] {
        &self.skipped
    }

    fn steps_per_epoch(&self) -> Result<u64, RunError> {
        Ok(self.training_images()?.steps_per_epoch()?)
    }

    fn check_memory(&self) -> Result<(), RunError> {
        self.check_batch_and_queue()
    }

    fn fit_into_memory(&mut self) -> Result<(), RunError> {
        self.divide_batch()
    }

    fn provenance(&self) -> Result<Provenance, RunError> {
        let data = self.world.by_first(|| -> Result<BTreeMap<_, _>, DataError> {
            self.splits().map(|(role, split)| Ok((role.to_string(), split.content_hash()?))).collect()
        })?;
        let checkpoint = self.start.as_ref().map(|start| start.hash.clone());
        Ok(provenance(data, checkpoint, self.config.train.seed, self.device, self.precision))
    }

    fn file_lists(&self) -> BTreeMap<String, String> {
        let root = &self.config.data.dir;
        self.splits().map(|(role, split)| (role.to_string(), split.list_hash(root))).collect()
    }

    fn estimate(self) -> Result<Estimate, RunError> {
        self.make_few_steps()
    }

    fn run(self, folder: &RunFolder, observer: &mut Observer<'_>) -> Result<PretrainSummary, RunError> {
        self.train(folder, observer)
    }
}
