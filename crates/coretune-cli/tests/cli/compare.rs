//! `coretune compare`: every method in one command, killed and resumed, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use coretune::compare::ComparedTask;

use super::world::World;
use super::{coretune, stderr, stdout};

/// `coretune compare` of runs of one epoch into the folder `output`, with more arguments.
pub(super) fn arguments(world: &World, output: &str, more: &[&str]) -> Vec<String> {
    let (checkpoint, data, output) = (world.path("resnet.safetensors"), world.path("data"), world.path(output));
    let own = ["compare", "--pretrained-path", &checkpoint, "--data-dir", &data, "--output", &output];
    let short = ["--batch-size", "8", "--img-size", "16", "--device", "cpu", "--epochs", "1", "--data-check", "off"];
    own.iter().chain(&short).chain(more).map(ToString::to_string).collect()
}

fn run(world: &World, output: &str, more: &[&str]) -> Output {
    let arguments = arguments(world, output, more);
    coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The columns of `table.csv` that do not depend on time and memory.
pub(super) fn table(folder: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(Path::new(folder).join("table.csv")).unwrap();
    let lines: Vec<Vec<String>> = text.lines().map(|line| line.split(',').map(ToString::to_string).collect()).collect();
    let kept: Vec<usize> = (0..lines[0].len())
        .filter(|&column| !["seconds", "total_seconds", "memory_bytes"].contains(&lines[0][column].as_str()))
        .collect();
    lines.iter().map(|line| kept.iter().map(|&column| line[column].clone()).collect()).collect()
}

#[test]
fn every_method_is_compared_in_one_command() {
    let world = World::new();
    let output = run(&world, "all", &["--fixed", "--seeds", "1", "--jobs", "2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for name in coretune::compare::all_entries(ComparedTask::Classification) {
        assert!(text.lines().any(|line| line.split_whitespace().next() == Some(name)), "{name}: {text}");
    }
    assert!(!stderr(&output).contains("failed"), "{}", stderr(&output));
    assert!(text.contains("verdict") && text.contains("use "), "{text}");
    for file in ["table.md", "table.csv", "table.json", "table.tex"] {
        assert!(Path::new(&world.path("all")).join(file).is_file(), "{file}");
    }
}

#[test]
fn every_command_of_the_page_works() {
    let world = World::new();
    let folder = PathBuf::from(world.path(""));
    fs::rename(folder.join("data"), folder.join("labelled")).unwrap();
    fs::rename(folder.join("resnet.safetensors"), folder.join("photos-moco.pth.tar")).unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compare.md");
    let text = fs::read_to_string(page).unwrap();
    let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("    coretune ")).collect();
    assert!(commands.len() >= 3, "{commands:?}");
    for command in commands {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        // The page has the usual numbers of trials and seeds.
        let short = ["--epochs", "1", "--batch-size", "4", "--img-size", "16", "--data-check", "off"];
        arguments.extend(short);
        for (flag, value) in [("--trials", "1"), ("--seeds", "1")] {
            let is_fixed = flag == "--trials" && arguments.contains(&"--fixed");
            if !is_fixed && !arguments.contains(&flag) {
                arguments.extend([flag, value]);
            }
        }
        if !arguments.iter().any(|argument| ["--tune", "--fixed"].contains(argument)) {
            arguments.extend(["--tune", "lr=0.01"]);
        }
        let run = Command::new(env!("CARGO_BIN_EXE_coretune")).args(&arguments).current_dir(&folder).output().unwrap();
        assert_eq!(run.status.code(), Some(0), "coretune {command}: {}{}", stdout(&run), stderr(&run));
    }
    let page = fs::read_to_string(folder.join("budgets/report.html")).unwrap();
    for figure in ["Accuracy against labels", "Accuracy against cost", "with 4 labels per class"] {
        assert!(page.contains(figure), "{figure}");
    }
    let budgets = folder.join("budgets").display().to_string();
    assert!(coretune(&["report", &budgets]).status.success());
    let again = fs::read_to_string(folder.join("budgets/report.html")).unwrap();
    // The footer names the folder as it was given.
    assert!(again.split("<footer").next() == page.split("<footer").next(), "the page of report is another one");
}

/// Starts a comparison, and kills it with this signal once `begun` runs have been begun in its folder.
fn kill(world: &World, output: &str, more: &[&str], begun: usize, signal: &str) -> Output {
    let runs = Path::new(&world.path(output)).join("runs");
    kill_with(&arguments(world, output, more), &runs, begun, signal)
}

/// As [`kill`], with all arguments and the folder of the runs.
pub(super) fn kill_with(arguments: &[String], runs: &Path, begun: usize, signal: &str) -> Output {
    let child = Command::new(env!("CARGO_BIN_EXE_coretune"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    while configurations(runs) < begun {
        thread::sleep(Duration::from_millis(10));
    }
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill starts");
    assert!(killed.success());
    child.wait_with_output().expect("the comparison ends")
}

/// Runs that have been begun in a folder of runs.
fn configurations(runs: &Path) -> usize {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().join("config.toml").is_file()).count()
}

#[test]
fn a_comparison_that_was_killed_three_times_ends_with_the_same_table() {
    let world = World::new();
    let more = ["--methods", "cross-entropy,l2-sp", "--tune", "lr=0.01,0.1", "--trials", "2", "--seeds", "2"];
    assert!(run(&world, "whole", &more).status.success());

    let killed = [("-KILL", 1), ("-TERM", 2), ("-KILL", 4)].map(|(signal, begun)| {
        let ended = kill(&world, "killed", &more, begun, signal);
        (ended.status.code(), stderr(&ended))
    });
    assert_eq!(killed[1].0, Some(128 + 15), "{}", killed[1].1);
    assert!(killed[1].1.contains("the same command resumes the comparison"), "{}", killed[1].1);
    let resumed = run(&world, "killed", &more);
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert_eq!(table(&world.path("killed")), table(&world.path("whole")));

    let again = run(&world, "killed", &more);
    assert!(!stderr(&again).lines().any(|line| line.starts_with("run ")), "{}", stderr(&again));
    assert_eq!(stdout(&again), stdout(&resumed));
}

#[test]
fn comparisons_in_one_folder_share_runs() {
    let world = World::new();
    let more = ["--methods", "cross-entropy,cross-entropy:label-smoothing=0.1", "--fixed", "--seeds", "1"];
    let first = stderr(&run(&world, "shared", &more));
    for line in
        ["plan         2 methods x 1 seed, 2 runs\n", "run 2/2      cross-entropy:label-smoothing=0.1, seed 0\n"]
    {
        assert!(first.contains(line), "{first}");
    }
    let finished: Vec<&str> = first.lines().filter(|line| line.starts_with("finished ")).collect();
    assert!(finished.len() == 2 && finished[0].contains("seed 0: val top-1 "), "{first}");
    assert!(finished[0].ends_with(" left") && finished[1].ends_with(" s"), "{first}");

    let more = ["--methods", "cross-entropy", "--fixed", "--seeds", "2"];
    let again = run(&world, "shared", &more);
    let second = stderr(&again);
    let begun: Vec<&str> = second.lines().filter(|line| line.starts_with("run ")).collect();
    assert_eq!(begun, ["run 1/1      cross-entropy, seed 1"], "{second}");
    assert!(second.contains("plan         1 method x 2 seeds, 2 runs, 1 of them finished before\n"), "{second}");
    let note = "not in the table: cross-entropy:label-smoothing=0.1; --methods cross-entropy,cross-entropy:label-smoothing=0.1 has";
    assert!(stdout(&again).contains(note), "{}", stdout(&again));
}

#[test]
fn the_best_run_is_found_from_the_folder_of_the_comparison() {
    let world = World::new();
    let compared = run(&world, "compared", &["--methods", "cross-entropy", "--fixed", "--seeds", "1"]);
    let (folder, best) = (world.path("compared"), world.path("compared/best"));
    let next = format!("next         coretune predict {best} IMAGES\n");
    assert!(stdout(&compared).ends_with(&next), "{}", stdout(&compared));
    let predictions = fs::read_to_string(Path::new(&best).join("predictions.csv")).unwrap();
    let mut lines = predictions.lines().map(|line| line.split(',').collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap()[6..], ["label_name", "predicted_name"]);
    assert!(lines.all(|line| line[1].contains(&format!("/{}/", line[6])) && !line[7].is_empty()), "{predictions}");
    let photos = world.path("data/test");
    let (predictions, exported) = (world.path("predictions.csv"), world.path("model.onnx"));
    let predicted = coretune(&["predict", &best, &photos, "--output", &predictions]);
    assert_eq!(predicted.status.code(), Some(0), "{}", stderr(&predicted));
    for arguments in
        [vec!["predict", &folder, &photos], vec!["evaluate", &folder], vec!["export", &folder, "--output", &exported]]
    {
        for hint in [format!("its best run is {best}"), format!("its best run is {folder}/runs/")] {
            let refused = coretune(&arguments);
            assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {}", stderr(&refused));
            assert!(stderr(&refused).contains(&hint), "{arguments:?}: {}", stderr(&refused));
            // The second time round there is no link.
            let _ = fs::rename(&best, world.path("hidden"));
        }
        fs::rename(world.path("hidden"), &best).unwrap();
    }
}

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let world = World::new();
    let more =
        ["--methods", "cross-entropy,bss", "--tune", "lr=0.01,0.1", "--trials", "2", "--seeds", "2", "--dry-run"];
    let planned = run(&world, "planned", &more);
    assert_eq!(planned.status.code(), Some(0), "{}", stderr(&planned));
    let text = stdout(&planned);
    assert!(text.starts_with("plan         2 methods x 2 seeds, up to 6 runs, about 0:"), "{text}");
    assert!(!Path::new(&world.path("planned")).exists());

    let sweep = arguments(&world, "planned", &["--method", "bss", "--tune", "lr=0.01,0.1", "--dry-run", "--json"]);
    let sweep: Vec<&str> =
        sweep.iter().map(|argument| if argument == "compare" { "sweep" } else { argument }).collect();
    let planned: serde_json::Value = serde_json::from_str(&stdout(&coretune(&sweep))).unwrap();
    assert_eq!((planned["runs"].as_u64(), planned["finished"].as_u64()), (Some(3), Some(0)), "{planned}");
    assert!(!Path::new(&world.path("planned")).exists());
}

#[test]
fn a_run_that_diverges_is_a_row_that_says_so() {
    let world = World::new();
    let more = ["--methods", "cross-entropy,cross-entropy:lr=1e30", "--fixed", "--seeds", "1"];
    let output = run(&world, "diverged", &more);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("cross-entropy:lr=1e30: seed 0 failed: "), "{text}");
    assert!(text.contains("use cross-entropy: nothing else has finished a run"), "{text}");
}

