//! Images without labels: which are used, which labels they get, and that nothing of validation and test gets in.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use coretune::config::{RunConfig, RunSection};
use coretune::data::{ImageSource, Split};
use coretune::engine::Stop;
use coretune::fit::{Preparation, prepare};
use coretune::predict::{self, Prediction, Predictor};
use coretune::run_folder::{PseudoLabelRecord, RunFolder, Summary};
use coretune::runs::{self, Changes, Options, Resumed, RunError};
use coretune::train::{Event, TrainError};
use coretune_testing::SmallWorld;

const REST: [&str; 4] = ["data.unlabelled=rest", "data.per_class=4", "data.propagation_neighbours=5", "run.threads=1"];

fn names(split: &Split) -> BTreeSet<String> {
    split.images().iter().map(ToString::to_string).collect()
}

fn folder(config: &RunConfig, key: &str, path: &Path) -> RunConfig {
    let mut config = config.clone();
    match key {
        "output" => config.run.output = Some(path.to_path_buf()),
        _ => config.data.unlabelled = Some(path.to_path_buf()),
    }
    config
}

fn records(run: &Path) -> Vec<PseudoLabelRecord> {
    let mut reader = csv::Reader::from_path(run.join("pseudo_labels.csv")).unwrap();
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}

/// Copies images into a folder under new names.
fn copy<'a>(images: impl Iterator<Item = &'a ImageSource>, to: &Path, prefix: &str) {
    fs::create_dir_all(to).unwrap();
    for (number, image) in images.enumerate() {
        fs::copy(image.to_string(), to.join(format!("{prefix}{number}.ppm"))).unwrap();
    }
}

#[test]
fn the_rest_of_training_joins_the_labelled_images_and_nothing_else_does() {
    let world = SmallWorld::new(20, 4);
    let balanced = "train.class_weights=balanced";
    let Preparation { task, .. } = prepare(&world.config(&[&REST[..], &[balanced]].concat())).unwrap();
    let without = prepare(&world.config(&["data.per_class=4", balanced])).unwrap().task;
    let (pool, labelled) = (names(task.training_split()), names(&task.splits.train));
    assert_eq!(labelled, names(&without.splits.train), "the labelled budget stays as it is");
    let set_aside: HashSet<String> =
        names(&task.splits.validation).into_iter().chain(names(task.splits.test.as_ref().unwrap())).collect();
    assert!(labelled.is_subset(&pool) && pool.iter().all(|name| !set_aside.contains(name)));
    let summary = task.unlabelled.as_ref().unwrap().summary();
    assert_eq!(summary.unlabelled, 60 - task.splits.train.len() - task.splits.validation.len());
    assert_eq!(summary.kept, pool.len() - labelled.len());
    assert_eq!(summary.classes.values().sum::<usize>(), summary.kept);
    let half = summary.unlabelled.div_ceil(2);
    assert!(summary.kept >= half && summary.kept <= half + 2, "half of each of three labels: {summary:?}");
    // The classes are colours, of which the features are not sure where random weights mix them.
    assert_eq!(summary.kept_accuracy, Some(1.0));
    assert!(summary.accuracy.is_some_and(|accuracy| accuracy > 0.6 && accuracy <= 1.0), "{summary:?}");
    let truth = |name: &str| ["blue", "green", "red"].iter().position(|class| name.contains(&format!("/{class}/")));
    for (image, label) in task.training_split().images().iter().zip(task.training_split().labels()) {
        assert_eq!(truth(&image.to_string()), Some(*label as usize));
    }
    assert_eq!(task.class_weights(), without.class_weights());
    assert_eq!(task.steps_per_epoch().unwrap(), pool.len() as u64 / 8);
}

/// The same images below a folder of a class that does not exist get the same labels as by their own folders.
#[test]
fn labels_that_folders_imply_are_not_read() {
    let world = SmallWorld::new(12, 4);
    let settings = [&REST[..], &["data.pseudo_label_fraction=1"]].concat();
    let of_rest = prepare(&world.config(&settings)).unwrap().task;
    let splits = &of_rest.splits;
    let used: HashSet<String> = names(&splits.train).union(&names(&splits.validation)).cloned().collect();
    let outside = world.path("outside");
    let rest = of_rest.training_split().images().iter().filter(|image| !used.contains(&image.to_string()));
    copy(rest, &outside.join("no/class"), "");
    let of_folder = prepare(&folder(&world.config(&settings), "unlabelled", &outside)).unwrap().task;
    let labels = |split: &Split| -> HashMap<Vec<u8>, i64> {
        let bytes = split.images().iter().map(|image| image.bytes().unwrap().into_owned());
        bytes.zip(split.labels().iter().copied()).collect()
    };
    assert_eq!(labels(of_folder.training_split()), labels(of_rest.training_split()));
    let summary = of_folder.unlabelled.as_ref().unwrap().summary();
    assert_eq!((summary.accuracy, summary.kept_accuracy), (None, None), "no truth is known");
}

