//! The layers of a configuration (defaults, recipe, file, assignments, flags), merged; each entry is checked for name,
//! type and range as it is added.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::error::{ConfigError, Origin};
use super::recipes;
use super::sections::{DataSection, RunSection, SegmentationSection, find_setting, settings};
use crate::engine::Amp;
use crate::files::regular_file;
use crate::models::{PixelViews, TestViews};
use crate::objectives::Method;
use crate::settings::{Refusal, RunKind, Setting};

/// The layers of a configuration, merged so far.
///
/// They are applied in the order of the calls; the later one wins, so callers go defaults, recipe, file,
/// assignments, flags.
#[derive(Debug, Clone)]
pub struct Layers {
    entries: BTreeMap<&'static str, (Value, Origin)>,
}

impl Layers {
    /// The defaults of [`settings`] in fine-tuning.
    ///
    /// # Panics
    /// When a default in the table does not fit its own type.
    pub fn defaults() -> Self {
        Layers::defaults_of(RunKind::FineTuning)
    }

    /// The defaults of [`settings`] in runs of this kind.
    ///
    /// # Panics
    /// When a default in the table does not fit its own type.
    pub fn defaults_of(kind: RunKind) -> Self {
        let mut layers = Layers { entries: BTreeMap::new() };
        for setting in settings() {
            if let Some(text) = setting.default_for(kind) {
                let put = layers.put_text(Origin::Default, setting, text);
                put.unwrap_or_else(|error| panic!("the default of {} does not fit it: {error:?}", setting.key));
            }
        }
        layers
    }

    /// A recipe by name, or from a file.
    ///
    /// # Errors
    /// [`ConfigError::UnknownRecipe`] for a name that neither a recipe nor a file has; otherwise as [`Layers::file`].
    pub fn recipe(self, name_or_path: &str) -> Result<Self, ConfigError> {
        match recipes::find(name_or_path) {
            Some(recipe) => self.document(Origin::Recipe(recipe.name.into()), recipe.text),
            None if Path::new(name_or_path).is_file() => self.file(Path::new(name_or_path)),
            None => {
                let known = recipes::names();
                let near = nearest(name_or_path, known.iter().copied());
                Err(ConfigError::UnknownRecipe { name: name_or_path.into(), known, near })
            }
        }
    }

