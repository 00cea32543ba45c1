//! What is wrong with a data set is found, named and weighed.

use std::fs;
use std::path::Path;

use coretune::data::check::{Depth, Finding, Problem, Report, Severity, check};
use coretune::data::{Dataset, DatasetOptions, Role};
use image::{Rgb, RgbImage};

/// A sound data set: two classes, each with images of its own.
fn sound() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (split, images) in [("train", 4), ("test", 2)] {
        for (class, red) in [("a", 10), ("b", 200)] {
            for index in 0..images {
                let blue = if split == "test" { 90 } else { 20 } + index;
                write(&folder.path().join(format!("{split}/{class}/{index}.png")), (12, 10), [red, index, blue]);
            }
        }
    }
    folder
}

fn write(path: &Path, (width, height): (u32, u32), colour: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut image = RgbImage::from_pixel(width, height, Rgb(colour));
    image.put_pixel(0, 0, Rgb([255; 3]));
    image.save(path).unwrap();
}

fn report(folder: &Path, depth: Depth, img_size: Option<u32>, skip_broken: bool) -> Report {
    let dataset = Dataset::open(folder, &DatasetOptions::default()).unwrap();
    let roles = [Role::Train, Role::Validation, Role::Test];
    let splits: Vec<_> = roles.into_iter().filter_map(|role| Some((role, dataset.split(role)?))).collect();
    let (mut last, total) = ((0, 0), splits.iter().map(|(_, split)| split.len()).sum());
    let report = check(&splits, depth, img_size, skip_broken, &mut |done, total| last = (done, total));
    assert_eq!(last, (total, total));
    report
}

fn only(report: &Report) -> &Finding {
    let [finding] = &report.findings[..] else { panic!("{:?}", report.findings) };
    finding
}

#[test]
fn nothing_is_found_in_sound_data() {
    let folder = sound();
    for depth in [Depth::Full, Depth::Quick] {
        let report = report(folder.path(), depth, Some(10), false);
        assert!(report.findings.is_empty() && report.images == 12, "{report:?}");
    }
}

#[test]
fn broken_images_stop_unless_they_are_to_be_skipped() {
    let folder = sound();
    let path = folder.path().join("train/b/1.png");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    fs::write(folder.path().join("test/a/0.png"), b"").unwrap();
    let full = report(folder.path(), Depth::Full, None, false);
    let found: Vec<_> = full.findings.iter().map(|f| (f.problem, f.severity, f.split, f.count())).collect();
    let unreadable = |split| (Problem::Unreadable, Severity::Stops, split, 1);
    assert_eq!(found, [unreadable(Role::Train), unreadable(Role::Test)]);
    assert!(full.findings[0].to_string().contains("b/1.png"), "{}", full.findings[0]);
    assert_eq!(full.broken, [vec![5], vec![0]]);
    // The header of a truncated file is sound: only decoding finds it.
    assert_eq!(report(folder.path(), Depth::Quick, None, false).broken, [vec![], vec![0]]);
    assert!(report(folder.path(), Depth::Full, None, true).stops().next().is_none());
    let train = Dataset::open(folder.path(), &DatasetOptions::default()).unwrap().train.unwrap();
    let kept = train.without(&full.broken[0]).unwrap();
    assert_eq!((kept.len(), kept.class_counts()), (7, vec![4, 3]));
    assert!(kept.content_hash().is_ok());
}

#[test]
fn a_class_whose_images_are_all_broken_is_empty() {
    let folder = sound();
    for index in 0..4 {
        fs::write(folder.path().join(format!("train/b/{index}.png")), b"").unwrap();
    }
    let report = report(folder.path(), Depth::Full, None, true);
    let stops: Vec<_> = report.stops().map(|finding| (finding.problem, finding.count())).collect();
    assert_eq!(stops, [(Problem::EmptyClass, 1)]);
    assert_eq!(report.unreadable.len(), 4);
}

#[test]
fn a_row_of_a_csv_whose_file_is_missing_counts_as_broken() {
    let folder = sound();
    let rows = "image_path,label\ntrain/a/0.png,a\ntrain/b/0.png,b\ntrain/b/gone.png,b\n";
    fs::write(folder.path().join("list.csv"), rows).unwrap();
    for depth in [Depth::Full, Depth::Quick] {
        let report = report(&folder.path().join("list.csv"), depth, None, false);
        assert!(only(&report).to_string().contains("gone.png"), "{report:?}");
    }
}

