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

/// Pages in which people find something to type.
fn pages() -> Vec<(String, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = fs::read_dir(top.join("docs")).expect("the pages").map(|entry| entry.expect("a page").path());
    let docs = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let all = docs.chain([top.join("README.md")]);
    let read = |path: std::path::PathBuf| (path.display().to_string(), fs::read_to_string(&path).expect("a page"));
    // The generated page cannot be wrong.
    all.filter(|path| !path.ends_with("reference.md")).map(read).collect()
}

/// The code in a page: spans and lines, where a line that ends in a backslash continues in the next.
fn code_in(page: &str) -> Vec<String> {
    let joined = page.replace("\\\n", " ");
    let spans = joined.lines().flat_map(|line| {
        let code = line.strip_prefix("    ").map(|line| line.split(" # ").next().unwrap_or(line).to_string());
        code.into_iter().chain(line.split('`').skip(1).step_by(2).map(String::from)).collect::<Vec<_>>()
    });
    spans.filter(|span| span.contains("coretune ")).collect()
}

/// The flags behind each `coretune COMMAND` of a span, with the command.
fn commands_in(span: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    span.split("coretune ")
        .skip(1)
        .map(|rest| {
            let words: Vec<&str> = rest.split([' ', ';', '|', '>', ',', ')', '=', '[', ']']).collect();
            let names = words.iter().copied().filter(|word| !word.is_empty()).take(2).collect();
            (names, words.into_iter().filter(|word| word.starts_with("--")).collect())
        })
        .collect()
}

#[test]
fn every_flag_that_the_pages_type_is_one() {
    let all = command(true);
    let mut seen = 0;
    for (page, text) in pages() {
        for span in code_in(&text) {
            for (names, flags) in commands_in(&span) {
                let Some(called) = names.first().and_then(|name| all.find_subcommand(name)) else { continue };
                let called = names.get(1).and_then(|name| called.find_subcommand(name)).unwrap_or(called);
                for flag in flags {
                    let known = |arg: &clap::Arg| arg.get_long().is_some_and(|long| flag == format!("--{long}"));
                    assert!(called.get_arguments().any(known), "{page}: coretune {} has no {flag}", called.get_name());
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 20, "only {seen} flags were found in the pages");
}
