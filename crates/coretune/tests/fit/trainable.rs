//! Which weights a run moves, and that it begins where the probe is.

use std::sync::{Arc, Mutex};

use coretune::config::{Configuration, RunConfig};
use coretune::engine::guard;
use coretune::fit::prepare;
use coretune::models::{Mode, ModelError};
use coretune::objectives::{CrossEntropy, Needs, Objective, ObjectiveLoss, Pass};
use coretune::run_folder::RunFolder;
use coretune::runs::{Job, Options, Prepared};
use coretune_testing::SmallWorld;
use tch::Tensor;

/// The names of the backbone's tensors that a run of two epochs changed.
fn moved(world: &SmallWorld, name: &str, settings: &[&str]) -> Vec<String> {
    let config = world.config(&[&["run.probe=false", "method.name=cross-entropy"], settings].concat());
    let preparation = prepare(&config).unwrap();
    let folder = RunFolder::create(&world.path(name)).unwrap();
    preparation.train(&folder, None, &mut |_| {}).unwrap();
    let read = |path: std::path::PathBuf| coretune::checkpoints::safetensors_file::read(path).unwrap().1;
    let (before, after) = (read(world.checkpoint()), read(world.path(name).join("checkpoints/last.safetensors")));
    let changed = before.iter().filter(|(name, tensor)| !tensor.equal(&after[&format!("backbone.{name}")]));
    changed.map(|(name, _)| name.clone()).collect()
}

fn is_statistic(name: &str) -> bool {
    ["running_mean", "running_var", "num_batches_tracked"].iter().any(|statistic| name.ends_with(statistic))
}

#[test]
fn only_the_part_that_is_trained_moves() {
    let world = SmallWorld::new(12, 4);
    let norms = moved(&world, "norms", &["model.trainable=norms"]);
    assert!(norms.iter().all(|name| name.contains("bn") || name.contains("downsample.1")), "{norms:?}");
    assert!(norms.iter().any(|name| name == "layer1.0.bn1.weight") && !norms.iter().any(|name| is_statistic(name)));
    assert!(moved(&world, "head", &["model.trainable=head"]).is_empty());
    let last = moved(&world, "last", &["model.trainable=last:1"]);
    assert!(last.iter().all(|name| name.starts_with("layer4.")) && last.iter().any(|name| is_statistic(name)));
    let same = moved(&world, "stages", &["model.frozen_stages=4"]);
    assert_eq!(last, same, "frozen stages, counted from the other end");
    let named = moved(&world, "named", &["model.trainable=layer3.*conv1.weight,layer4.0.bn2.*"]);
    let fits = |name: &String| {
        (name.starts_with("layer3.") && name.ends_with("conv1.weight")) || name.starts_with("layer4.0.bn2.")
    };
    assert!(named.iter().all(fits) && named.iter().any(|name| is_statistic(name)), "{named:?}");
}

#[test]
fn a_part_that_the_backbone_does_not_have_is_refused() {
    let world = SmallWorld::new(12, 4);
    let refused = |settings: &[&str]| prepare(&world.config(settings)).err().unwrap().to_string();
    let text = refused(&["model.trainable=layer9.*"]);
    assert!(text.starts_with("layer9.* is not a part of the backbone") && text.contains("layer4"), "{text}");
    assert!(refused(&["model.trainable=last:9"]).starts_with("last:9"));
}

/// Records the logits of the first batch in training mode, with the images.
struct Recorder(Arc<Mutex<Option<(Tensor, Tensor)>>>);

impl Objective for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn needs(&self) -> Needs {
        Needs::CLASSIFIER
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let features = pass.features()?;
        let logits = guard("computing logits", || (pass.heads.classifier)(features).detach())?;
        self.0.lock().unwrap().get_or_insert((pass.images.copy(), logits));
        CrossEntropy { label_smoothing: 0.0 }.loss(pass)
    }
}

fn first_logits(world: &SmallWorld, name: &str, config: &RunConfig) -> (Tensor, Tensor) {
    let first = Arc::new(Mutex::new(None));
    let objective: Option<Box<dyn Objective>> = Some(Box::new(Recorder(Arc::clone(&first))));
    let preparation = config.prepare(Options { objective, ..Options::default() }, &mut |_| {}).unwrap();
    let folder = RunFolder::create(&world.path(name)).unwrap();
    folder.write_config(&preparation.task.config.to_toml()).unwrap();
    preparation.run(&folder, &mut |_| {}).unwrap();
    let recorded = first.lock().unwrap().take();
    recorded.expect("a first batch")
}

#[test]
fn with_frozen_batch_norm_and_the_probe_as_start_the_first_logits_are_the_probes() {
    let world = SmallWorld::new(12, 4);
    let start = ["method.name=cross-entropy", "method.head_init=linear-probe", "train.epochs=1"];
    let off_by = |name: &str, settings: &[&str]| {
        let config = world.config(&[&start, settings].concat());
        let (images, logits) = first_logits(&world, name, &config);
        let preparation = prepare(&config).unwrap();
        let probe = preparation.task.probe(&preparation.backbone, &mut |_| {}).unwrap().probe;
        let normalised = preparation.task.input;
        let normalisation = coretune::models::Normalisation { mean: normalised.mean, std: normalised.std };
        let pixels = normalisation.apply(&images, tch::Device::Cpu);
        let features = tch::no_grad(|| preparation.backbone.features(&pixels, Mode::Evaluate));
        let of_probe = probe.logits(&features).unwrap();
        (logits - &of_probe).abs().max().double_value(&[]) / of_probe.abs().max().double_value(&[])
    };
    let frozen = off_by("frozen", &["model.freeze_batch_norm=true"]);
    assert!(frozen < 1e-5, "off by {frozen}");
    assert!(off_by("norms", &["model.trainable=norms"]) < 1e-5);
    let in_training_mode = off_by("training", &[]);
    assert!(in_training_mode > 1e-3, "statistics of the batch change the logits: {in_training_mode}");
}
