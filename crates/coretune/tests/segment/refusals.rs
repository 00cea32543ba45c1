use coretune::config::{Layers, RunKind};
use coretune::runs::{Job, Options};
use coretune_testing::SmallWorld;

#[test]
fn methods_that_read_more_than_rows_and_labels_are_refused() {
    let world = SmallWorld::with_masks(4);
    for (method, reads) in [("delta", "the maps of each stage"), ("bi-tuning", "several views")] {
        let config = world.segmentation(&[&format!("method.name={method}")]);
        let error = config.prepare(Options::default(), &mut |_| {}).err().expect("refused").to_string();
        assert!(error.contains(method) && error.contains(reads), "{error}");
    }
}

#[test]
fn the_pull_on_maps_is_refused_and_so_is_a_pull_that_the_method_has() {
    let refused = |settings: &[&str]| {
        let layers = Layers::defaults_of(RunKind::Segmentation).assignment("data.dir=street").unwrap();
        let layers = layers.assignment("checkpoint.path=moco.pth").unwrap();
        let layers = settings.iter().fold(layers, |layers, text| layers.assignment(text).unwrap());
        format!("{:?}", layers.validate_segmentation().unwrap_err())
    };
    let maps = refused(&["method.regulariser=delta", "method.name=scl"]);
    assert!(maps.contains("method.regulariser") && maps.contains("l2-sp or spd"), "{maps}");
    let twice = refused(&["method.regulariser=l2-sp", "method.name=l2-sp"]);
    assert!(twice.contains("a pull of its own"), "{twice}");
    let mixed = Layers::defaults_of(RunKind::Segmentation).assignment("data.mixup=0.2").unwrap();
    let mixed = mixed.assignment("data.dir=street").unwrap().assignment("checkpoint.path=moco.pth").unwrap();
    assert!(format!("{:?}", mixed.validate_segmentation().unwrap_err()).contains("data.mixup"));
}

#[test]
fn images_without_masks_are_refused_and_images_with_masks_are_no_classes() {
    let classes = SmallWorld::new(4, 2);
    let error = classes.segmentation(&[]).prepare(Options::default(), &mut |_| {}).err().expect("refused");
    assert!(error.to_string().ends_with("has no masks"), "{error}");
    let masks = SmallWorld::with_masks(4);
    let error = masks.config(&[]).prepare(Options::default(), &mut |_| {}).err().expect("refused");
    assert!(error.to_string().ends_with("has masks, not classes"), "{error}");
}

#[test]
fn another_number_of_classes_and_a_figure_of_another_task_are_refused() {
    let world = SmallWorld::with_masks(4);
    let refused = |settings: &[&str]| {
        let prepared = world.segmentation(settings).prepare(Options::default(), &mut |_| {});
        prepared.err().expect("refused").to_string()
    };
    assert!(refused(&["model.num_classes=5"]).contains("3 classes, expected 5"));
    let of_classification = refused(&["train.select=val_top1"]);
    assert!(
        of_classification.contains("val_top1") && of_classification.contains("val_mean_iou"),
        "{of_classification}"
    );
}
