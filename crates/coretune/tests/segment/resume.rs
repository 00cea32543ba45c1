use coretune::run_folder::{RunFolder, SegmentationSummary};
use coretune::runs::RunError;
use coretune::train::{Event, TrainError};
use coretune_testing::SmallWorld;

use super::{checkpoints, run};

/// Ten images in batches of 4 are two steps an epoch: stopped within an epoch, and in the next one.
#[test]
fn stopped_within_an_epoch_it_ends_with_the_same_bytes() {
    let world = SmallWorld::with_masks(10);
    for (name, settings) in [
        ("core-tuning", vec!["run.probe=false", "segmentation.dropout=0.5", "segmentation.auxiliary=true"]),
        ("average", vec!["run.probe=false", "method.name=scl", "train.model_ema=0.9", "train.opt=adamw"]),
        ("sharpness", vec!["run.probe=false", "train.sam=0.05", "method.regulariser=spd", "segmentation.dropout=0.5"]),
        ("pulled", vec!["run.probe=false", "method.name=bss", "method.regulariser=l2-sp", "train.sam=0.05"]),
        ("redrawn", vec!["run.probe=false", "method.name=rifle", "train.epochs=4"]),
        ("two-parts", vec!["run.probe=false", "method.name=coin", "train.grad_accum_steps=2", "train.batch_size=2"]),
        ("triplets", vec!["run.probe=false", "method.name=mix-and-match"]),
        ("head-alone", vec!["run.probe=false", "method.head_init=linear-probe", "method.name=l2-sp"]),
    ] {
        let config = world.segmentation(&settings);
        let whole = RunFolder::create(&world.path(&format!("{name}-whole"))).unwrap();
        run(&whole, &config, |_| false).unwrap();
        for stop_after in [1, 3] {
            let folder = RunFolder::create(&world.path(&format!("{name}-{stop_after}"))).unwrap();
            let stops = |event: &Event| matches!(event, Event::Step(report) if report.step == stop_after);
            let error = run(&folder, &config, stops).unwrap_err();
            assert!(matches!(error, RunError::Train(TrainError::Interrupted { .. })), "{name}: {error}");
            assert!(folder.read_summary::<SegmentationSummary>().unwrap().is_none());
            run(&folder, &config, |_| false).unwrap();
            assert!(checkpoints(folder.root()) == checkpoints(whole.root()), "{name}, stopped after {stop_after}");
        }
    }
}

#[test]
fn the_seed_decides_the_weights() {
    let world = SmallWorld::with_masks(8);
    let last = |name: &str, seed: &str| {
        let folder = RunFolder::create(&world.path(name)).unwrap();
        run(&folder, &world.segmentation(&["run.probe=false", "train.epochs=1", seed]), |_| false).unwrap();
        checkpoints(folder.root())
    };
    let first = last("first", "train.seed=1");
    assert!(first == last("again", "train.seed=1"), "one seed");
    assert!(first != last("other", "train.seed=2"), "two seeds");
}