#[test]
fn an_empty_class_stops_and_one_that_is_not_tested_warns() {
    let folder = sound();
    fs::create_dir(folder.path().join("train/c")).unwrap();
    let found = report(folder.path(), Depth::Quick, None, false);
    assert_eq!(found.findings[0].problem, Problem::EmptyClass);
    assert_eq!(found.stops().count(), 1);
    assert!(found.findings[0].to_string().ends_with(": c"), "{}", found.findings[0]);
    fs::remove_dir(folder.path().join("train/c")).unwrap();
    fs::remove_dir_all(folder.path().join("test/b")).unwrap();
    let report = report(folder.path(), Depth::Quick, None, false);
    let finding = only(&report);
    assert_eq!((finding.problem, finding.severity), (Problem::ClassNotTested, Severity::Warns));
}

#[test]
fn images_that_lie_in_two_splits_are_counted() {
    let folder = sound();
    for index in 0..3 {
        let from = folder.path().join(format!("train/a/{index}.png"));
        fs::copy(from, folder.path().join(format!("test/a/copy-{index}.png"))).unwrap();
    }
    let report = report(folder.path(), Depth::Full, None, false);
    let finding = only(&report);
    assert_eq!((finding.problem, finding.severity, finding.count()), (Problem::Shared, Severity::Warns, 3));
    assert!(finding.to_string().contains("3 images of test are identical to images of train"), "{finding}");
}

#[test]
fn very_uneven_classes_and_small_images_warn_with_their_measure() {
    let folder = sound();
    for index in 0..90u8 {
        write(&folder.path().join(format!("train/a/more-{index:02}.png")), (12, 10), [index, 100, 100]);
    }
    write(&folder.path().join("train/a/wide.png"), (100, 8), [1, 2, 3]);
    let report = report(folder.path(), Depth::Quick, Some(10), false);
    let [imbalance, small] = &report.findings[..] else { panic!("{:?}", report.findings) };
    assert_eq!(imbalance.problem, Problem::Imbalance);
    assert!(imbalance.to_string().contains("20 to 1: b (4 images), a (95 images)"), "{imbalance}");
    assert_eq!((small.problem, small.count()), (Problem::Small, 1));
    assert!(small.to_string().contains("wide.png (100 x 8)"), "{small}");
}

#[test]
fn the_same_bytes_with_two_labels_warn_and_twice_with_one_label_are_a_notice() {
    let folder = sound();
    let copy = |from: &str, to: &str| fs::copy(folder.path().join(from), folder.path().join(to)).unwrap();
    copy("train/a/0.png", "train/b/same.png");
    copy("train/a/1.png", "train/a/again.png");
    let found = report(folder.path(), Depth::Full, None, false);
    let [two_labels, repeated] = &found.findings[..] else { panic!("{:?}", found.findings) };
    assert_eq!((two_labels.problem, two_labels.severity), (Problem::TwoLabels, Severity::Warns));
    let root = folder.path().display();
    assert_eq!(
        two_labels.to_string(),
        format!(
            "1 image of train is identical to images with another label: {root}/train/b/same.png (b) and \
             {root}/train/a/0.png (a)"
        )
    );
    assert_eq!((repeated.problem, repeated.severity, repeated.count()), (Problem::Repeated, Severity::Notice, 1));
    assert!(repeated.to_string().contains("a/again.png and "), "{repeated}");
    assert_eq!(found.warnings().count(), 1);
}

#[test]
fn an_image_with_another_label_in_another_split_is_reported_as_both() {
    let folder = sound();
    fs::copy(folder.path().join("train/a/0.png"), folder.path().join("test/b/same.png")).unwrap();
    let found = report(folder.path(), Depth::Full, None, false);
    let problems: Vec<_> = found.findings.iter().map(|finding| (finding.problem, finding.split)).collect();
    assert_eq!(problems, [(Problem::Shared, Role::Test), (Problem::TwoLabels, Role::Test)]);
}

