//! `coretune pretrain` as a user types it.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::world::World;
use super::{coretune, stderr, stdout};

fn pretrain(world: &World, run: &str, more: &[&str]) -> Vec<String> {
    let (data, output) = (world.path("data"), world.path(run));
    let own = ["pretrain", "--data-dir", &data, "--output", &output, "--width", "0.125", "--batch-size", "8"];
    let short = ["--img-size", "16", "--bn-groups", "2", "--probe-epochs", "1", "--threads", "1", "--save-steps", "1"];
    let epochs: &[&str] = if more.contains(&"--epochs") { &[] } else { &["--epochs", "2"] };
    own.iter().chain(&short).chain(epochs).chain(more).map(ToString::to_string).collect()
}

fn run(arguments: &[String]) -> std::process::Output {
    coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_result_is_named_measured_and_read_like_a_strangers() {
    let world = World::new();
    for method in ["moco-v2", "simclr"] {
        let output = run(&pretrain(&world, method, &["--method", method, "--json"]));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(summary["method"], method);
        assert!(summary["probe"]["knn_top1"].as_f64().is_some_and(|top1| (0.0..=1.0).contains(&top1)));
        assert!(stderr(&output).contains("(epoch 0)"), "random weights come first: {}", stderr(&output));

        let folder = world.path(method);
        let report: Value = serde_json::from_str(&stdout(&coretune(&["inspect", &folder, "--json"]))).unwrap();
        assert_eq!(report["architecture"], "resnet18");
        assert!((report["coverage"].as_f64().unwrap() - 1.0).abs() < 1e-9);
        for file in ["encoder.pth.tar", "encoder.safetensors"] {
            let file = world.path(&format!("{method}-{file}"));
            let exported = coretune(&["export", &folder, "--output", &file]);
            assert_eq!(exported.status.code(), Some(0), "{}", stderr(&exported));
            let again: Value = serde_json::from_str(&stdout(&coretune(&["inspect", &file, "--json"]))).unwrap();
            assert_eq!(again["method"], report["method"], "{file}");
            assert!((again["coverage"].as_f64().unwrap() - 1.0).abs() < 1e-9);
        }
    }
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let world = World::new();
    let whole = run(&pretrain(&world, "whole", &["--epochs", "6"]));
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    let mut killed = Command::new(env!("CARGO_BIN_EXE_coretune"))
        .args(pretrain(&world, "killed", &["--epochs", "6"]))
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let last = world.path("killed/checkpoints/last.safetensors");
    while !fs::exists(&last).unwrap() && killed.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let resumed = coretune(&["pretrain", "--resume", "--output", &world.path("killed")]);
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    let bytes = |run: &str| fs::read(world.path(&format!("{run}/checkpoints/last.safetensors"))).unwrap();
    assert!(bytes("killed") == bytes("whole"));
    let again = coretune(&["pretrain", "--resume", "--output", &world.path("killed")]);
    assert_eq!(again.status.code(), Some(0));
    assert!(stdout(&again).contains("has finished already"), "{}", stdout(&again));
    let reproduced = coretune(&["reproduce", &world.path("whole")]);
    assert!(stdout(&reproduced).contains("bit-identical"), "{}{}", stdout(&reproduced), stderr(&reproduced));
}

#[test]
fn a_run_starts_from_a_checkpoint_reports_its_coverage_and_is_resumed_with_that_checkpoint_only() {
    let world = World::new();
    let checkpoint = world.path("resnet.safetensors");
    let first = run(&pretrain(&world, "run", &["--pretrained-path", &checkpoint, "--epochs", "1"]));
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    for text in ["backbone tensors", "the projection head starts from random weights", "(epoch 0)"] {
        assert!(stderr(&first).contains(text), "no {text:?} in {}", stderr(&first));
    }
    let (root, second) = (world.path("run"), world.path("second"));
    let again = run(&pretrain(&world, "second", &["--pretrained-path", &root, "--method", "simclr", "--json"]));
    assert!(stderr(&again).contains("tensors, projection head"), "{}", stderr(&again));
    let summary: Value = serde_json::from_str(&stdout(&again)).unwrap();
    assert_eq!((&summary["checkpoint"], &summary["coverage"]), (&"last.safetensors".into(), &1.0.into()), "{summary}");
    let reproduced = coretune(&["reproduce", &second]);
    assert!(stdout(&reproduced).contains("bit-identical"), "{}{}", stdout(&reproduced), stderr(&reproduced));

    let bytes = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, [&bytes[..bytes.len() - 1], &[bytes[bytes.len() - 1] ^ 1]].concat()).unwrap();
    let longer = ["--epochs", "2", "--allow-change", "train.epochs"];
    let refused = coretune(&[&["pretrain", "--resume", "--output", &root], &longer[..]].concat());
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("resnet.safetensors"), "{}", stderr(&refused));
}