    /// A file of TOML.
    ///
    /// # Errors
    /// [`ConfigError::Read`] for a file that cannot be read, [`ConfigError::Syntax`] for one that is not TOML, and an
    /// error for each key or value that no setting takes.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let mut text = String::new();
        regular_file::open(path)
            .and_then(|mut file| file.read_to_string(&mut text))
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        self.document(Origin::File(PathBuf::from(path)), &text)
    }

    /// One `section.name=value`.
    ///
    /// # Errors
    /// [`ConfigError::Assignment`] without `=` or without a section, [`ConfigError::UnknownKey`], and an error for a
    /// value that the setting does not take.
    pub fn assignment(mut self, text: &str) -> Result<Self, ConfigError> {
        let malformed = |near| ConfigError::Assignment { found: text.into(), near };
        let (key, value) = text.split_once('=').ok_or_else(|| malformed(Vec::new()))?;
        let key = key.trim();
        if !key.contains('.') {
            return Err(malformed(near(key)));
        }
        let setting = find_setting(key).ok_or_else(|| unknown(Origin::Assignment, key))?;
        self.put_text(Origin::Assignment, setting, value.trim())?;
        Ok(self)
    }

    /// A flag: how it is spelled, the setting and the text given to it (several only where the setting is a list).
    ///
    /// # Errors
    /// [`ConfigError`] for a text that the setting does not take.
    pub fn flag(mut self, flag: &str, setting: &'static Setting, texts: &[String]) -> Result<Self, ConfigError> {
        self.put_text(Origin::Flag(flag.into()), setting, &texts.join(","))?;
        self.replace_other_budget(setting);
        Ok(self)
    }

    /// A labelled budget given as a flag replaces one of the other kind that a lower layer has.
    fn replace_other_budget(&mut self, setting: &Setting) {
        let other = match setting.key {
            "data.per_class" => "data.label_fraction",
            "data.label_fraction" => "data.per_class",
            _ => return,
        };
        if !matches!(self.origin(other), Some(Origin::Flag(_)))
            && let Some(default) = Layers::defaults().entries.remove(other)
            && let Some(entry) = self.entries.get_mut(other)
        {
            *entry = default;
        }
    }

    /// Resets every key of a section to its default, whatever the layers so far have set.
    #[must_use]
    pub fn without(mut self, section: &str) -> Self {
        let in_section = |key: &str| key.split_once('.').is_some_and(|(of, _)| of == section);
        self.entries.retain(|key, _| !in_section(key));
        self.entries.extend(Layers::defaults().entries.into_iter().filter(|(key, _)| in_section(key)));
        self
    }

    /// Resets what belongs to the machine of a run, its section `run`, but not its precision: f32 everywhere, bf16 where
    /// the hardware has it.
    #[must_use]
    pub fn on_this_machine(self) -> Self {
        let of_run = self.clone();
        self.without("run").in_precision_of(&of_run)
    }

    /// Computes in f32 if these layers of a run say so.
    #[must_use]
    pub fn in_precision_of(mut self, run: &Layers) -> Self {
        let amp = run.entries.get_key_value("run.amp").filter(|(_, (amp, _))| amp.as_str() == Some(Amp::Off.name()));
        self.entries.extend(amp.map(|(&key, amp)| (key, amp.clone())));
        self
    }

    /// The value of a key, if some layer gave one.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Of the settings given as flags or with `--set`, those that only other methods of its kind read, a sentence each.
    pub fn unused(&self, method: &Method) -> Vec<String> {
        let given = |key| matches!(self.origin(key), Some(Origin::Flag(_) | Origin::Assignment));
        let others = Method::settings_of(method.kind).into_iter().map(|setting| setting.key);
        let unused = others.filter(|&key| given(key) && !method.reads(key));
        unused.map(|key| format!("{key} is not used: {} does not read it", method.word)).collect()
    }

    /// Where the value of a key came from.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.entries.get(key).map(|(_, origin)| origin)
    }

    /// The same layers, with the defaults of the method of fine-tuning where no layer gave a value.
    ///
    /// # Panics
    /// When a default in the method's file does not fit its setting.
    pub(super) fn with_defaults_of_method(mut self) -> Self {
        let word = self.get("method.name").and_then(Value::as_str);
        let method = word.and_then(|word| Method::named(RunKind::FineTuning, word));
        for (key, text) in method.map_or(&[][..], |method| method.defaults) {
            let setting = find_setting(key).unwrap_or_else(|| panic!("there is no setting {key}"));
            if self.origin(key) == Some(&Origin::Default) {
                let put = self.put_text(Origin::Default, setting, text);
                put.unwrap_or_else(|error| panic!("the default of {key} does not fit it: {error:?}"));
            }
        }
        self
    }

    /// Refuses a setting that runs of this kind do not read, unless it has its default; and a missing one that they do.
    pub(super) fn check_keys(&self, kind: RunKind) -> Result<(), ConfigError> {
        let defaults = Layers::defaults_of(kind);
        let (read, foreign): (Vec<&Setting>, Vec<&Setting>) =
            settings().iter().copied().partition(|setting| setting.is_read_by(kind));
        for &Setting { key, .. } in foreign {
            let Some(origin) = self.origin(key).filter(|origin| **origin != Origin::Default) else { continue };
            if self.get(key) != defaults.get(key) {
                return Err(ConfigError::OtherRun { origin: origin.clone(), key, kind: find_kind(key) });
            }
        }
        match read.iter().find(|setting| self.get(setting.key).is_none()) {
            Some(missing) => {
                let (key, value, expected) = (missing.key, missing.kind.placeholder(), missing.kind.expected());
                Err(ConfigError::Missing { key, value, expected })
            }
            None => Ok(()),
        }
    }

    /// The section `run`, in which every setting has a default.
    ///
    /// # Panics
    /// When the table of settings and [`RunSection`] disagree, which a test excludes.
    pub fn run_section(&self) -> RunSection {
        let section = self.to_table().remove("run").unwrap_or_else(|| Value::Table(Table::new()));
        RunSection::deserialize(section).expect("the table of settings has checked every value")
    }

    /// The section `data` for the images at `dir`.
    ///
    /// # Errors
    /// What the section refuses: settings that are each in range and do not go together.
    ///
    /// # Panics
    /// When the table of settings and [`DataSection`] disagree, which a test excludes.
    pub fn data_section(&self, dir: &Path) -> Result<DataSection, ConfigError> {
        let mut section = match self.to_table().remove("data") {
            Some(Value::Table(section)) => section,
            _ => Table::new(),
        };
        section.insert("dir".into(), dir.to_string_lossy().into_owned().into());
        let section = DataSection::deserialize(Value::Table(section));
        let section =
            DataSection { dir: dir.into(), ..section.expect("the table of settings has checked every value") };
        section.check()?;
        Ok(section)
    }

    /// The section `segmentation` by itself, for commands that show its images.
    ///
    /// # Panics
    /// Never: every value was checked as it was added.
    pub fn segmentation_section(&self) -> SegmentationSection {
        let section = self.to_table().remove("segmentation").unwrap_or_else(|| Value::Table(Table::new()));
        SegmentationSection::deserialize(section).expect("the table of settings has checked every value")
    }

    /// How a run that segments images evaluates them.
    ///
    /// # Panics
    /// Never: every value was checked as it was added.
    pub fn pixel_views(&self) -> PixelViews {
        let mirror = self.get("data.tta").and_then(|word| word.as_str()?.parse().ok());
        self.segmentation_section().views(mirror.unwrap_or(TestViews::Plain))
    }

    /// Everything so far, as sections of TOML.
    pub fn to_table(&self) -> Table {
        let mut table = Table::new();
        for (key, (value, _)) in &self.entries {
            if let Some((section, name)) = key.split_once('.')
                && let Value::Table(section) = table.entry(section).or_insert_with(|| Value::Table(Table::new()))
            {
                section.insert(name.into(), value.clone());
            }
        }
        table
    }

    fn document(mut self, origin: Origin, text: &str) -> Result<Self, ConfigError> {
        let table: Table = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            origin: origin.clone(),
            line: error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count()),
            message: error.message().to_string(),
        })?;
        for (section, value) in table {
            let Value::Table(keys) = value else { return Err(unknown(origin, &section)) };
            for (name, value) in keys {
                let key = format!("{section}.{name}");
                let setting = find_setting(&key).ok_or_else(|| unknown(origin.clone(), &key))?;
                self.put(origin.clone(), setting, value)?;
            }
        }
        Ok(self)
    }

    fn put_text(&mut self, origin: Origin, setting: &'static Setting, text: &str) -> Result<(), ConfigError> {
        self.put(origin, setting, setting.kind.parse(text))
    }

    fn put(&mut self, origin: Origin, setting: &'static Setting, value: Value) -> Result<(), ConfigError> {
        let is_word = setting.word.is_some() && is_word(&value, setting.word);
        let checked =
            if is_word { Ok(Value::from(setting.word.unwrap_or_default())) } else { setting.kind.check(value) };
        let value = checked.map_err(|refusal| refused(refusal, &origin, setting))?;
        self.entries.insert(setting.key, (value, origin));
        Ok(())
    }
}

