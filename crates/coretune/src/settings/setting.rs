//! One setting: what it is called, what it takes, what it is when nobody says anything, and what it means.

use super::kind::{Kind, one_of};

/// The commands that take settings as flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `coretune probe`.
    Probe,
    /// `coretune fit`.
    Fit,
    /// `coretune pretrain`.
    Pretrain,
    /// `coretune evaluate`.
    Evaluate,
    /// `coretune predict`.
    Predict,
    /// `coretune data check`.
    DataCheck,
}

impl Command {
    /// Those that train.
    pub(crate) const TRAINING: &[Command] = &[Command::Fit, Command::Pretrain];
    pub(crate) const PRETRAIN: &[Command] = &[Command::Pretrain];
    const FIT: &[Command] = &[Command::Fit];
    pub(crate) const PROBE_FIT: &[Command] = &[Command::Probe, Command::Fit];
    /// Those that make a network.
    pub(crate) const MODELLING: &[Command] = &[Command::Probe, Command::Fit, Command::Pretrain];
    /// Those that read labels.
    pub(crate) const ALL: &[Command] = &[Command::Probe, Command::Fit, Command::Pretrain, Command::Evaluate];
    /// Those that need labels.
    pub(crate) const LABELLED: &[Command] = &[Command::Probe, Command::Fit, Command::Evaluate];
    /// Those that open labelled images.
    pub(crate) const OPENING: &[Command] =
        &[Command::Probe, Command::Fit, Command::Pretrain, Command::Evaluate, Command::DataCheck];
    /// Those that compute.
    pub(crate) const COMPUTING: &[Command] =
        &[Command::Probe, Command::Fit, Command::Pretrain, Command::Evaluate, Command::Predict];
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `section.key`, as in a file.
    pub key: &'static str,
    /// The long flag without its dashes, if it is not the name with dashes. A switch whose flag starts with `no-` is
    /// turned off by it.
    pub flag: Option<&'static str>,
    /// The short flag.
    pub short: Option<char>,
    /// Names that the flag has elsewhere.
    pub aliases: &'static [&'static str],
    /// Type and range.
    pub kind: Kind,
    /// The word that may stand in place of a value: `auto` or `off`.
    pub word: Option<&'static str>,
    /// The default as typed; without one the setting must be given.
    pub default: Option<&'static str>,
    /// The default in pre-training, if it differs.
    pub pretraining: Option<&'static str>,
    /// The value when the flag stands alone.
    pub alone: Option<&'static str>,
    /// What it does, in a line.
    pub meaning: &'static str,
    /// What it does in pre-training, if that differs.
    pub meaning_in_pretraining: Option<&'static str>,
    /// The commands that take it as a flag.
    pub commands: &'static [Command],
    /// Whether `--help` shows it (`--help-all` shows all).
    pub common: bool,
}

/// The largest integer: [`Kind::Whole`] without an upper bound.
pub const ANY: i64 = i64::MAX;

/// A setting of fine-tuning that must be given; the methods of [`Setting`] say more about it.
pub const fn setting(key: &'static str, kind: Kind, meaning: &'static str) -> Setting {
    Setting {
        key,
        flag: None,
        short: None,
        aliases: &[],
        kind,
        word: None,
        default: None,
        pretraining: None,
        alone: None,
        meaning,
        meaning_in_pretraining: None,
        commands: Command::FIT,
        common: false,
    }
}

impl Setting {
    /// Its default, as typed.
    #[must_use]
    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }
    /// `auto` stands for no value, and is the default.
    #[must_use]
    pub const fn auto(mut self) -> Self {
        self.word = Some("auto");
        self.default("auto")
    }
    /// `off` stands for no value, and is the default.
    #[must_use]
    pub const fn off(mut self) -> Self {
        self.word = Some("off");
        self.default("off")
    }
    /// This word stands for no value, which is not the default.
    #[must_use]
    pub const fn word(mut self, word: &'static str) -> Self {
        self.word = Some(word);
        self
    }
    /// Its default in pre-training.
    #[must_use]
    pub const fn pretraining(mut self, text: &'static str) -> Self {
        self.pretraining = Some(text);
        self
    }
    /// What it does in pre-training.
    #[must_use]
    pub const fn means_in_pretraining(mut self, meaning: &'static str) -> Self {
        self.meaning_in_pretraining = Some(meaning);
        self
    }
    pub(crate) const fn flag_is(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }
    pub(crate) const fn alone(mut self, text: &'static str) -> Self {
        self.alone = Some(text);
        self
    }
    pub(crate) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }
    pub(crate) const fn aliases(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }
    pub(crate) const fn commands(mut self, commands: &'static [Command]) -> Self {
        self.commands = commands;
        self
    }
    pub(crate) const fn common(mut self) -> Self {
        self.common = true;
        self
    }

    /// The long flag without its dashes.
    pub fn flag(&self) -> String {
        self.flag.map_or_else(|| self.name().replace('_', "-"), Into::into)
    }

    /// The default as typed for `command`; without one the setting must be given.
    pub fn default_for(&self, command: Command) -> Option<&'static str> {
        let own = if command == Command::Pretrain { self.pretraining } else { None };
        own.or(self.default)
    }

    /// What it does for `command`, in a line.
    pub fn meaning_for(&self, command: Command) -> &'static str {
        let own = if command == Command::Pretrain { self.meaning_in_pretraining } else { None };
        own.unwrap_or(self.meaning)
    }

    /// Whether `command` takes it.
    pub fn is_taken_by(&self, command: Command) -> bool {
        self.commands.contains(&command)
    }

    /// The part of the key before the dot.
    pub fn section(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(section, _)| section)
    }

    /// The part of the key after the dot.
    pub fn name(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(_, name)| name)
    }

    /// The names that the flag also answers to: those listed, and each with underscores for dashes.
    pub fn all_aliases(&self) -> Vec<String> {
        let flag = self.flag();
        let mut names: Vec<String> = self.aliases.iter().map(ToString::to_string).collect();
        let spelled =
            std::iter::once(flag.as_str()).chain(self.aliases.iter().copied()).map(|name| name.replace('-', "_"));
        for name in spelled {
            if name != flag && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The words that it takes, if it takes only words.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        match self.kind {
            Kind::Choice(names) => names().into_iter().chain(self.word).collect(),
            Kind::Device => vec!["auto", "cpu", "cuda"],
            _ => Vec::new(),
        }
    }

    /// What is accepted, as text, with the word that stands for no value.
    pub fn expected(&self) -> String {
        match (self.kind, self.word) {
            (Kind::Choice(names), Some(word)) => one_of(&[&names()[..], &[word]].concat()),
            (_, Some(word)) => format!("{}, or {word}", self.kind.expected()),
            (_, None) => self.kind.expected(),
        }
    }
}
