use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::process::{Command, Output};

use coretune::checkpoints::safetensors_file;
use serde_json::Value;

use super::world::World;
use super::{coretune, stderr, stdout};

fn run(arguments: &[String]) -> Output {
    coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The whole of stdout as one JSON value.
fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(output)))
}

#[test]
fn inspect_says_what_is_in_a_checkpoint_and_what_to_type_next() {
    let world = World::new();
    let checkpoint = world.path("resnet.safetensors");
    let text = stdout(&coretune(&["inspect", &checkpoint]));
    for line in
        ["backbone     resnet18, small stem, width 0.125", "coverage     120 of 120", "try          coretune fit"]
    {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    let report = json(&coretune(&["inspect", &checkpoint, "--json"]));
    let keys = [
        "layout",
        "method",
        "architecture",
        "width",
        "encoder",
        "coverage",
        "loaded",
        "missing",
        "left_out",
        "not_tensors",
    ];
    for key in keys {
        assert!(report.get(key).is_some(), "no {key} in {report}");
    }
}

#[test]
fn fit_tells_words_on_stderr_and_the_result_on_stdout() {
    let world = World::new();
    let output = run(&world.fit("run", &[]));
    let (words, result) = (stderr(&output), stdout(&output));
    assert_eq!(output.status.code(), Some(0), "{words}");
    for line in [
        "data         data: ",
        "checkpoint   ",
        "frozen       kNN ",
        "method       core-tuning   pairs own",
        "machine      cpu",
    ] {
        assert!(words.contains(line), "no {line:?} in {words}");
    }
    // What to do instead comes with a result that is significantly below the probe.
    let lines: Vec<&str> =
        result.lines().map(|line| line[..13].trim_end()).filter(|label| *label != "advice").collect();
    assert_eq!(lines, ["result", "saved", "next"], "{result}");
    assert!(result.contains("the linear probe (95 %: "), "{result}");
    assert!(result.contains("significant on these 8 images)"), "{result}");
    let log = fs::read_to_string(world.path("run/log.txt")).unwrap();
    assert_eq!(log, words + &result);
}

#[test]
fn fit_shows_the_weights_of_the_classes() {
    let world = World::new();
    for image in 0..5 {
        fs::remove_file(world.path(&format!("data/train/light/{image}.ppm"))).unwrap();
    }
    let weighted = run(&world.fit("run", &["--no-probe", "--class-weights", "balanced", "--sampler", "balanced"]));
    assert_eq!(weighted.status.code(), Some(0), "{}", stderr(&weighted));
    for text in ["weights      dark 0.67, light 1.33", "--class-weights and --sampler both balance"] {
        assert!(stderr(&weighted).contains(text), "no {text:?} in {}", stderr(&weighted));
    }
    let plain = run(&world.fit("plain", &["--no-probe", "--dry-run"]));
    assert!(!stderr(&plain).contains("weights  ") && stdout(&plain).contains("class_weights = \"off\""));
}

#[test]
fn with_json_stdout_holds_only_json() {
    let world = World::new();
    let summary = json(&run(&world.fit("run", &["--json"])));
    for key in ["method", "seed", "best", "test", "probe", "coverage", "versions"] {
        assert!(summary.get(key).is_some(), "no {key} in {summary}");
    }
    let run_folder = world.path("run");
    let evaluation = json(&coretune(&["evaluate", &run_folder, "--json"]));
    assert_eq!(evaluation["top1"], summary["test"]["top1"]);
    let (checkpoint, data) = (world.path("resnet.safetensors"), world.path("data"));
    let probe = json(&coretune(&["probe", &checkpoint, "--data-dir", &data, "--img-size", "16", "--json"]));
    assert_eq!(probe["linear_top1"], summary["probe"]["linear_top1"]);
    assert!(probe["random"]["knn_top1"].is_number());
}

#[test]
fn evaluate_prints_a_line_for_every_class() {
    let world = World::new();
    run(&world.fit("run", &["--no-probe"]));
    let text = stdout(&coretune(&["evaluate", &world.path("run"), "--split", "val"]));
    assert!(text.contains("split        validation, 2 images"), "{text}");
    for class in ["\ndark ", "\nlight "] {
        assert!(text.contains(class), "{text}");
    }
}

#[test]
fn a_dry_run_prints_a_configuration_that_repeats_it_and_writes_nothing() {
    let world = World::new();
    let output = run(&world.fit("run", &["--dry-run"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for label in ["memory       about", "time         about", "parameters   "] {
        assert!(stderr(&output).contains(label), "{}", stderr(&output));
    }
    assert!(!std::path::Path::new(&world.path("run")).exists());
    fs::write(world.path("config.toml"), stdout(&output)).unwrap();
    let again = coretune(&["fit", "--config", &world.path("config.toml"), "--dry-run"]);
    assert_eq!(stdout(&again), stdout(&output));
}

#[test]
fn what_cannot_work_is_refused_before_training() {
    let world = World::new();
    let (checkpoint, data) = (world.path("resnet.safetensors"), world.path("data"));
    for (arguments, parts) in [
        (
            world.fit("a", &["--model", "resnet50"]),
            ["error: the checkpoint does not fit the model", "hint: leave out --model"],
        ),
        (world.fit("b", &["--batch-size", "64"]), ["error: ", "hint: "]),
        (world.fit("c", &["--num-classes", "7"]), ["error: ", "hint: leave out --num-classes"]),
        (vec!["probe".into(), checkpoint.clone(), "--data-dir".into(), world.path("nowhere")], ["nowhere", "hint: "]),
        (vec!["inspect".into(), world.path("data/train/dark/0.ppm")], ["error: ", "hint: "]),
        (vec!["evaluate".into(), data.clone()], ["error: ", "data"]),
    ] {
        let output = run(&arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{arguments:?}: {text}");
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn a_second_run_into_the_same_folder_is_refused() {
    let world = World::new();
    let first = run(&world.fit("run", &["--no-probe"]));
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let second = run(&world.fit("run", &["--no-probe"]));
    assert_eq!(second.status.code(), Some(2), "{}", stderr(&second));
    assert!(stderr(&second).contains("not empty"), "{}", stderr(&second));
}

#[test]
fn a_step_can_be_made_of_several_batches() {
    let world = World::new();
    for (name, scheme) in [("exact", "exact"), ("split", "split")] {
        let more = ["--no-probe", "--grad-accum-steps", "2", "--accumulation", scheme, "--json"];
        let summary = json(&run(&world.fit(name, &more)));
        // 18 training images make two steps of 2 x 4.
        assert_eq!(summary["steps"], 2, "{scheme}");
    }
    let output = run(&world.fit("large", &["--no-probe", "--accumulate_step", "5"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("20"), "{}", stderr(&output));
}

#[test]
fn a_balanced_batch_is_made_of_the_classes_that_there_are() {
    let world = World::new();
    let mut arguments = world.fit("run", &["--no-probe", "--sampler", "balanced"]);
    let batch = arguments.iter().position(|argument| argument == "--batch-size").unwrap();
    arguments[batch + 1] = "15".into();
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("14 images per step (2 classes x 7), not 15"), "{}", stderr(&output));
    let again = run(&[&arguments[..], &["--resume".to_string()]].concat());
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(stdout(&again).contains("has finished already"), "{}", stdout(&again));
    assert_eq!(coretune(&["evaluate", &world.path("run")]).status.code(), Some(0));

    let output = run(&world.fit("none", &["--sampler", "balanced", "--classes-per-batch", "3"]));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("hint: give --classes-per-batch of at most 2"), "{}", stderr(&output));
    assert!(!std::path::Path::new(&world.path("none")).exists());
}

#[test]
fn a_run_folder_is_a_checkpoint_and_an_unfinished_one_is_told_of() {
    let world = World::new();
    let output = run(&world.fit("run", &["--no-probe"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (folder, best) = (world.path("run"), world.path("run/checkpoints/best.safetensors"));
    let inspected = coretune(&["inspect", &folder]);
    assert!(stderr(&inspected).contains("a run folder"), "{}", stderr(&inspected));
    assert!(stdout(&inspected).contains("recognised   coretune run"), "{}", stdout(&inspected));
    let probed = coretune(&["probe", &folder, "--data-dir", &world.path("data"), "--img-size", "16"]);
    assert_eq!(probed.status.code(), Some(0), "{}", stderr(&probed));
    assert!(stderr(&probed).contains(&format!("its encoder is used: {best}")), "{}", stderr(&probed));
    let again: Vec<String> = world.fit("again", &["--no-probe"]);
    let again: Vec<String> = again
        .into_iter()
        .map(|argument| if argument == world.path("resnet.safetensors") { folder.clone() } else { argument })
        .collect();
    assert_eq!(run(&again).status.code(), Some(0));

    let output = coretune(&["evaluate", &best]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(&format!("hint: give the run folder: {folder}\n")), "{}", stderr(&output));

    fs::remove_file(world.path("run/summary.json")).unwrap();
    let sentence = "this run has not finished; its best epoch so far is used: 1 of 1";
    let image = world.path("data/test/dark/0.ppm");
    let export = world.path("model.safetensors");
    for arguments in
        [&["evaluate", &folder][..], &["predict", &folder, &image], &["export", &folder, "--output", &export]]
    {
        let output = coretune(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains(sentence), "{arguments:?}: {}", stderr(&output));
    }

    fs::remove_file(&best).unwrap();
    for arguments in [&["evaluate", &folder][..], &["predict", &folder, &image], &["inspect", &folder]] {
        let output = coretune(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("has no model yet"), "{}", stderr(&output));
        assert!(stderr(&output).contains("coretune fit --resume --output"), "{}", stderr(&output));
    }
}

#[test]
fn evaluation_on_data_of_other_classes_says_so() {
    let world = World::new();
    assert_eq!(run(&world.fit("run", &["--no-probe"])).status.code(), Some(0));
    fs::rename(world.path("data/test/light"), world.path("data/test/lamp")).unwrap();
    fs::rename(world.path("data/train/light"), world.path("data/train/lamp")).unwrap();
    let output = coretune(&["evaluate", &world.path("run")]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("has a class that the run does not know: `lamp` (the run's 2: `dark`, `light`)"), "{text}");
    for split in ["test", "train"] {
        fs::remove_dir_all(world.path(&format!("data/{split}/lamp"))).unwrap();
    }
    let output = coretune(&["evaluate", &world.path("run")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("1 of the run's 2 classes are not in"), "{}", stderr(&output));
}

#[test]
fn a_tensor_of_another_shape_is_reported_and_may_be_left_random() {
    let world = World::new();
    let (metadata, mut tensors) = safetensors_file::read(world.path("resnet.safetensors")).unwrap();
    let name = "layer2.0.conv2.weight";
    tensors.insert(name.into(), tensors[name].narrow(1, 0, 3).copy());
    let tensors: Vec<_> = tensors.into_iter().collect();
    safetensors_file::write(world.path("resnet.safetensors"), &metadata, &tensors).unwrap();
    let text = stdout(&coretune(&["inspect", &world.path("resnet.safetensors")]));
    assert!(text.contains(&format!("wrong shape  {name} [16, 3, 3, 3] for [16, 16, 3, 3]")), "{text}");
    assert!(text.contains(&format!("--allow-missing '{name}'")), "{text}");
    let report = json(&coretune(&["inspect", &world.path("resnet.safetensors"), "--json"]));
    assert_eq!(report["mismatched"][0]["target"], name);
    let refused = run(&world.fit("run", &["--no-probe"]));
    assert_eq!(refused.status.code(), Some(2));
    let text = stderr(&refused);
    assert!(text.contains("[16, 3, 3, 3], expected [16, 16, 3, 3]") && text.contains(name), "{text}");
    let allowed = run(&world.fit("run", &["--no-probe", "--allow-missing", name]));
    assert_eq!(allowed.status.code(), Some(0), "{}", stderr(&allowed));
}

#[test]
fn the_run_folder_is_looked_at_before_the_images() {
    let world = World::new();
    fs::write(world.path("data/train/dark/3.ppm"), b"P6 16 16 255\nshort").unwrap();
    fs::write(world.path("file"), b"mine").unwrap();
    fs::create_dir_all(world.path("taken/things")).unwrap();
    let output = run(&world.fit("taken", &[]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is not empty"), "{}", stderr(&output));
    let output = run(&world.fit("file", &[]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot be a run folder: it is a file"), "{}", stderr(&output));
    assert!(stderr(&output).contains("hint: a run is a folder of several files"), "{}", stderr(&output));
}

#[test]
fn settings_that_the_method_does_not_look_at_are_named() {
    let world = World::new();
    let more = ["--no-probe", "--method", "cross-entropy", "--eta", "2", "--set", "method.pairs=soft"];
    let output = run(&world.fit("run", &more));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for flag in ["--eta", "--pairs"] {
        let note = format!("{flag} is not used: cross-entropy does not read it");
        assert!(stderr(&output).contains(&note), "no {note:?} in {}", stderr(&output));
    }
    assert!(!stderr(&output).contains("--alpha is not used"), "{}", stderr(&output));
}

#[test]
fn one_label_of_each_class_leaves_none_to_validate_with() {
    let world = World::new();
    let (checkpoint, data) = (world.path("resnet.safetensors"), world.path("data"));
    let probe = |more: &[&str]| {
        let own = ["probe", &checkpoint, "--data-dir", &data, "--img-size", "16", "--per-class", "1"];
        coretune(&[&own[..], more].concat())
    };
    let output = probe(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("one labelled image of each class (2 in all) leaves none"), "{}", stderr(&output));
    assert!(stderr(&output).contains("--val-per-class"), "{}", stderr(&output));
    assert_eq!(probe(&["--val-per-class", "2"]).status.code(), Some(0), "the way out works");
}

#[test]
fn batches_in_parts_that_are_too_large_are_told_the_product_that_fits() {
    let world = World::new();
    let output = run(&world.fit("run", &["--grad-accum-steps", "5"]));
    assert_eq!(output.status.code(), Some(2));
    let hint = "hint: --batch-size, times --grad-accum-steps if given, may be 18 at most";
    assert!(stderr(&output).contains(hint), "{}", stderr(&output));
}

#[test]
fn a_dry_run_takes_the_flags_of_the_budget_and_of_the_check() {
    let world = World::new();
    fs::write(world.path("data/test/dark/3.ppm"), b"no image").unwrap();
    let more = ["--dry-run", "--per-class", "5", "--data-check", "quick", "--skip-broken"];
    let output = run(&world.fit("run", &more));
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("data: 8 train, 2 validation (set aside from the labels), 7 test"), "{text}");
    assert!(text.contains("1 image of test cannot be read"), "{text}");
}

#[test]
fn images_that_do_not_fill_a_batch_are_told_of() {
    let world = World::new();
    let output = run(&world.fit("run", &["--dry-run"]));
    assert!(stderr(&output).contains("each epoch leaves out 2 images"), "{}", stderr(&output));
}

#[test]
fn a_list_with_a_column_of_splits_gives_all_three() {
    let world = World::new();
    let mut rows = String::from("image_path,label,split\n");
    for (split, of) in [("train", 0..6), ("val", 6..8), ("test", 8..10)] {
        for class in ["dark", "light"] {
            for index in of.clone() {
                writeln!(rows, "train/{class}/{index}.ppm,{class},{split}").unwrap();
            }
        }
    }
    let list = world.path("data/list.csv");
    fs::write(&list, &rows).unwrap();
    let check = stdout(&coretune(&["data", "check", &list]));
    for line in ["train        12 images", "validation   4 images", "test         4 images"] {
        assert!(check.contains(line), "no {line:?} in {check}");
    }
    fs::write(&list, rows.replace("dark/9.ppm,dark,test", "dark/9.ppm,dark,tets")).unwrap();
    let output = coretune(&["data", "check", &list]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("list.csv line 19: found the split `tets` in the column `split`, expected train"),
        "{}",
        stderr(&output)
    );
}

/// Tensors that a checkpoint lacks are drawn from the seed: features kept from another seed are those of another network.
#[test]
fn kept_features_are_not_taken_for_those_of_other_random_tensors() {
    let world = World::new();
    let (metadata, mut tensors) = safetensors_file::read(world.path("resnet.safetensors")).unwrap();
    for name in ["layer1.0.conv1.weight", "layer2.0.conv1.weight"] {
        assert!(tensors.remove(name).is_some());
    }
    let checkpoint = world.path("part.safetensors");
    safetensors_file::write(&checkpoint, &metadata, &tensors.into_iter().collect::<Vec<_>>()).unwrap();
    let probe = |cache: &str, seed: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_coretune"))
            .args(["probe", &checkpoint, "--allow-missing", "*", "--data-dir", &world.path("data"), "--img-size", "16"])
            .args(["--seed", seed])
            .env("XDG_CACHE_HOME", world.path(cache))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    };
    let kept = |cache: &str| {
        let folder = world.path(&format!("{cache}/coretune/features"));
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>()
    };
    probe("shared", "0");
    let of_seed_0 = kept("shared");
    probe("fresh", "1");
    assert!(kept("fresh").is_disjoint(&of_seed_0), "the test images are the same, the network is not");
    probe("shared", "0");
    assert_eq!(kept("shared"), of_seed_0);
}
