use std::fs;

use serde_json::Value;

use super::world::World;
use super::{coretune, stderr, stdout};

#[test]
fn sound_data_is_said_to_be_sound_and_counted() {
    let world = World::new();
    let output = coretune(&["data", "check", &world.path("data")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.contains("train        20 images, 2 classes of 10") && text.contains("no problems in 28 images"),
        "{text}"
    );
}

#[test]
fn what_stops_a_run_is_said_before_it_and_skip_broken_goes_on() {
    let world = World::new();
    fs::write(world.path("data/train/dark/3.ppm"), b"P6 16 16 255\nshort").unwrap();
    let output = coretune(&["data", "check", &world.path("data"), "--json"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"][0]["problem"], "unreadable");
    assert_eq!(report["findings"][0]["severity"], "stops");
    assert!(report["findings"][0]["examples"][0].as_str().unwrap().contains("3.ppm"));

    let fit = |more: &[&str]| {
        let arguments = world.fit("run", &[&["--no-probe"], more].concat());
        coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let refused = fit(&[]);
    let text = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(
        text.contains("cannot be trained on") && text.contains("3.ppm") && text.contains("--skip-broken"),
        "{text}"
    );
    assert!(!std::path::Path::new(&world.path("run")).exists(), "nothing is begun");
    let skipped = fit(&["--skip-broken"]);
    assert_eq!(skipped.status.code(), Some(0), "{}", stderr(&skipped));
    assert!(stderr(&skipped).contains("1 image of train cannot be read"), "{}", stderr(&skipped));
    let evaluated = coretune(&["evaluate", &world.path("run"), "--split", "train"]);
    assert_eq!(evaluated.status.code(), Some(0), "the run's own configuration skips it: {}", stderr(&evaluated));
}

#[test]
fn a_page_of_images_is_written_as_training_sees_them() {
    let world = World::new();
    let page = world.path("page.png");
    let output = coretune(&["data", "show", &world.path("data"), "--output", &page, "--images", "6", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(fs::read(&page).unwrap().starts_with(b"\x89PNG"));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((shown["split"].as_str(), shown["images"].as_array().map(Vec::len)), (Some("train"), Some(6)));
    for image in shown["images"].as_array().unwrap() {
        let class = image["class"].as_str().unwrap();
        assert!(image["image"].as_str().unwrap().contains(&format!("/train/{class}/")), "{image}");
    }
    let again = world.path("again.png");
    coretune(&["data", "show", &world.path("data"), "--output", &again, "--images", "6"]);
    assert_eq!(fs::read(&page).unwrap(), fs::read(&again).unwrap(), "the seed decides");
    let refused = coretune(&["data", "show", &world.path("data"), "--output", &world.path("page.txt")]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains(".png or .jpg"), "{}", stderr(&refused));
}

#[test]
fn an_empty_class_folder_is_named() {
    let world = World::new();
    fs::create_dir(world.path("data/train/forgotten")).unwrap();
    let arguments = world.fit("run", &["--no-probe"]);
    let output = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("forgotten"), "{}", stderr(&output));
}

#[test]
fn a_class_that_only_test_has_is_found_beside_the_rest_and_counted() {
    let world = World::new();
    for index in 0..2 {
        fs::create_dir_all(world.path("data/test/odd")).unwrap();
        fs::copy(world.path("data/test/dark/0.ppm"), world.path(&format!("data/test/odd/{index}.ppm"))).unwrap();
    }
    fs::copy(world.path("data/train/dark/0.ppm"), world.path("data/test/dark/0.ppm")).unwrap();
    fs::write(world.path("data/train/dark/3.ppm"), b"P6 16 16 255\nshort").unwrap();
    let output = coretune(&["data", "check", &world.path("data")]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    for line in [
        "1 image of train cannot be read",
        "1 class of test without training images: odd (2 images)",
        "1 image of test is identical to images of train",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    for check in ["full", "off"] {
        let arguments = world.fit("run", &["--no-probe", "--data-check", check]);
        let output = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{check}: {}", stderr(&output));
        assert!(stderr(&output).contains("odd (2 images)"), "{check}: {}", stderr(&output));
    }
}

#[test]
fn skipped_images_are_replaced_within_the_budget_and_all_listed() {
    let world = World::new();
    for index in 0..4 {
        fs::write(world.path(&format!("data/train/dark/{index}.ppm")), b"P6 16 16 255\nshort").unwrap();
    }
    fs::write(world.path("data/test/light/2.ppm"), b"P6 16 16 255\nshort").unwrap();
    let arguments = world.fit("run", &["--no-probe", "--skip-broken", "--per-class", "6"]);
    let output = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("10 train, 2 validation") && text.contains("7 test"), "{text}");
    assert!(text.contains("listed in ") && text.contains("skipped.txt"), "{text}");
    let skipped = fs::read_to_string(world.path("run/skipped.txt")).unwrap();
    // Of the class, six of ten can be read, and they are the budget: each broken one was drawn and found.
    assert_eq!(skipped.lines().count(), 5, "{skipped}");
    for split in ["train", "val"] {
        let evaluated = coretune(&["evaluate", &world.path("run"), "--split", split]);
        assert_eq!(evaluated.status.code(), Some(0), "{}", stderr(&evaluated));
    }
}

#[test]
fn parts_of_one_batch_are_said_to_change_nothing() {
    let world = World::new();
    let arguments = world.fit("run", &["--no-probe", "--accumulation", "split", "--dry-run"]);
    let output = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("--accumulation split changes nothing"), "{}", stderr(&output));
}

#[test]
fn data_that_cannot_be_opened_is_a_finding_in_json_too() {
    let world = World::new();
    fs::create_dir(world.path("nothing")).unwrap();
    let output = coretune(&["data", "check", &world.path("nothing"), "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["data"], &report["findings"][0]["severity"]), (&Value::Null, &Value::from("stops")));
    assert!(report["findings"][0]["examples"][0].as_str().unwrap().contains("not a data set in a known layout"));
    assert!(report["hint"].as_str().unwrap().starts_with("expected train/<class>/*"));

    fs::rename(world.path("data/test/dark"), world.path("data/test/Dark")).unwrap();
    let output = coretune(&["data", "check", &world.path("data"), "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let test = report["data"]["splits"].as_array().unwrap().last().unwrap();
    assert_eq!((&test["role"], &test["of_unknown_classes"]), (&Value::from("test"), &Value::from(4)));
    assert!(report["hint"].as_str().unwrap().contains("rename the class"));
}
