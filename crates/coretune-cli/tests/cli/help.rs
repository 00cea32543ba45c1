use coretune::config::{Command, Setting, settings};

use super::{coretune, stderr, stdout};

const COMMANDS: [&str; 11] = [
    "inspect",
    "probe",
    "fit",
    "pretrain",
    "reproduce",
    "evaluate",
    "predict",
    "export",
    "report",
    "completions",
    "man",
];
const TAKING: [(&str, Command); 5] = [
    ("probe", Command::Probe),
    ("fit", Command::Fit),
    ("pretrain", Command::Pretrain),
    ("evaluate", Command::Evaluate),
    ("report", Command::Evaluate),
];

fn taken(command: Command) -> impl Iterator<Item = &'static Setting> {
    settings().iter().copied().filter(move |setting| setting.commands.contains(&command))
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
fn help_all_shows_every_flag_with_its_default() {
    for (name, command) in TAKING {
        let text = stdout(&coretune(&[name, "--help-all"]));
        let words: Vec<&str> = text.split_whitespace().collect();
        for setting in taken(command) {
            assert!(words.contains(&format!("--{}", setting.flag()).as_str()), "{name} --{}", setting.flag());
        }
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
    for setting in taken(Command::Fit) {
        assert_eq!(text.contains(&format!("--{} ", setting.flag())), setting.common, "--{}", setting.flag());
    }
    assert!(text.contains("--help-all"));
}

#[test]
fn budget_flags_are_on_every_command_that_trains_or_reads_labels() {
    for (name, command) in TAKING {
        let text = stdout(&coretune(&[name, "--help"]));
        for flag in ["--label-fraction", "--per-class", "--seed"] {
            assert!(text.contains(flag), "{name} {flag}");
        }
        assert_eq!(text.contains("--val-per-class"), command != Command::Pretrain, "{name}");
    }
}

#[test]
fn completions_know_every_flag_of_fit_in_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = coretune(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = stdout(&output);
        for setting in taken(Command::Fit) {
            assert!(script.contains(&setting.flag()), "{shell}: {}", setting.flag());
        }
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    assert!(stdout(&coretune(&["man"])).contains("coretune"));
    let page = stdout(&coretune(&["man", "fit"])).replace("\\-", "-");
    for setting in taken(Command::Fit) {
        assert!(page.contains(&format!("--{}", setting.flag())), "{}", setting.flag());
    }
}
