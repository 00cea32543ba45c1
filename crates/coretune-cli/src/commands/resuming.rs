//! Going on with a run, of whichever kind: everything is looked at first; then the folder is written to.

use std::path::{Path, PathBuf};

use coretune::config::{ConfigError, Layers, SettingChange};
use coretune::fit::{Standing, changed_entries, compare_provenance};
use coretune::run_folder::{ChangeRecord, Provenance, RunFolder};
use toml::Value;

use super::lines;
use crate::failure::Failure;
use crate::printer::Printer;

/// The folder of the run that is meant: the output, when one was given, needs nothing else to be known; else
/// `configured` says it.
pub(super) fn output_of(
    typed: &Layers,
    configured: impl FnOnce() -> Result<PathBuf, Failure>,
) -> Result<PathBuf, Failure> {
    let given = |key, word| typed.get(key).and_then(Value::as_str).filter(|&text| text != word).map(PathBuf::from);
    match (given("run.output", "auto"), given("run.experiment", "off")) {
        (Some(output), Some(experiment)) => Ok(output.join(experiment)),
        (Some(output), None) => Ok(output),
        (None, _) => configured(),
    }
}

/// Whether a run is to be gone on with in `root`; where there is nothing yet, says that it begins here.
pub(super) fn holds_run(printer: &Printer, root: &Path) -> Result<bool, Failure> {
    if RunFolder::holds_run(root) || !RunFolder::is_free(root)? {
        return Ok(true);
    }
    printer.say("note", format_args!("{} holds no run yet: this is its beginning", root.display()));
    Ok(false)
}

/// The configuration to go on with. Where it is none, and what was typed cannot be changed at all, that is the error: the
/// run's own settings are not to be fitted to it.
pub(super) fn valid<C>(
    validated: Result<C, ConfigError>,
    (saved, now): (&Layers, &Layers),
    allowed: &[String],
) -> Result<C, Failure> {
    if validated.is_err() {
        changed_entries(saved.to_table(), now.to_table(), allowed)?;
    }
    Ok(validated?)
}

/// Refuses other settings for a run that has made the epochs that it is to make: nothing is left to compute with them.
pub(super) fn refuse_to_change_a_finished(made: Option<u64>, epochs: usize) -> Result<(), Failure> {
    match made {
        Some(made) if made == epochs as u64 => {
            let sentence =
                format!("the run has made all its {made} epochs: nothing is left to compute with other settings");
            let hint = "--epochs N --allow-change train.epochs makes it longer; --output DIR begins another one";
            Err(Failure::refused(sentence).hint(hint))
        }
        _ => Ok(()),
    }
}

/// Where the run stands, and what changes from here on.
pub(super) fn tell_standing(printer: &Printer, root: &Path, standing: &Standing, changes: &[SettingChange]) {
    printer.say("resumed", format_args!("{} after step {}", lines::quoted(root), standing.step));
    for note in &standing.notes {
        printer.warn(note);
    }
    for SettingChange { key, was, now } in changes {
        printer.warn(format_args!("{key} was {was} so far and is {now} from here on"));
    }
}

/// Refuses inputs other than those that the run began with; what else keeps the weights from being the same, in words.
pub(super) fn other_bits(
    folder: &RunFolder,
    now: &Provenance,
    data: &Path,
    checkpoint: Option<&Path>,
) -> Result<Vec<String>, Failure> {
    let Some(recorded) = folder.read_provenance()? else { return Ok(Vec::new()) };
    let differences = compare_provenance(&recorded, now, data, checkpoint)?;
    Ok(differences.iter().map(|what| format!("{what}; the weights will not be the same to the last bit")).collect())
}

/// Records what the run depends on, where that is not there yet.
pub(super) fn record_provenance(folder: &RunFolder, now: &Provenance) -> Result<(), Failure> {
    match folder.read_provenance()? {
        Some(_) => Ok(()),
        None => Ok(folder.write_provenance(now)?),
    }
}

/// Makes changed settings those of the run, whose configuration then is `config`. A run that has not made a step begins
/// with them.
pub(super) fn take_changes(
    folder: &RunFolder,
    config: &str,
    step: u64,
    changes: &[SettingChange],
) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    let record = |SettingChange { key, was, now }: &SettingChange| ChangeRecord {
        step,
        key: key.clone(),
        was: was.clone(),
        now: now.clone(),
    };
    if step > 0 {
        folder.record_changes(&changes.iter().map(record).collect::<Vec<_>>())?;
    }
    folder.remove_summary()?;
    Ok(folder.write_config(config)?)
}
