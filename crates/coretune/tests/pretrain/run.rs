//! A pre-training run from end to end: its files, its names, and going on bit for bit.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use coretune::checkpoints::{Checkpoint, recognise, safetensors_file};
use coretune::config::{Configuration, Layers, PretrainConfig};
use coretune::fit::prepare;
use coretune::models::Architecture;
use coretune::pretrain::PretrainTask;
use coretune::report::pretraining_report;
use coretune::run_folder::{MetricsRecord, PretrainSummary, RunFolder, RunKind};
use coretune::runs::{Job, Options, Prepared, RunError};
use coretune::train::{Event, TrainError};
use coretune_testing::SmallWorld;

/// Two classes of 24 images, in `train` alone or in both splits.
fn two_classes(test: usize) -> SmallWorld {
    SmallWorld::of_classes(&[("a", [60, 120, 180]), ("b", [180, 120, 60])], 24, test)
}

/// A run before its first step.
fn prepared(config: &PretrainConfig) -> Result<PretrainTask, RunError> {
    config.prepare(Options::default(), &mut |_| {})
}

/// A whole run.
fn run(world: &SmallWorld, name: &str, more: &[&str]) -> RunFolder {
    let folder = RunFolder::create(&world.path(name)).unwrap();
    let task = prepared(&world.pretraining(more)).unwrap();
    folder.write_config(&task.config.to_toml()).unwrap();
    task.run(&folder, &mut |_| {}).unwrap();
    folder
}

fn last(folder: &RunFolder) -> Vec<u8> {
    fs::read(folder.last_checkpoint()).unwrap()
}

fn probes(folder: &RunFolder) -> Vec<(u64, Option<f64>)> {
    let record = |record: &MetricsRecord| match record {
        MetricsRecord::Probe(probe) => Some((probe.epoch, probe.figures.get("knn_top1"))),
        _ => None,
    };
    folder.metrics().unwrap().iter().filter_map(record).collect()
}

/// The architecture that a file is recognised as, and its method.
fn recognised(path: &Path) -> (String, Architecture) {
    let checkpoint = Checkpoint::open(path).unwrap();
    let recognised = recognise(&checkpoint, None).unwrap();
    recognised.check_fits(&checkpoint, &recognised.architecture).unwrap();
    (recognised.method.to_string(), recognised.architecture)
}

#[test]
fn a_run_leaves_files_that_are_recognised_as_those_of_its_method() {
    let world = two_classes(24);
    for (method, name) in [("moco-v2", "MoCo v1/v2"), ("simclr", "SimCLR")] {
        let folder = run(&world, method, &[&format!("pretrain.method={method}")]);
        let (found, architecture) = recognised(&folder.last_checkpoint());
        assert!(found.contains(name), "{found}");
        assert_eq!(architecture, prepared(&world.pretraining(&[])).unwrap().architecture);
        let summary = folder.read_summary::<PretrainSummary>().unwrap().unwrap();
        assert_eq!((summary.epochs, summary.steps, summary.images), (3, 18, 48));
        let of_probes = probes(&folder);
        assert_eq!(of_probes.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(of_probes.iter().all(|(_, top1)| top1.is_some()));
        assert_eq!(summary.probe.unwrap().figures.get("knn_top1"), of_probes[3].1);
    }
}

#[test]
fn images_without_classes_are_enough() {
    let world = SmallWorld::unlabelled(24);
    let folder = run(&world, "run", &[]);
    assert!(probes(&folder).iter().all(|(_, top1)| top1.is_none()));
    let probe = folder.read_summary::<PretrainSummary>().unwrap().unwrap().probe.unwrap();
    assert!(probe.figures.get("rank").unwrap() >= 1.0 && probe.figures.get("uniformity").unwrap() <= 0.0);
    assert_eq!(probe.figures.get("alignment"), None);
}

#[test]
fn without_a_probe_no_other_split_is_read() {
    let world = two_classes(24);
    let other = world.data().join("test/c");
    fs::create_dir(&other).unwrap();
    fs::copy(first_image(&world.data().join("test/a")), other.join("1.ppm")).unwrap();
    let refused = prepared(&world.pretraining(&[])).err().unwrap().to_string();
    assert!(refused.contains("class `c` of the test split"), "{refused}");
    let task = prepared(&world.pretraining(&["pretrain.probe_epochs=off"])).unwrap();
    assert_eq!(task.images.len(), 48);
    assert!(task.left_out.iter().any(|one| one.to_string().contains("images of `test`")), "{:?}", task.left_out);
    fs::remove_dir_all(world.data().join("test")).unwrap();
    std::os::unix::fs::symlink("/mnt/nas/test", world.data().join("test")).unwrap();
    assert!(prepared(&world.pretraining(&["pretrain.probe_epochs=off"])).is_ok());
}

#[test]
fn images_that_cannot_be_read_are_skipped_and_listed() {
    let world = two_classes(0);
    let first = first_image(&world.data().join("train/a"));
    fs::write(&first, "<html>").unwrap();
    let refused = prepared(&world.pretraining(&[])).err().unwrap().to_string();
    assert!(refused.contains("it is a web page"), "{refused}");
    let task = prepared(&world.pretraining(&["data.skip_broken=true"])).unwrap();
    assert_eq!((task.images.len(), task.skipped().len()), (47, 1));
    assert!(task.skipped()[0].contains("it is a web page"), "{:?}", task.skipped());
}

/// The image with the first name in a folder, which the run reads first.
fn first_image(folder: &Path) -> std::path::PathBuf {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).min().unwrap()
}

