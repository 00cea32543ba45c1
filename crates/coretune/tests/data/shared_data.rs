//! Real data, where it is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use coretune::data::{
    Budget, Dataset, DatasetOptions, Format, Loader, LoaderOptions, MaskOptions, Role, ValidationFrom,
    carve_validation, check, sampler,
};
use coretune::transforms::{Augmentation, Interpolation, SegmentationAugmentation, Transform};
use tch::Kind;

/// A folder below `../shared` beside the repository, or below `$CORETUNE_SHARED`.
pub(crate) fn shared(what: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let path = std::env::var_os("CORETUNE_SHARED").map_or_else(beside, PathBuf::from).join(what);
    if !path.exists() {
        eprintln!("skipped: needs ../shared ({what})");
        return None;
    }
    Some(path)
}

#[test]
fn cifar_10_from_parquet_has_its_published_counts_names_and_mean() {
    let Some(root) = shared("data/cifar10") else { return };
    let data = Dataset::open(root, &DatasetOptions::default()).unwrap();
    assert_eq!(data.format, Format::Parquet);
    let names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
    assert_eq!(&data.classes[..], names);
    let (train, test) = (data.train.clone().unwrap(), data.test.clone().unwrap());
    assert_eq!((train.class_counts(), test.class_counts()), (vec![5000; 10], vec![1000; 10]));
    assert!(data.validation.is_none());
    assert_eq!(data.describe().first_image, Some((32, 32)));

    let from = ValidationFrom::Rest { per_class: 50 };
    let (training, validation) = carve_validation(&train, Budget::PerClass(100), from, 0).unwrap();
    assert_eq!((training.len(), validation.len()), (1000, 500));

    let transform = Arc::new(Transform::evaluate(32, 1.0, Interpolation::Bilinear).unwrap());
    let batches = sampler::sequential(training.len(), 100).unwrap();
    let options = LoaderOptions { seed: 0, epoch: 0, workers: 2, ..LoaderOptions::default() };
    let mut sum = [0.0; 3];
    for batch in Loader::new(training, transform, batches, options).unwrap() {
        let mean = batch.unwrap().images.to_kind(Kind::Double).mean_dim([0i64, 1, 2].as_slice(), false, Kind::Double);
        let mean: Vec<f64> = mean.try_into().unwrap();
        sum.iter_mut().zip(mean).for_each(|(sum, mean)| *sum += mean / 255.0 / 10.0);
    }
    // Published means of the training set; a stratified thousand of them comes within 0.02.
    for (found, published) in sum.iter().zip([0.4914, 0.4822, 0.4465]) {
        assert!((found - published).abs() < 0.02, "{sum:?}");
    }
}

#[test]
fn imagenet_folders_have_classes_titles_and_a_validation_split() {
    let Some(root) = shared("data/imagenet20-160-subset") else { return };
    let data = Dataset::open(&root, &DatasetOptions::default()).unwrap();
    assert_eq!((data.format, data.classes.len()), (Format::ImageFolder, 20));
    assert_eq!((data.classes[0].as_str(), data.titles[0].as_str()), ("n01440764", "tench"));
    let (train, validation) = (data.train.clone().unwrap(), data.validation.clone().unwrap());
    assert_eq!((train.class_counts(), validation.class_counts()), (vec![100; 20], vec![50; 20]));
    assert!(data.test.is_none());
    assert_eq!(data.describe().first_image, Some((160, 160)));

    let options = DatasetOptions { test_split: Some("val".to_string()), ..DatasetOptions::default() };
    let tested = Dataset::open(&root, &options).unwrap();
    assert!(tested.validation.is_none() && tested.test.unwrap().len() == 1000);

    let transform = Arc::new(Transform::train(Augmentation::ResizedCropFlip, 64, Interpolation::Bilinear).unwrap());
    let batches = sampler::balanced(train.labels(), 8, 4, 0, 0).unwrap();
    let options = LoaderOptions { seed: 0, epoch: 0, workers: 2, prefetch: 1, ..LoaderOptions::default() };
    let loader = Loader::new(train, transform, batches[..4].to_vec(), options).unwrap();
    assert_eq!(loader.map(|batch| batch.unwrap().images.size()).collect::<Vec<_>>(), vec![[32, 64, 64, 3]; 4]);
}

#[test]
fn camvid_has_the_pixels_that_its_source_names() {
    let Some(root) = shared("data/camvid320") else { return };
    let masks = MaskOptions { ignored: vec![11], first_class: 0 };
    let data = Dataset::open(&root, &DatasetOptions { masks, ..DatasetOptions::default() }).unwrap();
    assert_eq!((data.format, data.classes.len()), (Format::ImageMasks, 11));
    let splits = [Role::Train, Role::Validation, Role::Test].map(|role| (role, data.split(role).unwrap()));
    assert_eq!(splits.map(|(_, split)| split.len()), [367, 101, 233]);
    assert_eq!(data.left_out.to_string(), "1 file .md (SOURCE.md)");

    let report = check::check(&splits, check::Depth::Full, None, false, &mut |_, _| {});
    assert_eq!(report.stops().count(), 0);
    let pixels = |class: usize| report.pixels.iter().map(|split| split.classes[class].pixels).sum::<u64>();
    // SOURCE.md beside the data.
    let published = [
        8_513_550, 12_972_927, 530_528, 15_788_330, 3_599_357, 6_022_016, 580_915, 768_517, 2_499_658, 343_811, 287_933,
    ];
    assert_eq!(std::array::from_fn(pixels), published);
    assert_eq!(report.pixels.iter().map(|split| split.ignored).sum::<u64>(), 1_929_258);

    let transform = Arc::new(SegmentationAugmentation::new(160).transform(Interpolation::Bilinear).unwrap());
    let batches = sampler::shuffle(367, 8, 0, 0, true).unwrap();
    let options = LoaderOptions { workers: 2, ..LoaderOptions::default() };
    let loader = Loader::new(data.train.unwrap(), transform, batches[..4].to_vec(), options).unwrap();
    for batch in loader {
        let masks = batch.unwrap().masks.unwrap();
        assert_eq!(masks.size(), [8, 160, 160]);
        let known = masks.lt(11).logical_or(&masks.eq(255));
        assert_eq!(known.all().int64_value(&[]), 1);
    }
}
