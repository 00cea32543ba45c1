use std::fs;

use super::world::World;
use super::{coretune, stderr, stdout};

/// The command is refused with exit status 2, and stderr holds all of `parts`, stdout nothing.
fn refused(arguments: &[&str], parts: &[&str]) {
    let output = coretune(arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    assert!(text.starts_with("error: "), "{arguments:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{arguments:?}: no {part:?} in: {text}");
    }
    assert!(stdout(&output).is_empty(), "{arguments:?}: {}", stdout(&output));
    assert!(!text.contains("panicked"), "{text}");
}

const DATA: [&str; 4] = ["--pretrained-path", "moco.pth", "--data-dir", "flowers"];

fn fit<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["fit"], &DATA[..], arguments].concat()
}

#[test]
fn a_mistyped_flag_or_command_is_refused_with_the_nearest_one() {
    refused(&["fit", "--epoch", "3"], &["--epoch", "\n\nhint: did you mean --epochs?"]);
    refused(&["fitt"], &["hint: did you mean fit?"]);
    refused(&["fit", "--sched", "cosin"], &["cosine, step, poly, constant", "hint: did you mean cosine?"]);
}

#[test]
fn nothing_typed_says_where_help_is() {
    refused(&[], &["hint: coretune --help"]);
    refused(&["inspect"], &["<CKPT>", "hint: coretune inspect --help"]);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    refused(&fit(&["--set", "trian.lr=3"]), &["error: no setting is called trian.lr", "hint: did you mean train.lr"]);
}

#[test]
fn a_wrong_value_says_where_it_was_typed_what_was_expected_and_found() {
    let parts = ["error: --lr is out of range\n  expected   a number above 0", "-1"];
    refused(&fit(&["--lr", "-1"]), &parts);
    refused(&fit(&["--epochs", "many"]), &["error: --epochs has the wrong type", "an integer, at least 1", "\"many\""]);
    refused(
        &fit(&["--set", "run.device=gpu"]),
        &["error: run.device does not take this word", "in         --set", "auto, cpu, cuda or cuda:N"],
    );
}

#[test]
fn what_must_be_given_is_asked_for_by_its_flag() {
    refused(&["fit"], &["error: --pretrained-path is not given", "hint: give --pretrained-path CKPT"]);
    refused(&["fit", "--pretrained-path", "moco.pth"], &["hint: give --data-dir"]);
    refused(&["probe", "moco.pth"], &["hint: give --data-dir"]);
}

#[test]
fn a_configuration_that_cannot_be_read_is_refused_with_its_path() {
    refused(&fit(&["--config", "nowhere.toml"]), &["path       nowhere.toml"]);
    refused(&fit(&["--recipe", "nowhere"]), &["no recipe is called nowhere", "as-published"]);
}

#[test]
fn settings_that_exclude_each_other_are_refused() {
    refused(
        &fit(&["--per-class", "5", "--label-fraction", "0.5"]),
        &["error: --per-class and --label-fraction do not go together", "not both"],
    );
    refused(&fit(&["--no-probe", "--head-init", "linear-probe"]), &["hint: leave out --no-probe"]);
}

#[test]
fn names_from_other_tools_and_from_the_published_script_are_understood() {
    for arguments in [&["--eta_weight", "-1"], &["--mixup_alpha", "0"], &["--weight_decay", "-1"]] {
        refused(&fit(arguments), &["is out of range"]);
    }
}

#[test]
fn a_run_that_diverges_is_told_with_step_epoch_and_terms_and_saves_nothing() {
    let world = World::new();
    for (name, lr) in [("late", "100"), ("soon", "1e8")] {
        let arguments = world.fit(name, &["--no-probe", "--lr", lr]);
        let output = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for part in ["at step ", "(epoch 1): loss ", "classification ", "contrastive ", "hint: lower --lr"] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        assert_eq!(fs::read_dir(world.path(&format!("{name}/checkpoints"))).unwrap().count(), 0, "nothing is saved");
    }
}

#[test]
fn a_word_that_is_none_is_refused_with_the_words_that_are_taken() {
    let device = ["error: --device does not take this word", "auto, cpu, cuda or cuda:N", "\"cuda:x\""];
    refused(&fit(&["--device", "cuda:x"]), &device);
    let interpolation = ["data.interpolation does not take this word", "hint: did you mean bilinear?"];
    refused(&fit(&["--set", "data.interpolation=bilinaer"]), &interpolation);
    refused(&fit(&["--recipe", "few-label"]), &["no recipe is called few-label", "hint: did you mean few-labels?"]);
    refused(
        &fit(&["--set", "lr=0.1"]),
        &["an assignment has the form section.name=value", "hint: did you mean train.lr?"],
    );
}

#[test]
fn what_was_typed_by_mistake_is_told_as_such() {
    refused(
        &fit(&["--mean", "0.5", "0.5", "0.5"]),
        &["unexpected argument '0.5'", "hint: lists take commas, no spaces"],
    );
    refused(&fit(&["--lr", "1", "--lr", "2"]), &["error: --lr is given twice", "hint: give it once"]);
    refused(&fit(&["--temperature", "100"]), &["error: --temperature is out of range", "at most 10"]);
    refused(&["inspect", "moco.pth", "--encoder", ""], &["--encoder"]);
}
