//! The texts that say what `auto` becomes, beside what it becomes.

use coretune::config::{Input, Layers, PretrainConfig, RunConfig, RunKind, settings};
use coretune::models::{Architecture, Family, Stem};

use super::{setting, smallest};

fn text(key: &str, kind: RunKind) -> String {
    setting(key).becomes.expect("the setting may be auto")(kind)
}

/// The text of a setting has these words in this order.
fn says(key: &str, kind: RunKind, expected: &[&str]) {
    let text = text(key, kind);
    let mut rest = text.as_str();
    for word in expected {
        let Some((_, after)) = rest.split_once(word) else { panic!("{key}: `{text}` does not say {expected:?}") };
        rest = after;
    }
}

fn fine_tuning(assignments: &[&str], architecture: &Architecture, classes: i64) -> RunConfig {
    let layers = assignments.iter().fold(smallest(), |layers, text| layers.assignment(text).unwrap());
    layers.validate().unwrap().resolve(architecture, &Input::usual(architecture), classes).0
}

fn pretraining(assignments: &[&str], side: u32, images: usize) -> PretrainConfig {
    let layers = Layers::defaults_of(RunKind::Pretraining).assignment("data.dir=flowers").unwrap();
    let layers = assignments.iter().fold(layers, |layers, text| layers.assignment(text).unwrap());
    layers.validate_pretraining().unwrap().resolve(side, images, None).0
}

#[test]
fn a_setting_that_may_be_auto_says_what_it_becomes() {
    for setting in settings() {
        let may_be = setting.word == Some("auto") || setting.default == Some("auto");
        assert_eq!(may_be, setting.becomes.is_some(), "{}", setting.key);
        for &kind in setting.read_by {
            assert!(setting.becomes.is_none_or(|becomes| !becomes(kind).is_empty()), "{}", setting.key);
        }
    }
}

#[test]
fn the_texts_of_the_input_are_what_resolving_gives() {
    let small = Architecture { stem: Stem::Small, ..Architecture::published(Family::ResNet18) };
    let [small, large] =
        [small, Architecture::published(Family::ResNet50)].map(|network| fine_tuning(&[], &network, 10).data);
    let colour = |[red, green, blue]: [f64; 3]| format!("{red},{green},{blue}");
    let of = |data: &coretune::config::DataSection| {
        [
            ("data.img_size", data.img_size.unwrap().to_string()),
            ("data.mean", colour(data.mean.unwrap())),
            ("data.std", colour(data.std.unwrap())),
            ("data.augment", data.augment.unwrap().name().to_string()),
            ("data.crop_pct", data.crop_pct.unwrap().to_string()),
        ]
    };
    for ((key, small), (_, large)) in of(&small).into_iter().zip(of(&large)) {
        says(key, RunKind::FineTuning, &[&small, "else", &large]);
    }
}

#[test]
fn the_text_of_the_crop_changes_where_the_crop_does() {
    let network = Architecture::published(Family::ResNet50);
    let crop = |size: i64| fine_tuning(&[&format!("data.img_size={size}")], &network, 10).data.crop_pct.unwrap();
    let (at, above) = (crop(64), crop(65));
    assert!(at != above);
    says("data.crop_pct", RunKind::FineTuning, &[&at.to_string(), "up to 64", &above.to_string()]);
}

#[test]
fn the_texts_of_the_balanced_batch_and_of_warm_up_are_what_resolving_gives() {
    let network = Architecture::published(Family::ResNet50);
    let resolved = fine_tuning(&["data.sampler=balanced", "train.epochs=100"], &network, 1000);
    let images = resolved.data.images_per_class.unwrap();
    assert_eq!(resolved.data.classes_per_batch, Some(64 / images));
    says("data.classes_per_batch", RunKind::FineTuning, &[&format!("{images} images each")]);
    let warm_up = resolved.train.warmup_epochs.unwrap();
    says("train.warmup_epochs", RunKind::FineTuning, &[&format!("{warm_up} % of the epochs")]);
}

#[test]
fn the_texts_of_a_new_network_are_what_resolving_gives() {
    let [small, large] = [64, 65].map(|side| pretraining(&["model.name=auto"], side, 100).model);
    says("model.name", RunKind::Pretraining, &[small.name.unwrap().name()]);
    says("model.width", RunKind::Pretraining, &[&small.width.unwrap().to_string()]);
    assert_eq!((small.stem, large.stem), (Some(Stem::Small), Some(Stem::Imagenet)));
    says("model.stem", RunKind::Pretraining, &["small", "up to 64", "else imagenet"]);
}

#[test]
fn the_texts_of_a_method_of_pretraining_are_what_resolving_gives() {
    for method in ["moco-v2", "simclr"] {
        let resolved = pretraining(&[&format!("pretrain.method={method}")], 224, 100_000).pretrain;
        for (key, value) in [
            ("pretrain.temperature", resolved.temperature),
            ("pretrain.least_area", resolved.least_area),
            ("pretrain.jitter", resolved.jitter),
        ] {
            let (text, expected) = (text(key, RunKind::Pretraining), format!("{method} {}", value.unwrap()));
            assert!(text.split(", ").any(|part| part == expected), "{key}: `{text}` does not say {expected}");
        }
    }
}

#[test]
fn the_texts_of_the_queue_its_encoder_and_its_groups_are_what_resolving_gives() {
    let kind = RunKind::Pretraining;
    let of = |images| pretraining(&["train.batch_size=64", "train.epochs=64"], 224, images).pretrain;
    let (some, many) = (of(80_000), of(80_000_000));
    let fraction = 80_000 / some.queue_size.unwrap();
    says("pretrain.queue_size", kind, &[&format!("1/{fraction} "), &many.queue_size.unwrap().to_string()]);

    // 64 epochs of batches of 64 make as many steps as there are images.
    let [short, long] = [99_968, 100_032].map(of);
    assert!(short.momentum < long.momentum);
    let [short, long] = [short, long].map(|resolved| resolved.momentum.unwrap().to_string());
    says("pretrain.momentum", kind, &[&short, "100000 steps", &long]);

    let groups = some.bn_groups.unwrap();
    says("pretrain.bn_groups", kind, &[&groups.to_string(), &(64 / groups).to_string()]);
}

#[test]
fn the_text_of_blur_is_what_resolving_gives() {
    let blur = |size: i64| pretraining(&[&format!("data.img_size={size}")], 224, 100).pretrain.blur.unwrap();
    assert!(blur(64) != blur(65));
    says("pretrain.blur", RunKind::Pretraining, &[&blur(64).to_string(), "up to 64", &blur(65).to_string()]);
}

#[test]
fn reading_threads_are_the_cores_that_the_step_leaves() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let readers = |device: &str, threads: usize| {
        let mut run = smallest().run_section().clone();
        (run.device, run.threads) = (device.into(), Some(threads));
        run.reading_threads()
    };
    assert_eq!(readers("cpu", 1), (cores - 1).max(1));
    assert_eq!(readers("cpu", cores), 1);
    assert_eq!(readers("cpu", cores + 7), 1);
    assert_eq!(readers("cuda:0", cores), (cores - 1).max(1));
    says("run.workers", RunKind::FineTuning, &["the computation leaves", "at least 1", "all cores but one"]);
}
