//! A run that several ranks share: its configuration on each of them, and what must be the same on all.

use std::collections::BTreeMap;
use std::thread;

use super::{Prepared, RunError};
use crate::config::{Configuration, Regrouping, SettingChange};
use crate::engine::ranks::RanksError;
use crate::engine::{EngineError, World};
use crate::run_folder::Provenance;

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

/// The saved configuration of a run as `ranks` processes resume it: with the same images in a step, and the same gradient.
/// Fewer ranks compute more batches each, or larger ones ([`Regrouping`]). Gives what changes.
///
/// # Errors
/// [`RanksError::Indivisible`] when so many ranks cannot share the images of a step.
pub(super) fn dealt_anew<C: Configuration>(saved: &C, ranks: usize) -> Result<(C, Vec<SettingChange>), RunError> {
    let (train, regrouping) = (saved.train(), saved.regrouping());
    let (was, accumulated, per_rank) = (train.ranks, train.grad_accum_steps, train.batch_size);
    if was == ranks {
        return Ok((saved.clone(), Vec::new()));
    }
    // What the ranks share out among themselves.
    let shared = match regrouping {
        Regrouping::Accumulation => was * accumulated,
        Regrouping::BatchSize => was * per_rank,
        Regrouping::Never => was,
    };
    let can = |ranks: &usize| match regrouping {
        Regrouping::Accumulation => shared.is_multiple_of(*ranks),
        // Batches that are accumulated are each made up of images of all ranks.
        Regrouping::BatchSize if accumulated == 1 => shared.is_multiple_of(*ranks) && shared / ranks >= LEAST_BATCH,
        Regrouping::BatchSize | Regrouping::Never => *ranks == was,
    };
    if !can(&ranks) {
        let (batch, possible) = (train.effective_batch(), (1..=shared).filter(can).collect());
        return Err(EngineError::from(RanksError::Indivisible { batch, ranks, per_rank, possible }).into());
    }
    let mut config = saved.clone();
    let train = config.train_mut();
    train.ranks = ranks;
    let of_batch = if regrouping == Regrouping::BatchSize {
        train.batch_size = shared / ranks;
        ("train.batch_size", per_rank, train.batch_size)
    } else {
        train.grad_accum_steps = shared / ranks;
        ("train.grad_accum_steps", accumulated, train.grad_accum_steps)
    };
    let change = |(key, was, now): (&str, usize, usize)| SettingChange {
        key: key.into(),
        was: was.to_string(),
        now: now.to_string(),
    };
    Ok((config, vec![change(("train.ranks", was, ranks)), change(of_batch)]))
}

/// Fewest images of a batch that batch norm can be taken over.
const LEAST_BATCH: usize = 2;

/// Refuses to begin unless all ranks have the same settings, images, checkpoint, versions and processors.
pub(super) fn compare(world: World, prepared: &impl Prepared, inputs: &Provenance) -> Result<(), RunError> {
    let World::Ranks(group) = world else { return Ok(()) };
    Ok(group.compare(&facts(prepared.config(), prepared.file_lists(), inputs)).map_err(EngineError::from)?)
}

/// What must be the same on all ranks, by name.
fn facts(config: &impl Configuration, files: BTreeMap<String, String>, inputs: &Provenance) -> Vec<(String, String)> {
    let data = files.into_iter().map(|(split, hash)| (format!("list of {split} files"), hash));
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
