use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use coretune::checkpoints::safetensors_file;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::world::World;
use super::{coretune, stderr, stdout};

/// A world with a finished run in `run`.
fn trained() -> World {
    let world = World::new();
    let arguments = world.fit("run", &["--no-probe"]);
    let output = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    world
}

fn rows(output: &Output) -> Vec<Vec<String>> {
    stdout(output).lines().map(|line| line.split(',').map(ToString::to_string).collect()).collect()
}

#[test]
fn predictions_are_those_that_evaluation_counts() {
    let world = trained();
    let (run, test) = (world.path("run"), world.path("data/test"));
    let output = coretune(&["predict", &run, &test]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let rows = rows(&output);
    assert_eq!(rows[0].join(","), "path,error,label_1,probability_1,label_2,probability_2");
    let right = rows[1..].iter().filter(|row| row[0].contains(&format!("/{}/", row[2]))).count();
    let evaluation = coretune(&["evaluate", &run, "--json"]);
    let evaluation: Value = serde_json::from_slice(&evaluation.stdout).unwrap();
    assert_eq!(rows.len() - 1, 8);
    assert_eq!(evaluation["top1"], json!(right as f64 / 8.0));
    for row in &rows[1..] {
        let sum: f64 = [&row[3], &row[5]].iter().map(|text| text.parse::<f64>().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{row:?}");
    }
}

#[test]
fn probabilities_are_calibrated_unless_asked_otherwise_and_a_bare_file_says_it_has_no_temperature() {
    let world = trained();
    let (run, image) = (world.path("run"), world.path("data/test/dark/0.ppm"));
    let summary: Value = serde_json::from_slice(&fs::read(Path::new(&run).join("summary.json")).unwrap()).unwrap();
    let temperature = summary["temperature"].as_f64().unwrap();
    // As JSON, which keeps every digit of a probability next to 0.
    let odds = |arguments: &[&str]| {
        let output = coretune(&[&["predict"], arguments, &[&image, "--format", "jsonl"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let row: Value = serde_json::from_slice(&output.stdout).unwrap();
        let probability = |rank: usize| row["predictions"][rank]["probability"].as_f64().unwrap();
        ((probability(0) / probability(1)).ln(), stderr(&output))
    };
    let (calibrated, _) = odds(&[&run]);
    let (plain, _) = odds(&[&run, "--uncalibrated"]);
    assert!((calibrated * temperature - plain).abs() < 1e-6, "{calibrated} {plain} {temperature}");
    let (bare, words) = odds(&[&format!("{run}/checkpoints/best.safetensors")]);
    assert!(words.contains("no temperature"), "{words}");
    assert!((bare - plain).abs() < 1e-9);
}

#[test]
fn weights_that_are_no_numbers_give_no_answer() {
    let world = trained();
    let (metadata, mut tensors) = safetensors_file::read(world.path("run/checkpoints/best.safetensors")).unwrap();
    let images = world.path("data/test");
    let mut refused = |name: &str, broken: Tensor, part: &str| {
        let whole = tensors.insert(name.into(), broken).unwrap();
        let entries: Vec<_> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        let file = world.path("broken.safetensors");
        safetensors_file::write(&file, &metadata, &entries).unwrap();
        tensors.insert(name.into(), whole);
        let output = coretune(&["predict", &file, &images]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(part) && stdout(&output).is_empty(), "{}", stderr(&output));
    };
    let weight = || Tensor::ones([8, 3, 3, 3], (Kind::Float, Device::Cpu));
    refused("backbone.conv1.weight", weight() * f64::NAN, "NaN");
    refused("backbone.conv1.weight", weight().to_kind(Kind::Int), "backbone.conv1.weight");
}

#[test]
fn what_cannot_be_read_has_a_row_with_its_reason_and_stops_nothing() {
    let world = trained();
    let (run, broken, gone) = (world.path("run"), world.path("broken.jpg"), world.path("gone.png"));
    fs::write(&broken, b"\xff\xd8\xff\xe0 no picture").unwrap();
    let image = world.path("data/test/light/1.ppm");
    let output = coretune(&["predict", &run, &broken, &image, &gone, "--format", "jsonl", "--batch-size", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("2 of 3 images could not be read"), "{}", stderr(&output));
    let rows: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row["path"].as_str().unwrap()).collect::<Vec<_>>(), [&broken, &image, &gone]);
    assert!(rows[0]["error"].as_str().unwrap().contains("broken.jpg") && rows[0].get("predictions").is_none());
    assert_eq!(rows[1]["predictions"].as_array().unwrap().len(), 2);
    assert!(rows[2]["error"].as_str().unwrap().contains("gone.png"));
    let all_broken = coretune(&["predict", &run, &broken]);
    assert_eq!(all_broken.status.code(), Some(1), "{}", stderr(&all_broken));
}

#[test]
fn inputs_are_files_folders_patterns_and_a_list_on_stdin() {
    let world = trained();
    let run = world.path("run");
    let count = |inputs: &[&str]| {
        let output = coretune(&[&["predict", &run, "--top-k", "1"], inputs].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        rows(&output).len() - 1
    };
    assert_eq!(count(&[&world.path("data/test/*/0.ppm")]), 2);
    assert_eq!(count(&[&world.path("data/t*")]), 28);
    assert_eq!(count(&[&world.path("data/test/dark"), &world.path("data/test/light/0.ppm")]), 5);

    let strange = Path::new(OsStr::from_bytes(b"\xffname.ppm"));
    let strange = Path::new(&world.path("")).join(strange);
    fs::copy(world.path("data/test/dark/0.ppm"), &strange).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_coretune"))
        .args(["predict", &run, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut list = world.path("data/test/dark/1.ppm").into_bytes();
    list.extend(b"\r\n\n");
    list.extend(strange.as_os_str().as_bytes());
    child.stdin.take().unwrap().write_all(&list).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).expect("rows are UTF-8 whatever the names are");
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.lines().all(|line| !line.contains("error,") || line.starts_with("path")), "{text}");
}

#[test]
fn what_names_no_image_is_refused_with_a_way_out() {
    let world = trained();
    let run = world.path("run");
    for inputs in [world.path("nothing/*.jpg"), world.path("run/checkpoints"), "[".into()] {
        let output = coretune(&["predict", &run, &inputs]);
        assert_eq!(output.status.code(), Some(2), "{inputs}: {}", stderr(&output));
        assert!(stderr(&output).contains("hint: "), "{}", stderr(&output));
    }
    let empty = Command::new(env!("CARGO_BIN_EXE_coretune"))
        .args(["predict", &run, "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(empty.status.code(), Some(2), "{}", stderr(&empty));
    let no_run = coretune(&["predict", &world.path("data"), &world.path("data/test")]);
    assert_eq!(no_run.status.code(), Some(2), "{}", stderr(&no_run));
}

#[test]
fn a_file_of_rows_is_whole_or_not_there_and_never_written_over() {
    let world = trained();
    let (run, test, table) = (world.path("run"), world.path("data/test"), world.path("rows.csv"));
    let output = coretune(&["predict", &run, &test, "--output", &table]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).is_empty());
    assert_eq!(fs::read_to_string(&table).unwrap(), stdout(&coretune(&["predict", &run, &test])));
    assert!(!Path::new(&format!("{table}.partial")).exists());
    let again = coretune(&["predict", &run, &test, "--output", &table]);
    assert_eq!(again.status.code(), Some(2), "{}", stderr(&again));
}