#[test]
fn class_names_that_are_alike_warn_and_are_named_between_splits() {
    let folder = sound();
    write(&folder.path().join("train/A/0.png"), (12, 10), [1, 2, 3]);
    write(&folder.path().join("test/A/0.png"), (12, 10), [1, 2, 4]);
    let found = report(folder.path(), Depth::Quick, None, false);
    let sentence = "1 class of train differs from another only by case, blanks, leading zeros, `+`, `.0` or Unicode form: `a` and `A`";
    assert_eq!((only(&found).problem, only(&found).to_string()), (Problem::AlikeClasses, sentence.to_string()));

    fs::rename(folder.path().join("test/a"), folder.path().join("test/ a")).unwrap();
    let (_, unknown) = Dataset::open_known(folder.path(), &DatasetOptions::default()).unwrap();
    let [class] = &unknown[..] else { panic!("{unknown:?}") };
    assert_eq!((&*class.class, class.resembles.as_deref()), (" a", Some("A")));
    let mut report = Report::default();
    report.add_unknown(&unknown);
    assert_eq!(only(&report).to_string(), "1 class of test without training images: \" a\" (2 images, resembles A)");
}

#[test]
fn images_of_one_colour_and_of_few_pixels_are_notices() {
    let folder = sound();
    RgbImage::from_pixel(9, 9, Rgb([1, 2, 3])).save(folder.path().join("train/a/flat.png")).unwrap();
    write(&folder.path().join("train/b/dot.png"), (30, 7), [3, 2, 1]);
    write(&folder.path().join("test/b/pixel.png"), (1, 1), [3, 2, 1]);
    let found = report(folder.path(), Depth::Full, None, false);
    let sentences: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
    let expected = [
        "1 image of train is smaller than 8 x 8 pixels: ROOT/train/b/dot.png (30 x 7)",
        "1 image of test is smaller than 8 x 8 pixels: ROOT/test/b/pixel.png (1 x 1)",
        "1 image of train is of one colour: ROOT/train/a/flat.png",
    ];
    assert_eq!(sentences, expected.map(|text| text.replace("ROOT", &folder.path().display().to_string())));
    assert!(found.findings.iter().all(|finding| finding.severity == Severity::Notice));
}

/// A scene of waves that depends on `turn`, as a photo of this size, brightness and encoding.
fn photo(path: &Path, turn: f64, side: u32, brightness: f64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixel = |x: u32, y: u32| {
        let [x, y] = [x, y].map(|value| 6.0 * f64::from(value) / f64::from(side));
        let value = brightness * (120.0 + 100.0 * (x * turn).sin() * (y + turn * x).cos());
        Rgb([value as u8, (0.8 * value) as u8, 90])
    };
    RgbImage::from_fn(side, side, pixel).save(path).unwrap();
}

#[test]
fn near_duplicates_are_found_on_request_within_and_between_splits() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (turn, name) in ["train/a/0", "train/a/1", "train/b/0", "train/b/1", "test/a/0", "test/b/0"].iter().enumerate()
    {
        photo(&path(&format!("{name}.png")), 0.7 + 0.6 * turn as f64, 64, 1.0);
    }
    photo(&path("train/b/smaller.jpg"), 0.7, 48, 1.0);
    photo(&path("test/b/darker.jpg"), 1.9, 64, 0.7);
    // Identical files are reported as such, and not once more.
    fs::copy(path("train/b/1.png"), path("test/b/same.png")).unwrap();
    assert!(report(folder.path(), Depth::Full, None, false).near_duplicates.is_empty());
    let found = report(folder.path(), Depth::NearDuplicates, None, false);
    let near: Vec<_> = found.near_duplicates.iter().map(|near| (near.split, &*near.image, &*near.other)).collect();
    let [smaller, first, darker, third] =
        ["train/b/smaller.jpg", "train/a/0.png", "test/b/darker.jpg", "train/b/0.png"]
            .map(|name| path(name).display().to_string());
    assert_eq!(near, [(Role::Train, &*smaller, &*first), (Role::Test, &*darker, &*third)]);
    let of_near = found.findings.iter().filter(|finding| finding.problem == Problem::NearDuplicates);
    let sentences: Vec<_> = of_near.map(|finding| (finding.severity, finding.to_string())).collect();
    let expected = [
        (
            Severity::Warns,
            format!("1 image of test resembles images of train (up to 15 of 144 bits differ): {darker} and {third}"),
        ),
        (
            Severity::Notice,
            format!("1 image of train resembles others (up to 15 of 144 bits differ): {smaller} and {first}"),
        ),
    ];
    assert_eq!(sentences, expected);
    let two_labels = found.findings.iter().find(|finding| finding.problem == Problem::NearTwoLabels).unwrap();
    assert_eq!((two_labels.severity, two_labels.split, two_labels.count()), (Severity::Warns, Role::Train, 1));
    let sentence = format!(
        "1 image of train resembles an image with another label (up to 15 of 144 bits differ): {smaller} (b) and {first} (a)"
    );
    assert_eq!(two_labels.to_string(), sentence);
}

