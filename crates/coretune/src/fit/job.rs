//! Fine-tuning as a job: what [`crate::runs`] calls.

use std::collections::BTreeMap;

use super::preparation::prepare_with;
use super::{Finished, Preparation};
use crate::config::RunConfig;
use crate::run_folder::{Provenance, Recording, RunFolder, Summary};
use crate::runs::{Estimate, Job, Options, Prepared, RunError, provenance};
use crate::train::Observer;

impl Job for RunConfig {
    type Prepared = Preparation;
    type Finished = Finished;
    type Summary = Summary;

    fn has_own_method(&self) -> bool {
        self.method.name.is_none()
    }

    fn with_own_method(&self) -> Result<Self, RunError> {
        let mut config = self.clone();
        config.method.name = None;
        config.method.values.clear();
        Ok(config)
    }

    fn prepare(&self, options: Options, observer: &mut Observer<'_>) -> Result<Preparation, RunError> {
        prepare_with(self, options, observer)
    }

    fn recording(&self) -> Recording {
        Recording { log_every: self.train.log_every as u64, evaluated_every: Some(1) }
    }
}

impl Prepared for Preparation {
    type Job = RunConfig;

    fn config(&self) -> &RunConfig {
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
        let mut data = task.world.by_first(|| task.splits.content_hashes())?;
        if let Some(unlabelled) = &task.unlabelled {
            data.extend(task.world.by_first(|| unlabelled.content_hashes())?);
        }
        let checkpoint = Some(task.checkpoint_hash.clone());
        let provenance = provenance(data, checkpoint, task.config.train.seed, task.device, task.precision);
        let own = self.objective.as_ref().filter(|_| task.config.has_own_method());
        Ok(Provenance { own_method: own.map(|objective| objective.name().into()), ..provenance })
    }

    fn file_lists(&self) -> BTreeMap<String, String> {
        self.task.splits.list_hashes(&self.task.config.data.dir)
    }

    fn estimate(self) -> Result<Estimate, RunError> {
        self.make_few_steps()
    }

    fn run(self, folder: &RunFolder, observer: &mut Observer<'_>) -> Result<Finished, RunError> {
        self.probe_and_train(folder, observer)
    }
}
