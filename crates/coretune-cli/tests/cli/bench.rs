//! `coretune bench`.

use serde_json::Value;

use super::world::World;
use super::{coretune, stdout};

const SMALL: [&str; 10] =
    ["bench", "--model", "resnet18", "--width", "0.125", "--img-size", "16", "--steps", "1", "--json"];

fn bench(more: &[&str]) -> Value {
    let output = coretune(&[&SMALL[..], more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", super::stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("one JSON document")
}

#[test]
fn a_step_is_timed_by_phases_and_reading_beside_it() {
    let world = World::new();
    let report = bench(&["--batch-size", "4", "--workers", "1", "--data-dir", &world.path("data")]);
    let [timing] = &report["batches"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!((&timing["batch"], &timing["transfers"], &report["best_batch"]), (&4.into(), &2.into(), &4.into()));
    for phase in ["forward", "loss", "backward", "update"] {
        assert!(timing["phases"][phase].as_f64().unwrap() > 0.0, "{phase}: {timing}");
    }
    assert!(timing["calls"].as_u64().unwrap() > 100, "{timing}");
    let reading = &report["reading"];
    assert!(reading["enough_workers"].as_u64().unwrap() >= 1, "{reading}");
    assert!((0.0..=1.0).contains(&reading["waiting"].as_f64().unwrap()), "{reading}");
}

#[test]
fn without_images_reading_is_not_measured() {
    let report = bench(&["--batch-size", "2", "--method", "cross-entropy"]);
    assert_eq!((&report["objective"], &report["reading"]), (&"cross-entropy".into(), &Value::Null));
}
