//! What is compared: methods, each with settings of its own.

use toml::Value;

use super::{CompareError, ComparedConfig, ComparedTask};
use crate::config::{Layers, RunKind, setting_called};
use crate::objectives::Method;

/// Names for a method with settings that the field has a name for.
const NAMED: [(&str, &str); 2] =
    [("lp-ft", "cross-entropy:head-init=linear-probe"), ("random-init", "cross-entropy:random-weights=true")];

/// What `all` stands for: every method of the task, and LP-FT.
pub fn all_entries(task: ComparedTask) -> Vec<&'static str> {
    let methods = Method::of(RunKind::FineTuning).map(|method| method.word);
    methods.filter(|word| task == ComparedTask::Classification || is_for_pixels(word)).chain(["lp-ft"]).collect()
}

/// Whether the method reads rows and labels alone.
fn is_for_pixels(word: &str) -> bool {
    let needed = [format!("method.name={word}"), "checkpoint.path=file".into(), "data.dir=folder".into()];
    let layers = needed
        .iter()
        .try_fold(Layers::defaults_of(RunKind::Segmentation), |layers, assignment| layers.assignment(assignment));
    let config = layers.and_then(|layers| ComparedConfig::of(ComparedTask::Segmentation, &layers));
    config.is_ok_and(|config| config.check_method().is_ok())
}

/// Every name that an entry can begin with.
fn known_names() -> Vec<&'static str> {
    Method::of(RunKind::FineTuning).map(|method| method.word).chain(NAMED.map(|(name, _)| name)).collect()
}

/// A method with settings of its own: a row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// As it was given: `core-tuning`, `core-tuning:eta=0`, `lp-ft`, `random-init`.
    pub name: String,
    /// The method.
    pub method: &'static str,
    /// Keys of settings, and their values as text.
    pub settings: Vec<(&'static str, String)>,
}

impl Entry {
    /// Reads `METHOD` or `METHOD:KEY=VALUE:KEY=VALUE`, or a name for one of them. A key is `section.name`, or the name
    /// alone.
    ///
    /// # Errors
    /// [`CompareError::Entry`] with what is wrong with a part of the text.
    pub fn parse(text: &str) -> Result<Self, CompareError> {
        let (name, more) = text.split_once(':').unwrap_or((text, ""));
        let spelled = NAMED.iter().find(|(named, _)| *named == name).map_or(name, |(_, spelled)| spelled);
        let mut parts = spelled.split(':').chain(more.split(':').filter(|_| text.contains(':')));
        let word = parts.next().unwrap_or_default();
        let refused = |found: String| CompareError::Entry { entry: text.into(), found };
        let method = Method::named(RunKind::FineTuning, word)
            .ok_or_else(|| CompareError::UnknownMethod { name: word.into(), known: known_names() })?;
        let read = |part: &str| {
            let (key, value) = part.split_once('=').ok_or_else(|| refused(format!("`{part}` is not KEY=VALUE")))?;
            let setting = setting_called(key.trim())
                .map_err(|error| CompareError::Setting { of: text.into(), error: error.into() })?;
            Ok((setting.key, value.trim().to_string()))
        };
        let settings = parts.map(read).collect::<Result<Vec<_>, CompareError>>()?;
        if let Some((key, _)) = settings.iter().find(|(key, _)| OWN.contains(key)) {
            return Err(refused(format!("the comparison itself gives {key}")));
        }
        Ok(Entry { name: text.into(), method: method.word, settings })
    }

    /// The layers with this method and its settings over them.
    ///
    /// # Errors
    /// [`CompareError::Setting`] for a value that a setting does not take.
    pub(super) fn over(&self, layers: &Layers) -> Result<Layers, CompareError> {
        let name = ("method.name", self.method.to_string());
        let mut assignments = std::iter::once(&name).chain(&self.settings);
        assignments
            .try_fold(layers.clone(), |layers, (key, value)| layers.assignment(&format!("{key}={value}")))
            .map_err(|error| CompareError::Setting { of: self.name.clone(), error: error.into() })
    }

    /// Whether the entry itself gives this setting.
    pub(super) fn gives(&self, key: &str) -> bool {
        self.settings.iter().any(|(given, _)| *given == key)
    }

    /// Whether a run of this entry reads a setting.
    pub(super) fn reads(&self, key: &str) -> bool {
        let of_a_method = Method::settings_of(RunKind::FineTuning).iter().any(|setting| setting.key == key);
        let method = Method::named(RunKind::FineTuning, self.method);
        !of_a_method || method.is_some_and(|method| method.reads(key))
    }
}

/// Settings that a comparison gives to its runs itself.
pub(super) const OWN: [&str; 7] =
    ["method.name", "train.seed", "run.output", "run.experiment", "data.dir", "checkpoint.path", "data.per_class"];

/// A setting to tune, with the values to try.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Its key.
    pub key: &'static str,
    /// The values, as text, in the order in which they are tried.
    pub values: Vec<String>,
}

impl Axis {
    /// Reads `KEY=VALUE,VALUE,...`.
    ///
    /// # Errors
    /// [`CompareError::Axis`], and [`CompareError::Setting`] for a key or a value that does not exist.
    pub fn parse(text: &str) -> Result<Self, CompareError> {
        let refused = |found: &str| CompareError::Axis { axis: text.into(), found: found.into() };
        let (key, values) = text.split_once('=').ok_or_else(|| refused("it has no `=`"))?;
        let refused_setting = |error| CompareError::Setting { of: text.into(), error: Box::new(error) };
        let setting = setting_called(key.trim()).map_err(refused_setting)?;
        if OWN.contains(&setting.key) {
            return Err(refused("the comparison itself gives this setting"));
        }
        let canonical = |value: &str| {
            let layers = Layers::defaults().assignment(&format!("{}={value}", setting.key)).map_err(refused_setting)?;
            Ok::<_, CompareError>(layers.get(setting.key).map_or_else(|| value.to_string(), shown))
        };
        let mut all: Vec<String> = Vec::new();
        for value in values.split(',').map(str::trim) {
            let value = canonical(value)?;
            if all.contains(&value) {
                return Err(refused(&format!("it has {value} twice")));
            }
            all.push(value);
        }
        Ok(Axis { key: setting.key, values: all })
    }
}

/// A value as text that an assignment reads back; a string without quotes.
pub(super) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToString::to_string)
}
