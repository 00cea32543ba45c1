//! Which of the splits that lie in a folder trains, validates and tests.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::{DataError, DatasetOptions};

/// What a split is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Training.
    Train,
    /// Choosing the best epoch and settings.
    Validation,
    /// The figure that is reported.
    Test,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Train => "train",
            Role::Validation => "validation",
            Role::Test => "test",
        })
    }
}

impl Role {
    pub(super) const ALL: [Role; 3] = [Role::Train, Role::Validation, Role::Test];

    /// Names by which it is known without being told, the usual one first.
    fn names(self) -> &'static [&'static str] {
        match self {
            Role::Train => &["train", "training"],
            Role::Validation => &["val", "validation", "valid", "dev"],
            Role::Test => &["test", "testing", "t10k"],
        }
    }
}

/// What the split is for, where `name` says it by itself.
pub(super) fn role_of(name: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.names().contains(&name))
}

/// The name of the split for each role, in the order of [`Role::ALL`]: the one that `options` names, or else a usual one
/// that no option has taken for another role.
pub(super) fn assign(
    path: &Path,
    available: &[String],
    options: &DatasetOptions,
) -> Result<[Option<String>; 3], DataError> {
    let asked = [&options.train_split, &options.val_split, &options.test_split];
    for (i, first) in asked.iter().enumerate() {
        let Some(split) = first.as_ref() else { continue };
        if !available.contains(split) {
            let found = listed(available);
            return Err(DataError::SplitMissing { path: path.to_path_buf(), split: split.clone(), found });
        }
        if let Some(j) = (0..i).find(|&j| asked[j].as_ref() == Some(split)) {
            let (first, second) = (Role::ALL[j], Role::ALL[i]);
            return Err(DataError::SplitTwice { path: path.to_path_buf(), split: split.clone(), first, second });
        }
    }
    let free = |name: &&&str| {
        let is_name = |split: &String| split == **name;
        available.iter().any(is_name) && !asked.iter().any(|split| split.as_ref().is_some_and(is_name))
    };
    let usual = |role: Role| role.names().iter().find(free).map(ToString::to_string);
    Ok(std::array::from_fn(|i| asked[i].clone().or_else(|| usual(Role::ALL[i]))))
}

/// At most a handful of names for a message.
pub(crate) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "nothing".to_string(),
        n if n > SHOWN => format!("{} and {} more", shown.join(", "), n - SHOWN),
        _ => shown.join(", "),
    }
}
