//! The table of methods: a line each. What a method is called, what it does and which settings it has is said in its
//! own file.

use serde::de::DeserializeOwned;
use toml::Table;

use super::Objective;
use crate::settings::Setting;

/// Every method, in the order in which they are listed to users.
#[rustfmt::skip]
pub const METHODS: &[&Method] = &[
    &super::core_tuning::METHOD,
    &super::supervised_contrastive::METHOD,
    &super::cross_entropy::METHOD,
    &super::bss::METHOD,
    &super::moco::METHOD,
    &super::simclr::METHOD,
];

/// The job that a method is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `coretune fit`.
    FineTuning,
    /// `coretune pretrain`.
    Pretraining,
}

/// A method that can be chosen by its name.
#[derive(Debug)]
pub struct Method {
    /// Its name in configurations and reports, such as `core-tuning`.
    pub word: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The job that it is for.
    pub stage: Stage,
    /// The settings that it reads, beside those of every method of its stage. Their flags follow from their keys.
    pub settings: &'static [Setting],
    /// Defaults of pre-training that differ from method to method.
    pub pretraining: Option<PretrainingDefaults>,
    /// Makes the objective from values that were checked against `settings`.
    pub build: fn(&Values<'_>) -> Box<dyn Objective>,
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

/// One of these defaults for each method, as text: `moco-v2 0.2, simclr 0.5`.
pub(crate) fn by_method(of: fn(&PretrainingDefaults) -> f64) -> String {
    let text = |method: &Method| Some(format!("{} {}", method.word, of(method.pretraining.as_ref()?)));
    METHODS.iter().copied().filter_map(text).collect::<Vec<_>>().join(", ")
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
    /// The method of this name.
    pub fn named(stage: Stage, word: &str) -> Option<&'static Method> {
        Method::of(stage).find(|method| method.word == word)
    }

    /// The methods of a stage.
    pub fn of(stage: Stage) -> impl Iterator<Item = &'static Method> {
        METHODS.iter().copied().filter(move |method| method.stage == stage)
    }

    /// The settings of all methods of a stage; one that several methods read is listed once.
    pub fn settings_of(stage: Stage) -> Vec<&'static Setting> {
        let mut list: Vec<&'static Setting> = Vec::new();
        for setting in Method::of(stage).flat_map(|method| method.settings) {
            if list.iter().all(|known| known.key != setting.key) {
                list.push(setting);
            }
        }
        list
    }

    /// Whether the method reads the setting of this key.
    pub fn reads(&self, key: &str) -> bool {
        self.settings.iter().any(|setting| setting.key == key)
    }
}
