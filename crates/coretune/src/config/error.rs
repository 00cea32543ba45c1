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

/// A setting with two values: the one that a run was begun with, and the one that it should go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// `section.key`.
    pub key: String,
    /// The value at the beginning, as in a file.
    pub was: String,
    /// The value now.
    pub now: String,
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("the configuration cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or recipe is no TOML.
    #[error("the configuration is no valid TOML")]
    Syntax {
        /// Where it stands.
        origin: Origin,
        /// Line, counted from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// A key that no setting has.
    #[error("no setting is called {key}")]
    UnknownKey {
        /// Where it was typed.
        origin: Origin,
        /// The key, with its section.
        key: String,
        /// Settings with a name like it, the nearest first.
        near: Vec<&'static str>,
    },
    /// A setting that only runs of another kind read.
    #[error("{key} is a setting of {kind}")]
    OtherRun {
        /// Where it was typed.
        origin: Origin,
        /// The key, with its section.
        key: &'static str,
        /// The kind of run that reads it.
        kind: RunKind,
    },
    /// A value of another type.
    #[error("{key} has the wrong type")]
    Type {
        /// Where it was typed.
        origin: Origin,
        /// The key, with its section.
        key: &'static str,
        /// What the setting takes.
        expected: String,
        /// What came.
        found: String,
    },
    /// A value of the right type that the setting does not take.
    #[error("{key} is out of range")]
    Range {
        /// Where it was typed.
        origin: Origin,
        /// The key, with its section.
        key: &'static str,
        /// What the setting takes.
        expected: String,
        /// What came.
        found: String,
    },
    /// A word that is none of those that the setting takes.
    #[error("{key} does not take this word")]
    Choice {
        /// Where it was typed.
        origin: Origin,
        /// The key, with its section.
        key: &'static str,
        /// What the setting takes.
        expected: String,
        /// What came.
        found: String,
        /// The word that is most like it.
        near: Option<&'static str>,
    },
    /// A setting without default was not given.
    #[error("{key} is not given")]
    Missing {
        /// The key, with its section.
        key: &'static str,
        /// What it takes.
        expected: String,
    },
    /// A run that is to go on with settings that change what it computes.
    #[error("the run was begun with other settings")]
    ChangedOnResume {
        /// The settings.
        changes: Vec<SettingChange>,
    },
    /// A run that is to go on with settings that its saved state is made by.
    #[error("what was saved of the run does not go with other settings")]
    FixedOnResume {
        /// The settings.
        changes: Vec<SettingChange>,
    },
    /// Two settings that exclude each other.
    #[error("{first} and {second} do not go together")]
    Conflict {
        /// One key, with where it was typed.
        first: String,
        /// The other.
        second: String,
        /// What is possible.
        expected: String,
        /// What came.
        found: String,
        /// The way out.
        hint: Hint,
    },
    /// An assignment without `=`, or without a section.
    #[error("an assignment has the form section.name=value")]
    Assignment {
        /// What was typed.
        found: String,
        /// Settings with a name like it, the nearest first.
        near: Vec<&'static str>,
    },
    /// A recipe that is neither known by name nor a file.
    #[error("no recipe is called {name}")]
    UnknownRecipe {
        /// What was typed.
        name: String,
        /// The recipes there are.
        known: Vec<&'static str>,
        /// The one that is most like it.
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
            Self::Missing { key, .. } => Some(format!("give {{{key}}}").into()),
            Self::Conflict { hint, .. } => Some(hint.clone()),
            Self::ChangedOnResume { changes } => {
                let allow: Vec<String> =
                    changes.iter().map(|change| format!("{{@allow-change={}}}", change.key)).collect();
                Some(format!("leave them out, or allow the changes by name: {}", allow.join(" ")).into())
            }
            Self::FixedOnResume { .. } => Some(
                "its tensors and its count of steps depend on them: leave them out, or begin a new run: {run.output=DIR}"
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