#[test]
fn a_comparison_that_cannot_be_fair_or_begun_is_refused_before_anything_is_run() {
    let world = World::new();
    let cases: [(&[&str], &str); 10] = [
        (&["--val-split", "test"], "settings cannot be chosen on the test images"),
        (&["--methods", "no-such"], "no method is called `no-such`"),
        (&["--methods", "bss:eta"], "`bss:eta` cannot be compared: `eta` is not KEY=VALUE"),
        (&["--methods", "bss:seed=3"], "the comparison itself gives --seed"),
        (&["--methods", "bss,bss"], "`bss` is to be compared twice"),
        (&["--methods", "bss", "--tune", "eta=1,2"], "--eta cannot be tuned"),
        (&["--tune", "lr"], "`lr` cannot be tuned: it has no `=`"),
        (&["--tune", "lr=1,-1"], "--lr is out of range"),
        (&["--tune", "lr=1,2,3", "--trials", "2"], "--lr has 3 values, and each method has 2 trials"),
        (&["--seeds", "0"], "the number of seeds is 0"),
    ];
    for (more, sentence) in cases {
        let output = run(&world, "refused", more);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(sentence), "{more:?}: {}", stderr(&output));
        assert!(!Path::new(&world.path("refused")).exists(), "{more:?}");
    }
    fs::create_dir(world.path("taken")).unwrap();
    fs::write(world.path("taken/notes.txt"), "mine").unwrap();
    let output = run(&world, "taken", &["--fixed"]);
    assert!(stderr(&output).contains("is not the folder of a comparison"), "{}", stderr(&output));
}