#[test]
fn copies_of_test_validation_and_labelled_images_are_left_out_and_counted() {
    let world = SmallWorld::new(12, 4);
    let settings = ["data.per_class=8", "data.propagation_neighbours=5"];
    let task = prepare(&world.config(&settings)).unwrap().task;
    let (splits, unlabelled) = (&task.splits, world.path("unlabelled"));
    copy(splits.test.as_ref().unwrap().images().iter().take(5), &unlabelled.join("a"), "test");
    copy(splits.validation.images().iter().take(2), &unlabelled.join("a/b"), "val");
    copy(splits.train.images().iter().take(3), &unlabelled, "train");
    let used: HashSet<String> = names(&splits.train).union(&names(&splits.validation)).cloned().collect();
    let all = prepare(&world.config(&[])).unwrap().task.splits;
    let further = all.train.images().iter().chain(all.validation.images());
    let further: Vec<&ImageSource> = further.filter(|image| !used.contains(&image.to_string())).collect();
    copy(further.iter().copied(), &unlabelled.join("red"), "");
    copy(further.iter().copied().take(1), &unlabelled.join("twice"), "");
    fs::write(unlabelled.join("broken.png"), b"\x89PNG\r\n\x1a\nnothing").unwrap();

    let config = folder(&world.config(&settings), "unlabelled", &unlabelled);
    let task = prepare(&config).unwrap().task;
    let summary = task.unlabelled.as_ref().unwrap().summary();
    let left_out: Vec<(&str, usize)> = summary.left_out.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
    assert_eq!(left_out, [("labelled", 3), ("repeated", 1), ("test", 5), ("unreadable", 1), ("validation", 2)]);
    assert_eq!(summary.unlabelled, further.len());
    let of_test = |image: &ImageSource| {
        let bytes = image.bytes().unwrap().to_vec();
        let mut known = splits.test.iter().chain([&splits.validation]).flat_map(Split::images);
        known.any(|other| other.bytes().unwrap().to_vec() == bytes)
    };
    assert!(!task.training_split().images().iter().any(of_test));
}

/// A folder of nothing but known images, a folder without images, and a budget that leaves nothing.
#[test]
fn without_an_image_to_use_it_is_refused_in_a_sentence() {
    let world = SmallWorld::new(6, 4);
    let refused = |config: &RunConfig| prepare(config).err().unwrap().to_string();
    let copies = world.path("copies");
    copy(prepare(&world.config(&[])).unwrap().task.splits.test.unwrap().images().iter(), &copies, "");
    let text = refused(&folder(&world.config(&[]), "unlabelled", &copies));
    assert!(text.ends_with("12 images: 12 with the bytes of a test image"), "{text}");
    let missing = refused(&folder(&world.config(&[]), "unlabelled", &world.path("nowhere")));
    assert!(missing.contains("nowhere"), "{missing}");
    let text = refused(&world.config(&["data.unlabelled=rest", "data.per_class=6"]));
    assert!(text.contains("rest holds no unlabelled image to use: 0 images"), "{text}");
}

/// Stopped and resumed, with a batch of the balanced sampler too, it ends with the same bytes.
#[test]
fn stopped_after_a_step_it_ends_with_the_same_bytes() {
    let world = SmallWorld::new(12, 4);
    for (name, more) in [("pool", vec![]), ("balanced", vec!["data.sampler=balanced", "method.name=scl"])] {
        let config = world.config(&[&REST[..], &more].concat());
        let begin = |run: &Path, steps: u64| {
            let stop = Stop::default();
            let options = Options { stop: stop.clone(), ..Options::default() };
            let mut observer = |event: &runs::Event<'_, RunConfig>| {
                if matches!(event, runs::Event::Work(Event::Step(report)) if report.step == steps) {
                    stop.request();
                }
            };
            runs::begin(&folder(&config, "output", run), options, &mut observer)
        };
        let resume =
            |run: &Path| runs::resume::<RunConfig>(run, &Changes::none(), Options::default(), &mut |_| {}).unwrap();
        let file = |run: &Path, name: &str| fs::read(run.join(name)).unwrap();
        let whole = world.path(&format!("{name}-whole"));
        begin(&whole, u64::MAX).unwrap();
        for step in [1, 3] {
            let run = world.path(&format!("{name}-{step}"));
            let error = begin(&run, step).unwrap_err();
            let RunError::UnderWay(error) = error else { panic!("{error}") };
            assert!(matches!(*error, RunError::Train(TrainError::Interrupted { .. })), "{error}");
            assert!(matches!(resume(&run), Resumed::Finished(_)));
            for name in ["checkpoints/last.safetensors", "checkpoints/best.safetensors", "pseudo_labels.csv"] {
                assert!(file(&run, name) == file(&whole, name), "{name} after step {step}");
            }
        }
    }
}