#[test]
fn classes_with_images_and_folders_named_like_splits_or_other_classes_warn() {
    let folder = sound();
    write(&folder.path().join("train/a/val/b/9.png"), (12, 10), [1, 2, 3]);
    write(&folder.path().join("train/b/more/9.png"), (12, 10), [1, 2, 4]);
    let found = report(folder.path(), Depth::Quick, None, false);
    let sentence = "1 class of train holds folders named like splits or other classes: a (`b`, `val`)";
    assert_eq!((only(&found).problem, only(&found).to_string()), (Problem::OtherNamesInside, sentence.to_string()));
    assert_eq!(only(&found).severity, Severity::Warns);
}

#[test]
fn a_class_without_training_images_is_reported_once() {
    let folder = sound();
    fs::create_dir_all(folder.path().join("train/c")).unwrap();
    let report = report(folder.path(), Depth::Full, None, false);
    assert_eq!(only(&report).to_string(), "1 class without training images: c");
    fs::remove_dir_all(folder.path().join("train")).unwrap();
    write(&folder.path().join("val/c/1.png"), (12, 10), [3; 3]);
    let without = self::report(folder.path(), Depth::Full, None, false);
    let sentences: Vec<String> = without.findings.iter().map(ToString::to_string).collect();
    assert_eq!(sentences, ["2 classes without images in validation: a, b", "1 class without images in test: c"]);
}

#[test]
fn classes_that_may_be_none_warn_and_nested_ones_are_a_notice() {
    let folder = sound();
    for (class, red) in [("a|b", 77), ("None", 99)] {
        write(&folder.path().join("train").join(class).join("0.png"), (12, 10), [red, 0, 0]);
        write(&folder.path().join("test").join(class).join("0.png"), (12, 10), [red, 1, 0]);
    }
    let found = report(folder.path(), Depth::Full, None, false);
    let sentence = "2 classes of train have doubtful names: None (a missing value?), a|b (several labels?)";
    assert_eq!((only(&found).to_string().as_str(), only(&found).severity), (sentence, Severity::Warns));

    let nested = tempfile::tempdir().unwrap();
    for (number, path) in ["birds/owl/0.png", "birds/jay/0.png", "fish/cod/0.png", "fish/eel/0.png"].iter().enumerate()
    {
        write(&nested.path().join(path), (12, 10), [number as u8, 0, 0]);
    }
    let found = report(nested.path(), Depth::Full, None, false);
    let sentence = "the 2 classes of train hold their images in folders, which could be the classes: \
        birds (`jay`, `owl`), fish (`cod`, `eel`)";
    assert_eq!((only(&found).to_string().as_str(), only(&found).severity), (sentence, Severity::Notice));

    for (paths, is_noticed) in [
        (["anna/angry/0.png", "ben/angry/1.png", "ben/happy/2.png", "eva/angry/3.png"], true),
        (["cat/images/0.png", "cat/images/1.png", "dog/images/2.png", "dog/images/3.png"], false),
    ] {
        let people = tempfile::tempdir().unwrap();
        for (number, path) in paths.iter().enumerate() {
            write(&people.path().join(path), (12, 10), [number as u8, 0, 0]);
        }
        let found = report(people.path(), Depth::Full, None, false);
        let problems: Vec<_> = found.findings.iter().map(|finding| finding.problem).collect();
        let expected = if is_noticed { vec![Problem::NestedClasses] } else { Vec::new() };
        assert_eq!(problems, expected, "{paths:?}");
    }
}
