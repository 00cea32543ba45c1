use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::settings::{Hint, RunKind};

/// Where an entry of a configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The table of defaults.
    Default,
    /// A recipe, by name.
    Recipe(String),
    /// A file.
    File(PathBuf),
    /// `section.name=value`.
    Assignment,
    /// A flag, with its dashes.
    Flag(String),
    /// The keys that may change when a run is resumed.
    AllowedChanges,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("the defaults"),
            Origin::Recipe(name) => write!(f, "recipe {name}"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Assignment => f.write_str("an assignment"),
            Origin::Flag(flag) => f.write_str(flag),
            Origin::AllowedChanges => f.write_str("the allowed changes"),
        }
    }
}

/// A setting that differs from the run to be resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// `section.name`.
    pub key: String,
    /// The value in the run, as in a file.
    pub was: String,
    /// The value now.
    pub now: String,
}

/// Why a configuration is refused. A `key` is `section.name`; `found` and `expected` are text.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("the configuration cannot be read")]
    Read { path: PathBuf, source: std::io::Error },
    /// A file or recipe is not TOML.
    #[error("the configuration is not valid TOML")]
    Syntax {
        origin: Origin,
        /// Line, counted from 1.
        line: usize,
        message: String,
    },
    /// A key that no setting has.
    #[error("no setting is called {key}")]
    UnknownKey {
        origin: Origin,
        key: String,
        /// Settings with a similar name, the nearest first.
        near: Vec<&'static str>,
    },
    /// A setting that only runs of another kind read.
    #[error("{key} is a setting of {kind}")]
    OtherRun {
        origin: Origin,
        key: &'static str,
        /// The kind of run that reads it.
        kind: RunKind,
    },
    /// A value of another type.
    #[error("{key} has the wrong type")]
    Type { origin: Origin, key: &'static str, expected: String, found: String },
    /// A value of the right type that the setting does not take.
    #[error("{key} is out of range")]
    Range { origin: Origin, key: &'static str, expected: String, found: String },
    /// A text that is none of the forms which the setting takes.
    #[error("{key} does not take this value")]
    Form { key: &'static str, expected: String, found: String },
    /// A word that the setting does not take.
    #[error("{key} does not take this word")]
    Choice {
        origin: Origin,
        key: &'static str,
        expected: String,
        found: String,
        /// The most similar word.
        near: Option<&'static str>,
    },
    /// A setting without a default was not given.
    #[error("{key} is not given")]
    Missing {
        key: &'static str,
        /// A word for what is to be given, such as `DIR`.
        value: &'static str,
        expected: String,
    },
    /// Settings were changed on a resume without permission, and they change what is computed.
    #[error("the run was begun with other settings")]
    ChangedOnResume { changes: Vec<SettingChange> },
    /// Settings were changed on a resume that the saved state depends on.
    #[error("the saved state does not fit the changed settings")]
    FixedOnResume { changes: Vec<SettingChange> },
    /// Two settings that exclude each other.
    #[error("{first} and {second} do not go together")]
    Conflict { first: String, second: String, expected: String, found: String, hint: Hint },
    /// An assignment without `=`, or without a section.
    #[error("an assignment has the form section.name=value")]
    Assignment {
        found: String,
        /// Settings with a similar name, the nearest first.
        near: Vec<&'static str>,
    },
    /// A recipe that is neither known by name nor a file.
    #[error("no recipe is called {name}")]
    UnknownRecipe {
        name: String,
        known: Vec<&'static str>,
        /// The most similar name.
        near: Option<&'static str>,
    },
}

impl ConfigError {
    /// Where the value or key was given, if that is in question.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::UnknownKey { origin, .. }
            | Self::OtherRun { origin, .. }
            | Self::Type { origin, .. }
            | Self::Range { origin, .. }
            | Self::Choice { origin, .. } => Some(origin),
            Self::Assignment { .. } => Some(&Origin::Assignment),
            _ => None,
        }
    }

    /// The particulars, each a word and a text, in the order in which they are shown, after the origin.
    pub fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Read { path, source } => vec![("path", path.display().to_string()), ("cause", source.to_string())],
            Self::Syntax { origin, line, message } => {
                vec![("in", format!("{origin}, line {line}")), ("cause", message.clone())]
            }
            Self::UnknownKey { .. } | Self::OtherRun { .. } => Vec::new(),
            Self::Type { expected, found, .. }
            | Self::Range { expected, found, .. }
            | Self::Choice { expected, found, .. }
            | Self::Form { expected, found, .. }
            | Self::Conflict { expected, found, .. } => {
                vec![("expected", expected.clone()), ("found", found.clone())]
            }
            Self::Missing { expected, .. } => vec![("expected", expected.clone()), ("found", "nothing".into())],
            Self::ChangedOnResume { changes } | Self::FixedOnResume { changes } => {
                let line = |change: &SettingChange| format!("{} = {}, now {}", change.key, change.was, change.now);
                changes.iter().map(|change| ("changed", line(change))).collect()
            }
            Self::Assignment { found, .. } => vec![("found", found.clone())],
            Self::UnknownRecipe { known, .. } => vec![("expected", format!("{}, or a file", known.join(", ")))],
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::UnknownKey { near, .. } => Some(match near.as_slice() {
                [] => "{@fit} {@help-all} and {@pretrain} {@help-all} list all settings".into(),
                near => format!("did you mean {}?", near.join(" or ")).into(),
            }),
            Self::OtherRun { origin: Origin::Recipe(_) | Origin::File(_), kind, .. } => {
                Some(format!("this is a configuration for {}", kind.action()).into())
            }
            Self::OtherRun { .. } => Some("leave it out".into()),
            Self::Missing { key, value, .. } => Some(format!("give {{{key}={value}}}").into()),
            Self::Conflict { hint, .. } => Some(hint.clone()),
            Self::ChangedOnResume { changes } => {
                let allow: Vec<String> =
                    changes.iter().map(|change| format!("{{@allow-change={}}}", change.key)).collect();
                Some(format!("leave them out, or allow the changes by name: {}", allow.join(" ")).into())
            }
            Self::FixedOnResume { .. } => Some(
                "its tensors and its count of steps depend on them: leave them out, or start a new run: {run.output=DIR}"
                    .into(),
            ),
            Self::Assignment { near, .. } if !near.is_empty() => Some(format!("did you mean {}?", near.join(" or ")).into()),
            Self::Assignment { .. } => Some("for example {@set=train.lr=0.01}".into()),
            Self::Choice { near: Some(near), .. } | Self::UnknownRecipe { near: Some(near), .. } => {
                Some(format!("did you mean {near}?").into())
            }
            _ => None,
        }
    }
}

/// The error, if `wrong`.
pub(super) fn refuse_if(wrong: bool, error: impl FnOnce() -> ConfigError) -> Result<(), ConfigError> {
    if wrong { Err(error()) } else { Ok(()) }
}
