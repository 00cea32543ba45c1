use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use coretune::config::{ConfigError, Kind, defaults_table, settings};

use super::smallest;

#[test]
fn the_page_of_defaults_is_the_table_in_the_code() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/defaults.md");
    if env::var_os("CORETUNE_UPDATE_DOCS").is_some() {
        fs::write(&page, defaults_table()).unwrap();
    }
    let committed = fs::read_to_string(&page).unwrap_or_default();
    assert!(committed == defaults_table(), "docs/defaults.md is old: run the tests with CORETUNE_UPDATE_DOCS=1");
}

#[test]
fn no_two_settings_share_a_key_or_a_flag() {
    let mut names = BTreeSet::new();
    for setting in settings() {
        assert!(names.insert(format!("key {}", setting.key)), "{}", setting.key);
        for flag in setting.all_aliases().into_iter().chain([setting.flag()]) {
            for command in setting.commands {
                assert!(names.insert(format!("{command:?} --{flag}")), "{command:?} --{flag}");
            }
        }
    }
}

#[test]
fn the_names_of_the_published_script_are_aliases() {
    let aliases: Vec<String> = settings().iter().copied().flat_map(coretune::config::Setting::all_aliases).collect();
    for name in ["eta_weight", "mixup_alpha", "contrast_dim"] {
        assert!(aliases.iter().any(|alias| alias == name), "{name}");
    }
}

#[test]
fn a_switch_that_is_on_is_turned_off_by_its_flag() {
    for setting in settings() {
        if matches!(setting.kind, Kind::Switch) {
            assert_eq!(setting.flag().starts_with("no-"), setting.default == Some("true"), "{}", setting.key);
        }
    }
}

#[test]
fn every_name_that_is_listed_is_understood() {
    for setting in settings() {
        let Kind::Choice(names) = setting.kind else { continue };
        for name in names() {
            let typed = smallest().assignment(&format!("{}={name}", setting.key)).unwrap();
            assert!(!matches!(typed.validate(), Err(ConfigError::Type { .. } | ConfigError::Range { .. })), "{name}");
        }
    }
}
