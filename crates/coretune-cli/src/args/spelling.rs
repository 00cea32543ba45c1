//! How the command line spells what the library names: settings and actions in hints, and where a value was given.

use coretune::config::{Kind, Origin, find_setting};
use coretune::settings::{Hint, Name};

use super::face::{flag, switched_to};

/// Subcommands that hints name.
const SUBCOMMANDS: [&str; 8] = ["inspect", "probe", "fit", "compare", "predict", "pretrain", "reproduce", "report"];

/// The hint in the words of the command line.
pub(crate) fn spelled(hint: &Hint) -> String {
    hint.spelled(|name| match name {
        Name::Setting(key, value) => setting(key, value),
        Name::Action("data-check", _) => "coretune data check DIR --json".into(),
        Name::Action("data-fetch", _) => "coretune data fetch".into(),
        Name::Action(name, _) if SUBCOMMANDS.contains(&name) => format!("coretune {name}"),
        Name::Action("format", Some(format)) => format!("--to {format}"),
        Name::Action(name, None) => format!("--{name}"),
        Name::Action(name, Some(value)) => format!("--{name} {value}"),
    })
}

/// The flag of a setting, with the value if one is meant.
fn setting(key: &str, value: Option<&str>) -> String {
    let Some(setting) = find_setting(key) else { return key.into() };
    let flag = flag(setting);
    match (value, setting.kind) {
        (None, _) => format!("--{flag}"),
        (Some(value), Kind::Switch) if value == switched_to(setting).to_string() => format!("--{flag}"),
        (Some(value), Kind::Switch) => format!("--set {key}={value}"),
        (Some(value), _) => format!("--{flag} {value}"),
    }
}

/// Where a value was given.
pub(crate) fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Assignment => "--set".into(),
        Origin::AllowedChanges => "--allow-change".into(),
        origin => origin.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::args::command;

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    /// The library's sources without their tests, each with its path.
    fn library() -> Vec<(PathBuf, String)> {
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../coretune/src");
        let paths = sources(&library).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
        let text = |path: &PathBuf| fs::read_to_string(path).expect("a source");
        let code = |text: String| text.split("#[cfg(test)]").next().unwrap_or_default().to_string();
        paths.map(|path| (path.clone(), code(text(&path)))).collect()
    }

    /// The names in braces of the library's hints: `section.name`, or `@action`.
    fn names() -> Vec<String> {
        let texts = library().into_iter().filter(|(path, _)| !path.ends_with("settings/hint.rs"));
        let texts: Vec<String> = texts.map(|(_, text)| text).collect();
        let in_braces = |text: &String| {
            let parts = text.split('{').skip(1);
            let names =
                parts.map(|part| part.split(|letter: char| !is_of_name(letter)).next().unwrap_or("").to_string());
            names.filter(|name| is_setting(name) || name.starts_with('@')).collect::<Vec<_>>()
        };
        texts.iter().flat_map(in_braces).collect()
    }

    fn is_of_name(letter: char) -> bool {
        letter.is_ascii_lowercase() || matches!(letter, '_' | '.' | '@' | '-')
    }

    fn is_setting(name: &str) -> bool {
        name.split_once('.')
            .is_some_and(|(section, name)| !section.is_empty() && !name.is_empty() && !name.starts_with('.'))
    }

    #[test]
    fn every_name_in_the_hints_of_the_library_is_a_setting_or_a_flag_or_a_subcommand() {
        let all = command(true);
        let mut commands: Vec<_> = all.get_subcommands().collect();
        commands.extend(all.find_subcommand("data").into_iter().flat_map(clap::Command::get_subcommands));
        let names = names();
        assert!(names.len() > 30, "only {} names were found", names.len());
        for name in names {
            let Some(action) = name.strip_prefix('@') else {
                assert!(find_setting(&name).is_some(), "{name} is not a setting");
                continue;
            };
            let text = spelled(&Hint::new(format!("{{@{action}=X}}")));
            let known = match text.strip_prefix("--").and_then(|flag| flag.split(' ').next()) {
                Some(flag) => commands
                    .iter()
                    .any(|command| command.get_arguments().any(|argument| argument.get_long() == Some(flag))),
                None => text.strip_prefix("coretune ").is_some_and(|rest| {
                    let word = rest.split(' ').next().unwrap_or(rest);
                    all.find_subcommand(word).is_some()
                }),
            };
            assert!(known, "{name} is spelled {text}, which does not exist");
        }
    }

    #[test]
    fn the_library_spells_no_flag() {
        for (path, text) in library() {
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                let is_flag = |word: &str| word.starts_with(|letter: char| letter.is_ascii_lowercase());
                let flag = line.split([' ', '"', '`', '(', '\'']).find_map(|word| word.strip_prefix("--"));
                assert!(!flag.is_some_and(is_flag), "{}: name the setting in braces: {line}", path.display());
            }
        }
    }

    #[test]
    fn settings_are_spelled_as_flags() {
        let cases = [
            ("{train.lr}", "--lr"),
            ("{run.device=cpu}", "--device cpu"),
            ("{run.probe=false}", "--no-probe"),
            ("{run.probe=true}", "--set run.probe=true"),
            ("{data.skip_broken=true}", "--skip-broken"),
            ("{checkpoint.path=a b}", "--pretrained-path a b"),
            ("{@format=torch}", "--to torch"),
            ("{@output=FILE}", "--output FILE"),
            ("{@inspect}", "coretune inspect"),
        ];
        for (hint, text) in cases {
            assert_eq!(spelled(&hint.into()), text);
        }
    }
}