#[test]
fn a_rate_is_searched_by_short_runs_and_kept_with_the_run() {
    let world = World::new();
    let (checkpoint, data, output) = (world.path("resnet.safetensors"), world.path("data"), world.path("searched"));
    let fit = |epochs: &str| {
        let own =
            ["fit", "--pretrained-path", &checkpoint, "--data-dir", &data, "--output", &output, "--epochs", epochs];
        let short = ["--batch-size", "8", "--img-size", "16", "--device", "cpu", "--data-check", "off", "--lr", "auto"];
        coretune(&[&own[..], &short, &["--method", "cross-entropy", "--no-probe"]].concat())
    };
    let refused = fit("4");
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("5 epochs or more, found 4"), "{}", stderr(&refused));
    let run = fit("5");
    assert!(run.status.success(), "{}", stderr(&run));
    let folder = Path::new(&output);
    let search: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("lr_search.json")).unwrap()).unwrap();
    let best = search["best"]["settings"].get("train.lr").and_then(|rate| rate.as_str()).unwrap_or("0.03");
    let config: toml::Table = fs::read_to_string(folder.join("config.toml")).unwrap().parse().unwrap();
    let rate = config["train"]["lr"].as_float().unwrap();
    assert!((rate - best.parse::<f64>().unwrap()).abs() < 1e-9, "{rate} {best}");
    assert!(coretune(&["report", &output]).status.success());
    assert!(fs::read_to_string(folder.join("report.html")).unwrap().contains("Learning rates tried first"));
}
