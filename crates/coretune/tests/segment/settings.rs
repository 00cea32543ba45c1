//! Settings of classification that segmentation reads too: what of the backbone is trained, class weights, 16-bit images.

use std::collections::BTreeMap;
use std::fs;

use coretune::checkpoints::safetensors_file;
use coretune::run_folder::RunFolder;
use coretune::runs::{Job, Options};
use coretune_testing::SmallWorld;
use tch::Tensor;

use super::run;

const QUICK: [&str; 3] = ["run.probe=false", "method.name=cross-entropy", "train.epochs=1"];

/// The tensors of the last state of a run with these settings.
fn trained(world: &SmallWorld, name: &str, settings: &[&str]) -> BTreeMap<String, Tensor> {
    let folder = RunFolder::create(&world.path(name)).unwrap();
    run(&folder, &world.segmentation(&[&QUICK[..], settings].concat()), |_| false).unwrap();
    safetensors_file::read(folder.last_checkpoint()).unwrap().1
}

/// The names of the backbone's tensors that differ from the checkpoint's.
fn moved(world: &SmallWorld, name: &str, settings: &[&str]) -> Vec<String> {
    let after = trained(world, name, settings);
    let (_, before) = safetensors_file::read(world.checkpoint()).unwrap();
    let changed = before.iter().filter(|(name, tensor)| !tensor.equal(&after[&format!("backbone.{name}")]));
    changed.map(|(name, _)| name.clone()).collect()
}

#[test]
fn only_the_part_of_the_backbone_that_is_trained_moves() {
    let world = SmallWorld::with_masks(8);
    assert!(moved(&world, "head", &["model.trainable=head"]).is_empty());
    let last = moved(&world, "last", &["model.trainable=last:1"]);
    assert!(!last.is_empty() && last.iter().all(|name| name.starts_with("layer4.")), "{last:?}");
    let norms = moved(&world, "norms", &["model.trainable=norms"]);
    let is_of_norm = |name: &String| name.contains("bn") || name.contains("downsample.1");
    assert!(!norms.is_empty() && norms.iter().all(|name| is_of_norm(name) && !name.contains("running")), "{norms:?}");
    let refused = world.segmentation(&["model.trainable=last:9"]).prepare(Options::default(), &mut |_| {}).err();
    assert!(refused.unwrap().to_string().contains("last:9"));
}

#[test]
fn class_weights_are_inverse_to_the_pixels_of_the_training_masks_and_change_the_run() {
    let world = SmallWorld::with_masks(8);
    let balanced = "train.class_weights=balanced";
    let preparation = world.segmentation(&[balanced]).prepare(Options::default(), &mut |_| {}).unwrap();
    let weights = preparation.task.class_weights.unwrap();
    let mut pixels = [0.0; 3];
    for index in 0..8 {
        let mask = fs::read(world.data().join(format!("trainannot/{index}.pgm"))).unwrap();
        for &label in &mask[mask.len() - 32 * 32..] {
            if label != 255 {
                pixels[usize::from(label)] += 1.0;
            }
        }
    }
    assert!((weights.iter().sum::<f64>() - 3.0).abs() < 1e-12, "{weights:?}");
    for class in [1, 2] {
        assert!((weights[class] / weights[0] - pixels[0] / pixels[class]).abs() < 1e-9, "{weights:?} {pixels:?}");
    }
    let none = world.segmentation(&[]).prepare(Options::default(), &mut |_| {}).unwrap();
    assert!(none.task.class_weights.is_none());
    let head = |name, settings: &[&str]| trained(&world, name, settings)["classifier.4.weight"].shallow_clone();
    assert!(!head("weighted", &[balanced]).equal(&head("plain", &[])));
}

/// The images of the training split with 16 bits and 16 times the values.
fn deepen(world: &SmallWorld, split: &str) {
    for entry in fs::read_dir(world.data().join(split)).unwrap() {
        let path = entry.unwrap().path();
        let image = fs::read(&path).unwrap();
        let pixels = &image[image.len() - 3 * 32 * 32..];
        let values = pixels.iter().flat_map(|&value| (u16::from(value) * 16).to_be_bytes());
        fs::write(path, b"P6 32 32 65535\n".iter().copied().chain(values).collect::<Vec<u8>>()).unwrap();
    }
}

