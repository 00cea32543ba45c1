use std::fs;

use coretune::config::{Configuration, SegmentationConfig};
use coretune::report::{Report, Source, segmentation_report};
use coretune::run_folder::RunFolder;
use coretune::runs::{Job, Options, Prepared};
use coretune_testing::SmallWorld;

/// Trains as `coretune fit` does.
fn fit(world: &SmallWorld, name: &str, settings: &[&str]) -> Source<SegmentationConfig> {
    let config = world.segmentation(settings);
    let preparation = config.prepare(Options::default(), &mut |_| {}).unwrap();
    let folder = RunFolder::create(&world.path(name)).unwrap();
    folder.write_config(&preparation.task.config.to_toml()).unwrap();
    preparation.run(&folder, &mut |_| {}).unwrap();
    Source { folder: world.path(name), config }
}

fn page_of(sources: &[Source<SegmentationConfig>]) -> Report {
    segmentation_report(sources, &mut |_| {}).unwrap()
}

#[test]
fn the_page_shows_figures_classes_examples_and_features_and_several_runs_side_by_side() {
    let world = SmallWorld::with_masks(12);
    // A class whose name would break a page that does not escape it.
    fs::write(world.data().join("classes.txt"), "ground\n<green>\nred\n").unwrap();
    let run = fit(&world, "run", &["train.epochs=1"]);
    let report = page_of(std::slice::from_ref(&run));
    assert!(report.missing.is_empty(), "{:?}", report.missing);
    let parts = [
        "test mean IoU",
        "linear probe",
        "random weights",
        "Validation mean intersection over union",
        "Loss and its terms",
        "IoU of each class",
        "Percent of the pixels of the true class",
        "Most confused",
        "Frozen checkpoint: t-SNE",
        "Fine-tuned: t-SNE",
        "&lt;green&gt;",
        "(lowest)",
        "(highest)",
    ];
    for part in parts {
        assert!(report.html.contains(part), "no {part:?}");
    }
    assert!(!report.html.contains("<green>"));
    // Six test images, each once: image, truth, prediction, errors.
    assert_eq!(report.html.matches("<img").count(), 4 * 6);
    for what in ["image of test/0.ppm", "truth of test/0.ppm", "prediction of test/0.ppm", "errors of test/0.ppm"] {
        assert_eq!(report.html.matches(what).count(), 1, "{what}");
    }
    let file = world.data().join("test/0.ppm").display().to_string();
    assert_eq!(report.html.matches(&format!("title=\"{file}\"")).count(), 4 + 1, "each picture and the caption");
    assert_eq!(report.html.split("Files of these images").nth(1).unwrap().matches(&file).count(), 1);
    assert_eq!(page_of(std::slice::from_ref(&run)).html, report.html, "the same run gives the same bytes");

    let other =
        fit(&world, "other", &["train.epochs=1", "train.seed=1", "method.name=cross-entropy", "run.probe=false"]);
    let both = page_of(&[run, other]);
    assert!(both.html.contains("2 runs side by side") && both.html.contains("against the first"));
    assert!(both.html.contains("points (95"), "the difference of the second run to the first");
    assert!(both.html.contains("The linear probe was not measured"));
    assert!(!both.html.contains("cannot be compared"));
}

#[test]
fn runs_with_other_classes_are_shown_with_a_note() {
    let world = SmallWorld::with_masks(8);
    let first = fit(&world, "first", &["train.epochs=1", "run.probe=false"]);
    fs::write(world.data().join("classes.txt"), "ground\ngreen\nscarlet\n").unwrap();
    let second = fit(&world, "second", &["train.epochs=1", "run.probe=false"]);
    let page = page_of(&[first, second]).html;
    assert!(page.contains("second has 3 classes, first has 3, not the same ones: their figures cannot be compared."));
}

#[test]
fn without_data_or_checkpoint_the_records_are_shown_and_what_is_missing() {
    let world = SmallWorld::with_masks(8);
    let source = fit(&world, "run", &["train.epochs=1"]);
    fs::remove_file(world.checkpoint()).unwrap();
    let report = page_of(std::slice::from_ref(&source));
    let [missing] = &report.missing[..] else { panic!("{:?}", report.missing) };
    assert!(missing.what == "the frozen checkpoint" && missing.why.contains("resnet.safetensors"), "{missing:?}");
    assert!(report.html.contains("Fine-tuned: t-SNE") && !report.html.contains("Frozen checkpoint: t-SNE"));

    fs::rename(world.data(), world.path("moved")).unwrap();
    let report = page_of(&[source]);
    let [missing] = &report.missing[..] else { panic!("{:?}", report.missing) };
    assert!(missing.run == "run" && missing.why.contains("data"), "{missing:?}");
    for text in ["test mean IoU", "IoU of each class", "linear probe", "time from start to end"] {
        assert!(report.html.contains(text), "no {text:?}");
    }
    assert!(!report.html.contains("<img"));
}
