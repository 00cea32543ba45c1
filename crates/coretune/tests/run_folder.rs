//! Tests of `coretune::run_folder`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use coretune::figures::{EpochFigures, Figures};
use coretune::run_folder::{
    EvaluationRecord, MetricsRecord, Recording, RunFolder, RunFolderError, StepRecord, Summary,
};
use serde_json::{Value, json};

fn step(step: u64) -> MetricsRecord {
    let figures = [
        ("anchors_without_positives", 1.0),
        ("classification", 0.9),
        ("contrastive", 1.4),
        ("hardest_positive_cosine", 0.1 + 0.2),
        ("positives_per_anchor", 5.4),
    ];
    MetricsRecord::Step(StepRecord {
        exchanged_bytes: None,
        exchange_seconds: None,
        step,
        epoch: 1 + step / 10,
        lr: 0.03,
        loss: 2.3,
        figures: figures.into_iter().collect(),
        images_per_second: 98.0,
        data_wait_share: 0.01,
        seconds: 12.5,
    })
}

fn evaluation(step: u64) -> MetricsRecord {
    MetricsRecord::Evaluation(EvaluationRecord {
        step,
        epoch: 1,
        split: "validation".into(),
        figures: Figures::new().with("top1", 0.741).with("loss", 0.8),
        seconds: 13.0,
    })
}

fn new_folder() -> (tempfile::TempDir, RunFolder) {
    let parent = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(&parent.path().join("runs/mine")).unwrap();
    (parent, folder)
}

fn text(folder: &RunFolder, name: &str) -> String {
    fs::read_to_string(folder.root().join(name)).unwrap()
}

#[test]
fn a_new_folder_is_made_with_those_above_it_and_can_be_opened_again() {
    let (_parent, folder) = new_folder();
    assert!(folder.root().join("checkpoints").is_dir());
    assert_eq!(folder.last_checkpoint(), folder.root().join("checkpoints/last.safetensors"));
    assert_eq!(folder.best_checkpoint(), folder.root().join("checkpoints/best.safetensors"));
    assert!(RunFolder::open(folder.root()).is_ok());
}

#[test]
fn an_empty_folder_is_taken_and_one_with_anything_in_it_refused() {
    let parent = tempfile::tempdir().unwrap();
    drop(RunFolder::create(parent.path()).unwrap());
    assert!(RunFolder::create(parent.path()).is_ok(), "what a process leaves that was killed at once");
    fs::write(parent.path().join("notes.txt"), "").unwrap();
    let error = RunFolder::create(parent.path()).unwrap_err();
    assert!(matches!(error, RunFolderError::NotEmpty { .. }), "{error}");
    let hint = error.hint().unwrap().to_string();
    assert!(hint.contains("run.output"), "{hint}");
}

#[test]
fn a_folder_belongs_to_one_process_until_it_ends() {
    let (_parent, folder) = new_folder();
    folder.write_config("").unwrap();
    let error = RunFolder::resume(folder.root()).unwrap_err();
    assert!(matches!(error, RunFolderError::InUse { .. }) && error.hint().is_some(), "{error}");
    let root = folder.root().to_path_buf();
    assert!(RunFolder::is_in_use(&root));
    drop(folder);
    assert!(!RunFolder::is_in_use(&root));
    fs::write(root.join("checkpoints/last.safetensors.partial"), "half").unwrap();
    let folder = RunFolder::resume(&root).unwrap();
    assert!(!root.join("checkpoints/last.safetensors.partial").exists());
    drop(folder);
    fs::remove_file(root.join("config.toml")).unwrap();
    let error = RunFolder::open(&root).unwrap().kind().unwrap_err();
    assert!(matches!(error, RunFolderError::NoRun { .. }), "without its configuration a run is of no kind: {error}");
    let error = RunFolder::resume(&root).unwrap_err();
    assert!(
        matches!(error, RunFolderError::NoRun { .. }) && !error.hint().unwrap().to_string().contains("resume"),
        "{error}"
    );
}

#[test]
fn what_is_missing_of_the_metrics_is_named() {
    let (_parent, folder) = new_folder();
    let recorded = |steps, epochs, log_every, evaluated_every| {
        folder.gap_in_metrics(steps, epochs, Recording { log_every, evaluated_every }).unwrap()
    };
    let gap = |steps, epochs, log_every| recorded(steps, epochs, log_every, Some(1));
    assert_eq!(gap(0, 0, 1), None);
    assert_eq!(gap(3, 0, 2).unwrap(), "the records of steps 2 to 3");
    for number in [2, 4, 5, 6, 10] {
        folder.log(&step(number)).unwrap();
    }
    assert_eq!(gap(7, 0, 2), None, "steps are logged at a distance, and at the end of an epoch");
    assert_eq!(gap(11, 0, 2).unwrap(), "the records of steps 8 to 9");
    assert_eq!(gap(6, 0, 1).unwrap(), "the records of steps 1 to 1");
    assert_eq!(gap(6, 1, 2).unwrap(), "the evaluation of epoch 1");
    assert_eq!(recorded(6, 1, 2, Some(2)), None, "pre-training looks at its features every few epochs");
    assert_eq!(recorded(6, 3, 2, Some(2)).unwrap(), "the evaluation of epoch 2");
    assert_eq!(recorded(6, 3, 2, None), None);
}

