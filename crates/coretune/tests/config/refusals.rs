use std::fs;

use coretune::config::{ConfigError, Layers};

use super::{setting, smallest};

fn file(text: &str) -> Result<Layers, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    fs::write(&path, text).unwrap();
    smallest().file(&path)
}

fn detail(error: &ConfigError, name: &str) -> String {
    let origin = error.origin().map(|origin| ("in", origin.to_string()));
    origin.into_iter().chain(error.details()).find(|(word, _)| *word == name).map(|(_, text)| text).unwrap_or_default()
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    for (text, near) in [
        ("[train]\nlearning_rte = 0.1\n", Some("train.lr")),
        ("[train]\nxyzzy = 0.1\n", None),
        ("[train]\nepoch = 3\n", Some("train.epochs")),
        ("[method]\nlr = 3\n", Some("train.lr")),
        ("[method]\neta_weight = 3\n", Some("method.eta")),
        ("[trian]\nlr = 3\n", Some("train.lr")),
    ] {
        let error = file(text).unwrap_err();
        let ConfigError::UnknownKey { near: found, .. } = &error else { panic!("{error:?}") };
        assert_eq!(found.first().copied(), near, "{text}");
        assert!(detail(&error, "in").ends_with("mine.toml"), "{error:?}");
        assert!(error.hint().is_some());
    }
    assert!(matches!(file("lr = 0.1\n").unwrap_err(), ConfigError::UnknownKey { .. }));
    assert!(matches!(smallest().assignment("train.learn=1").unwrap_err(), ConfigError::UnknownKey { .. }));
}

#[test]
fn a_wrong_type_is_refused_with_what_was_expected_and_found() {
    for (text, expected, found) in [
        ("[train]\nepochs = \"many\"\n", "an integer, at least 1", "the string \"many\""),
        ("[train]\nepochs = 2.5\n", "an integer, at least 1", "the number 2.5"),
        ("[train]\nnesterov = 1\n", "true or false", "the integer 1"),
        ("[data]\nmean = [0.5, 0.5]\n", "three numbers, each a number from 0 to 1, or auto", "a list of 2"),
        ("[data]\ndir = 3\n", "a string", "the integer 3"),
    ] {
        let error = file(text).unwrap_err();
        assert!(matches!(error, ConfigError::Type { .. }), "{text}: {error:?}");
        assert_eq!(detail(&error, "expected"), expected);
        assert_eq!(detail(&error, "found"), found);
    }
}

#[test]
fn a_value_out_of_range_is_refused() {
    for text in [
        "train.lr=0",
        "train.lr=-1",
        "train.lr=nan",
        "train.lr=inf",
        "train.epochs=0",
        "train.batch_size=0",
        "train.momentum=1",
        "data.label_fraction=0",
        "data.label_fraction=1.5",
        "data.std=0,1,1",
        "method.temperature=0",
        "method.temperature=100",
        "data.dir=\"\"",
    ] {
        let error = smallest().assignment(text).unwrap_err();
        assert!(matches!(error, ConfigError::Range { .. }), "{text}: {error:?}");
        assert!(!detail(&error, "expected").is_empty() && !detail(&error, "found").is_empty(), "{text}");
    }
}

#[test]
fn a_word_that_is_none_is_refused_with_the_nearest_one() {
    for (text, nearest) in [
        ("method.name=coretuning", Some("core-tuning")),
        ("model.name=resnet19", Some("resnet18")),
        ("data.augment=autp", Some("auto")),
        ("run.device=gpu", None),
    ] {
        let error = smallest().assignment(text).unwrap_err();
        let ConfigError::Choice { near, expected, found, .. } = &error else { panic!("{text}: {error:?}") };
        assert!(!expected.is_empty() && found.contains(text.split_once('=').unwrap().1), "{text}: {error:?}");
        match nearest {
            // Two are equally near to resnet19.
            Some(word) => assert!(near.is_some_and(|near| near[..4] == word[..4]), "{text}: {error:?}"),
            None => assert_eq!(*near, None),
        }
    }
}

#[test]
fn a_flag_is_named_as_it_is_typed() {
    let error = smallest().flag("--lr", setting("train.lr"), &["fast".into()]).unwrap_err();
    assert_eq!(detail(&error, "in"), "--lr");
}

#[test]
fn settings_that_exclude_each_other_are_refused_before_anything_is_loaded() {
    for assignments in [
        &["data.per_class=5", "data.label_fraction=0.5"][..],
        &["train.warmup_epochs=30"],
        &["train.min_lr=1"],
        &["train.batch_size=1"],
        &["train.momentum=0"],
        &["train.early_stopping=3", "train.select=last"],
        &["run.activation_checkpointing=true", "train.sync_bn=true"],
        &["method.head_init=linear-probe", "run.probe=false"],
        &["data.sampler=balanced", "data.images_per_class=33"],
        &["data.sampler=balanced", "data.classes_per_batch=65"],
        &["data.sampler=balanced", "data.classes_per_batch=5", "data.images_per_class=13"],
    ] {
        let layers = assignments.iter().fold(smallest(), |layers, text| layers.assignment(text).unwrap());
        let error = layers.validate().unwrap_err();
        assert!(matches!(error, ConfigError::Conflict { .. }), "{assignments:?}: {error:?}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_setting_without_default_must_be_given() {
    let error = Layers::defaults().validate().unwrap_err();
    assert!(matches!(error, ConfigError::Missing { key: "checkpoint.path", .. }), "{error:?}");
    let error = Layers::defaults().assignment("checkpoint.path=x").unwrap().validate().unwrap_err();
    assert_eq!(error.hint().unwrap().to_string(), "give data.dir = DIR");
}

#[test]
fn a_setting_of_another_kind_of_run_is_refused_before_anything_is_found_missing() {
    let error = Layers::defaults().assignment("pretrain.grayscale=0.5").unwrap().validate().unwrap_err();
    assert!(matches!(error, ConfigError::OtherRun { key: "pretrain.grayscale", .. }), "{error:?}");
    assert!(smallest().assignment("pretrain.grayscale=0.2").unwrap().validate().is_ok(), "its default changes nothing");
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named_with_the_line() {
    let error = smallest().file("nowhere/mine.toml".as_ref()).unwrap_err();
    assert_eq!(detail(&error, "path"), "nowhere/mine.toml");
    let error = file("[train]\nlr = 0.1\nepochs = = 3\n").unwrap_err();
    assert!(detail(&error, "in").ends_with("line 3"), "{error:?}");
}

#[test]
fn an_assignment_without_section_or_value_says_how_it_is_written() {
    for text in ["train.lr", "lr=3", "="] {
        let error = smallest().assignment(text).unwrap_err();
        assert!(matches!(error, ConfigError::Assignment { .. }), "{text}: {error:?}");
    }
}

#[test]
fn an_unknown_recipe_lists_those_there_are() {
    let error = smallest().recipe("as-publishd").unwrap_err();
    assert!(detail(&error, "expected").contains("as-published"), "{error:?}");
}
