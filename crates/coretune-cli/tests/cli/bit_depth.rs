//! Images of 16 bits, of which a part of the range is used.

use std::fs;
use std::path::Path;

use coretune::checkpoints::safetensors_file;
use serde_json::Value;

use super::world::World;
use super::{coretune, stderr};

/// A world whose images have 16 bits, with 16 times the values.
fn deep() -> World {
    let world = World::new();
    let mut folders = vec![world.path("data").into()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir::<std::path::PathBuf>(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { deepen(&path) }
        }
    }
    world
}

fn deepen(path: &Path) {
    let image = fs::read(path).unwrap();
    let pixels = &image[image.len() - 3 * 16 * 16..];
    let values = pixels.iter().flat_map(|&value| (u16::from(value) * 16).to_be_bytes());
    fs::write(path, b"P6 16 16 65535\n".iter().copied().chain(values).collect::<Vec<u8>>()).unwrap();
}

fn fit(world: &World, more: &[&str]) {
    let arguments = world.fit("run", &[&["--no-probe"], more].concat());
    let output = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

fn json(arguments: &[&str]) -> Value {
    let output = coretune(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_range_is_trained_with_stored_and_used_by_evaluation_prediction_and_export() {
    let (plain, deep) = (World::new(), deep());
    fit(&plain, &[]);
    fit(&deep, &["--bit-depth-range", "0,4080"]);
    // 255 x 16 v / 4080 = v: the same pixels, thus the same run.
    for run in ["run", "run/checkpoints/best.safetensors"] {
        let predictions = |world: &World| {
            let row = json(&["predict", &world.path(run), &world.path("data/test/dark/0.ppm"), "--format", "jsonl"]);
            row["predictions"].clone()
        };
        assert_eq!(predictions(&plain), predictions(&deep), "{run}");
    }
    let evaluation = |world: &World| json(&["evaluate", &world.path("run"), "--json"])["loss"].clone();
    assert_eq!(evaluation(&plain), evaluation(&deep));

    let file = deep.path("model.safetensors");
    assert_eq!(coretune(&["export", &deep.path("run"), "--output", &file]).status.code(), Some(0));
    let (metadata, _) = safetensors_file::read(&file).unwrap();
    assert_eq!(metadata["bit_depth_range"], "[0,4080]");
}

#[test]
fn the_automatic_range_is_that_of_the_training_images_and_recorded_in_numbers() {
    let world = deep();
    fit(&world, &["--bit-depth-range", "auto"]);
    let config: toml::Table = fs::read_to_string(world.path("run/config.toml")).unwrap().parse().unwrap();
    let range: Vec<i64> =
        config["data"]["bit_depth_range"].as_array().unwrap().iter().map(|value| value.as_integer().unwrap()).collect();
    // Dark images are 50 and light ones 200, each value up to 20 more or less.
    let [low, high] = range[..] else { panic!("{range:?}") };
    assert!((16 * 30..16 * 40).contains(&low) && (16 * 210..=16 * 220).contains(&high), "{low} {high}");
}