#[test]
fn places_where_no_folder_can_be_are_refused_with_a_way_out() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "kept").unwrap();
    assert!(matches!(RunFolder::create(&file), Err(RunFolderError::IsFile { .. })));
    let below = RunFolder::create(&file.join("run")).unwrap_err();
    assert!(matches!(below, RunFolderError::Io { .. }) && below.hint().is_some(), "{below:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
}

#[test]
fn what_is_no_run_folder_cannot_be_opened() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("file"), "").unwrap();
    for (path, found) in [("", "no checkpoints"), ("file", "is a file"), ("absent", "no such folder")] {
        let error = RunFolder::open(&parent.path().join(path)).unwrap_err();
        assert!(error.to_string().contains(found) && error.hint().is_some(), "{error}");
    }
}

#[test]
fn every_record_is_one_line_of_plain_json() {
    let (_parent, folder) = new_folder();
    folder.log(&step(1)).unwrap();
    folder.log(&evaluation(1)).unwrap();
    let lines: Vec<Value> =
        text(&folder, "metrics.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["kind"], "step");
    assert_eq!(lines[0]["contrastive"], 1.4);
    let validation = json!({"kind": "evaluation", "step": 1, "epoch": 1, "split": "validation", "top1": 0.741, "loss": 0.8, "seconds": 13.0});
    assert_eq!(lines[1], validation);
    assert_eq!(folder.metrics().unwrap().len(), 2);
}

#[test]
fn a_figure_that_is_no_number_is_left_out_and_the_line_still_reads() {
    let (_parent, folder) = new_folder();
    let MetricsRecord::Step(mut record) = step(3) else { unreachable!() };
    record.figures.set("hardest_negative_cosine", f64::NAN);
    folder.log(&MetricsRecord::Step(record)).unwrap();
    assert_eq!(folder.metrics().unwrap(), [step(3)]);
}

#[test]
fn records_and_summaries_of_older_versions_are_read() {
    let (_parent, folder) = new_folder();
    folder.write_config("").unwrap();
    let lines = [
        r#"{"kind":"step","step":10,"epoch":1,"lr":0.03,"loss":2.5,"contrastive":1.5,"images_per_second":98.0,"data_wait_share":0.0}"#,
        r#"{"kind":"evaluation","step":10,"epoch":1,"split":"validation","top1":0.75,"loss":0.5}"#,
        r#"{"kind":"probe","step":0,"epoch":0,"split":"test","knn_top1":0.25,"alignment":0.5,"uniformity":-2.5,"rank":83.5,"seconds":1.5}"#,
    ];
    fs::write(folder.root().join("metrics.jsonl"), lines.join("\n") + "\n").unwrap();
    let records = folder.metrics().unwrap();
    let MetricsRecord::Step(step) = &records[0] else { panic!("{records:?}") };
    assert_eq!(step.figures, Figures::new().with("contrastive", 1.5));
    let MetricsRecord::Evaluation(evaluation) = &records[1] else { panic!("{records:?}") };
    assert_eq!(evaluation.figures, Figures::new().with("top1", 0.75).with("loss", 0.5));
    let MetricsRecord::Probe(probe) = &records[2] else { panic!("{records:?}") };
    let expected = [("knn_top1", 0.25), ("alignment", 0.5), ("uniformity", -2.5), ("rank", 83.5)];
    assert_eq!(probe.figures, expected.into_iter().collect());

    let old = json!({
        "method": "core-tuning", "model": "resnet50", "data": "flowers", "seed": 0, "epochs": 25, "steps": 250,
        "best": {"epoch": 21, "val_top1": 0.75},
        "test": {"top1": 0.79, "top5": 0.98, "ece": 0.1, "ece_calibrated": 0.03, "within_between": null},
        "probe": null, "temperature": 1.4, "images_per_second": 98.0, "wall_seconds": 120.5, "peak_rss_bytes": 1,
        "coverage": 1.0, "versions": {},
    });
    fs::write(folder.root().join("summary.json"), old.to_string()).unwrap();
    let summary = folder.read_summary::<Summary>().unwrap().unwrap();
    assert_eq!((summary.best.epoch, summary.best.figures.get("val_top1")), (21, Some(0.75)));
    assert_eq!(summary.test.as_ref().unwrap().get("within_between"), None);
    assert_eq!(serde_json::to_value(&summary).unwrap(), old, "it is written again as it was");
}

#[test]
fn figures_of_any_name_have_a_column_before_those_of_the_steps() {
    let (_parent, folder) = new_folder();
    let figures = Figures::new().with("mean_iou", 0.25).with("pixel_accuracy", 0.5);
    let record = EvaluationRecord { step: 10, epoch: 1, split: "validation".into(), figures, seconds: 13.0 };
    for record in [step(10), MetricsRecord::Evaluation(record)] {
        folder.log(&record).unwrap();
    }
    folder.derive().unwrap();
    let table = text(&folder, "metrics.csv");
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("kind,step,epoch,split,loss,mean_iou,pixel_accuracy,lr,anchors"), "{table}");
    assert!(rows[2].starts_with("evaluation,10,1,validation,,0.25,0.5,,"), "{table}");
}

