use std::collections::BTreeSet;

use coretune::config::{ConfigError, Kind, settings};

use super::smallest;

#[test]
fn no_two_settings_share_a_key() {
    let mut names = BTreeSet::new();
    for setting in settings() {
        assert!(names.insert(setting.key), "{}", setting.key);
    }
}

#[test]
fn every_name_that_is_listed_is_understood() {
    for setting in settings() {
        let Kind::Choice(names) = setting.kind else { continue };
        for name in names() {
            let layers = smallest().assignment(&format!("{}={name}", setting.key)).unwrap();
            assert!(!matches!(layers.validate(), Err(ConfigError::Type { .. } | ConfigError::Range { .. })), "{name}");
        }
    }
}