#[test]
fn fine_tuning_takes_size_mean_and_std_from_the_encoder_unless_told_otherwise() {
    let world = two_classes(0);
    let folder = run(&world, "run", &["data.img_size=24", "data.mean=0.5,0.4,0.3", "train.epochs=1"]);
    let input = |path: &Path, more: &[&str]| {
        let paths =
            [format!("checkpoint.path={}", path.display()), format!("data.dir={}", world.path("data").display())];
        let settings = paths.iter().map(String::as_str).chain(["train.batch_size=4"]).chain(more.iter().copied());
        let typed = settings.fold(Layers::defaults(), |typed, text| typed.assignment(text).unwrap());
        prepare(&typed.validate().unwrap()).map(|preparation| preparation.task.input)
    };
    let found = input(folder.root(), &[]).unwrap();
    assert_eq!((found.img_size, found.mean, found.std[0]), (24, [0.5, 0.4, 0.3], 0.2023));
    assert_eq!(input(folder.root(), &["data.img_size=16"]).unwrap().img_size, 16);

    let (metadata, tensors) = safetensors_file::read(folder.last_checkpoint()).unwrap();
    let lying = metadata["coretune"].replace("\"img_size\":24", "\"img_size\":-3");
    let (path, tensors) = (world.path("lying.safetensors"), tensors.into_iter().collect::<Vec<_>>());
    safetensors_file::write(&path, &[("coretune".to_string(), lying)].into(), &tensors).unwrap();
    let error = input(&path, &[]).unwrap_err().to_string();
    assert!(error.contains("lying.safetensors") && error.contains("img_size -3"), "{error}");
}

/// The head of MoCo's queries becomes G_c, with its own number of outputs.
#[test]
fn fine_tuning_can_start_from_the_projection_head_of_the_checkpoint() {
    let world = two_classes(0);
    let folder = run(&world, "run", &["train.epochs=1", "pretrain.dim=12"]);
    let prepared = |path: &Path, more: &[&str]| {
        let paths =
            [format!("checkpoint.path={}", path.display()), format!("data.dir={}", world.path("data").display())];
        let settings = paths.iter().map(String::as_str).chain(["train.batch_size=4"]).chain(more.iter().copied());
        let layers = settings.fold(Layers::defaults(), |layers, text| layers.assignment(text).unwrap());
        prepare(&layers.validate().unwrap())
    };
    let task = prepared(folder.root(), &["method.projection=checkpoint"]).unwrap().task;
    assert_eq!(task.config.method.contrast_dim, 12);
    let (_, tensors) = safetensors_file::read(folder.last_checkpoint()).unwrap();
    let projector = task.projector.unwrap();
    let head = projector.head(tch::Device::Cpu).unwrap().parameters();
    for name in ["0.weight", "2.bias"] {
        assert!(head.get(name).unwrap().tensor.detach().equal(&tensors[&format!("module.encoder_q.fc.{name}")]));
    }

    let unused = prepared(folder.root(), &["method.projection=checkpoint", "method.name=cross-entropy"]).unwrap();
    assert!(unused.task.projector.is_none() && unused.notes.iter().any(|note| note.contains("method.projection")));
    let without: Vec<_> = tensors.into_iter().filter(|(name, _)| !name.contains("fc.2")).collect();
    let path = world.path("without.safetensors");
    safetensors_file::write(&path, &BTreeMap::new(), &without).unwrap();
    let error = prepared(&path, &["method.projection=checkpoint"]).err().unwrap();
    assert!(
        error.to_string().contains("found module.encoder_q.fc.0.bias [64], module.encoder_q.fc.0.weight [64, 64]"),
        "{error}"
    );
}

#[test]
fn a_report_tells_before_and_after_and_an_unfinished_run_as_far_as_it_went() {
    let world = two_classes(0);
    let folder = run(&world, "run", &[]);
    let page = || pretraining_report(&[folder.root()]).unwrap();
    let first = page();
    let probes = probes(&folder);
    let (before, after) = (probes[0].1.unwrap(), probes[3].1.unwrap());
    assert!(first.contains(&format!("random weights {:.1}\u{a0}%", 100.0 * before)));
    assert!(first.contains(&format!("worth {:+.1} points", 100.0 * (after - before))));
    assert!(first == page(), "the same records give the same bytes");

    folder.remove_summary().unwrap();
    folder.truncate_metrics(6, 1).unwrap();
    let unfinished = page();
    assert!(unfinished.contains("has not finished") && unfinished.contains("Loss and its terms"));
    assert!(
        unfinished.contains("aria-label=\"Nearest neighbours\"")
            && unfinished.contains("aria-label=\"Effective rank\"")
    );

    let unlabelled = SmallWorld::unlabelled(24);
    let page = pretraining_report(&[run(&unlabelled, "run", &[]).root()]).unwrap();
    assert!(page.contains("There were no labels") && !page.contains("aria-label=\"Nearest neighbours\""));
}