#[test]
fn runs_of_one_kind_are_not_taken_for_the_other() {
    let world = World::new();
    assert_eq!(run(&pretrain(&world, "encoder", &["--epochs", "1"])).status.code(), Some(0));
    assert_eq!(run(&world.fit("classifier", &["--no-probe"])).status.code(), Some(0));
    let (encoder, classifier) = (world.path("encoder"), world.path("classifier"));
    let refusals: [&[&str]; 5] = [
        &["evaluate", &encoder],
        &["predict", &encoder, &world.path("data")],
        &["report", &encoder, &classifier],
        &["fit", "--resume", "--output", &encoder],
        &["pretrain", "--resume", "--output", &classifier],
    ];
    for arguments in refusals {
        let output = coretune(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("is a run of coretune") && stderr(&output).contains("hint:"), "{arguments:?}");
    }
    let onnx = coretune(&["export", &encoder, "--output", &world.path("encoder.onnx")]);
    assert!(stderr(&onnx).contains("has no classifier") && onnx.status.code() == Some(2), "{}", stderr(&onnx));
}

#[test]
fn report_shows_what_the_features_were_worth_of_one_run_and_of_several() {
    let world = World::new();
    assert_eq!(run(&pretrain(&world, "one", &[])).status.code(), Some(0));
    assert_eq!(run(&pretrain(&world, "two", &["--seed", "1"])).status.code(), Some(0));
    let (one, both) = (world.path("one"), world.path("both.html"));
    let alone = coretune(&["report", &one]);
    assert_eq!(stdout(&alone), format!("report       {one}/report.html\n"), "{}", stderr(&alone));
    let page = fs::read_to_string(format!("{one}/report.html")).unwrap();
    for text in ["Nearest neighbours", "Effective rank", "Spread of the projections", "queue_size = ", "BLAKE3"] {
        assert!(page.contains(text), "no {text}");
    }
    assert_eq!(coretune(&["report", &one, &world.path("two"), "--output", &both]).status.code(), Some(0));
    assert!(fs::read_to_string(both).unwrap().contains("2 runs side by side"));
}

#[test]
fn a_dry_run_says_what_the_run_takes_and_writes_nothing() {
    let world = World::new();
    let arguments = pretrain(&world, "run", &["--dry-run"]);
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for text in ["memory       about", "time         about", "parameters"] {
        assert!(stderr(&output).contains(text), "{}", stderr(&output));
    }
    assert!(stdout(&output).contains("[pretrain]") && stdout(&output).contains("queue_size = 8"));
    assert!(!fs::exists(world.path("run")).unwrap());
    fs::write(world.path("config.toml"), stdout(&output)).unwrap();
    let again = coretune(&["pretrain", "--config", &world.path("config.toml"), "--dry-run", "--json"]);
    let json: Value = serde_json::from_str(&stdout(&again)).unwrap();
    assert!(json["estimate"]["steps"].as_u64() > Some(0) && json["config"]["pretrain"]["bn_groups"] == 2, "{json}");
}