/// The kind of run that reads a setting, for one that the present kind does not read.
fn find_kind(key: &str) -> RunKind {
    find_setting(key).and_then(|setting| setting.read_by.first().copied()).unwrap_or(RunKind::FineTuning)
}

/// Whether the value is the word; a list given as text holds it as its only element.
fn is_word(value: &Value, word: Option<&str>) -> bool {
    match value {
        Value::Array(parts) => parts.len() == 1 && parts[0].as_str() == word,
        value => value.as_str() == word,
    }
}

fn refused(refusal: Refusal, origin: &Origin, setting: &'static Setting) -> ConfigError {
    let (key, origin, expected) = (setting.key, origin.clone(), setting.expected());
    match refusal {
        Refusal::Type { found } => ConfigError::Type { origin, key, expected, found },
        Refusal::Range { found } => ConfigError::Range { origin, key, expected, found },
        Refusal::Choice { word } => {
            let (near, found) = (nearest(&word, setting.words().into_iter()), format!("the string {word:?}"));
            ConfigError::Choice { origin, key, expected, found, near }
        }
    }
}

/// As [`find_setting`], for a key that `origin` names.
///
/// # Errors
/// [`ConfigError::UnknownKey`], with the nearest known ones.
pub fn setting_named_by(origin: Origin, key: &str) -> Result<&'static Setting, ConfigError> {
    find_setting(key).ok_or_else(|| unknown(origin, key))
}

/// The setting of fine-tuning with this key, or with this name if no other has it; dashes count as underscores.
///
/// # Errors
/// [`ConfigError::UnknownKey`], with the nearest known ones.
pub fn setting_called(text: &str) -> Result<&'static Setting, ConfigError> {
    let name = text.replace('-', "_");
    let read = settings().iter().copied().filter(|setting| setting.is_read_by(RunKind::FineTuning));
    let of_name: Vec<_> = read
        .filter(|setting| setting.key == name || setting.name() == name || setting.also_called.contains(&&*name))
        .collect();
    match of_name[..] {
        [only] => Ok(only),
        _ => find_setting(&name).ok_or_else(|| unknown(Origin::Assignment, text)),
    }
}

fn unknown(origin: Origin, key: &str) -> ConfigError {
    ConfigError::UnknownKey { origin, key: key.into(), near: near(key) }
}

/// The word most similar to the one given, if any is.
fn nearest(given: &str, words: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let scored = words.map(|word| (strsim::normalized_damerau_levenshtein(word, given), word));
    let alike = scored.filter(|(likeness, _)| *likeness >= ALIKE);
    alike.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| word)
}

/// How like a known word another has to be to be taken for a typing error of it.
const ALIKE: f64 = 0.7;

/// Settings whose key or name, here or in other programs, is like `key`; the nearest first.
fn near(key: &str) -> Vec<&'static str> {
    let name = key.rsplit('.').next().unwrap_or(key);
    let likeness = |setting: &Setting| {
        let whole = strsim::normalized_damerau_levenshtein(setting.key, key);
        // The right name in the wrong section counts as much as a typing error in the whole.
        let part = std::iter::once(setting.name())
            .chain(setting.also_called.iter().copied())
            .map(|candidate| strsim::normalized_damerau_levenshtein(candidate, name))
            .fold(0.0, f64::max);
        whole.max(0.95 * part)
    };
    let mut alike: Vec<_> = settings()
        .iter()
        .map(|setting| (likeness(setting), setting.key))
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    alike.into_iter().map(|(_, key)| key).take(2).collect()
}
