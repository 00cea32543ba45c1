use std::fs;
use std::path::Path;
use std::process::Output;

use coretune::checkpoints::{inspect, safetensors_file};
use serde_json::Value;

use super::world::World;
use super::{coretune, stderr, stdout};

/// A world with a finished run in `run`.
fn finished() -> World {
    let world = World::new();
    let arguments = world.fit("run", &["--no-probe"]);
    let output = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    world
}

fn export(world: &World, file: &str, more: &[&str]) -> Output {
    coretune(&[&["export", &world.path("run"), "--output", &world.path(file)], more].concat())
}

/// The command is refused with exit status 2 and a hint, and leaves no file.
fn refused(world: &World, file: &str, more: &[&str], parts: &[&str]) {
    let output = export(world, file, more);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{more:?}: {text}");
    assert!(parts.iter().all(|part| text.contains(part)), "no {parts:?} in: {text}");
    assert!(text.contains("\nhint: ") && stdout(&output).is_empty(), "{text}");
}

#[test]
fn a_run_is_exported_to_every_format_and_says_how_far_it_is_from_the_model() {
    let world = finished();
    for (file, format) in [("a.safetensors", "safetensors"), ("a.pth", "torch"), ("a.onnx", "onnx")] {
        let output = export(&world, file, &[]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(text.starts_with(&format!("exported     {file}   {format}, ")), "{text}");
        assert!(text.contains("\nread back    logits of 4 random images of 16 pixels differ by "), "{text}");
        let parity = fs::read_to_string(world.path(&format!("{file}.parity.json"))).unwrap();
        let parity: Value = serde_json::from_str(&parity).unwrap();
        assert!(parity["relative_difference"].as_f64() <= parity["tolerance"].as_f64(), "{parity}");
        assert!(Path::new(&world.path(&format!("{file}.parity.safetensors"))).is_file());
    }
    let left: Vec<_> = fs::read_dir(world.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("unverified")), "{left:?}");
}

#[test]
fn an_export_says_in_python_how_an_image_becomes_the_input() {
    let world = World::new();
    let arguments = world.fit("run", &["--no-probe", "--resize-mode", "letterbox", "--mean", "0.5,0.25,0.1"]);
    let arguments = [arguments, vec!["--bit-depth-range".into(), "100,4095".into()]].concat();
    let fitted = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(fitted.status.code(), Some(0), "{}", stderr(&fitted));
    let printed = stdout(&export(&world, "a.safetensors", &[]));
    assert!(printed.contains("\npreprocess   ") && printed.lines().count() == 4, "{printed}");
    let text = fs::read_to_string(world.path("a.safetensors.preprocess.py")).unwrap();
    let deep = [".clip(100, 4095)", "((values - 100) * 255 + 1997) // 3995", "the range 100 to 4095 needs all"];
    let framing = ["(16, 16), (128, 64, 26))", "numpy.float32([0.5, 0.25, 0.1])"];
    for part in ["def preprocess(path):"].into_iter().chain(deep).chain(framing) {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let json: Value = serde_json::from_str(&stdout(&export(&world, "a.onnx", &["--json"]))).unwrap();
    let code = json["preprocess"].as_str().unwrap();
    assert!(code.contains("the graph normalises") && json["relative_difference"].as_f64().is_some(), "{json}");
    let (metadata, _) = safetensors_file::read(world.path("a.safetensors")).unwrap();
    assert_eq!((metadata["resize_mode"].as_str(), metadata["fill"].as_str()), ("letterbox", "[128,64,26]"));
    assert!(text.contains(&metadata["preprocess"]));
}

#[test]
fn evaluate_writes_the_logits_of_every_image_into_a_new_file() {
    let world = finished();
    let (run, file) = (world.path("run"), world.path("logits.csv"));
    let evaluate = || coretune(&["evaluate", &run, "--logits", &file]);
    assert_eq!(evaluate().status.code(), Some(0));
    let table = fs::read_to_string(&file).unwrap();
    assert!(table.starts_with("image,class,dark,light\n") && table.lines().count() == 9, "{table}");
    let again = evaluate();
    assert_eq!(again.status.code(), Some(2), "{}", stderr(&again));
    assert!(stderr(&again).contains("exists already"), "{}", stderr(&again));
}

#[test]
fn the_export_is_a_checkpoint_for_this_program_too() {
    let world = finished();
    export(&world, "a.pth", &[]);
    let report = inspect(world.path("a.pth"), None).unwrap();
    assert_eq!((report.layout, report.loaded.len(), report.missing.len()), ("core-tuning", 120, 0));
    let text = stdout(&coretune(&["inspect", &world.path("a.pth")]));
    assert!(
        text.contains("Core-tuning, published script   (names that begin with state_dict.module.extractor.)"),
        "{text}"
    );
}

#[test]
fn with_json_stdout_holds_the_comparison() {
    let world = finished();
    let output = export(&world, "a.safetensors", &["--json", "--with-projection"]);
    let parity: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(parity["format"], "safetensors");
    let (metadata, tensors) = safetensors_file::read(world.path("a.safetensors")).unwrap();
    assert_eq!(metadata["classes"], r#"["dark","light"]"#);
    assert!(tensors.contains_key("projection.2.bias"));
    let summary: Value = serde_json::from_slice(&fs::read(world.path("run/summary.json")).unwrap()).unwrap();
    assert_eq!(metadata["temperature"], summary["temperature"].to_string());
}

#[test]
fn what_cannot_be_exported_is_refused_with_a_way_out() {
    let world = finished();
    refused(
        &world,
        "a.bin",
        &[],
        &["a.bin does not have the extension of a known format", "--to safetensors, torch or onnx"],
    );
    refused(&world, "a.onnx", &["--to", "torch"], &["has the extension of onnx, but torch was asked for", "--to onnx"]);
    refused(&world, "a.onnx", &["--with-projection"], &["no projection head", "leave out --with-projection"]);
    refused(&world, "data", &["--to", "onnx"], &["it is a folder"]);
    refused(&world, "nowhere/a.onnx", &[], &["its folder does not exist"]);
    refused(&world, "run/checkpoints/best.safetensors", &["--force"], &["the model that is to be exported"]);
    let output = coretune(&["export", &world.path("nowhere"), "--output", &world.path("a.onnx")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no such folder"), "{}", stderr(&output));
    let checkpoint = world.path("resnet.safetensors");
    let output = coretune(&["export", &checkpoint, "--output", &world.path("a.onnx")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is not a coretune run"), "{}", stderr(&output));
    assert!(!Path::new(&world.path("a.onnx")).exists());
}

#[test]
fn nothing_is_overwritten_unless_asked_for() {
    let world = finished();
    fs::write(world.path("a.onnx"), "mine").unwrap();
    refused(&world, "a.onnx", &[], &["a.onnx exists already", "--force"]);
    assert_eq!(fs::read(world.path("a.onnx")).unwrap(), b"mine");
    let output = export(&world, "a.onnx", &["--force"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(fs::metadata(world.path("a.onnx")).unwrap().len() > 1000);
    fs::write(world.path("b.pth.parity.json"), "mine").unwrap();
    refused(&world, "b.pth", &[], &["b.pth.parity.json exists already"]);
}