#[test]
fn a_configuration_of_the_other_command_is_refused() {
    let world = World::new();
    let fit = world.fit("run", &["--recipe", "fashion-mnist-moco"]);
    let pretraining = pretrain(&world, "run", &["--recipe", "few-labels"]);
    for (arguments, key, command) in [(fit, "pretrain.", "coretune pretrain"), (pretraining, "method.", "coretune fit")]
    {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        for text in [key, "a setting of", "recipe", &format!("hint: this is a configuration for {command}")] {
            assert!(stderr(&output).contains(text), "no {text:?} in {}", stderr(&output));
        }
    }
}

#[test]
fn what_was_saved_is_made_by_settings_that_no_resume_can_change() {
    let world = World::new();
    assert_eq!(run(&pretrain(&world, "run", &[])).status.code(), Some(0));
    let root = world.path("run");
    let files = || ["config.toml", "summary.json"].map(|file| fs::read(format!("{root}/{file}")).unwrap());
    let before = files();
    let refusals: [(&[&str], &str); 6] = [
        (&["--batch-size", "4", "--allow-change", "train.batch_size"], "train.batch_size = 8, now 4"),
        (&["--batch-size", "16", "--allow-change", "train.batch_size"], "train.batch_size = 8, now 16"),
        (&["--method", "simclr", "--allow-change", "pretrain.method"], "pretrain.method"),
        (&["--queue-size", "16", "--allow-change", "pretrain.queue_size"], "pretrain.queue_size"),
        (&["--epochs", "1", "--allow-change", "train.epochs"], "has made 2 epochs"),
        (&["--lr", "0.5", "--allow-change", "train.lr"], "has finished all its 2 epochs"),
    ];
    for (more, part) in refusals {
        let output = coretune(&[&["pretrain", "--resume", "--output", &root], more].concat());
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part) && stderr(&output).contains("hint: "), "{}", stderr(&output));
        assert!(files() == before, "{more:?} left the folder as it was");
    }
    let longer =
        ["pretrain", "--resume", "--output", &root, "--epochs", "3", "--allow-change", "train.epochs", "--json"];
    let summary: Value = serde_json::from_str(&stdout(&coretune(&longer))).unwrap();
    let steps = summary["steps"].as_u64().unwrap();
    assert!(summary["epochs"] == 3 && steps.is_multiple_of(3) && steps > 0, "{summary}");
}

#[test]
fn images_that_are_only_looked_at_are_checked_too() {
    let world = World::new();
    let broken = fs::read_dir(world.path("data/test/dark")).unwrap().next().unwrap().unwrap().path();
    fs::write(&broken, "no image").unwrap();
    let refused = run(&pretrain(&world, "run", &[]));
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains(broken.file_name().unwrap().to_str().unwrap()), "{}", stderr(&refused));
    assert!(!fs::exists(world.path("run")).unwrap());
    let skipped = run(&pretrain(&world, "run", &["--skip-broken"]));
    assert_eq!(skipped.status.code(), Some(0), "{}", stderr(&skipped));
}

#[test]
fn what_cannot_work_is_refused_before_a_folder_is_made() {
    let world = World::new();
    let refusals: [(&[&str], &str); 6] = [
        (&["--queue-size", "12"], "--queue-size"),
        (&["--set", "pretrain.bn_groups=3"], "--bn-groups"),
        (&["--set", "train.batch_size=64"], "a batch of 64"),
        (&["--set", "model.width=0.01"], "--width 0.125"),
        (&["--queue-size", "80000000000"], "an integer from 1 to 16777216"),
        (&["--queue-size", "16777216", "--dim", "65536"], "--dim"),
    ];
    for (more, hint) in refusals {
        let (data, output) = (world.path("data"), world.path("run"));
        let own = ["pretrain", "--data-dir", &data, "--output", &output, "--set", "train.batch_size=8"];
        let output = coretune(&[&own, more].concat());
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(hint), "{more:?}: {}", stderr(&output));
    }
    assert!(!fs::exists(world.path("run")).unwrap());
}
