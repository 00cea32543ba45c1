//! What a run depends on beyond its configuration: recorded when it begins, compared when it is resumed or repeated.

use std::collections::BTreeMap;
use std::path::Path;

use tch::Device;

use super::RunError;
use crate::config::Configuration;
use crate::engine::{self, Precision, cpu_type, device_name, threads};
use crate::run_folder::{MachineRecord, Provenance, RunFolder};

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
        own_method: None,
        seed,
        machine: MachineRecord {
            cpu: cpu_type(),
            device: device_name(device),
            precision: precision.to_string(),
            threads: threads::get(),
        },
        versions: versions(),
    }
}

/// Versions that figures depend on, by name.
pub(crate) fn versions() -> BTreeMap<String, String> {
    let engine = engine::versions();
    BTreeMap::from([
        ("coretune".to_string(), env!("CARGO_PKG_VERSION").to_string()),
        ("libtorch".to_string(), engine.libtorch),
        ("tch".to_string(), engine.tch.to_string()),
    ])
}

/// Refuses inputs other than those that the run in `folder` began with; gives what else keeps the weights from being
/// the same, a sentence each.
pub(super) fn check_inputs(
    folder: &RunFolder,
    now: &Provenance,
    config: &impl Configuration,
) -> Result<Vec<String>, RunError> {
    let Some(recorded) = folder.read_provenance()? else { return Ok(Vec::new()) };
    let differences = compare_provenance(&recorded, now, &config.data().dir, config.checkpoint_path())?;
    Ok(differences.iter().map(|what| format!("{what}; the weights will not be bit-identical")).collect())
}

/// Hashed inputs by their names in `provenance.json`, and what a message calls them.
const INPUTS: [(&str, &str); 5] = [
    ("train", "training data"),
    ("validation", "validation data"),
    ("test", "test data"),
    ("unlabelled", "set of unlabelled images used with"),
    ("pseudo_labels", "set of pseudo-labels used with"),
];

/// Compares the inputs and the machine with those that a run recorded; gives what differs and keeps the results from
/// being bit-identical, as text. `data` and `checkpoint` are the paths of the inputs, for messages.
///
/// # Errors
/// [`RunError::InputChanged`] when the images or the checkpoint are others, [`RunError::OtherMethod`] when the program
/// brings another method.
pub fn compare_provenance(
    recorded: &Provenance,
    now: &Provenance,
    data: &Path,
    checkpoint: Option<&Path>,
) -> Result<Vec<String>, RunError> {
    if recorded.own_method != now.own_method {
        let name = |origin: &Provenance| origin.own_method.clone().unwrap_or_else(|| "one of the table".into());
        return Err(RunError::OtherMethod { began: name(recorded), now: name(now) });
    }
    let changed = |what: &'static str, path: &Path, expected: &str, found: &str| {
        let (path, expected, found) = (path.to_path_buf(), expected.to_string(), found.to_string());
        Err(RunError::InputChanged { what, path, expected, found })
    };
    let [expected, found] = [recorded, now].map(|origin| origin.checkpoint.as_deref().unwrap_or("none"));
    if expected != found {
        return changed("checkpoint", checkpoint.unwrap_or(Path::new("")), expected, found);
    }
    for (split, what) in INPUTS {
        let [expected, found] = [recorded, now].map(|origin| origin.data.get(split).map_or("none", String::as_str));
        if expected != found {
            return changed(what, data, expected, found);
        }
    }
    Ok(differences(recorded, now))
}

/// Where two machines differ in what results depend on, to the bit: `processor: A, now B`.
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
