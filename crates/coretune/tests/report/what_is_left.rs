use std::fs;

use coretune::report::{ReportError, report, write};
use coretune::run_folder::RunFolderError;
use coretune_testing::SmallWorld;

use super::{fit, page_of};

const QUICK: [&str; 2] = ["run.probe=false", "train.epochs=1"];

#[test]
fn without_the_data_the_records_are_told_and_what_is_missing() {
    let world = SmallWorld::new(12, 4);
    let source = fit(&world, "run", &["train.epochs=1"]);
    fs::rename(world.data(), world.path("moved")).unwrap();
    let report = page_of(&[source]);
    let [missing] = &report.missing[..] else { panic!("{:?}", report.missing) };
    assert!(missing.run == "run" && missing.why.contains("data"), "{missing:?}");
    for text in ["Loss and its terms", "test top-1", "linear probe", "the records alone", "time from start to end"] {
        assert!(report.html.contains(text), "no {text:?}");
    }
    assert!(report.html.matches("Not shown:").count() >= 6);
    assert!(!report.html.contains("Confusion matrix\"") && !report.html.contains("<img"));
}

#[test]
fn without_the_checkpoint_it_started_from_the_fine_tuned_model_is_shown_alone() {
    let world = SmallWorld::new(12, 4);
    let source = fit(&world, "run", &QUICK);
    fs::remove_file(world.checkpoint()).unwrap();
    let report = page_of(&[source]);
    let [missing] = &report.missing[..] else { panic!("{:?}", report.missing) };
    assert!(missing.what == "the frozen checkpoint" && missing.why.contains("resnet.safetensors"), "{missing:?}");
    assert!(report.html.contains("Fine-tuned: t-SNE") && !report.html.contains("Frozen checkpoint: t-SNE"));
    assert!(report.html.contains("The linear probe was not measured"));
}

#[test]
fn a_run_without_checkpoints_or_end_is_told_as_far_as_it_went() {
    let world = SmallWorld::new(12, 4);
    let source = fit(&world, "run", &QUICK);
    fs::remove_dir_all(source.folder.join("checkpoints")).unwrap();
    fs::remove_file(source.folder.join("summary.json")).unwrap();
    let report = page_of(&[source]);
    assert_eq!(report.missing.len(), 1);
    assert!(report.html.contains("has not finished") && report.html.contains("Validation top-1"));
}

#[test]
fn without_a_test_split_the_validation_images_are_shown() {
    let world = SmallWorld::new(20, 4);
    fs::remove_dir_all(world.data().join("test")).unwrap();
    let report = page_of(&[fit(&world, "run", &QUICK)]);
    assert!(report.missing.is_empty(), "{:?}", report.missing);
    assert!(report.html.contains("validation top-1") && report.html.contains("Per class, validation split"));
    assert!(report.html.contains("are too few for an embedding"), "6 images have no neighbourhood");
}

#[test]
fn folders_without_a_run_and_damaged_records_are_refused() {
    let world = SmallWorld::new(12, 4);
    let mut source = fit(&world, "run", &QUICK);
    fs::write(source.folder.join("metrics.jsonl"), "{\"kind\":\"step\"\n").unwrap();
    let error = report(&[source.clone()], &mut |_| {}).unwrap_err();
    assert!(matches!(error, ReportError::RunFolder(RunFolderError::Content { .. })), "{error}");
    assert!(error.hint().is_some());
    source.folder = world.data();
    let error = report(&[source], &mut |_| {}).unwrap_err();
    assert!(matches!(error, ReportError::RunFolder(RunFolderError::NoRun { .. })), "{error}");
}

#[test]
fn a_page_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    write(&page, "first").unwrap();
    write(&page, "second").unwrap();
    assert_eq!(fs::read_to_string(&page).unwrap(), "second");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something else is left there");
    let error = write(&folder.path().join("none/report.html"), "").unwrap_err();
    assert!(error.to_string().contains("none/report.html") && error.hint().unwrap().to_string().contains("output"));
}
