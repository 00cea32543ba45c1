//! What the table of methods says of one method.

use serde::de::DeserializeOwned;
use toml::Table;

use super::Objective;
use crate::settings::{RunKind, Setting};

/// A method that can be chosen by its name.
#[derive(Debug)]
pub struct Method {
    /// Its name in configurations and reports, such as `core-tuning`.
    pub word: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The kind of run that it is for.
    pub kind: RunKind,
    /// The settings that it reads, beside those of every method of its kind. Their flags follow from their keys.
    pub settings: &'static [Setting],
    /// Keys of settings whose default differs with this method, and that default, as its authors have it.
    pub defaults: &'static [(&'static str, &'static str)],
    /// Settings that must have a certain value with this method.
    pub requires: &'static [Requirement],
    /// Defaults of pre-training that differ from method to method.
    pub pretraining: Option<PretrainingDefaults>,
    /// Makes the objective from values that were checked against `settings`.
    pub build: fn(&Values<'_>) -> Box<dyn Objective>,
}

/// A setting that must have a certain value with a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// Its key.
    pub key: &'static str,
    /// The only value that goes with the method, a word.
    pub value: &'static str,
    /// Why, as a sentence without its full stop: `the classifier learns in the last part of the run`.
    pub because: &'static str,
}

/// What `auto` becomes in pre-training, as the method's authors have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PretrainingDefaults {
    /// tau.
    pub temperature: f64,
    /// Smallest fraction of an image's area that a view shows.
    pub least_area: f64,
    /// Strength of the colour jitter, `SimCLR`'s s.
    pub jitter: f64,
}

/// The values of a method's settings.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The section of the configuration, checked and without `auto`.
    pub section: &'a Table,
    /// Fraction of a label that is spread over all classes, 0 to below 1; 0 in pre-training.
    pub label_smoothing: f64,
}

impl Values<'_> {
    /// The values as a struct whose fields are named like the settings.
    ///
    /// # Panics
    /// When the struct and the method's table of settings disagree, which a test excludes.
    pub(super) fn read<S: DeserializeOwned>(&self) -> S {
        S::deserialize(self.section.clone()).expect("the table of settings has checked every value")
    }
}

impl Method {
    /// The method's own default of the setting of this key, if it differs from that of the setting.
    pub fn default_of(&self, key: &str) -> Option<&'static str> {
        self.defaults.iter().find(|(known, _)| *known == key).map(|(_, text)| *text)
    }

    /// Whether the method reads the setting of this key.
    pub fn reads(&self, key: &str) -> bool {
        self.settings.iter().any(|setting| setting.key == key)
    }
}
