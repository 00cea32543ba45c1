//! What a run will take, without carrying it out.

use super::begin::prepare;
use super::{Estimate, Event, Job, Observer, Options, Prepared, RunError};
use crate::run_folder::RunFolder;

/// Prepares a run, makes a few of its steps, and gives its configuration with every value filled in and what the run
/// will take. Nothing is written.
///
/// # Errors
/// What [`super::begin`] refuses.
pub fn dry_run<J: Job>(
    config: &J,
    options: Options,
    observer: &mut Observer<'_, J>,
) -> Result<(J, Estimate), RunError> {
    RunFolder::check_new(&config.folder())?;
    let mut prepared = prepare(config, options, observer)?;
    prepared.steps_per_epoch()?;
    prepared.fit_into_memory()?;
    observer(&Event::Prepared(&prepared));
    let config = prepared.config().clone();
    Ok((config, prepared.estimate()?))
}