#[test]
fn a_run_records_its_pseudo_labels_and_is_not_resumed_with_other_images() {
    let world = SmallWorld::new(12, 4);
    let unlabelled = world.path("unlabelled");
    let mine = prepare(&world.config(&["data.per_class=4"])).unwrap().task;
    let used: HashSet<String> = names(&mine.splits.train).union(&names(&mine.splits.validation)).cloned().collect();
    let all = prepare(&world.config(&[])).unwrap().task.splits;
    copy(all.train.images().iter().filter(|image| !used.contains(&image.to_string())), &unlabelled, "");
    let run = world.path("run");
    let config = world.config(&["data.per_class=4", "data.propagation_neighbours=5", "data.unlabelled=off"]);
    let config = folder(&folder(&config, "unlabelled", &unlabelled), "output", &run);
    let stop = Stop::default();
    let options = Options { stop: stop.clone(), ..Options::default() };
    let mut observer = |event: &runs::Event<'_, RunConfig>| {
        if matches!(event, runs::Event::Work(Event::Step(report)) if report.step == 2) {
            stop.request();
        }
    };
    assert!(runs::begin(&config, options, &mut observer).is_err());
    let provenance = RunFolder::open(&run).unwrap().read_provenance().unwrap().unwrap();
    assert!(["train", "unlabelled", "pseudo_labels"].iter().all(|name| provenance.data.contains_key(*name)));

    let moved: PathBuf = unlabelled.join("0.ppm");
    let bytes = fs::read(&moved).unwrap();
    fs::remove_file(&moved).unwrap();
    let resume = || runs::resume::<RunConfig>(&run, &Changes::none(), Options::default(), &mut |_| {});
    let error = resume().err().unwrap();
    assert!(error.to_string().starts_with("set of unlabelled images used with"), "{error}");
    fs::write(&moved, bytes).unwrap();
    let Resumed::Finished(finished) = resume().unwrap() else { panic!("it had not ended") };

    let recorded = records(&run);
    let summary = finished.summary.pseudo_labels.clone().unwrap();
    assert_eq!(recorded.len(), summary.unlabelled);
    assert_eq!(recorded.iter().filter(|record| record.kept).count(), summary.kept);
    let least = recorded.iter().filter(|record| record.kept).map(|record| record.certainty).fold(1.0, f64::min);
    assert!((least - summary.least_certainty).abs() < 1e-12);
    assert!(finished.summary.probe.as_ref().unwrap().get("propagation_top1").is_some());
    let written: Summary = RunFolder::open(&run).unwrap().read_summary().unwrap().unwrap();
    assert_eq!(written.pseudo_labels, Some(summary));
}

