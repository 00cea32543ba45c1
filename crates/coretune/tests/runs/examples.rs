//! The programs in `examples/`, run in a small world.

use coretune_testing::SmallWorld;
use serde_json::Value;

#[path = "../../examples/custom_objective.rs"]
#[allow(dead_code, reason = "the tests call what `main` calls")]
mod custom_objective;
#[path = "../../examples/fine_tune.rs"]
#[allow(dead_code, reason = "the tests call what `main` calls")]
mod fine_tune;
#[path = "../../examples/inspect_checkpoint.rs"]
#[allow(dead_code, reason = "the tests call what `main` calls")]
mod inspect_checkpoint;

/// Arguments for a run of one epoch in the folder of this name.
fn arguments(world: &SmallWorld, run: &str) -> Vec<String> {
    let paths = [world.checkpoint(), world.data(), world.path(run)].map(|path| path.display().to_string());
    let settings = ["data.img_size=16", "train.epochs=1", "train.batch_size=8", "run.device=cpu"].map(String::from);
    paths.into_iter().chain(settings).collect()
}

fn summary(world: &SmallWorld, run: &str) -> Value {
    serde_json::from_slice(&std::fs::read(world.path(run).join("summary.json")).unwrap()).unwrap()
}

#[test]
fn a_program_fine_tunes_and_a_second_call_finds_the_run_finished() {
    let world = SmallWorld::new(12, 4);
    let arguments = arguments(&world, "run");
    fine_tune::fine_tune(&arguments).unwrap();
    let first = summary(&world, "run");
    assert_eq!(first["epochs"], 1);
    assert!(first["probe"]["linear_top1"].is_number() && first["test"]["top1"].is_number(), "{first}");
    fine_tune::fine_tune(&arguments).unwrap();
    assert_eq!(summary(&world, "run"), first);
}

#[test]
fn a_program_trains_with_a_method_of_its_own() {
    let world = SmallWorld::new(12, 4);
    custom_objective::fine_tune(&arguments(&world, "run")).unwrap();
    assert_eq!(summary(&world, "run")["method"], "custom");
    let metrics = std::fs::read_to_string(world.path("run").join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("\"distance\":"), "{metrics}");
}

#[test]
fn a_program_inspects_a_checkpoint() {
    let world = SmallWorld::new(12, 4);
    inspect_checkpoint::inspect(&[world.checkpoint().display().to_string()]).unwrap();
    assert!(inspect_checkpoint::inspect(&[world.data().display().to_string()]).is_err());
}
