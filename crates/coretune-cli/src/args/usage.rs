//! Help, and usage errors in the form of all errors of this program.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, Error};

use super::Ended;
use crate::failure::Failure;

/// Adds `--help` to a command and those below it, and `--help-all` to those with more flags.
pub(super) fn with_help(command: Command, all: bool) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|subcommand| subcommand.get_name().into()).collect();
    let command = names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |subcommand| {
            let more = subcommand.get_arguments().any(Arg::is_hide_short_help_set);
            let subcommand = with_help(subcommand.disable_help_flag(true), all);
            if all || more { subcommand.arg(help_all_flag()) } else { subcommand }
        })
    });
    command.arg(help_flag())
}

fn help_flag() -> Arg {
    Arg::new("help").short('h').long("help").action(ArgAction::HelpShort).help("Print help")
}

fn help_all_flag() -> Arg {
    Arg::new("help-all").long("help-all").action(ArgAction::HelpShort).help("Print help with every flag")
}

/// What clap ended with: help that was asked for, or an error; `called` is the command as it was called.
pub(super) fn ended(error: &Error, called: &str) -> Ended {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ended::Help(error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            Ended::Usage(Failure::refused("no command is given").hint("coretune --help lists the commands"))
        }
        ErrorKind::ArgumentConflict if is_repeated(error) => {
            let flag = error.get(ContextKind::InvalidArg).and_then(first).unwrap_or_default();
            let name = flag.split_whitespace().next().unwrap_or_default();
            Ended::Usage(Failure::refused(format!("{name} is given twice")).hint("give it once"))
        }
        _ => Ended::Usage(Failure::refused(sentence(error)).hint(hint(error, called))),
    }
}

/// The first paragraph of clap's message on one line, without its `error:`.
fn sentence(error: &Error) -> String {
    let text = error.render().to_string();
    let paragraph = text.split("\n\n").next().unwrap_or(&text);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_string()
}

/// Whether a flag conflicts with itself.
fn is_repeated(error: &Error) -> bool {
    let text = |kind| error.get(kind).and_then(first);
    text(ContextKind::InvalidArg) == text(ContextKind::PriorArg)
}

/// Whether an unexpected argument is a number: usually one of a list written with spaces.
fn is_stray_number(error: &Error) -> bool {
    let argument = error.get(ContextKind::InvalidArg).and_then(first);
    error.kind() == ErrorKind::UnknownArgument && argument.is_some_and(|text| text.parse::<f64>().is_ok())
}

fn hint(error: &Error, called: &str) -> String {
    if is_stray_number(error) {
        return "lists take commas, no spaces: --mean 0.5,0.5,0.5".into();
    }
    let near = [
        (ContextKind::SuggestedArg, ContextKind::InvalidArg),
        (ContextKind::SuggestedValue, ContextKind::InvalidValue),
        (ContextKind::SuggestedSubcommand, ContextKind::InvalidSubcommand),
    ]
    .into_iter()
    .find_map(|(suggested, given)| {
        let text = |kind| error.get(kind).and_then(first);
        // Spelled with dashes; the aliases with underscores are for users of other programs.
        let suggested =
            text(suggested).map(|text| if text.starts_with("--") { text.replace('_', "-") } else { text })?;
        is_alike(&text(given)?, &suggested).then_some(suggested)
    });
    match near {
        Some(near) => format!("did you mean {near}?"),
        None if called == "coretune" => "coretune --help lists the commands".into(),
        None => format!("{called} --help lists the arguments"),
    }
}

/// Whether the suggestion is a typing error away from the argument, and does not merely share some letters.
fn is_alike(given: &str, suggested: &str) -> bool {
    const ALIKE: f64 = 0.5;
    strsim::normalized_damerau_levenshtein(given, suggested) >= ALIKE
}

fn first(value: &ContextValue) -> Option<String> {
    match value {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}
