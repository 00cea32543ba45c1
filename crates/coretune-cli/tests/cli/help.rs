use std::process::Command;

use super::{coretune, stderr, stdout};

const COMMANDS: [&str; 13] = [
    "inspect",
    "probe",
    "fit",
    "pretrain",
    "reproduce",
    "evaluate",
    "predict",
    "export",
    "average",
    "bench",
    "report",
    "completions",
    "man",
];
/// Commands that take settings as flags.
const TAKING: [&str; 6] = ["probe", "fit", "pretrain", "evaluate", "average", "report"];

/// The long flags that the whole help of a command lists, with their dashes.
fn flags_of(command: &str) -> Vec<String> {
    let help = stdout(&coretune(&[command, "--help-all"]));
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let flags = lines.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
    let flags: Vec<String> =
        flags.map(|flag| flag.trim_end_matches("[=").split('[').next().unwrap_or(flag).into()).collect();
    assert!(flags.len() > 10, "{command}: {flags:?}");
    flags
}

#[test]
fn help_of_every_command_fits_a_screen() {
    for command in COMMANDS {
        let output = coretune(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{command}");
        let text = stdout(&output);
        assert!(text.lines().count() <= 40, "{command}: {} lines", text.lines().count());
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{command}");
        assert!(stderr(&output).is_empty(), "{command}");
    }
}

#[test]
fn help_is_as_wide_as_the_terminal_and_at_most_100_letters() {
    let commands = COMMANDS.into_iter().chain(["compare", "sweep"]).map(|command| vec![command]);
    let commands = commands.chain(["check", "show", "fetch", "pack"].map(|command| vec!["data", command]));
    for command in commands.chain([Vec::new()]) {
        for (columns, most) in [("72", 72), ("80", 80), ("250", 100)] {
            for flag in ["--help", "--help-all"] {
                let mut program = Command::new(env!("CARGO_BIN_EXE_coretune"));
                let output = program.args(&command).arg(flag).env("COLUMNS", columns).output().unwrap();
                let text = stdout(&output);
                let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
                assert!(widest.chars().count() <= most, "{command:?} {flag}, {columns} columns: {widest}");
            }
        }
    }
}

#[test]
fn help_is_a_command_too_and_hints_name_the_innermost_one() {
    for name in [&["fit"][..], &["data", "check"]] {
        let of = |arguments: &[&[&str]]| coretune(&arguments.concat());
        assert_eq!(stdout(&of(&[&["help"], name])), stdout(&of(&[name, &["--help"]])));
    }
    assert_eq!(stdout(&coretune(&["help"])), stdout(&coretune(&["--help"])));
    let hint = stderr(&coretune(&["data", "check", "--wrong-flag"]));
    assert!(hint.contains("coretune data check --help lists the arguments"), "{hint}");
    let hint = stderr(&coretune(&["recipes"]));
    assert!(hint.contains("coretune --help lists the commands"), "{hint}");
}

#[test]
fn help_all_shows_a_default_with_every_flag() {
    for name in TAKING {
        let text = stdout(&coretune(&[name, "--help-all"]));
        let words: Vec<&str> = text.split_whitespace().collect();
        let without_default = ["--dry-run", "--json", "--help", "--help-all"].len();
        let flags = text.lines().filter(|line| line.trim_start().starts_with('-')).count();
        let unwrapped = words.join(" ");
        let defaults = unwrapped.matches("[default:").count() + unwrapped.matches("[required]").count();
        assert!(flags - defaults <= without_default, "{name}: {flags} flags, {defaults} defaults");
    }
}

#[test]
fn help_shows_the_common_flags_and_where_the_rest_is() {
    let text = stdout(&coretune(&["fit", "--help"]));
    assert!(text.contains("--lr ") && !text.contains("--min-lr "), "{text}");
    assert!(text.contains("--help-all"));
}

#[test]
fn budget_flags_are_on_every_command_that_trains_or_reads_labels() {
    for name in TAKING {
        let text = stdout(&coretune(&[name, "--help"]));
        for flag in ["--label-fraction", "--per-class", "--seed"] {
            assert!(text.contains(flag), "{name} {flag}");
        }
        assert_eq!(text.contains("--val-per-class"), name != "pretrain", "{name}");
    }
}

#[test]
fn completions_know_every_flag_of_fit_in_every_shell() {
    let flags = flags_of("fit");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = coretune(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = stdout(&output);
        for flag in &flags {
            assert!(script.contains(flag.trim_start_matches('-')), "{shell}: {flag}");
        }
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    assert!(stdout(&coretune(&["man"])).contains("coretune"));
    let page = stdout(&coretune(&["man", "fit"])).replace("\\-", "-");
    for flag in flags_of("fit") {
        assert!(page.contains(&flag), "{flag}");
    }
}
