use std::fmt::Write;

use super::kind::Kind;
use super::settings::{SETTINGS, Setting};

/// The page `docs/defaults.md`: every setting with its flag, default and meaning, section by section.
pub fn defaults_table() -> String {
    let mut page = String::from(PREFACE);
    let mut section = "";
    for setting in SETTINGS {
        if setting.section() != section {
            section = setting.section();
            let _ = write!(
                page,
                "\n## [{section}]\n\n| key | flag | default | accepts | meaning |\n|---|---|---|---|---|\n"
            );
        }
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            setting.name(),
            flags(setting),
            default(setting),
            setting.expected(),
            setting.meaning
        );
    }
    page
}

const PREFACE: &str = "\
# Settings and their defaults

Generated from the table in `crates/coretune/src/config/settings.rs`; a test keeps it current.

Layers, the later one wins: defaults, `--recipe`, `--config`, `--set section.key=value`, flags. `auto` leaves the choice
to the checkpoint, the data or the machine; `off` means none. The resolved copy of a run is its `config.toml`, and gives
the same run when handed to `--config`.
";

fn flags(setting: &Setting) -> String {
    let short = setting.short.map(|letter| format!("`-{letter}`, ")).unwrap_or_default();
    let aliases = setting.aliases.iter().map(|alias| format!("`--{}`", alias.replace('-', "_")));
    let names: Vec<String> = std::iter::once(format!("{short}`--{}`", setting.flag)).chain(aliases).collect();
    names.join(", ")
}

fn default(setting: &Setting) -> String {
    match (setting.default, setting.kind) {
        (None, _) => "must be given".into(),
        (Some("[]"), Kind::Texts(_)) => "none".into(),
        (Some(text), _) => match setting.pretraining {
            Some(pretraining) => format!("`{text}`, in pretrain `{pretraining}`"),
            None => format!("`{text}`"),
        },
    }
}
