use std::fs;
use std::path::Path;

use super::world::World;
use super::{coretune, stderr, stdout};

fn fit(world: &World, run: &str) -> String {
    let arguments = world.fit(run, &["--no-probe"]);
    let output = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    world.path(run)
}

#[test]
fn report_writes_a_page_into_the_run_folder_and_prints_its_path() {
    let world = World::new();
    let run = fit(&world, "run");
    let output = coretune(&["report", &run]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = format!("{run}/report.html");
    assert_eq!(stdout(&output), format!("report       {page}\n"));
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("BLAKE3"), "provenance is told");
    assert!(html.contains("resnet18") && html.contains(">dark<") && html.contains(">light<"));
}

#[test]
fn report_lays_runs_side_by_side_in_a_file_of_ones_own() {
    let world = World::new();
    let (one, two, page) = (fit(&world, "one"), fit(&world, "two"), world.path("both.html"));
    let output = coretune(&["report", &one, &two, "--output", &page, "--json"]);
    let result: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((result["report"].as_str(), result["missing"].as_array().map(Vec::len)), (Some(page.as_str()), Some(0)));
    assert!(fs::read_to_string(&page).unwrap().contains("2 runs side by side"));
    assert!(!Path::new(&format!("{one}/report.html")).exists());
}

#[test]
fn what_a_page_lacks_is_a_warning_and_data_that_moved_can_be_named() {
    let world = World::new();
    let run = fit(&world, "run");
    fs::rename(world.path("data"), world.path("moved")).unwrap();
    let output = coretune(&["report", &run]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: run: everything that needs the images"), "{}", stderr(&output));
    let output = coretune(&["report", &run, "--data-dir", &world.path("moved")]);
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
}

#[test]
fn a_page_that_cannot_be_made_or_written_is_refused_first() {
    let world = World::new();
    let run = fit(&world, "run");
    let nowhere = world.path("nowhere/page.html");
    for (arguments, part) in [
        (vec!["report"], "RUN"),
        (vec!["report", "no-such-run"], "no such folder"),
        (vec!["report", &run, "--output", &nowhere], "nowhere/page.html"),
        (vec!["report", &run, "--output", &run], "cannot be written"),
    ] {
        let output = coretune(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part) && stderr(&output).contains("hint: "), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
}
