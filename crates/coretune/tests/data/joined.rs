//! Several roots as one data set.

use std::fs;
use std::path::{Path, PathBuf};

use coretune::data::{DataError, Dataset, DatasetOptions, Format};
use tempfile::{TempDir, tempdir};

use crate::formats::png;

fn tree(roots: &[(&str, &[&str])]) -> TempDir {
    let folder = tempdir().unwrap();
    let mut colour = 0;
    for (root, paths) in roots {
        for path in *paths {
            let path = folder.path().join(root).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            colour += 1;
            fs::write(path, png(colour)).unwrap();
        }
    }
    folder
}

/// `FOLDER/a,FOLDER/b`.
fn joined(folder: &TempDir, roots: &[&str]) -> PathBuf {
    let roots: Vec<String> = roots.iter().map(|root| folder.path().join(root).display().to_string()).collect();
    PathBuf::from(roots.join(","))
}

fn open(path: impl AsRef<Path>) -> Result<Dataset, DataError> {
    Dataset::open(path, &DatasetOptions::default())
}

const NETTE: (&str, &[&str]) = (
    "imagenette2",
    &["train/n01440764/a.JPEG", "train/n03425413/b.JPEG", "val/n01440764/c.JPEG", "val/n03425413/d.JPEG"],
);
const WOOF: (&str, &[&str]) = (
    "imagewoof2",
    &["train/n02086240/e.JPEG", "train/n02115641/f.JPEG", "val/n02086240/g.JPEG", "val/n02115641/h.JPEG"],
);

#[test]
fn imagenette_and_imagewoof_are_one_set() {
    let folder = tree(&[NETTE, WOOF]);
    fs::write(folder.path().join("imagenette2/classes.txt"), "n01440764 tench\nn03425413 gas pump\n").unwrap();
    let data = open(joined(&folder, &["imagenette2", "imagewoof2"])).unwrap();
    assert_eq!(data.format, Format::ImageFolder);
    assert_eq!(&data.classes[..], ["n01440764", "n02086240", "n02115641", "n03425413"]);
    assert_eq!(&data.titles[..], ["tench", "n02086240", "n02115641", "gas pump"]);
    let train = data.train.unwrap();
    assert_eq!((train.labels(), train.class_counts()), (&[0, 3, 1, 2][..], vec![1; 4]));
    assert_eq!(data.validation.unwrap().labels(), [0, 3, 1, 2]);
    let turned = open(joined(&folder, &["imagewoof2", "imagenette2"])).unwrap();
    assert_eq!((turned.classes, turned.train.unwrap().labels()), (data.classes, &[1, 2, 0, 3][..]));
}

#[test]
fn a_class_of_two_roots_is_one_class() {
    let folder =
        tree(&[("a", &["train/cat/1.png", "train/dog/2.png"]), ("b", &["train/cat/3.png", "train/bird/4.png"])]);
    let data = open(joined(&folder, &["a", "b"])).unwrap();
    assert_eq!(&data.classes[..], ["bird", "cat", "dog"]);
    assert_eq!(data.train.unwrap().labels(), [1, 2, 0, 1]);
}

#[test]
fn a_folder_whose_name_has_a_comma_is_one_root() {
    let folder = tree(&[("cats, dogs", &["cat/1.png", "dog/2.png"]), ("b", &["bird/3.png", "dog/4.png"])]);
    assert_eq!(open(joined(&folder, &["cats, dogs", "b"])).unwrap().classes.len(), 3);
    assert_eq!(&open(folder.path().join("cats, dogs")).unwrap().classes[..], ["cat", "dog"]);
}

#[test]
fn formats_that_number_their_classes_are_joined_too() {
    let folder = tempdir().unwrap();
    let record = |label: u8| [&[label][..], &[7; 3072]].concat();
    for root in ["a", "b"] {
        let root = folder.path().join(root);
        fs::create_dir(&root).unwrap();
        for batch in 1..=5 {
            fs::write(root.join(format!("data_batch_{batch}.bin")), record(batch)).unwrap();
        }
        fs::write(root.join("test_batch.bin"), record(3)).unwrap();
    }
    let data = open(joined(&folder, &["a", "b"])).unwrap();
    assert_eq!((data.format, data.classes.len()), (Format::CifarBinary, 10));
    assert_eq!(data.train.unwrap().labels(), [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
    assert_eq!(data.test.unwrap().labels(), [3, 3]);
}

#[test]
fn roots_that_do_not_join_are_refused() {
    let folder = tree(&[
        NETTE,
        ("without", &["train/cat/1.png", "train/dog/2.png"]),
        ("masks/train", &["1.png"]),
        ("masks/trainannot", &["1.png"]),
    ]);
    fs::create_dir(folder.path().join("table")).unwrap();
    fs::write(folder.path().join("table/train.csv"), "image_path,label\n1.png,cat\n").unwrap();
    for (roots, words) in [
        (&["imagenette2", "without"][..], "found the split train in"),
        (&["imagenette2", "imagenette2"], "imagenette2 twice"),
        (&["imagenette2", "nowhere"], "nowhere does not exist"),
        (&["without", "table"], "found CSV in"),
        (&["without", "masks"], "masks"),
    ] {
        let error = open(joined(&folder, roots)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let comma = open(format!("{},", folder.path().join("without").display())).unwrap_err().to_string();
    assert!(comma.contains("a comma without a path beside it"), "{comma}");
}

#[test]
fn images_without_classes_are_joined_for_pretraining() {
    let folder = tree(&[NETTE, WOOF]);
    let data =
        Dataset::open_unlabelled(joined(&folder, &["imagenette2", "imagewoof2"]), &DatasetOptions::default()).unwrap();
    assert_eq!(data.train.unwrap().len(), 4);
}
