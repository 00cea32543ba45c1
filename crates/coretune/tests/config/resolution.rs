use std::fs;

use coretune::config::{Configuration, Input, Layers, RunConfig};
use coretune::models::{Architecture, Family, Stem};
use coretune::transforms::Augmentation;

use super::smallest;

fn reread(config: &RunConfig) -> RunConfig {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, config.to_toml()).unwrap();
    Layers::defaults().file(&path).unwrap().validate().unwrap()
}

#[test]
fn the_resolved_copy_reads_back_to_the_same_configuration() {
    let open = smallest().validate().unwrap();
    assert_eq!(reread(&open), open);

    let layers = smallest().assignment("data.sampler=balanced").unwrap();
    let layers = layers.assignment("train.model_ema=0.99").unwrap().assignment("data.per_class=3").unwrap();
    let (resolved, _) = layers.validate().unwrap().resolve(
        &Architecture::published(Family::ResNet50),
        &Input::usual(&Architecture::published(Family::ResNet50)),
        12,
    );
    assert_eq!(reread(&resolved), resolved);
    assert!(!resolved.to_toml().contains("\"auto\"\nimg_size"), "{}", resolved.to_toml());
}

#[test]
fn resolving_twice_changes_nothing() {
    let architecture = Architecture::published(Family::ResNet18);
    let (once, input) = smallest().validate().unwrap().resolve(&architecture, &Input::usual(&architecture), 10);
    assert_eq!(once.resolve(&architecture, &Input::usual(&architecture), 10), (once, input));
}

#[test]
fn each_of_several_roots_becomes_absolute() {
    let config = smallest().assignment("data.dir=src, tests").unwrap().validate().unwrap();
    let architecture = Architecture::published(Family::ResNet18);
    let (resolved, _) = config.resolve(&architecture, &Input::usual(&architecture), 10);
    let root = env!("CARGO_MANIFEST_DIR");
    assert_eq!(resolved.data.dir.display().to_string(), format!("{root}/src,{root}/tests"));
}

#[test]
fn the_input_follows_the_checkpoint_unless_it_was_given() {
    let config = smallest().validate().unwrap();
    let (_, imagenet) = config.resolve(
        &Architecture::published(Family::ResNet50),
        &Input::usual(&Architecture::published(Family::ResNet50)),
        12,
    );
    assert_eq!((imagenet.img_size, imagenet.mean[0], imagenet.augment), (224, 0.485, Augmentation::ResizedCropFlip));
    let (_, mobilenet) = config.resolve(
        &Architecture::published(Family::MobileNetV2Small),
        &Input::usual(&Architecture::published(Family::MobileNetV2Small)),
        12,
    );
    assert_eq!((mobilenet.img_size, mobilenet.std[0], mobilenet.augment), (32, 0.2023, Augmentation::PadCropFlip));
    let small = Architecture { stem: Stem::Small, ..Architecture::published(Family::ResNet18) };
    assert_eq!(config.resolve(&small, &Input::usual(&small), 12).1.img_size, 32);

    let config = smallest().assignment("data.img_size=160").unwrap().validate().unwrap();
    let (resolved, given) = config.resolve(&small, &Input::usual(&small), 12);
    assert_eq!((given.img_size, resolved.data.img_size, given.mean[0]), (160, Some(160), 0.4914));
}

#[test]
fn a_balanced_batch_has_at_most_the_classes_of_the_data_and_fills_the_step_with_their_images() {
    let resolved = |assignments: &[&str], num_classes| {
        let layers = assignments.iter().fold(smallest(), |layers, text| layers.assignment(text).unwrap());
        let layers = layers.assignment("data.sampler=balanced").unwrap();
        let (config, _) = layers.validate().unwrap().resolve(
            &Architecture::published(Family::ResNet18),
            &Input::usual(&Architecture::published(Family::ResNet18)),
            num_classes,
        );
        assert_eq!(reread(&config), config);
        (config.data.classes_per_batch.unwrap(), config.data.images_per_class.unwrap())
    };
    assert_eq!(resolved(&[], 100), (16, 4));
    assert_eq!(resolved(&[], 10), (10, 6));
    assert_eq!(resolved(&[], 2), (2, 32));
    assert_eq!(resolved(&["train.grad_accum_steps=4"], 100), (64, 4));
    assert_eq!(resolved(&["train.batch_size=2"], 10), (2, 1));
    assert_eq!(resolved(&["data.images_per_class=4"], 10), (10, 4), "K as given: the step is smaller");
    assert_eq!(resolved(&["data.images_per_class=2"], 100), (32, 2));
    assert_eq!(resolved(&["data.classes_per_batch=5"], 10), (5, 12));
    assert_eq!(resolved(&["data.classes_per_batch=16", "data.images_per_class=4"], 100), (16, 4));
}

#[test]
fn the_output_is_named_after_data_method_and_seed_unless_it_was_given() {
    let config = smallest().assignment("data.dir=pictures/flowers/").unwrap().validate().unwrap();
    assert_eq!(config.folder().to_str(), Some("runs/flowers-core-tuning-0"));
    let layers = smallest().assignment("run.output=here").unwrap().assignment("run.experiment=second").unwrap();
    assert_eq!(layers.validate().unwrap().folder().to_str(), Some("here/second"));
}

#[test]
fn warm_up_takes_a_twentieth_of_the_epochs_unless_it_was_given() {
    assert_eq!(smallest().assignment("train.epochs=40").unwrap().validate().unwrap().train.warmup(), 2.0);
    assert_eq!(smallest().assignment("train.warmup_epochs=0").unwrap().validate().unwrap().train.warmup(), 0.0);
}
