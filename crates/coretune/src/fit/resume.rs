//! Going on with a run: what of its configuration and of its inputs may have changed meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use tch::Device;
use toml::{Table, Value};

use super::{Task, summary};
use crate::checkpoints::safetensors_file;
use crate::config::{ConfigError, OnResume, Origin, RunConfig, SettingChange, find_setting, setting_named_by};
use crate::engine::{Precision, cpu_type, device_name, threads};
use crate::run_folder::{MachineRecord, Provenance, Recording, RunFolder, RunFolderError};
use crate::train::{TrainError, saved_progress};

/// Whether this setting may differ when a run is resumed, as its table says.
fn on_resume(key: &str) -> OnResume {
    find_setting(key).map_or(OnResume::Ask, |setting| setting.on_resume)
}

/// The settings in which `now` differs from the run's own, where that changes what is computed.
///
/// # Errors
/// [`ConfigError::ChangedOnResume`] when one of them is not in `allowed`, a list of keys; [`ConfigError::FixedOnResume`]
/// when the saved state is made by one of them; [`ConfigError::UnknownKey`] when a key of `allowed` is none.
pub fn changed_settings(
    saved: &RunConfig,
    now: &RunConfig,
    allowed: &[String],
) -> Result<Vec<SettingChange>, ConfigError> {
    changed_entries(saved.to_table(), now.to_table(), allowed)
}

/// [`changed_settings`], of sections of keys.
///
/// # Errors
/// Those of [`changed_settings`].
pub fn changed_entries(saved: Table, now: Table, allowed: &[String]) -> Result<Vec<SettingChange>, ConfigError> {
    for key in allowed {
        setting_named_by(Origin::AllowedChanges, key)?;
    }
    let (saved, now) = (entries(saved), entries(now));
    let differs = |(key, was): &(&String, &Value)| on_resume(key) != OnResume::Free && now.get(*key) != Some(*was);
    let changes: Vec<SettingChange> = saved
        .iter()
        .filter(differs)
        .map(|(key, was)| SettingChange {
            key: key.clone(),
            was: was.to_string(),
            now: now.get(key).map_or_else(|| "nothing".into(), ToString::to_string),
        })
        .collect();
    let (fixed, changes): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|change| on_resume(&change.key) == OnResume::Fixed);
    if !fixed.is_empty() {
        return Err(ConfigError::FixedOnResume { changes: fixed });
    }
    let refused: Vec<_> = changes.iter().filter(|change| !allowed.contains(&change.key)).cloned().collect();
    if refused.is_empty() { Ok(changes) } else { Err(ConfigError::ChangedOnResume { changes: refused }) }
}

/// `section.key` and value of every setting.
fn entries(table: Table) -> BTreeMap<String, Value> {
    let of_section = |(section, keys): (String, Value)| match keys {
        Value::Table(keys) => keys.into_iter().map(|(name, value)| (format!("{section}.{name}"), value)).collect(),
        value => vec![(section, value)],
    };
    table.into_iter().flat_map(of_section).collect()
}

/// Where a run stands that is to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Steps that its saved state has made; 0 when nothing is saved yet.
    pub step: u64,
    /// What is not as it should be and changes no result, in words.
    pub notes: Vec<String>,
}

/// Looks at what going on with a run needs, which is to make `epochs` epochs; nothing is written.
///
/// # Errors
/// [`RunFolderError::CannotGoOn`] when the saved state is damaged, or lacks the best epoch or the record of its inputs;
/// [`TrainError::FewerEpochs`] when it has made more than that.
pub fn standing(folder: &RunFolder, recording: Recording, epochs: usize) -> Result<Standing, TrainError> {
    if !folder.last_checkpoint().exists() {
        let note =
            "there is no saved state, so the run begins anew and replaces the best epoch that it has kept".into();
        return Ok(Standing {
            step: 0,
            notes: folder.best_checkpoint().exists().then_some(note).into_iter().collect(),
        });
    }
    let refused = |found: String| RunFolderError::CannotGoOn { path: folder.root().into(), found };
    let progress = safetensors_file::check(folder.last_checkpoint())
        .map_err(TrainError::from)
        .and_then(|()| saved_progress(&folder.last_checkpoint()))
        .map_err(|error| refused(damage(folder, &error)))?;
    if progress.epochs > epochs as u64 {
        return Err(TrainError::FewerEpochs { made: progress.epochs, asked: epochs as u64 });
    }
    if let Some(best) = &progress.best
        && !folder.best_checkpoint().is_file()
    {
        let file = folder.best_checkpoint();
        return Err(
            refused(format!("{} is missing, and epoch {} is the best so far", file.display(), best.epoch)).into()
        );
    }
    if progress.best.is_some() {
        let damaged = |error| refused(format!("the model of its best epoch cannot be read: {error}"));
        safetensors_file::check(folder.best_checkpoint()).map_err(damaged)?;
    }
    if folder.read_provenance()?.is_none() {
        let found = "provenance.json is missing, so nobody knows whether images and checkpoint are still the same";
        return Err(refused(found.into()).into());
    }
    let gap = folder.gap_in_metrics(progress.step, progress.epochs, recording)?;
    let note = |gap| format!("{} lacks {gap}: curves and tables will lack them too", folder.metrics_file().display());
    Ok(Standing { step: progress.step, notes: gap.map(note).into_iter().collect() })
}

