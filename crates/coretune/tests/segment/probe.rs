use std::cell::RefCell;

use coretune::evaluate::figure::MEAN_IOU;
use coretune::run_folder::{RunFolder, SegmentationSummary};
use coretune::train::Event;
use coretune_testing::SmallWorld;

use super::run;

#[test]
fn the_probe_is_measured_beside_random_weights_and_a_linear_head_starts_from_it() {
    let world = SmallWorld::with_masks(8);
    let config = world.segmentation(&[
        "segmentation.head=linear",
        "method.name=cross-entropy",
        "method.head_init=linear-probe",
        "train.lr=1e-9",
        "train.weight_decay=0",
        "train.epochs=1",
        "model.freeze_batch_norm=true",
    ]);
    let folder = RunFolder::create(&world.path("run")).unwrap();
    let notes = RefCell::new(Vec::new());
    let see = |event: &Event| {
        if let Event::Note(note) = event {
            notes.borrow_mut().push(note.clone());
        }
        false
    };
    run(&folder, &config, see).unwrap();
    let summary: SegmentationSummary = folder.read_summary().unwrap().unwrap();
    let iou = |figures: &Option<coretune::figures::Figures>| figures.as_ref().unwrap().get(MEAN_IOU.name).unwrap();
    let (probe, random, test) = (iou(&summary.probe), iou(&summary.probe_of_random_weights), iou(&summary.test));
    assert!(random > 0.0 && random.is_finite());
    // At a learning rate of almost 0 the network stays what the probe is.
    assert!((probe - test).abs() < 1e-6, "probe {probe}, after training {test}");
    let above = summary.above_probe.unwrap();
    assert!(above.difference.abs() < 1e-6 && above.low <= above.high);
    assert!(notes.borrow().iter().any(|note| note.contains("random weights")), "{:?}", notes.borrow());
}
