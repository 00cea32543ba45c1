//! Averages of runs: the weights, what is chosen, and which runs go together.

use std::path::{Path, PathBuf};

use coretune::average::{Averaged, Recipe, Request, Statistics, average};
use coretune::checkpoints::safetensors_file::read;
use coretune::config::{Configuration, RunConfig};
use coretune::data::Role;
use coretune::fit::{evaluate_run, prepare};
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
    let request = Request { runs, recipe, statistics: Statistics::Averaged, config: config.clone(), output };
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
    // Runs that never beat the probe, as these two with their few images, give their last weights.
    let trained = |run: &Path| {
        let summary: Summary = RunFolder::open(run).unwrap().read_summary().unwrap().unwrap();
        if summary.best.epoch == 0 && summary.steps > 0 { run.join("checkpoints/last.safetensors") } else { best(run) }
    };
    let tensors = [&one, &other, &soup].map(|run| read(trained(run)).unwrap().1);
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
    let again = world.path("other/../one");
    std::fs::create_dir(world.path("other")).unwrap();
    assert!(refused(&[&one, &again], Recipe::Uniform).contains("other/../one is given twice"));
    assert!(!world.path("none").exists());
}

/// Of two equal runs the average is the run, so that statistics measured anew can be compared with a pass over all images.
#[test]
fn statistics_measured_anew_are_those_of_the_training_images() {
    let world = SmallWorld::new(12, 4);
    let settings = ["method.name=cross-entropy", "run.probe=false", "data.augment=none"];
    let [(one, config), (same, _)] = ["one", "same"].map(|name| fit(&world, name, &settings));
    let output = world.path("measured");
    let (runs, statistics) = ([one.clone(), same], Statistics::Measured);
    let request = Request { runs: &runs, recipe: Recipe::Uniform, statistics, config: config.clone(), output: &output };
    average(&request, &mut |_| {}).unwrap();
    let (before, after) = (read(best(&one)).unwrap().1, read(best(&output)).unwrap().1);
    assert!(before["backbone.conv1.weight"].equal(&after["backbone.conv1.weight"]));
    let first = "backbone.bn1.running_mean";
    assert!(!before[first].equal(&after[first]));
    // The first layer's mean over all batches: batches of 8 of the 30 training images, the rest is dropped.
    let (model, description) = coretune::saved_models::load_model(&best(&one), tch::Device::Cpu).unwrap();
    let task = prepare(&config).unwrap().task;
    let batches = coretune::data::sampler::shuffle(task.splits.train.len(), 8, config.train.seed, 0, true).unwrap();
    let transform = std::sync::Arc::new(description.evaluation_transform().unwrap());
    let options = coretune::data::LoaderOptions::default();
    let loader = coretune::data::Loader::new(task.splits.train.clone(), transform, batches, options).unwrap();
    let means: Vec<tch::Tensor> = loader
        .map(|batch| {
            let images = model.normalisation.apply(&batch.unwrap().images, tch::Device::Cpu);
            let weight = &before["backbone.conv1.weight"];
            let maps = images.conv2d(weight, None::<&tch::Tensor>, [1, 1], [1, 1], [1, 1], 1);
            maps.mean_dim(Some(&[0i64, 2, 3][..]), false, tch::Kind::Float)
        })
        .collect();
    let expected = tch::Tensor::stack(&means, 0).mean_dim(Some(&[0i64][..]), false, tch::Kind::Float);
    let off = (&after[first] - &expected).abs().max().double_value(&[]);
    assert!(means.len() >= 2 && off < 1e-4, "off by {off}");
}