/// The model of a run labels the images of the next; only a finished run with the same validation and test images may.
#[test]
fn finished_runs_label_the_images_of_the_next_one() {
    let world = SmallWorld::new(16, 4);
    let settings = [&REST[..], &["method.name=cross-entropy", "train.epochs=6", "train.lr=0.1"]].concat();
    let start = |run: &str, more: &[&str], from: &[&str]| {
        let mut config = folder(&world.config(&[&settings[..], more].concat()), "output", &world.path(run));
        config.data.pseudo_labels_from = from.iter().map(|name| world.path(name)).collect();
        runs::begin(&config, Options::default(), &mut |_| {})
    };
    let first = start("first", &[], &[]).unwrap();
    start("other-method", &["method.name=scl"], &[]).unwrap();
    let second = start("second", &[], &["first"]).unwrap();
    let pseudo_labels = second.summary.pseudo_labels.unwrap();
    assert_eq!(pseudo_labels.runs, [world.path("first").display().to_string()]);
    assert!(second.summary.probe.unwrap().get("propagation_top1").is_none());
    // What the model of the first run says of the images, by another way.
    let options = predict::Options { top_k: 1, batch_size: 4, workers: 1, tta: None, calibrated: false };
    let predictor = Predictor::open(&world.path("first"), &config_of_machine(&world), options).unwrap();
    let recorded = records(&world.path("second"));
    let images: Vec<PathBuf> = recorded.iter().map(|record| PathBuf::from(&record.image)).collect();
    let mut predicted = Vec::new();
    let mut take = |prediction: Prediction| {
        predicted.push(prediction.outcome.unwrap()[0].label.clone());
        Ok(())
    };
    predictor.predict(&images, &mut take, &mut |_| {}).unwrap();
    assert_eq!(predicted, recorded.into_iter().map(|record| record.class).collect::<Vec<_>>());
    let third = start("third", &[], &["second", "other-method"]).unwrap().summary.pseudo_labels.unwrap();
    assert_eq!((third.runs.len(), third.unlabelled), (2, first.summary.pseudo_labels.unwrap().unlabelled));

    let refused = |run, more: &[&str], from: &[&str]| start(run, more, from).unwrap_err().to_string();
    let text = refused("a", &["train.seed=1"], &["first"]);
    assert!(text.contains("first has other validation images than this run"), "{text}");
    fs::remove_file(world.path("first").join("summary.json")).unwrap();
    let text = refused("b", &[], &["first"]);
    assert!(text.ends_with("first has not finished"), "{text}");
    refused("c", &[], &["nowhere"]);
}

fn config_of_machine(world: &SmallWorld) -> RunSection {
    world.config(&["run.threads=1"]).run
}

/// A colour between two.
fn between(from: [f64; 3], to: [f64; 3], at: f64) -> [u8; 3] {
    [0, 1, 2].map(|channel| (from[channel] + at * (to[channel] - from[channel])).round() as u8)
}

fn write_colour(path: &Path, colour: [u8; 3], number: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut bytes = b"P6 16 16 255\n".to_vec();
    let noise = |place: usize| ((place * 7919 + number * 104_729) % 11) as u8;
    bytes.extend((0..768).map(|place| colour[place % 3].saturating_add(noise(place)).saturating_sub(5)));
    fs::write(path, bytes).unwrap();
}

/// Two chains of colours, labelled at one end each; the other end of each is nearer to the labels of the other chain. What
/// lies between, without labels, leads there.
#[test]
fn unlabelled_images_carry_labels_where_the_labelled_ones_mislead() {
    let world = SmallWorld::new(0, 0);
    let chains =
        [("warm", [210.0, 30.0, 30.0], [210.0, 210.0, 30.0]), ("cool", [110.0, 210.0, 110.0], [30.0, 30.0, 210.0])];
    let data = world.data();
    for (class, from, to) in chains {
        let write = |folder: PathBuf, count: usize, first: f64, last: f64| {
            for number in 0..count {
                let at = first + (last - first) * number as f64 / count as f64;
                write_colour(&folder.join(format!("{class}{number}.ppm")), between(from, to, at), number);
            }
        };
        write(data.join("train").join(class), 6, 0.0, 0.06);
        write(data.join("val").join(class), 4, 0.01, 0.07);
        write(data.join("test").join(class), 12, 0.5, 1.0);
        write(world.path("unlabelled"), 60, 0.003, 1.003);
    }
    let settings = ["data.propagation_neighbours=4", "data.pseudo_label_fraction=1", "run.threads=1"];
    let config = folder(&world.config(&settings), "unlabelled", &world.path("unlabelled"));
    let Preparation { task, backbone, .. } = prepare(&config).unwrap();
    let frozen = task.probe(&backbone, &mut |_| {}).unwrap();
    let right = |(image, label): (&ImageSource, &i64)| {
        let is_warm = image.to_string().contains("warm");
        task.classes[*label as usize] == if is_warm { "warm" } else { "cool" }
    };
    let pool = task.training_split();
    let wrong = pool.images().iter().zip(pool.labels()).filter(|pair| !right(*pair)).count();
    let propagated = frozen.propagation_top1.unwrap();
    println!("kNN {}, probe {}, propagated {propagated}, {wrong} wrong", frozen.knn_top1, frozen.linear_top1);
    assert_eq!(wrong, 0);
    assert!(propagated > 0.95 && frozen.linear_top1 < 0.9 && frozen.knn_top1 < 0.9);
}