#[test]
fn a_run_that_was_stopped_anywhere_ends_with_the_same_bytes_and_metrics() {
    let world = two_classes(0);
    for method in ["pretrain.method=moco-v2", "pretrain.method=simclr"] {
        let whole = run(&world, &format!("{method} whole"), &[method]);
        for stop_after in [1, 6, 11] {
            let folder = RunFolder::create(&world.path(&format!("{method} {stop_after}"))).unwrap();
            let task = prepared(&world.pretraining(&[method])).unwrap();
            let stop = task.stop.clone();
            let mut steps = 0;
            let error = task.run(&folder, &mut |event| {
                if let Event::Step(_) = event {
                    steps += 1;
                    if steps == stop_after {
                        stop.request();
                    }
                }
            });
            assert!(matches!(error, Err(RunError::Train(TrainError::Interrupted { saved: Some(_) }))), "{error:?}");
            let again = prepared(&world.pretraining(&[method])).unwrap();
            again.run(&folder, &mut |_| {}).unwrap();
            assert!(last(&folder) == last(&whole), "{method}, stopped after {stop_after}");
            assert_eq!(folder.metrics().unwrap().len(), whole.metrics().unwrap().len());
            assert_eq!(probes(&folder), probes(&whole));
        }
    }
}

#[test]
fn the_state_holds_the_queue_its_place_and_both_encoders() {
    let world = two_classes(0);
    let folder = run(&world, "run", &["pretrain.queue_size=16"]);
    let (_, tensors) = safetensors_file::read(folder.last_checkpoint()).unwrap();
    assert_eq!(tensors["module.queue"].size(), [128, 16]);
    // 18 steps of 8 keys, in a queue of 16.
    assert_eq!(tensors["module.queue_ptr"].int64_value(&[0]), (18 * 8) % 16);
    for name in [
        "module.encoder_q.conv1.weight",
        "module.encoder_k.fc.2.bias",
        "optimizer.momentum.module.encoder_q.fc.0.weight",
    ] {
        assert!(tensors.contains_key(name), "{name}");
    }
    assert!(!tensors.keys().any(|name| name.starts_with("optimizer") && name.contains("encoder_k")));
}

#[test]
fn the_resolved_configuration_repeats_the_run() {
    let world = two_classes(0);
    let task = prepared(&world.pretraining(&[])).unwrap();
    let path = world.path("config.toml");
    fs::write(&path, task.config.to_toml()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("queue_size = 8") && !text.contains("num_classes") && !text.contains("[method]"), "{text}");
    let again = Layers::defaults_of(RunKind::Pretraining).file(&path).unwrap().validate_pretraining().unwrap();
    assert_eq!(again.to_table(), task.config.to_table());
}

#[test]
fn batch_norm_has_two_groups_or_more_of_32_images_at_most_and_views_are_those_of_the_method() {
    let config = |settings: &[&str]| {
        let typed = Layers::defaults_of(RunKind::Pretraining).assignment("data.dir=x").unwrap();
        let typed = settings.iter().fold(typed, |typed, text| typed.assignment(text).unwrap());
        typed.validate_pretraining().unwrap()
    };
    for (batch, groups) in [(256, 8), (32, 2), (40, 2), (100, 4), (48, 2), (66, 3), (37, 1), (4, 2), (2, 1)] {
        let config = config(&[&format!("train.batch_size={batch}")]);
        assert_eq!(config.bn_groups(), groups, "{batch}");
        assert_eq!(config.warnings().is_empty(), groups > 1, "{batch}");
    }
    let simclr = config(&["pretrain.method=simclr"]);
    assert_eq!((simclr.view().least_area, simclr.view().jitter_strength), (0.08, 1.0));
    let moco = config(&["pretrain.jitter=0.3"]);
    assert_eq!((moco.view().least_area, moco.view().jitter_strength), (0.2, 0.3));
    assert!(config(&["pretrain.method=simclr", "train.opt=lars"]).warnings()[0].contains("0.3 x batch / 256"));
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_computed() {
    let world = two_classes(0);
    let refused = |more: &[&str]| {
        let typed = Layers::defaults_of(RunKind::Pretraining).assignment("data.dir=x").unwrap();
        let typed = more.iter().fold(typed, |typed, text| typed.assignment(text).unwrap());
        typed.validate_pretraining().unwrap_err()
    };
    assert!(
        refused(&["pretrain.queue_size=100", "train.batch_size=64"])
            .hint()
            .unwrap()
            .to_string()
            .contains("pretrain.queue_size")
    );
    assert!(refused(&["pretrain.bn_groups=3"]).hint().unwrap().to_string().contains("pretrain.bn_groups"));
    let error = prepared(&world.pretraining(&["train.batch_size=64"])).err().unwrap();
    assert!(matches!(error, RunError::Train(TrainError::BatchTooLarge { batch: 64, images: 48, ranks: 1 })), "{error}");
}