#[test]
fn a_range_of_16_bit_images_gives_the_run_of_their_8_bits() {
    let (plain, deep) = (SmallWorld::with_masks(8), SmallWorld::with_masks(8));
    for split in ["train", "val", "test"] {
        deepen(&deep, split);
    }
    let expected = trained(&plain, "run", &[]);
    // 255 x 16 v / 4080 = v: the same pixels, thus the same run.
    let found = trained(&deep, "run", &["data.bit_depth_range=0,4080"]);
    assert!(expected.iter().all(|(name, tensor)| tensor.equal(&found[name])));
    let dark = trained(&deep, "dark", &[]);
    assert!(!expected["classifier.4.weight"].equal(&dark["classifier.4.weight"]), "without the range they are dark");
    let (metadata, _) = safetensors_file::read(deep.path("run/checkpoints/best.safetensors")).unwrap();
    assert!(metadata.values().any(|text| text.contains("4080")), "{metadata:?}");
}

/// Cross-entropy for five steps, and what other methods and options make of the same five steps.
#[test]
fn every_method_of_rows_and_every_pull_gives_weights_of_its_own() {
    let world = SmallWorld::with_masks(10);
    let five = ["train.epochs=3", "train.batch_size=5"];
    let last = |name: &str, settings: &[&str]| trained(&world, name, &[&five[..], settings].concat());
    let plain = last("plain", &[]);
    let differs = |name: &str, after: &BTreeMap<String, Tensor>| {
        let moved = plain.iter().filter(|(name, _)| name.starts_with("backbone.") && name.ends_with(".weight"));
        assert!(moved.into_iter().any(|(weight, tensor)| !tensor.equal(&after[weight])), "{name}");
    };
    for method in ["scl", "core-tuning", "l2-sp", "bss", "rifle", "mix-and-match", "coin"] {
        let name = format!("method.name={method}");
        differs(method, &last(method, &[&name]));
    }
    for (name, settings) in [
        ("pulled", &["method.regulariser=l2-sp"][..]),
        ("projected", &["method.regulariser=spd", "method.regulariser_weight=1"]),
        ("sharp", &["train.sam=0.05"]),
    ] {
        differs(name, &last(name, settings));
    }
}

/// A pull of great weight keeps the backbone where it is.
#[test]
fn the_pull_holds_the_backbone_at_the_checkpoint() {
    let world = SmallWorld::with_masks(8);
    let distance = |name: &str, settings: &[&str]| -> f64 {
        let after = trained(&world, name, settings);
        let (_, before) = safetensors_file::read(world.checkpoint()).unwrap();
        let weights =
            before.iter().filter(|(name, _)| name.ends_with("conv1.weight") || name.ends_with("conv2.weight"));
        weights
            .map(|(name, tensor)| f64::try_from((&after[&format!("backbone.{name}")] - tensor).norm()).unwrap())
            .sum()
    };
    let free = distance("free", &["train.lr=0.01", "train.epochs=4"]);
    let held = distance(
        "held",
        &["train.lr=0.01", "train.epochs=4", "method.regulariser=l2-sp", "method.regulariser_weight=30"],
    );
    assert!(held < 0.7 * free, "{held}, without the pull {free}");
}

#[test]
fn sharpness_aware_steps_in_parts_are_those_of_the_whole() {
    let world = SmallWorld::with_masks(4);
    let settings = ["train.sam=0.002", "model.freeze_batch_norm=true", "method.name=scl", "train.lr=0.01"];
    let whole = trained(&world, "whole", &[&settings[..], &["train.batch_size=4"]].concat());
    let parts =
        trained(&world, "parts", &[&settings[..], &["train.batch_size=2", "train.grad_accum_steps=2"]].concat());
    let (_, before) = safetensors_file::read(world.checkpoint()).unwrap();
    for (name, tensor) in before.iter().filter(|(name, _)| name.ends_with("conv1.weight")) {
        let [whole, parts] = [&whole, &parts].map(|after| &after[&format!("backbone.{name}")]);
        let [off, moved] = [whole - parts, whole - tensor].map(|change| f64::try_from(change.norm()).unwrap());
        assert!(off <= 0.03 * moved, "{name}: off by {off} of {moved}");
    }
}
