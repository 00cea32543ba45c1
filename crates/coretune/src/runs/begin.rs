//! Begins a run.

use super::{Event, Job, Observer, Options, Prepared, RunError, ranks};
use crate::engine::World;
use crate::run_folder::RunFolder;
use crate::train::{Saved, TrainError, saved_progress};

/// Begins a run in the folder that its configuration names, and carries it out to its end.
///
/// Nothing is written before images, checkpoint, machine and memory were checked.
///
/// # Errors
/// [`RunError::UnderWay`] for what happens once the work has begun; what is refused before that otherwise.
pub fn begin<J: Job>(config: &J, options: Options, observer: &mut Observer<'_, J>) -> Result<J::Finished, RunError> {
    let world = options.world;
    let config = ranks::shared(config, world);
    if world.is_first() {
        RunFolder::check_new(&config.folder())?;
    }
    let prepared = prepare(&config, options, observer)?;
    start(prepared, world, observer)
}

/// The configuration with the method that is run: the program's own if it brings one, else that of the table.
///
/// # Errors
/// [`RunError::NoObjective`] and [`RunError::NoOwnMethod`].
pub(super) fn with_method<J: Job>(config: &J, options: &Options) -> Result<J, RunError> {
    if options.objective.is_some() {
        return config.with_own_method();
    }
    if config.has_own_method() { Err(RunError::NoObjective) } else { Ok(config.clone()) }
}

/// Opens what a configuration names.
pub(super) fn prepare<J: Job>(
    config: &J,
    options: Options,
    observer: &mut Observer<'_, J>,
) -> Result<J::Prepared, RunError> {
    let config = with_method(config, &options)?;
    config.prepare(options, &mut |event| observer(&Event::Work(event)))
}

/// Makes the folder of a new run, and carries the run out.
pub(super) fn start<P: Prepared>(
    mut prepared: P,
    world: World,
    observer: &mut Observer<'_, P::Job>,
) -> Result<Finished<P>, RunError> {
    use crate::config::Configuration;

    prepared.steps_per_epoch()?;
    prepared.fit_into_memory()?;
    let config = prepared.config();
    let provenance = prepared.provenance()?;
    ranks::compare(world, &prepared, &provenance)?;
    let folder = if world.is_first() {
        let folder = RunFolder::create(&config.folder())?;
        folder.write_config(&config.to_toml())?;
        world.meet()?;
        folder
    } else {
        world.meet()?;
        RunFolder::follow(&config.folder(), world.rank())?
    };
    observer(&Event::FolderOpened(&folder));
    list_skipped(&prepared, &folder, observer)?;
    folder.write_provenance(&provenance)?;
    carry_out(prepared, &folder, observer)
}

type Finished<P> = <<P as Prepared>::Job as Job>::Finished;

/// Names every image that was left out in a file of the run.
pub(super) fn list_skipped<P: Prepared>(
    prepared: &P,
    folder: &RunFolder,
    observer: &mut Observer<'_, P::Job>,
) -> Result<(), RunError> {
    let skipped = prepared.skipped();
    if !skipped.is_empty() {
        let list = folder.write_skipped(skipped)?;
        observer(&Event::ImagesSkipped { images: skipped.len(), list: &list });
    }
    Ok(())
}

/// The work itself.
pub(super) fn carry_out<P: Prepared>(
    prepared: P,
    folder: &RunFolder,
    observer: &mut Observer<'_, P::Job>,
) -> Result<Finished<P>, RunError> {
    observer(&Event::Prepared(&prepared));
    let finished = prepared.run(folder, &mut |event| observer(&Event::Work(event)));
    finished.map_err(|error| RunError::UnderWay(Box::new(naming_saved_state(error, folder))))
}

/// An evaluation that was interrupted does not know what training has saved; the folder does.
fn naming_saved_state(error: RunError, folder: &RunFolder) -> RunError {
    match error {
        RunError::Train(TrainError::Interrupted { saved: None }) => {
            let path = folder.last_checkpoint();
            let saved = saved_progress(&path).ok().map(|progress| Saved { path, step: progress.step });
            RunError::Train(TrainError::Interrupted { saved })
        }
        error => error,
    }
}
