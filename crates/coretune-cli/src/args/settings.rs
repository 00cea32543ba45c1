//! Flags made from the tables of settings, and read back.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches};
use coretune::config::{Kind, Setting, settings};
use coretune::objectives::Method;

use super::face::{Takes, aliases, face, flag, switched_to, takes};

/// The flags of a command; `all` shows those too that `--help` leaves to `--help-all`, under the names of sections.
pub(super) fn arguments(command: Takes, all: bool) -> Vec<Arg> {
    taken(command).map(|setting| argument(setting, command, all)).collect()
}

/// The settings that were given as flags.
pub(super) fn given(command: Takes, matches: &ArgMatches) -> Vec<(&'static Setting, Vec<String>)> {
    taken(command)
        .filter_map(|setting| match setting.kind {
            Kind::Switch => matches.get_flag(setting.key).then(|| (setting, vec![switched_to(setting).to_string()])),
            _ => Some((setting, matches.get_many::<String>(setting.key)?.cloned().collect())),
        })
        .collect()
}

/// The settings that the command takes.
pub(super) fn taken(command: Takes) -> impl Iterator<Item = &'static Setting> {
    settings().iter().copied().filter(move |setting| takes(command, setting))
}

fn argument(setting: &'static Setting, command: Takes, all: bool) -> Arg {
    let face = face(setting);
    let argument =
        Arg::new(setting.key).long(flag(setting)).help(help(setting, command, all)).aliases(aliases(setting));
    let argument = match face.short {
        Some(letter) => argument.short(letter),
        None => argument,
    };
    let argument = if all { argument.help_heading(heading(setting)) } else { argument.hide_short_help(!face.common) };
    valued(argument, setting, face.alone)
}

fn valued(argument: Arg, setting: &'static Setting, alone: Option<&'static str>) -> Arg {
    let argument = match setting.kind {
        Kind::Switch => return argument.action(ArgAction::SetTrue),
        Kind::Texts(_) | Kind::Wholes(..) | Kind::Numbers(_) => argument.action(ArgAction::Append),
        _ => argument.action(ArgAction::Set),
    };
    let argument = argument.value_name(setting.kind.placeholder()).allow_negative_numbers(true);
    let argument = match alone {
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

/// Meaning, choices and default, with what `auto` becomes; in `--help` only if it all fits into a line.
fn help(setting: &Setting, command: Takes, all: bool) -> String {
    const FEW: usize = 3;
    let choices = match setting.kind {
        Kind::Choice(names) if all || names().len() <= FEW || is_method(setting) => format!(": {}", names().join(", ")),
        _ => String::new(),
    };
    let without = if switched_to(setting) { "" } else { "skip " };
    let meaning = capitalised(&format!("{without}{}", setting.meaning_for(command.kind())));
    let text = |default| format!("{meaning}{choices} [{default}]");
    let short = |text: &String| all || text.len() <= LINE;
    let whole = automatic(setting, command).unwrap_or_else(|| default(setting, command, true));
    Some(text(whole)).filter(short).unwrap_or_else(|| text(default(setting, command, false)))
}

/// Whether the setting names the method: its names are in every help.
fn is_method(setting: &Setting) -> bool {
    ["method.name", "pretrain.method"].contains(&setting.key)
}

/// Letters of a line of `--help` behind the names of the flags.
const LINE: usize = 72;

/// The default `auto`, with what it becomes.
fn automatic(setting: &Setting, command: Takes) -> Option<String> {
    let (kind, becomes) = (command.kind(), setting.becomes?);
    let is_default = setting.default_for(kind) == Some("auto") && !is_of_run(setting, command);
    is_default.then(|| format!("default: auto ({})", becomes(kind)))
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The default; with those of other tasks and methods if `others`.
fn default(setting: &Setting, command: Takes, others: bool) -> String {
    match (setting.default_for(command.kind()), setting.kind) {
        _ if is_of_run(setting, command) && setting.key == "run.amp" => {
            "default: as in the run (bf16 only where the hardware has it)".into()
        }
        _ if is_of_run(setting, command) => "default: as in the run".into(),
        (None, _) => "required".into(),
        (Some("[]"), _) => "default: none".into(),
        (Some("true"), Kind::Switch) => "default: with".into(),
        (Some("false"), Kind::Switch) if !switched_to(setting) => "default: without".into(),
        (Some("false"), Kind::Switch) => "default: no".into(),
        (Some(text), _) if !others => format!("default: {text}"),
        (Some(text), _) => {
            format!("default: {text}{}{}", of_segmentation(setting, command), of_methods(setting, command))
        }
    }
}

/// Whether the command takes the value from the run, unless a flag says otherwise: `predict` the views of an image; all
/// but what belongs to the machine.
fn is_of_run(setting: &Setting, command: Takes) -> bool {
    match command {
        Takes::Evaluate => setting.section() != "run" || setting.key == "run.amp",
        Takes::Predict => ["data.tta", "run.amp"].contains(&setting.key) || setting.section() == "segmentation",
        _ => false,
    }
}

/// The default in segmentation, if it differs.
fn of_segmentation(setting: &Setting, command: Takes) -> String {
    let own = setting.default_in_segmentation.filter(|_| matches!(command, Takes::Fit | Takes::Compare | Takes::Sweep));
    own.map_or_else(String::new, |text| format!("; segmentation: {text}"))
}

/// The methods that have another default, each with it.
fn of_methods(setting: &Setting, command: Takes) -> String {
    let of = |method: &Method| Some(format!("; {}: {}", method.word, method.default_of(setting.key)?));
    Method::of(command.kind()).filter_map(of).collect()
}

/// The section as a heading; a section that this list does not know is headed by its name.
fn heading(setting: &Setting) -> String {
    match setting.section() {
        "train" => "Training".into(),
        "pretrain" => "Method".into(),
        section => capitalised(section),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::command;

    const COMMANDS: [(&str, Takes); 7] = [
        ("probe", Takes::Probe),
        ("fit", Takes::Fit),
        ("compare", Takes::Compare),
        ("sweep", Takes::Sweep),
        ("pretrain", Takes::Pretrain),
        ("evaluate", Takes::Evaluate),
        ("predict", Takes::Predict),
    ];

    fn help_of(name: &str, all: bool) -> String {
        let mut command = command(all);
        command.build();
        command.find_subcommand_mut(name).expect("a subcommand").render_help().to_string()
    }

    #[test]
    fn help_shows_the_common_flags_of_a_command_and_help_all_every_flag() {
        for (name, takes) in COMMANDS {
            let [short, long] = [false, true].map(|all| help_of(name, all));
            for setting in taken(takes) {
                let flag = format!("--{}", flag(setting));
                let has = |text: &str| text.split([' ', '[', '\n']).any(|word| word == flag);
                assert!(has(&long), "{name} --help-all: {flag}");
                assert_eq!(has(&short), face(setting).common, "{name} --help: {flag}");
            }
        }
    }
}
