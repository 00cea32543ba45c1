//! The tables in `docs/methods.md`: every method of fine-tuning with its settings, defaults and needs, and which options go
//! with it.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use coretune::compare::{ComparedTask, all_entries};
use coretune::config::{Layers, RunKind, find_setting};
use coretune::objectives::{Method, Needs};

use super::face::flag;

const BEGIN: &str = "<!-- generated: the table of methods -->\n";
const BEGIN_OPTIONS: &str = "<!-- generated: what goes with what -->\n";
const END: &str = "<!-- end -->\n";

/// What the method of this name needs with these settings; none if they do not go together.
fn needs_with(word: &str, settings: &[&str]) -> Option<Needs> {
    let given = ["checkpoint.path=none", "data.dir=none"].iter().chain(settings).map(ToString::to_string);
    let all = given.chain([format!("method.name={word}")]);
    let layers = all.fold(Layers::defaults(), |layers, text| layers.assignment(&text).expect("a setting"));
    Some(layers.validate().ok()?.method.build(0.0).expect("a method of the table").needs())
}

/// What the method of this name needs, with the defaults of its settings.
fn needs(word: &str) -> Needs {
    needs_with(word, &[]).expect("defaults go together")
}

fn flag_of(key: &str) -> String {
    format!("`--{}`", flag(find_setting(key).expect("a key of the table of settings")))
}

fn settings_of(method: &Method) -> String {
    let own = method.settings.iter().map(|setting| {
        let default = method.default_of(setting.key).or(setting.default).unwrap_or_default();
        format!("{} {default}", flag_of(setting.key))
    });
    own.collect::<Vec<_>>().join(", ")
}

/// Defaults of settings of every method that differ with this one, and settings that must have one value.
fn changes_of(method: &Method) -> String {
    let required = method.requires.iter().map(|one| (one.key, format!("{} {} only", flag_of(one.key), one.value)));
    let required: Vec<(&str, String)> = required.collect();
    let others = method.defaults.iter().filter(|(key, _)| {
        !method.settings.iter().any(|own| own.key == *key) && !required.iter().any(|(other, _)| other == key)
    });
    let others = others.map(|(key, value)| format!("{} {value}", flag_of(key)));
    others.chain(required.iter().map(|(_, text)| text.clone())).collect::<Vec<_>>().join(", ")
}

fn needs_of(needs: &Needs) -> String {
    let words = [
        (!needs.steps, "no steps"),
        (needs.projection, "a projection head"),
        (needs.views == 2, "two views"),
        (needs.forward_passes == 1, "a second forward pass"),
        (needs.copies == 1, "a copy of the network"),
        (needs.probe, "the linear probe"),
        (needs.preparation > 0, "training images before the first step"),
        (!needs.can_be_divided(), "the whole batch at once"),
    ];
    words.into_iter().filter(|(applies, _)| *applies).map(|(_, word)| word).collect::<Vec<_>>().join(", ")
}

fn table() -> String {
    let mut table = String::from(
        "| `--method` | summary | settings | defaults and requirements | needs |\n|---|---|---|---|---|\n",
    );
    for method in Method::of(RunKind::FineTuning) {
        let (settings, changes) = (settings_of(method), changes_of(method));
        let needs = needs_of(&needs(method.word));
        let _ = writeln!(table, "| `{}` | {} | {settings} | {changes} | {needs} |", method.word, method.summary);
    }
    table
}

/// Whether a method goes with an option, from its name and what it needs.
type Goes = fn(&str, &Needs) -> bool;

/// Options that not every method goes with.
const OPTIONS: [(&str, Goes); 9] = [
    ("`--mixup`, `--cutmix`", |_, needs| needs.soft_targets),
    ("`--accumulation exact`", |_, needs| needs.can_be_divided()),
    ("`--accumulation split`", |_, needs| needs.views == 1),
    ("`--head-init linear-probe`", |word, _| needs_with(word, &["method.head_init=linear-probe"]).is_some()),
    ("`--regulariser l2-sp`", |word, _| needs_with(word, &["method.regulariser=l2-sp"]).is_some()),
    ("`--regulariser spd`", |word, _| needs_with(word, &["method.regulariser=spd"]).is_some()),
    ("`--regulariser delta`", |word, _| needs_with(word, &["method.regulariser=delta"]).is_some()),
    ("`--projection checkpoint`", |_, needs| needs.projection),
    ("segmentation", |word, _| all_entries(ComparedTask::Segmentation).contains(&word)),
];

/// Which options go with which method.
fn table_of_options() -> String {
    let headings = OPTIONS.map(|(heading, _)| heading).join(" | ");
    let mut table = format!("| `--method` | {headings} |\n|---|{}\n", "---|".repeat(OPTIONS.len()));
    for method in Method::of(RunKind::FineTuning) {
        let needs = needs(method.word);
        let cells = OPTIONS.map(|(_, goes)| if goes(method.word, &needs) { "yes" } else { "-" }).join(" | ");
        let _ = writeln!(table, "| `{}` | {cells} |", method.word);
    }
    table
}

/// Writes a generated part of the page anew, or compares it with what is written.
fn check_part(begin: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/methods.md");
    let text = fs::read_to_string(&path).expect("docs/methods.md");
    let (before, rest) = text.split_once(begin).expect("where the table begins");
    let (written, after) = rest.split_once(END).expect("where the table ends");
    if env::var_os("CORETUNE_UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{begin}{table}{END}{after}")).expect("the page can be written");
    } else {
        assert_eq!(written, table, "run the tests with CORETUNE_UPDATE_DOCS=1 to write it anew");
    }
}

#[test]
fn the_tables_of_methods_are_those_in_the_code_and_each_method_has_its_paragraph() {
    check_part(BEGIN, &table());
    check_part(BEGIN_OPTIONS, &table_of_options());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/methods.md");
    let text = fs::read_to_string(&path).expect("docs/methods.md");
    for method in Method::of(RunKind::FineTuning) {
        assert!(text.contains(&format!("\n### {}\n", method.word)), "{} has no paragraph", method.word);
    }
}
