//! What a kind of run brings: how it is prepared, checked and carried out.

use std::collections::BTreeMap;

use super::{Estimate, RunError};
use crate::config::Configuration;
use crate::engine::{Stop, World};
use crate::objectives::Objective;
use crate::run_folder::{Provenance, Recording, RunFolder, RunSummary};
use crate::train;

/// What a program brings to a run beside the configuration.
#[derive(Default)]
pub struct Options {
    /// Ends the run between two steps when it is requested; the state is saved then.
    pub stop: Stop,
    /// A method of the program's own, in place of the one that the configuration names.
    pub objective: Option<Box<dyn Objective>>,
    /// The processes that share the run.
    pub world: World,
}

/// A configuration that can be carried out: the job of one kind of run.
pub trait Job: Configuration {
    /// The job, opened and checked.
    type Prepared: Prepared<Job = Self>;
    /// What a run gives that was carried out to its end.
    type Finished;
    /// What `summary.json` holds.
    type Summary: RunSummary;

    /// Whether the method is one that the program has to bring ([`Options::objective`]), not one of the table.
    fn has_own_method(&self) -> bool;

    /// The configuration of a run whose method the program brings itself.
    ///
    /// # Errors
    /// [`RunError::NoOwnMethod`] when such runs take methods from the table only.
    fn with_own_method(&self) -> Result<Self, RunError>;

    /// Opens what the configuration names, and refuses what cannot work.
    ///
    /// # Errors
    /// What is wrong with the images, the checkpoint or the machine.
    fn prepare(&self, options: Options, observer: &mut train::Observer<'_>) -> Result<Self::Prepared, RunError>;

    /// How often the run records its steps and evaluations.
    fn recording(&self) -> Recording;
}

/// A job that was opened and checked; nothing has been computed yet.
pub trait Prepared: Sized {
    /// The kind of run.
    type Job: Job<Prepared = Self>;

    /// The configuration with every value filled in.
    fn config(&self) -> &Self::Job;

    /// Every image that is left out because it cannot be read, with the reason.
    fn skipped(&self) -> &[String];

    /// Steps of an epoch.
    ///
    /// # Errors
    /// [`train::TrainError::BatchTooLarge`] when the training images do not fill a batch.
    fn steps_per_epoch(&self) -> Result<u64, RunError>;

    /// Refuses a batch for which the system does not have the memory.
    ///
    /// # Errors
    /// [`RunError::BatchDoesNotFit`], which names the largest batch that would.
    fn check_memory(&self) -> Result<(), RunError>;

    /// Refuses a batch that does not fit into memory, or has it computed in parts if the configuration limits the memory.
    ///
    /// # Errors
    /// As [`Prepared::check_memory`].
    fn fit_into_memory(&mut self) -> Result<(), RunError> {
        self.check_memory()
    }

    /// What the run depends on beyond its configuration, as it is here and now. Of several ranks rank 0 hashes the images.
    ///
    /// # Errors
    /// [`RunError`] for images that cannot be read.
    fn provenance(&self) -> Result<Provenance, RunError>;

    /// Hashes of the lists of files of each split, which all ranks must share; no file is read.
    fn file_lists(&self) -> BTreeMap<String, String>;

    /// Makes a few steps, and extrapolates to the whole run.
    ///
    /// # Errors
    /// [`RunError`] for a batch that does not fit into memory, images that cannot be read, and a request to stop.
    fn estimate(self) -> Result<Estimate, RunError>;

    /// Carries the job out to its end, and writes the summary. If the folder holds a saved state, training resumes
    /// from it.
    ///
    /// # Errors
    /// [`train::TrainError::Interrupted`] when it was asked to stop ([`Options::stop`]): the same call resumes it then.
    fn run(
        self,
        folder: &RunFolder,
        observer: &mut train::Observer<'_>,
    ) -> Result<<Self::Job as Job>::Finished, RunError>;
}
