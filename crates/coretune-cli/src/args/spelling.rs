//! How the command line spells what the library names: settings and actions in hints, and where a value was given.

use coretune::config::{ConfigError, Kind, Origin, Setting, find_setting, settings};
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

/// The sentence of the error, with flags for the keys of settings unless the user wrote keys.
pub(crate) fn sentence(error: &ConfigError) -> String {
    let text = error.to_string();
    match error.origin() {
        Some(Origin::Recipe(_) | Origin::File(_) | Origin::Assignment | Origin::AllowedChanges) => text,
        Some(Origin::Flag(argument)) if !argument.starts_with('-') => with_names(&text, |_| argument.clone()),
        _ => with_flags(&text),
    }
}

/// The text with the flag of each setting for its key: `--lr` for `train.lr`.
pub(crate) fn with_flags(text: &str) -> String {
    with_names(text, |setting| format!("--{}", flag(setting)))
}

/// The text with a name for the key of each setting.
fn with_names(text: &str, name: impl Fn(&Setting) -> String) -> String {
    let is_of_key = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
    let mut named = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(|letter| !is_of_key(letter)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(length);
        let setting = settings().iter().find(|setting| setting.key == word);
        named += &setting.map_or_else(|| word.into(), |setting| name(setting));
        let between = behind.find(is_of_key).unwrap_or(behind.len());
        // `key = value` is `--flag value`.
        let is_given = setting.is_some() && &behind[..between] == " = ";
        named += if is_given { " " } else { &behind[..between] };
        rest = &behind[between..];
    }
    named
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
    fn keys_in_a_sentence_become_flags() {
        assert_eq!(
            with_flags("train.batch_size and batch norm do not go together"),
            "--batch-size and batch norm do not go together"
        );
        assert_eq!(with_flags("train.accumulation = split changes nothing"), "--accumulation split changes nothing");
        assert_eq!(
            with_flags("é: run.probe, data.dir; x.data.dir data.dirs"),
            "é: --no-probe, --data-dir; x.data.dir data.dirs"
        );
    }

    #[test]
    fn an_error_names_a_flag_unless_a_file_or_an_assignment_named_the_key() {
        let text =
            |origin| sentence(&ConfigError::Range { origin, key: "train.lr", expected: "x".into(), found: "y".into() });
        assert_eq!(text(Origin::Flag("--lr".into())), "--lr is out of range");
        assert_eq!(text(Origin::Flag("CKPT".into())), "CKPT is out of range");
        assert_eq!(text(Origin::Assignment), "train.lr is out of range");
        let missing = ConfigError::Missing { key: "checkpoint.path", value: "CKPT", expected: "a string".into() };
        assert_eq!(sentence(&missing), "--pretrained-path is not given");
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
