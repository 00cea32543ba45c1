//! A run that several ranks share: its configuration on each of them, and what must be the same on all.

use std::thread;

use super::RunError;
use crate::config::{Configuration, SettingChange};
use crate::engine::ranks::RanksError;
use crate::engine::{EngineError, World};
use crate::run_folder::Provenance;
use crate::settings::RunKind;

/// The configuration as the processes of `world` carry it out: their number, and the cores that each of them has.
pub(super) fn shared<C: Configuration>(config: &C, world: World) -> C {
    let mut config = config.clone();
    let World::Ranks(group) = world else {
        config.train_mut().ranks = 1;
        return config;
    };
    config.train_mut().ranks = world.ranks();
    let local = group.place().local_ranks;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let run = config.run_mut();
    run.threads = run.threads.or(Some((cores / local).max(1)));
    run.workers = run.workers.or_else(|| Some((run.reading_threads() / local).max(1)));
    config
}

/// The saved configuration of a run as `ranks` processes resume it: with the same images in a step. Fewer ranks compute more
/// batches each. Gives what changes.
///
/// # Errors
/// [`RanksError::Indivisible`] when so many ranks cannot share the batches of a step.
pub(super) fn dealt_anew<C: Configuration>(saved: &C, ranks: usize) -> Result<(C, Vec<SettingChange>), RunError> {
    let train = saved.train();
    let batches = train.ranks * train.grad_accum_steps;
    let (was, accumulated) = (train.ranks, train.grad_accum_steps);
    if was == ranks {
        return Ok((saved.clone(), Vec::new()));
    }
    let accumulates = C::KIND != RunKind::Pretraining;
    let can = |ranks: &usize| if accumulates { batches.is_multiple_of(*ranks) } else { *ranks == was };
    if !can(&ranks) {
        let (batch, per_rank) = (train.effective_batch(), train.batch_size);
        let possible = (1..=batches).filter(can).collect();
        return Err(EngineError::from(RanksError::Indivisible { batch, ranks, per_rank, possible }).into());
    }
    let mut config = saved.clone();
    config.train_mut().ranks = ranks;
    config.train_mut().grad_accum_steps = batches / ranks;
    let change = |key: &str, was: usize, now: usize| SettingChange {
        key: key.into(),
        was: was.to_string(),
        now: now.to_string(),
    };
    let changes =
        vec![change("train.ranks", was, ranks), change("train.grad_accum_steps", accumulated, batches / ranks)];
    Ok((config, changes))
}

/// Refuses to begin unless all ranks have the same settings, images, checkpoint, versions and processors.
pub(super) fn compare(world: World, config: &impl Configuration, inputs: &Provenance) -> Result<(), RunError> {
    let World::Ranks(group) = world else { return Ok(()) };
    Ok(group.compare(&facts(config, inputs)).map_err(EngineError::from)?)
}

/// What must be the same on all ranks, by name.
fn facts(config: &impl Configuration, inputs: &Provenance) -> Vec<(String, String)> {
    let data = inputs.data.iter().map(|(split, hash)| (format!("{split} images"), hash.clone()));
    let versions = inputs.versions.iter().map(|(name, version)| (format!("version of {name}"), version.clone()));
    let machine = [
        ("checkpoint", inputs.checkpoint.clone().unwrap_or_default()),
        ("processor", inputs.machine.cpu.clone()),
        ("precision", inputs.machine.precision.clone()),
    ];
    let machine = machine.map(|(what, value)| (what.to_string(), value));
    // Folders, devices and threads may be others on another machine.
    let is_local = |section: &str, key: &str| {
        section == "run" || matches!((section, key), ("data", "dir") | ("checkpoint", "path"))
    };
    let mut settings = Vec::new();
    for (section, keys) in config.to_table() {
        for (key, value) in keys.as_table().into_iter().flatten() {
            if !is_local(&section, key) {
                settings.push((format!("setting {section}.{key}"), value.to_string()));
            }
        }
    }
    versions.chain(machine).chain(data).chain(settings).collect()
}
