use std::process::{Command, Stdio};

use super::{coretune, stderr, stdout};

#[test]
fn away_from_a_terminal_nothing_is_coloured() {
    for arguments in [&["fit", "--help"][..], &["fit"], &["fit", "--lr"]] {
        let output = coretune(arguments);
        assert!(!(stdout(&output) + &stderr(&output)).contains('\u{1b}'), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_coretune"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}
