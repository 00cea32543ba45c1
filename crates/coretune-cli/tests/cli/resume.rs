use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::world::World;
use super::{coretune, stderr, stdout};

fn run(arguments: &[String]) -> Output {
    coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// So many epochs of four steps, saved after each step.
fn fit(world: &World, name: &str, epochs: &str, more: &[&str]) -> Vec<String> {
    world.fit(name, &[&["--epochs", epochs, "--save-steps", "1", "--no-probe"], more].concat())
}

fn start(arguments: &[String]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_coretune"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts")
}

fn metrics(root: &Path) -> Vec<Value> {
    let text = fs::read_to_string(root.join("metrics.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits until the run has logged so many lines.
fn wait_for_lines(child: &mut Child, root: &Path, lines: usize) {
    while metrics(root).len() < lines {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it had logged {lines} lines");
        sleep(Duration::from_millis(2));
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn last(root: &str) -> Vec<u8> {
    fs::read(Path::new(root).join("checkpoints/last.safetensors")).unwrap()
}

#[test]
fn killed_and_resumed_a_run_ends_with_the_bytes_of_one_left_alone() {
    let world = World::new();
    assert_eq!(run(&fit(&world, "whole", "4", &[])).status.code(), Some(0));
    for (name, lines) in [("early", 1), ("middle", 8), ("late", 17)] {
        let mut child = start(&fit(&world, name, "4", &[]));
        wait_for_lines(&mut child, Path::new(&world.path(name)), lines);
        child.kill().unwrap();
        child.wait().unwrap();
        let output = coretune(&["fit", "--resume", "--output", &world.path(name)]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("resumed      "), "{}", stderr(&output));
        assert!(last(&world.path(name)) == last(&world.path("whole")), "killed after {lines} lines");
        let steps = |root: &str| metrics(Path::new(root)).iter().map(|line| line["loss"].clone()).collect::<Vec<_>>();
        assert_eq!(steps(&world.path(name)), steps(&world.path("whole")));
        for derived in ["metrics.csv", "events.out.tfevents.coretune", "summary.json"] {
            assert!(Path::new(&world.path(name)).join(derived).is_file(), "no {derived}");
        }
    }
}

#[test]
fn a_signal_saves_and_leaves_with_its_status() {
    let world = World::new();
    for (name, status) in [("-INT", 130), ("-TERM", 143)] {
        let root = world.path(name);
        let mut child = start(&fit(&world, name, "4", &[]));
        wait_for_lines(&mut child, Path::new(&root), 2);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(status));
        assert!(!last(&root).is_empty() && !Path::new(&root).join("summary.json").exists());
        let log = fs::read_to_string(Path::new(&root).join("log.txt")).unwrap();
        assert!(log.contains("the state is saved in"), "{log}");
        assert_eq!(run(&fit(&world, name, "4", &["--resume"])).status.code(), Some(0));
    }
}

#[test]
fn nothing_saved_yet_starts_afresh_and_a_finished_run_says_so() {
    let world = World::new();
    let first = run(&fit(&world, "run", "4", &["--resume"]));
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let before = last(&world.path("run"));
    let again = coretune(&["fit", "--resume", "--output", &world.path("run")]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(stdout(&again).contains("is done already: test top-1"), "{}", stdout(&again));
    assert!(last(&world.path("run")) == before);
    let nowhere = coretune(&["fit", "--resume", "--output", &world.path("nowhere")]);
    assert_eq!(nowhere.status.code(), Some(2), "{}", stderr(&nowhere));
    assert!(stderr(&nowhere).contains("holds no run yet"), "{}", stderr(&nowhere));
}

#[test]
fn more_epochs_need_to_be_asked_for_by_name() {
    let world = World::new();
    assert_eq!(run(&fit(&world, "run", "1", &[])).status.code(), Some(0));
    let longer = ["fit", "--resume", "--output", &world.path("run"), "--epochs", "2"].map(String::from);
    let refused = run(&longer);
    assert_eq!(refused.status.code(), Some(2));
    let text = stderr(&refused);
    assert!(text.contains("train.epochs = 1, now 2") && text.contains("--allow-change train.epochs"), "{text}");
    let allowed = run(&[&longer[..], &["--allow-change".into(), "train.epochs".into(), "--json".into()]].concat());
    assert_eq!(allowed.status.code(), Some(0), "{}", stderr(&allowed));
    let summary: Value = serde_json::from_slice(&allowed.stdout).unwrap();
    assert_eq!(summary["epochs"], 2);
}

#[test]
fn other_images_are_refused_and_the_finished_run_stays_as_it_was() {
    let world = World::new();
    assert_eq!(run(&fit(&world, "run", "1", &[])).status.code(), Some(0));
    let files = ["config.toml", "summary.json"].map(|name| Path::new(&world.path("run")).join(name));
    let before = files.each_ref().map(|path| fs::read(path).unwrap());
    fs::write(world.path("data/test/dark/0.ppm"), fs::read(world.path("data/test/light/0.ppm")).unwrap()).unwrap();
    let more = ["--epochs", "2", "--allow-change", "train.epochs"];
    let output = coretune(&[&["fit", "--resume", "--output", &world.path("run")][..], &more].concat());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("is not what the run began with"), "{}", stderr(&output));
    assert!(files.each_ref().map(|path| fs::read(path).unwrap()) == before);
}

#[test]
fn two_runs_cannot_write_into_one_folder() {
    let world = World::new();
    let mut child = start(&fit(&world, "run", "500", &[]));
    wait_for_lines(&mut child, Path::new(&world.path("run")), 1);
    let second = coretune(&["fit", "--resume", "--output", &world.path("run")]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(second.status.code(), Some(2), "{}", stderr(&second));
    assert!(stderr(&second).contains("another run is writing into"), "{}", stderr(&second));
}

#[test]
fn a_full_disk_ends_the_run_and_what_was_saved_before_is_whole() {
    let world = World::new();
    let root = world.path("run");
    let mut child = start(&fit(&world, "run", "4", &[]));
    wait_for_lines(&mut child, Path::new(&root), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = last(&root);
    // A limit on the size of a file refuses a write as a full disk does, once the file has grown so far.
    let limited = "ulimit -f 200; trap '' XFSZ; exec \"$@\"";
    let output = Command::new("bash")
        .args(["-c", limited, "bash", env!("CARGO_BIN_EXE_coretune"), "fit", "--resume", "--output", &root])
        .output()
        .unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot write") && text.contains("hint: the disk is full"), "{text}");
    assert!(last(&root) == before);
    assert_eq!(coretune(&["fit", "--resume", "--output", &root]).status.code(), Some(0));
}

#[test]
fn a_run_is_reproduced_bit_for_bit_and_a_changed_one_is_not() {
    let world = World::new();
    assert_eq!(run(&fit(&world, "run", "1", &[])).status.code(), Some(0));
    let root = world.path("run");
    let same = coretune(&["reproduce", &root]);
    assert_eq!(same.status.code(), Some(0), "{}", stderr(&same));
    assert!(stdout(&same).contains("are equal, bit for bit"), "{}", stdout(&same));
    let config = Path::new(&root).join("config.toml");
    let text = fs::read_to_string(&config).unwrap().replace("lr = 0.03", "lr = 0.02");
    fs::write(&config, text).unwrap();
    let other = coretune(&["reproduce", &root, "--output", &world.path("other"), "--json"]);
    assert_eq!(other.status.code(), Some(1), "{}", stderr(&other));
    let comparison: Value = serde_json::from_slice(&other.stdout).unwrap();
    assert_eq!(comparison["equal"], false);
    assert!(comparison["largest_difference"].as_f64().unwrap() > 0.0);
}
