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
