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
    assert!(stdout(&again).contains("has finished already: test top-1"), "{}", stdout(&again));
    assert!(last(&world.path("run")) == before);
    let nowhere = coretune(&["fit", "--resume", "--output", &world.path("nowhere")]);
    assert_eq!(nowhere.status.code(), Some(2), "{}", stderr(&nowhere));
    assert!(stderr(&nowhere).contains("contains no run yet"), "{}", stderr(&nowhere));
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
fn a_run_that_a_limit_of_memory_has_divided_resumes_with_its_own_command_line() {
    let world = World::new();
    let divided = ["--grad-accum-steps", "2", "--memory-limit", "1TiB"];
    assert_eq!(run(&fit(&world, "run", "1", &divided)).status.code(), Some(0));
    // Batches of 4 in two parts of what would be 8.
    let whole = |more: &[&str]| {
        let mut arguments = fit(&world, "run", "1", &[more, &["--resume"]].concat());
        let place = arguments.iter().position(|argument| argument == "--batch-size").unwrap();
        arguments[place + 1] = "8".into();
        run(&arguments)
    };
    let again = whole(&["--memory-limit", "1TiB"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    // Another number of images in a step is another run.
    let other = whole(&["--memory-limit", "1TiB", "--grad-accum-steps", "2"]);
    assert_eq!(other.status.code(), Some(2), "{}", stderr(&other));
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
    assert!(stdout(&same).contains("are bit-identical"), "{}", stdout(&same));
    let config = Path::new(&root).join("config.toml");
    let text = fs::read_to_string(&config).unwrap().replace("lr = 0.03", "lr = 0.02");
    fs::write(&config, text).unwrap();
    let other = coretune(&["reproduce", &root, "--output", &world.path("other"), "--json"]);
    assert_eq!(other.status.code(), Some(1), "{}", stderr(&other));
    let comparison: Value = serde_json::from_slice(&other.stdout).unwrap();
    assert_eq!(comparison["equal"], false);
    assert!(comparison["largest_difference"].as_f64().unwrap() > 0.0);
}

/// A run of two epochs that was stopped in its second, in a folder of this name.
fn stopped(world: &World, name: &str) -> String {
    let root = world.path(name);
    let mut child = start(&fit(world, name, "40", &[]));
    wait_for_lines(&mut child, Path::new(&root), 7);
    child.kill().unwrap();
    child.wait().unwrap();
    root
}

/// `fit --resume` is refused with all of `parts`, and what lies in the folder stays as it was.
fn resume_is_refused(root: &str, parts: &[&str]) {
    let content = |root: &str| {
        let files = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        files.map(|path| (path.clone(), fs::read(path).unwrap())).collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = content(root);
    let output = coretune(&["fit", "--resume", "--output", root]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(text.contains("hint: ") && !text.contains("resume the run in it: --resume"), "{text}");
    let mut after = content(root);
    after.retain(|path, _| before.contains_key(path));
    assert!(after == before, "{root} was touched");
}

#[test]
fn what_going_on_needs_is_looked_at_before_anything_is_touched() {
    let world = World::new();
    let root = stopped(&world, "run");
    let file = |name: &str| Path::new(&root).join(name);
    let without = |name: &str, parts: &[&str]| {
        let whole = fs::read(file(name)).unwrap();
        fs::remove_file(file(name)).unwrap();
        resume_is_refused(&root, parts);
        fs::write(file(name), whole).unwrap();
    };
    without("checkpoints/best.safetensors", &["best.safetensors is missing", "is the best so far"]);
    without("provenance.json", &["provenance.json is missing", "another folder: --output DIR"]);
    without("config.toml", &["no config.toml", "another folder: --output DIR"]);
    let state = last(&root);
    fs::write(file("checkpoints/last.safetensors"), &state[..state.len() - 100]).unwrap();
    resume_is_refused(&root, &["its saved state cannot be read", "best.safetensors", "another folder: --output DIR"]);
    fs::write(file("checkpoints/last.safetensors"), &state).unwrap();
    for name in ["checkpoints/last.safetensors", "checkpoints/best.safetensors"] {
        let whole = fs::read(file(name)).unwrap();
        let mut altered = whole.clone();
        let place = altered.len() - 40;
        altered[place] ^= 1;
        fs::write(file(name), altered).unwrap();
        resume_is_refused(&root, &["has been altered since it was written", name]);
        fs::write(file(name), whole).unwrap();
    }

    let lines = fs::read_to_string(file("metrics.jsonl")).unwrap();
    let kept: String = lines.split_inclusive('\n').filter(|line| !line.contains("\"step\":2,")).collect();
    assert!(kept.len() < lines.len());
    fs::write(file("metrics.jsonl"), kept).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_coretune"))
        .args(["fit", "--resume", "--output", &root])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_lines(&mut child, Path::new(&root), metrics(Path::new(&root)).len() + 4);
    child.kill().unwrap();
    let text = stderr(&child.wait_with_output().unwrap());
    assert!(text.contains("metrics.jsonl lacks the records of steps 2 to 2"), "{text}");
}

#[test]
fn a_run_whose_images_have_changed_is_not_repeated() {
    let world = World::new();
    assert_eq!(run(&fit(&world, "run", "1", &[])).status.code(), Some(0));
    fs::copy(world.path("data/train/dark/0.ppm"), world.path("data/train/light/0.ppm")).unwrap();
    let refused = coretune(&["reproduce", &world.path("run")]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("training data") && stderr(&refused).contains("hint: "), "{}", stderr(&refused));
    assert!(!Path::new(&world.path("run-reproduced")).exists());
}

#[test]
fn a_run_of_changed_settings_is_not_repeated_and_a_place_is_used_once() {
    let world = World::new();
    let root = world.path("run");
    assert_eq!(run(&fit(&world, "run", "1", &[])).status.code(), Some(0));
    assert_eq!(coretune(&["reproduce", &root]).status.code(), Some(0));
    let again = coretune(&["reproduce", &root]);
    assert_eq!(again.status.code(), Some(2), "{}", stderr(&again));
    assert!(stderr(&again).contains("coretune reproduce") && stderr(&again).contains("--output DIR"));

    let longer = ["fit", "--resume", "--output", &root, "--epochs", "2", "--allow-change", "train.epochs"];
    assert_eq!(coretune(&longer).status.code(), Some(0));
    let changed = coretune(&["reproduce", &root, "--output", &world.path("other")]);
    let text = stderr(&changed);
    assert_eq!(changed.status.code(), Some(2), "{text}");
    assert!(text.contains("train.epochs = 1 up to step 4, then 2") && text.contains("--allow-change"), "{text}");
    assert!(!Path::new(&world.path("other")).exists(), "nothing is computed");
}