#[test]
fn truncation_keeps_the_bytes_of_what_was_saved_and_drops_the_rest() {
    let (_parent, folder) = new_folder();
    for record in [step(10), evaluation(10), step(20)] {
        folder.log(&record).unwrap();
    }
    let before = text(&folder, "metrics.jsonl");
    // A process killed while it wrote.
    fs::write(folder.root().join("metrics.jsonl"), format!("{before}{{\"kind\":\"st")).unwrap();
    let lines = |count| before.split_inclusive('\n').take(count).collect::<String>();
    for (steps, epochs, kept, last) in [
        (20, 1, 3, Some(step(20))),
        (10, 1, 2, Some(evaluation(10))),
        // Saved after the last step of the epoch and before its validation.
        (10, 0, 1, Some(step(10))),
        (0, 0, 0, None),
    ] {
        assert_eq!(folder.truncate_metrics(steps, epochs).unwrap(), last, "{steps} steps, {epochs} epochs");
        assert_eq!(text(&folder, "metrics.jsonl"), lines(kept));
    }
    folder.log(&step(1)).unwrap();
    assert_eq!(folder.metrics().unwrap(), [step(1)]);
}

#[test]
fn a_broken_line_is_named() {
    let (_parent, folder) = new_folder();
    folder.log(&step(1)).unwrap();
    folder.log(&evaluation(1)).unwrap();
    let damaged = text(&folder, "metrics.jsonl").replace("evaluation", "elevation");
    fs::write(folder.root().join("metrics.jsonl"), damaged).unwrap();
    let error = folder.derive().unwrap_err();
    assert!(error.to_string().contains("metrics.jsonl") && error.to_string().contains("line 2"), "{error}");
}

fn summary(test: bool) -> Summary {
    let figures_of_test =
        [("top1", 0.79), ("top5", 0.98), ("ece", 0.1), ("ece_calibrated", 0.03), ("within_between", 1.93)];
    let figures_of_probe = [("knn_top1", 0.667), ("linear_top1", 0.758)];
    Summary {
        method: "core-tuning".into(),
        model: "resnet50".into(),
        data: "flowers".into(),
        seed: 0,
        epochs: 25,
        steps: 250,
        best: EpochFigures { epoch: 21, figures: Figures::new().with("val_top1", 0.76) },
        test: test.then(|| figures_of_test.into_iter().collect()),
        probe: test.then(|| figures_of_probe.into_iter().collect()),
        top1_interval: test.then_some([0.74, 0.83]),
        above_probe: None,
        temperature: Some(1.4),
        images_per_second: 98.0,
        wall_seconds: 120.5,
        peak_rss_bytes: 1 << 30,
        peak_device_bytes: test.then_some(1 << 34),
        exchange: None,
        coverage: 1.0,
        class_weights: None,
        pseudo_labels: None,
        versions: BTreeMap::from([("coretune".to_string(), "0.1.0".to_string())]),
    }
}

