use coretune::data::{Dataset, DatasetOptions};
use coretune::engine::Stop;
use coretune::evaluate::Measure;
use coretune::evaluate::figure::MEAN_IOU;
use coretune::models::PixelViews;
use coretune::run_folder::{RunFolder, RunKind};
use coretune::segment::SegmentationEvaluator;
use coretune::train::load_segmenter;
use coretune_testing::SmallWorld;
use tch::Device;

use super::run;

/// Each method learns four images by heart, as far as a map with a position for 8 x 8 pixels can show their edges; the
/// kept network says so on its own. Ground everywhere would be 0.25.
#[test]
fn four_images_are_learned_by_heart() {
    let world = SmallWorld::with_masks(4);
    for method in ["core-tuning", "scl", "cross-entropy"] {
        let method_setting = format!("method.name={method}");
        let config = world.segmentation(&[
            &method_setting,
            "run.probe=false",
            "train.epochs=60",
            "train.lr=0.1",
            "segmentation.least_scale=1.0",
            "segmentation.most_scale=1.0",
            "train.select=last",
        ]);
        let folder = RunFolder::create(&world.path(method)).unwrap();
        let finished = run(&folder, &config, |_| false).unwrap();
        assert_eq!(folder.kind().unwrap(), RunKind::Segmentation);
        assert_eq!(finished.summary.epochs, 60);

        let (network, description) = load_segmenter(&folder.best_segmenter().unwrap(), Device::Cpu).unwrap();
        assert_eq!(description.classes.len(), 3);
        let train = Dataset::open(world.data(), &DatasetOptions::default()).unwrap().train.unwrap();
        let measured = SegmentationEvaluator::new(PixelViews::default(), 1, Stop::default())
            .unwrap()
            .measure(&network, &train)
            .unwrap();
        let mean_iou = measured.figures().get(MEAN_IOU.name).unwrap();
        println!("{method}: mean IoU {mean_iou:.3} on the images it was trained on");
        assert!(mean_iou > 0.6, "{method}: {mean_iou}");
    }
}