/// What is said of a saved state that cannot be read.
fn damage(folder: &RunFolder, error: &TrainError) -> String {
    let best = folder.best_checkpoint();
    let left = if best.is_file() {
        format!("; the best epoch is still there, for evaluate, predict and export: {}", best.display())
    } else {
        String::new()
    };
    format!("its saved state cannot be read, and there is no earlier one: {error}{left}")
}

impl Task {
    /// What the run depends on beyond its configuration, as it is here and now.
    pub fn provenance(&self) -> Result<Provenance, TrainError> {
        let splits = &self.splits;
        let mut data = BTreeMap::from([
            ("train".to_string(), splits.train.content_hash()?),
            ("validation".to_string(), splits.validation.content_hash()?),
        ]);
        if let Some(test) = &splits.test {
            data.insert("test".into(), test.content_hash()?);
        }
        let checkpoint = Some(self.checkpoint_hash.clone());
        Ok(provenance(data, checkpoint, self.config.train.seed, self.device, self.precision))
    }
}

/// What a run depends on, computed here and now from inputs of these hashes.
pub(crate) fn provenance(
    data: BTreeMap<String, String>,
    checkpoint: Option<String>,
    seed: u64,
    device: Device,
    precision: Precision,
) -> Provenance {
    Provenance {
        data,
        checkpoint,
        seed,
        machine: MachineRecord {
            cpu: cpu_type(),
            device: device_name(device),
            precision: precision.to_string(),
            threads: threads::get(),
        },
        versions: summary::versions(),
    }
}

/// Compares the inputs and the machine with those that a run recorded; gives what stands in the way of the same bits, in
/// words. `data` and `checkpoint` are where the inputs lie, for messages.
///
/// # Errors
/// [`TrainError::InputChanged`] when the images or the checkpoint are others.
pub fn compare_provenance(
    recorded: &Provenance,
    now: &Provenance,
    data: &Path,
    checkpoint: Option<&Path>,
) -> Result<Vec<String>, TrainError> {
    let changed = |what: &'static str, path: &Path, expected: &str, found: &str| {
        let (path, expected, found) = (path.to_path_buf(), expected.to_string(), found.to_string());
        Err(TrainError::InputChanged { what, path, expected, found })
    };
    let [expected, found] = [recorded, now].map(|origin| origin.checkpoint.as_deref().unwrap_or("none"));
    if expected != found {
        return changed("checkpoint", checkpoint.unwrap_or(Path::new("")), expected, found);
    }
    for (split, what) in [("train", "training data"), ("validation", "validation data"), ("test", "test data")] {
        let [expected, found] = [recorded, now].map(|origin| origin.data.get(split).map_or("none", String::as_str));
        if expected != found {
            return changed(what, data, expected, found);
        }
    }
    Ok(differences(recorded, now))
}

/// Where two machines differ in what bits depend on: `processor: A, now B`.
fn differences(recorded: &Provenance, now: &Provenance) -> Vec<String> {
    let threads = |origin: &Provenance| origin.machine.threads.to_string();
    let mut pairs = vec![
        ("processor", recorded.machine.cpu.clone(), now.machine.cpu.clone()),
        ("device", recorded.machine.device.clone(), now.machine.device.clone()),
        ("precision", recorded.machine.precision.clone(), now.machine.precision.clone()),
        ("threads", threads(recorded), threads(now)),
    ];
    for (name, version) in &recorded.versions {
        pairs.push((name, version.clone(), now.versions.get(name).cloned().unwrap_or_default()));
    }
    pairs.retain(|(_, was, is)| was != is);
    pairs.into_iter().map(|(what, was, is)| format!("{what}: {was}, now {is}")).collect()
}
