//! The page `docs/reference.md`: every command with every flag, as `--help-all` shows them.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use super::command;

const PREFACE: &str = "\
# Commands

Generated from `coretune COMMAND --help-all`; a test keeps it current. The same settings in a file: [defaults](defaults.md).

Exit status: 0 done, 1 failed while running, 2 refused (usage, configuration, data, checkpoint), 130 or 143 stopped by a
signal, with the state saved.
";

fn reference() -> String {
    let mut all = command(true).term_width(110);
    all.build();
    let mut page = String::from(PREFACE);
    add_commands(&mut page, &mut all, "coretune");
    page
}

/// The commands below `command`; one that only gathers others has no section of its own.
fn add_commands(page: &mut String, command: &mut clap::Command, called: &str) {
    for subcommand in command.get_subcommands_mut() {
        let called = format!("{called} {}", subcommand.get_name());
        if subcommand.has_subcommands() {
            add_commands(page, subcommand, &called);
            continue;
        }
        let help = subcommand.render_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let _ = write!(page, "\n## {called}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    }
}

#[test]
fn the_page_of_commands_is_what_help_all_shows() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference.md");
    if env::var_os("CORETUNE_UPDATE_DOCS").is_some() {
        fs::write(&page, reference()).expect("the page can be written");
    }
    let committed = fs::read_to_string(&page).unwrap_or_default();
    assert!(committed == reference(), "docs/reference.md is old: run the tests with CORETUNE_UPDATE_DOCS=1");
}

#[test]
fn the_definitions_of_all_commands_are_consistent() {
    command(false).debug_assert();
    command(true).debug_assert();
}
