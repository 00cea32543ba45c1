//! Tests that run the binary as a user does.

mod bad_data;
mod bad_images;
mod bad_input;
mod bad_labels;
mod bad_masks;
mod bench;
mod bit_depth;
mod compare;
mod data_check;
mod data_fetch;
mod data_pack;
mod exit_status;
mod export;
mod guide;
mod help;
mod output;
mod predict;
mod pretrain;
mod ranks;
mod report;
mod resume;
mod run;
mod runs_of_0_1_0;
mod segmentation;
mod world;

use std::process::{Command, Output};

/// Runs `coretune` with these arguments, away from any terminal.
fn coretune(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coretune"))
        .args(arguments)
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .output()
        .expect("the binary starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("stdout is UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("stderr is UTF-8")
}