#[test]
fn the_summary_nests_as_its_readers_expect_and_comes_back() {
    let (_parent, folder) = new_folder();
    folder.write_config("").unwrap();
    assert_eq!(folder.read_summary::<Summary>().unwrap(), None);
    for test in [true, false] {
        folder.write_summary(&summary(test)).unwrap();
        assert_eq!(folder.read_summary().unwrap(), Some(summary(test)));
    }
    let written: Value = serde_json::from_str(&text(&folder, "summary.json")).unwrap();
    assert_eq!((&written["test"], &written["probe"]), (&Value::Null, &Value::Null));
    folder.write_summary(&summary(true)).unwrap();
    let written: Value = serde_json::from_str(&text(&folder, "summary.json")).unwrap();
    for pointer in [
        "/method",
        "/model",
        "/data",
        "/seed",
        "/epochs",
        "/steps",
        "/best/epoch",
        "/best/val_top1",
        "/test/top1",
        "/test/top5",
        "/test/ece",
        "/test/ece_calibrated",
        "/test/within_between",
        "/probe/knn_top1",
        "/probe/linear_top1",
        "/images_per_second",
        "/wall_seconds",
        "/peak_rss_bytes",
        "/peak_device_bytes",
        "/coverage",
        "/versions",
    ] {
        assert!(written.pointer(pointer).is_some_and(|value| !value.is_null()), "{pointer}");
    }
    fs::write(folder.root().join("summary.json"), "{}").unwrap();
    assert!(matches!(folder.read_summary::<Summary>(), Err(RunFolderError::Content { .. })));
}

#[test]
fn nothing_written_whole_leaves_a_partial_file() {
    let (_parent, folder) = new_folder();
    folder.write_config("seed = 1\n").unwrap();
    folder.log(&step(1)).unwrap();
    fs::write(folder.log_file(), "data   flowers\n").unwrap();
    folder.write_summary(&summary(true)).unwrap();
    folder.derive().unwrap();
    let mut names: Vec<String> =
        fs::read_dir(folder.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected = [
        ".lock",
        "checkpoints",
        "config.toml",
        "events.out.tfevents.coretune",
        "log.txt",
        "metrics.csv",
        "metrics.jsonl",
        "summary.json",
    ];
    assert_eq!(names, expected);
    assert_eq!(text(&folder, "config.toml"), "seed = 1\n");
    assert_eq!(text(&folder, "log.txt"), "data   flowers\n");
}

#[test]
fn the_table_has_a_row_per_record_and_a_column_per_figure() {
    let (_parent, folder) = new_folder();
    for record in [step(10), evaluation(10)] {
        folder.log(&record).unwrap();
    }
    folder.derive().unwrap();
    let expected = "\
kind,step,epoch,split,loss,top1,lr,anchors_without_positives,classification,contrastive,data_wait_share,\
hardest_positive_cosine,images_per_second,positives_per_anchor,seconds
step,10,2,,2.3,,0.03,1.0,0.9,1.4,0.01,0.30000000000000004,98.0,5.4,12.5
evaluation,10,1,validation,0.8,0.741,,,,,,,,,13.0
";
    assert_eq!(text(&folder, "metrics.csv"), expected);
}

/// The bytes of the `TFRecord`s of an event file.
fn records(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut records = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        records.push(rest[12..12 + length].to_vec());
        rest = &rest[12 + length + 4..];
    }
    records
}

#[test]
fn the_events_hold_a_record_per_line_and_the_same_bytes_every_time() {
    let (_parent, folder) = new_folder();
    for record in [step(300), evaluation(300)] {
        folder.log(&record).unwrap();
    }
    folder.derive().unwrap();
    let path = folder.root().join("events.out.tfevents.coretune");
    let (first, events) = (fs::read(&path).unwrap(), records(&path));
    assert_eq!(events.len(), 3);
    assert!(events[0].ends_with(b"brain.Event:2"));
    // wall_time = 300.0, then step = 300 as a varint.
    assert_eq!(events[2][..12], [&[0x09][..], &300f64.to_le_bytes(), &[0x10, 0xac, 0x02]].concat());
    let holds = |event: &[u8], tag: &str, value: f32| {
        let entry = [&[0x0a, tag.len() as u8][..], tag.as_bytes(), &[0x15], &value.to_le_bytes()].concat();
        event.windows(entry.len()).any(|window| window == entry)
    };
    assert!(holds(&events[1], "train/contrastive", 1.4));
    assert!(holds(&events[2], "validation/top1", 0.741));
    folder.derive().unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
}

#[test]
fn mutated_records_read_or_are_refused() {
    let (_parent, folder) = new_folder();
    for record in [step(10), evaluation(10), step(20)] {
        folder.log(&record).unwrap();
    }
    folder.write_summary(&summary(true)).unwrap();
    for name in ["metrics.jsonl", "summary.json"] {
        let whole = fs::read(folder.root().join(name)).unwrap();
        for number in 0..300 {
            let mut random = coretune::random::stream(20_261_124, coretune::random::Purpose::Subset, 2, number);
            let mut bytes = whole.clone();
            coretune_testing::alter(&mut bytes, &whole, &mut random);
            fs::write(folder.root().join(name), bytes).unwrap();
            let _ = (folder.metrics(), folder.read_summary::<Summary>(), folder.derive());
        }
    }
}
