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
    RgbImage::from_pixel(width, height, Rgb(colour)).save(path).unwrap();
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
    let found: Vec<_> = full.findings.iter().map(|f| (f.problem, f.severity, f.split, f.count)).collect();
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
    let stops: Vec<_> = report.stops().map(|finding| (finding.problem, finding.count)).collect();
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
    assert_eq!((finding.problem, finding.severity, finding.count), (Problem::Shared, Severity::Warns, 3));
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
    assert_eq!((small.problem, small.count), (Problem::Small, 1));
    assert!(small.to_string().contains("wide.png (100 x 8)"), "{small}");
}
