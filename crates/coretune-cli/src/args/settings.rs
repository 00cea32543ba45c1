//! Flags made from the table of settings, and read back.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches};
use coretune::config::{Command, Kind, Setting, settings};

/// The flags of a command; `all` shows those too that `--help` leaves to `--help-all`, under the names of sections.
pub(super) fn arguments(command: Command, all: bool) -> Vec<Arg> {
    taken(command).map(|setting| argument(setting, command, all)).collect()
}

/// The settings that were given as flags.
pub(super) fn given(command: Command, matches: &ArgMatches) -> Vec<(&'static Setting, Vec<String>)> {
    taken(command)
        .filter_map(|setting| match setting.kind {
            Kind::Switch => matches.get_flag(setting.key).then(|| (setting, vec![switched_to(setting).to_string()])),
            _ => Some((setting, matches.get_many::<String>(setting.key)?.cloned().collect())),
        })
        .collect()
}

fn taken(command: Command) -> impl Iterator<Item = &'static Setting> {
    settings().iter().copied().filter(move |setting| setting.commands.contains(&command))
}

/// What a switch becomes when its flag is given: `--no-probe` turns the probe off.
fn switched_to(setting: &Setting) -> bool {
    !setting.flag().starts_with("no-")
}

fn argument(setting: &'static Setting, command: Command, all: bool) -> Arg {
    let argument =
        Arg::new(setting.key).long(setting.flag()).help(help(setting, command, all)).aliases(setting.all_aliases());
    let argument = match setting.short {
        Some(letter) => argument.short(letter),
        None => argument,
    };
    let argument =
        if all { argument.help_heading(heading(setting)) } else { argument.hide_short_help(!setting.common) };
    valued(argument, setting)
}

fn valued(argument: Arg, setting: &'static Setting) -> Arg {
    let argument = match setting.kind {
        Kind::Switch => return argument.action(ArgAction::SetTrue),
        Kind::Texts(_) => argument.action(ArgAction::Append),
        _ => argument.action(ArgAction::Set),
    };
    let argument = argument.value_name(setting.kind.placeholder()).allow_negative_numbers(true);
    let argument = match setting.alone {
        Some(value) => argument.num_args(0..=1).default_missing_value(value),
        None => argument,
    };
    match setting.kind {
        Kind::Choice(names) => argument
            .value_parser(PossibleValuesParser::new(names().into_iter().chain(setting.word)))
            .hide_possible_values(true),
        Kind::Path("DIR") => argument.value_hint(clap::ValueHint::AnyPath),
        Kind::Path(_) => argument.value_hint(clap::ValueHint::FilePath),
        _ => argument,
    }
}

/// Meaning, choices and default, in a line.
fn help(setting: &Setting, command: Command, all: bool) -> String {
    const FEW: usize = 3;
    let choices = match setting.kind {
        Kind::Choice(names) if all || names().len() <= FEW => format!(": {}", names().join(", ")),
        _ => String::new(),
    };
    let without = if switched_to(setting) { "" } else { "without " };
    let meaning = capitalised(&format!("{without}{}", setting.meaning_for(command)));
    format!("{meaning}{choices} [{}]", default(setting, command))
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn default(setting: &Setting, command: Command) -> String {
    match (setting.default_for(command), setting.kind) {
        _ if command == Command::Evaluate => "default: as in the run".into(),
        (None, _) => "required".into(),
        (Some("[]"), _) => "default: none".into(),
        (Some("true"), Kind::Switch) => "default: with".into(),
        (Some("false"), Kind::Switch) if !switched_to(setting) => "default: without".into(),
        (Some("false"), Kind::Switch) => "default: no".into(),
        (Some(text), _) => format!("default: {text}"),
    }
}

fn heading(setting: &Setting) -> &'static str {
    match setting.section() {
        "checkpoint" => "Checkpoint",
        "model" => "Model",
        "data" => "Data",
        "method" => "Method",
        "train" => "Training",
        _ => "Run",
    }
}
