//! Averages of runs: the weights, what is chosen, and which runs go together.

use std::path::{Path, PathBuf};

use coretune::average::{Averaged, Recipe, Request, average};
use coretune::checkpoints::safetensors_file::read;
use coretune::config::{Configuration, RunConfig};
use coretune::data::Role;
use coretune::fit::evaluate_run;
use coretune::run_folder::{RunFolder, Summary};
use coretune::runs::{Job, Options, Prepared};
use coretune_testing::SmallWorld;

fn fit(world: &SmallWorld, name: &str, settings: &[&str]) -> (PathBuf, RunConfig) {
    let config = world.config(settings);
    let preparation = config.prepare(Options::default(), &mut |_| {}).unwrap();
    let folder = RunFolder::create(&world.path(name)).unwrap();
    folder.write_config(&preparation.task.config.to_toml()).unwrap();
    folder.write_provenance(&preparation.provenance().unwrap()).unwrap();
    preparation.run(&folder, &mut |_| {}).unwrap();
    (world.path(name), config)
}

fn averaged(runs: &[PathBuf], recipe: Recipe, config: &RunConfig, output: &Path) -> Result<Averaged, String> {
    let request = Request { runs, recipe, config: config.clone(), output };
    average(&request, &mut |_| {}).map_err(|error| error.to_string())
}

fn best(run: &Path) -> PathBuf {
    run.join("checkpoints/best.safetensors")
}

const FROM_PROBE: [&str; 2] = ["method.name=cross-entropy", "method.head_init=linear-probe"];

#[test]
fn a_uniform_soup_is_the_mean_of_weights_and_statistics_and_is_a_run() {
    let world = SmallWorld::new(12, 4);
    let (one, config) = fit(&world, "one", &[&FROM_PROBE[..], &["train.lr=0.01"]].concat());
    let (other, _) = fit(&world, "other", &[&FROM_PROBE[..], &["train.lr=0.05"]].concat());
    let soup = world.path("soup");
    let done = averaged(&[one.clone(), other.clone()], Recipe::Uniform, &config, &soup).unwrap();
    assert_eq!(done.tried[done.chosen].weights, [0.5, 0.5]);
    let tensors = [&one, &other, &soup].map(|run| read(best(run)).unwrap().1);
    for name in ["backbone.layer3.0.conv1.weight", "backbone.bn1.running_var", "classifier.weight", "classifier.bias"] {
        let expected = (&tensors[0][name] + &tensors[1][name]) / 2.0;
        assert!((&tensors[2][name] - &expected).abs().max().double_value(&[]) < 1e-6, "{name}");
        assert!(!tensors[0][name].equal(&tensors[1][name]), "{name}");
    }
    // It can be evaluated, and averaged again.
    let again = evaluate_run(&soup, &config, Role::Test, &mut |_| {}).unwrap();
    assert_eq!(Some(again.figures), done.test);
    let summary: Summary = RunFolder::open(&soup).unwrap().read_summary().unwrap().unwrap();
    assert_eq!((summary.method.as_str(), summary.steps), ("average-uniform", 0));
    averaged(&[soup, one], Recipe::Greedy, &config, &world.path("again")).unwrap();
}

#[test]
fn interpolation_goes_from_the_probe_to_the_run_and_takes_the_lowest_validation_loss() {
    let world = SmallWorld::new(12, 4);
    let (probe, _) = fit(&world, "probe", &["method.name=linear-probe"]);
    let (tuned, config) = fit(&world, "tuned", &FROM_PROBE);
    let done = averaged(&[probe, tuned], Recipe::Interpolate, &config, &world.path("wise")).unwrap();
    let weights: Vec<f64> = done.tried.iter().map(|tried| tried.weights[1]).collect();
    assert_eq!(weights.len(), 11);
    assert!(weights.iter().zip(0..).all(|(a, step)| (a - f64::from(step) / 10.0).abs() < 1e-12));
    let chosen = done.tried[done.chosen].val_nll_calibrated;
    assert!(done.tried.iter().all(|tried| tried.val_nll_calibrated >= chosen));
}

#[test]
fn a_greedy_soup_is_never_worse_in_validation_than_its_best_run() {
    let world = SmallWorld::new(12, 4);
    let (one, config) = fit(&world, "one", &[&FROM_PROBE[..], &["train.lr=0.01"]].concat());
    let (other, _) = fit(&world, "other", &[&FROM_PROBE[..], &["train.lr=0.3"]].concat());
    let done = averaged(&[one, other], Recipe::Greedy, &config, &world.path("soup")).unwrap();
    assert_eq!(done.tried.len(), 3, "each alone, then both");
    let chosen = done.tried[done.chosen].val_nll_calibrated;
    assert!(done.tried.iter().all(|tried| tried.val_nll_calibrated >= chosen));
}

#[test]
fn runs_of_different_starts_are_refused_before_anything_is_written() {
    let world = SmallWorld::new(12, 4);
    let (one, config) = fit(&world, "one", &["method.name=cross-entropy", "run.probe=false"]);
    let (seed, _) = fit(&world, "seed", &["method.name=cross-entropy", "run.probe=false", "train.seed=1"]);
    let refused = |runs: &[&PathBuf], recipe| {
        let runs: Vec<PathBuf> = runs.iter().map(|run| (*run).clone()).collect();
        averaged(&runs, recipe, &config, &world.path("none")).unwrap_err()
    };
    let text = refused(&[&one, &seed], Recipe::Uniform);
    assert!(text.contains("the start of the classifier differs"), "{text}");
    assert!(refused(&[&one], Recipe::Uniform).contains("1 run"));
    assert!(refused(&[&one, &one, &one], Recipe::Interpolate).contains("3 runs"));
    assert!(!world.path("none").exists());
}
