//! The table in `docs/methods.md`: every method of fine-tuning with its settings, defaults and needs.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use coretune::config::{Layers, RunKind, find_setting};
use coretune::objectives::{Method, Needs};

use super::face::flag;

const BEGIN: &str = "<!-- generated: the table of methods -->\n";
const END: &str = "<!-- end -->\n";

/// What the method of this name needs, with the defaults of its settings.
fn needs(word: &str) -> Needs {
    let given = ["checkpoint.path=none", "data.dir=none"].map(String::from).into_iter();
    let all = given.chain([format!("method.name={word}")]);
    let layers = all.fold(Layers::defaults(), |layers, text| layers.assignment(&text).expect("a setting"));
    layers.validate().expect("defaults go together").method.build(0.0).expect("a method of the table").needs()
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
        (!needs.divisible, "the whole batch at once"),
    ];
    words.into_iter().filter(|(applies, _)| *applies).map(|(_, word)| word).collect::<Vec<_>>().join(", ")
}

fn table() -> String {
    let mut table = String::from("| `--method` | in a line | settings | with it | needs |\n|---|---|---|---|---|\n");
    for method in Method::of(RunKind::FineTuning) {
        let (settings, changes) = (settings_of(method), changes_of(method));
        let needs = needs_of(&needs(method.word));
        let _ = writeln!(table, "| `{}` | {} | {settings} | {changes} | {needs} |", method.word, method.summary);
    }
    table
}

#[test]
fn the_table_of_methods_is_that_in_the_code_and_each_has_its_paragraph() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/methods.md");
    let text = fs::read_to_string(&path).expect("docs/methods.md");
    let (before, rest) = text.split_once(BEGIN).expect("where the table begins");
    let (written, after) = rest.split_once(END).expect("where the table ends");
    if env::var_os("CORETUNE_UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).expect("the page can be written");
    } else {
        assert_eq!(written, table(), "run the tests with CORETUNE_UPDATE_DOCS=1 to write it anew");
    }
    for method in Method::of(RunKind::FineTuning) {
        assert!(after.contains(&format!("\n### {}\n", method.word)), "{} has no paragraph", method.word);
    }
}
