use std::fs;
use std::path::PathBuf;

use coretune::data::{Dataset, DatasetOptions};
use coretune::engine::{Stop, World};
use coretune::evaluate::Measure;
use coretune::evaluate::figure::MEAN_IOU;
use coretune::models::PixelViews;
use coretune::run_folder::{RunFolder, RunKind};
use coretune::saved_models::load_segmenter;
use coretune::segment::SegmentationEvaluator;
use coretune_testing::SmallWorld;
use tch::Device;

use super::run;

/// Each method learns four images by heart, as far as a map with a position for 8 x 8 pixels can show their edges; the
/// kept network says so on its own. Ground everywhere would be 0.25.
#[test]
fn four_images_are_learned_by_heart() {
    let world = SmallWorld::with_masks(4);
    for (method, option) in [
        ("core-tuning", "train.seed=0"),
        ("scl", "train.seed=0"),
        ("cross-entropy", "train.seed=0"),
        ("bss", "train.sam=0.02"),
        ("mix-and-match", "method.regulariser=spd"),
    ] {
        let method_setting = format!("method.name={method}");
        let config = world.segmentation(&[
            &method_setting,
            option,
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
        let measured = SegmentationEvaluator::new(PixelViews::default(), 1, (Stop::default(), World::Alone))
            .unwrap()
            .measure(&network, &train)
            .unwrap();
        let mean_iou = measured.figures().get(MEAN_IOU.name).unwrap();
        println!("{method}: mean IoU {mean_iou:.3} on the images it was trained on");
        assert!(mean_iou > 0.6, "{method}: {mean_iou}");
    }
}

/// The images and masks of a small world as a `VOCdevkit`, with lists in place of folders.
fn voc_devkit(world: &SmallWorld) -> PathBuf {
    let root = world.path("VOCdevkit");
    let inside = root.join("VOC2012");
    for folder in ["JPEGImages", "SegmentationClass", "ImageSets/Segmentation"] {
        fs::create_dir_all(inside.join(folder)).unwrap();
    }
    for (split, list) in [("train", "train"), ("val", "val")] {
        let mut stems = Vec::new();
        for (of, folder) in [(split.to_string(), "JPEGImages"), (format!("{split}annot"), "SegmentationClass")] {
            for file in fs::read_dir(world.data().join(of)).unwrap() {
                let path = file.unwrap().path();
                let stem = format!("{split}_{}", path.file_stem().unwrap().to_string_lossy());
                image::open(&path).unwrap().save(inside.join(folder).join(format!("{stem}.png"))).unwrap();
                stems.push(stem);
            }
        }
        stems.sort();
        stems.dedup();
        fs::write(inside.join(format!("ImageSets/Segmentation/{list}.txt")), stems.join("\n")).unwrap();
    }
    root
}

/// A run of the recipe's network and of DeepLab-V3+, from the layout of VOC; validated and evaluated in windows.
#[test]
fn a_run_from_the_layout_of_voc() {
    let world = SmallWorld::with_masks(4);
    let data = format!("data.dir={}", voc_devkit(&world).display());
    for head in ["deeplabv3", "deeplabv3plus"] {
        let head_setting = format!("segmentation.head={head}");
        let config = world.segmentation(&[
            &data,
            &head_setting,
            "run.probe=false",
            "train.epochs=2",
            "segmentation.window=24",
            "segmentation.auxiliary=true",
        ]);
        let folder = RunFolder::create(&world.path(head)).unwrap();
        let finished = run(&folder, &config, |_| false).unwrap();
        assert_eq!((finished.split, finished.images), ("validation", 2), "{head}");
        assert_eq!(finished.summary.class_iou.len(), 21, "{head}");
        let (network, description) = load_segmenter(&folder.best_segmenter().unwrap(), Device::Cpu).unwrap();
        assert_eq!((description.head.name(), network.classes()), (head, 21));
    }
}

#[test]
fn single_images_are_trained_on_where_batch_norm_needs_no_others() {
    let world = SmallWorld::with_masks(4);
    let settings = ["run.probe=false", "train.epochs=1", "train.batch_size=1"];
    for more in
        [["model.freeze_batch_norm=true", "segmentation.dropout=0.1"], ["segmentation.head=fcn", "train.lr=0.01"]]
    {
        let config = world.segmentation(&[&settings[..], &more].concat());
        let finished = run(&RunFolder::create(&world.path(more[0])).unwrap(), &config, |_| false).unwrap();
        assert_eq!(finished.summary.steps, 4, "{more:?}");
    }
}
