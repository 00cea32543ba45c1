//! Which settings of a resumed run are others, and whether they may be.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::config::{ConfigError, Configuration, OnResume, Origin, SettingChange, find_setting, setting_named_by};

/// Whether this setting may differ when a run is resumed, as its table says.
fn on_resume(key: &str) -> OnResume {
    find_setting(key).map_or(OnResume::Ask, |setting| setting.on_resume)
}

/// The settings in which `now` differs from the run's own, without those that change no result.
///
/// # Errors
/// [`ConfigError::ChangedOnResume`] when one of them is not in `allowed`, a list of keys; [`ConfigError::FixedOnResume`]
/// when the saved state depends on one of them; [`ConfigError::UnknownKey`] when a key of `allowed` is not a setting.
pub fn changed_settings<C: Configuration>(
    saved: &C,
    now: &C,
    allowed: &[String],
) -> Result<Vec<SettingChange>, ConfigError> {
    changes_between(saved.to_table(), now.to_table(), allowed)
}

/// [`changed_settings`], of sections of keys.
///
/// # Errors
/// Those of [`changed_settings`].
pub(super) fn changes_between(saved: Table, now: Table, allowed: &[String]) -> Result<Vec<SettingChange>, ConfigError> {
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
