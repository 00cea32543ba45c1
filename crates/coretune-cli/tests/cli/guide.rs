//! The commands of `docs/guide.md`, run one after the other in a folder as it describes, with smaller numbers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::world::World;
use super::{stderr, stdout};

/// The lines of the guide that are commands.
fn commands() -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide.md");
    let text = fs::read_to_string(page).unwrap();
    let line = |line: &str| line.strip_prefix("    coretune ").map(str::to_string);
    let words = |line: String| line.split_whitespace().map(ToString::to_string).collect();
    text.lines().filter_map(line).map(words).collect()
}

/// What makes a command short here. A resumed run and what reads a finished one take no such flags.
fn made_short(mut arguments: Vec<String>) -> Vec<String> {
    let resumes = arguments.iter().any(|argument| argument == "--resume");
    let short: &[&str] = match arguments[0].as_str() {
        "pretrain" if !resumes => &["--width", "0.125", "--batch-size", "8", "--img-size", "16", "--bn-groups", "2"],
        "fit" => &["--epochs", "1", "--img-size", "16"],
        "probe" => &["--img-size", "16"],
        _ => &[],
    };
    if let Some(place) = arguments.iter().position(|argument| argument == "--epochs") {
        arguments[place + 1] = "2".into();
    }
    arguments.extend(short.iter().map(ToString::to_string));
    arguments
}

#[test]
fn every_command_of_the_guide_works_in_its_order() {
    let world = World::new();
    let folder = PathBuf::from(world.path(""));
    fs::rename(folder.join("data"), folder.join("labelled")).unwrap();
    fs::create_dir(folder.join("photos")).unwrap();
    for class in ["dark", "light"] {
        for index in 0..10 {
            let from = folder.join(format!("labelled/train/{class}/{index}.ppm"));
            fs::copy(from, folder.join(format!("photos/{class}-{index}.ppm"))).unwrap();
        }
    }
    let commands = commands();
    assert!(commands.len() >= 12, "the guide has {} commands", commands.len());
    for arguments in commands {
        let arguments = made_short(arguments);
        let run = Command::new(env!("CARGO_BIN_EXE_coretune")).args(&arguments).current_dir(&folder).output().unwrap();
        assert_eq!(run.status.code(), Some(0), "coretune {}: {}{}", arguments.join(" "), stdout(&run), stderr(&run));
    }
    for file in ["predictions.csv", "classifier.onnx", "photos-moco.pth.tar", "runs/lp-ft/report.html"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
}
