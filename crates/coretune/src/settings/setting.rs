//! One setting: what it is called, what it takes, what it is when nobody gives a value, and what it means.

use super::RunKind;
use super::kind::{Kind, one_of};

/// One setting. Declared with [`setting()`] and the methods below it, a line of a table.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `section.name`, as in a file.
    pub key: &'static str,
    /// Type and range.
    pub kind: Kind,
    /// The word that may be given in place of a value, such as `auto` or `off`.
    pub word: Option<&'static str>,
    /// The default as text; without one the setting must be given.
    pub default: Option<&'static str>,
    /// The default in pre-training, if it differs.
    pub default_in_pretraining: Option<&'static str>,
    /// The default in segmentation, if it differs.
    pub default_in_segmentation: Option<&'static str>,
    /// What `auto` becomes in a run of this kind, as text.
    pub becomes: Option<fn(RunKind) -> String>,
    /// Whether its value may differ when a run is resumed.
    pub on_resume: OnResume,
    /// What it does, in a line.
    pub meaning: &'static str,
    /// What it does in pre-training, if that differs.
    pub meaning_in_pretraining: Option<&'static str>,
    /// The kinds of runs that read it.
    pub read_by: &'static [RunKind],
    /// Names that other programs have for it, with underscores: suggested for, and understood by the command line.
    pub also_called: &'static [&'static str],
}

/// Whether the value of a setting may differ when a run is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnResume {
    /// Yes: it does not change what is computed.
    Free,
    /// If the user allows it by name: what is computed from here on changes.
    Ask,
    /// No: the saved tensors, or the steps that were counted, depend on it.
    Fixed,
}

/// The upper bound of [`Kind::Whole`] for integers without one.
pub const ANY: i64 = i64::MAX;

/// A setting that fine-tuning reads, for whole images and for pixels, and that must be given; methods of [`Setting`] say
/// otherwise.
pub const fn setting(key: &'static str, kind: Kind, meaning: &'static str) -> Setting {
    Setting {
        key,
        kind,
        word: None,
        default: None,
        default_in_pretraining: None,
        default_in_segmentation: None,
        becomes: None,
        on_resume: OnResume::Ask,
        meaning,
        meaning_in_pretraining: None,
        read_by: RunKind::LABELLED,
        also_called: &[],
    }
}

/// The columns of a table of settings.
impl Setting {
    /// Its default, as text.
    #[must_use]
    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    /// Its default in pre-training, as text.
    #[must_use]
    pub const fn default_in_pretraining(mut self, text: &'static str) -> Self {
        self.default_in_pretraining = Some(text);
        self
    }

    /// Its default in segmentation, as text.
    #[must_use]
    pub const fn default_in_segmentation(mut self, text: &'static str) -> Self {
        self.default_in_segmentation = Some(text);
        self
    }

    /// `auto` may be given, and is the default; `becomes` says what it becomes.
    #[must_use]
    pub const fn auto(self, becomes: fn(RunKind) -> String) -> Self {
        self.word("auto").default("auto").becomes(becomes)
    }

    /// What `auto` becomes, where it is one of the values of [`Setting::kind`].
    #[must_use]
    pub const fn becomes(mut self, becomes: fn(RunKind) -> String) -> Self {
        self.becomes = Some(becomes);
        self
    }

    /// `off` may be given, and is the default unless another is named.
    #[must_use]
    pub const fn off(self) -> Self {
        self.word("off").default("off")
    }

    /// This word may be given in place of a value.
    #[must_use]
    pub const fn word(mut self, word: &'static str) -> Self {
        self.word = Some(word);
        self
    }

    /// Whether its value may differ when a run is resumed.
    #[must_use]
    pub const fn on_resume(mut self, rule: OnResume) -> Self {
        self.on_resume = rule;
        self
    }

    /// What it does in pre-training.
    #[must_use]
    pub const fn means_in_pretraining(mut self, meaning: &'static str) -> Self {
        self.meaning_in_pretraining = Some(meaning);
        self
    }

    /// The kinds of runs that read it.
    #[must_use]
    pub const fn read_by(mut self, kinds: &'static [RunKind]) -> Self {
        self.read_by = kinds;
        self
    }

    /// Names that other programs have for it.
    #[must_use]
    pub const fn also_called(mut self, names: &'static [&'static str]) -> Self {
        self.also_called = names;
        self
    }
}

impl Setting {
    /// The default as text in a run of this kind; without one the setting must be given.
    pub fn default_for(&self, kind: RunKind) -> Option<&'static str> {
        let own = match kind {
            RunKind::FineTuning => None,
            RunKind::Pretraining => self.default_in_pretraining,
            RunKind::Segmentation => self.default_in_segmentation,
        };
        own.or(self.default)
    }

    /// What it does in a run of this kind, in a line.
    pub fn meaning_for(&self, kind: RunKind) -> &'static str {
        let own = if kind == RunKind::Pretraining { self.meaning_in_pretraining } else { None };
        own.unwrap_or(self.meaning)
    }

    /// Whether runs of this kind read it.
    pub fn is_read_by(&self, kind: RunKind) -> bool {
        self.read_by.contains(&kind)
    }

    /// The part of the key before the dot.
    pub fn section(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(section, _)| section)
    }

    /// The part of the key after the dot.
    pub fn name(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(_, name)| name)
    }

    /// The words that it takes, if it takes only words.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        match self.kind {
            Kind::Choice(names) => names().into_iter().chain(self.word).collect(),
            Kind::Device => vec!["auto", "cpu", "cuda"],
            _ => Vec::new(),
        }
    }

    /// What is accepted, as text, with the word for no value.
    pub fn expected(&self) -> String {
        match (self.kind, self.word) {
            (Kind::Choice(names), Some(word)) => one_of(&[&names()[..], &[word]].concat()),
            (_, Some(word)) => format!("{}, or {word}", self.kind.expected()),
            (_, None) => self.kind.expected(),
        }
    }
}
