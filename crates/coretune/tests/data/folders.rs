//! Image folders as they are found: splits in any case, links, leftovers of other programs, unusual endings.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use coretune::data::{DataError, Dataset, DatasetOptions, Layout, Reason, Role, Split};
use tempfile::{TempDir, tempdir};

use crate::formats::png;

/// A file tree; each path gets a PNG of a colour of its own.
fn tree(paths: &[&str]) -> TempDir {
    let folder = tempdir().unwrap();
    for (number, path) in paths.iter().enumerate() {
        write(folder.path(), path, &png(number as u8));
    }
    folder
}

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn open(folder: &TempDir) -> Result<Dataset, DataError> {
    Dataset::open(folder.path(), &DatasetOptions::default())
}

fn as_classes(folder: &TempDir) -> Dataset {
    Dataset::open(folder.path(), &DatasetOptions { layout: Layout::Classes, ..DatasetOptions::default() }).unwrap()
}

/// Images of each split, and of each class in training.
fn counts(data: &Dataset) -> (Vec<usize>, [Option<usize>; 3]) {
    let lengths = [Role::Train, Role::Validation, Role::Test].map(|role| data.split(role).map(Split::len));
    (data.train.as_ref().map(Split::class_counts).unwrap_or_default(), lengths)
}

/// Reason, count and examples of everything that was left out.
fn left_out(data: &Dataset) -> Vec<(Reason, usize, String)> {
    let omissions = data.left_out.omissions();
    omissions.into_iter().map(|one| (one.reason, one.count, one.examples.join(" "))).collect()
}

#[test]
fn splits_are_known_in_any_case() {
    for [train, val, test] in [
        ["Train", "Val", "Test"],
        ["TRAIN", "VALIDATION", "TEST"],
        ["training", "valid", "testing"],
        ["Train", "dev", "T10K"],
    ] {
        let name = |split: &str, rest: &str| format!("{split}/{rest}");
        let paths =
            [name(train, "cat/1.png"), name(train, "dog/2.png"), name(val, "cat/3.png"), name(test, "dog/4.png")];
        let data = open(&tree(&paths.each_ref().map(String::as_str))).unwrap();
        assert_eq!(counts(&data), (vec![1, 1], [Some(2), Some(1), Some(1)]), "{train}");
    }
}

#[test]
fn two_splits_of_one_role_are_refused_unless_one_is_named() {
    for (paths, role) in [
        (["train/a/1.png", "Train/a/2.png", "val/a/3.png"], "train"),
        (["train/a/1.png", "val/a/2.png", "dev/a/3.png"], "validation"),
        (["train/a/1.png", "test/a/2.png", "TEST/a/3.png"], "test"),
    ] {
        let error = open(&tree(&paths)).unwrap_err();
        assert!(error.to_string().contains(&format!("two splits that are {role} by their names")), "{error}");
        assert!(error.hint().unwrap().to_string().contains("_split"), "{:?}", error.hint());
    }
    let options = DatasetOptions { val_split: Some("dev".into()), ..DatasetOptions::default() };
    let folder = tree(&["train/a/1.png", "val/a/2.png", "val/a/3.png", "dev/a/4.png"]);
    let data = Dataset::open(folder.path(), &options).unwrap();
    assert_eq!(counts(&data).1, [Some(1), Some(1), None]);
    assert_eq!(left_out(&data), [(Reason::OtherSplit { split: "val".into() }, 2, "val/".into())]);
}

#[test]
fn a_folder_that_validates_or_tests_by_its_name_is_refused_until_a_flag_says_which() {
    for name in ["eval", "Evaluation", "holdout"] {
        let other = format!("{name}/a/9.png");
        let folder = tree(&["train/a/1.png", "train/a/2.png", &other]);
        let error = open(&folder).unwrap_err();
        assert!(matches!(&error, DataError::SplitOfNoRole { split, .. } if split == name), "{error}");
        assert!(error.hint().unwrap().to_string().contains("data.val_split = NAME"), "{:?}", error.hint());
        let named = |options: DatasetOptions| counts(&Dataset::open(folder.path(), &options).unwrap()).1;
        let name = Some(name.to_string());
        let validates = DatasetOptions { val_split: name.clone(), ..DatasetOptions::default() };
        assert_eq!(named(validates), [Some(2), Some(1), None]);
        let train = DatasetOptions { train_split: Some("train".into()), ..DatasetOptions::default() };
        assert_eq!(named(train), [Some(2), None, None]);
    }
    let all = tree(&["train/a/1.png", "val/a/2.png", "test/a/3.png", "eval/a/4.png"]);
    assert_eq!(counts(&open(&all).unwrap()).1, [Some(1), Some(1), Some(1)]);
}

#[test]
fn folders_of_the_classes_beside_them_are_a_copy_or_a_split_and_are_not_offered_for_training() {
    let hint = |paths: &[&str]| open(&tree(paths)).unwrap_err().hint().unwrap().to_string();
    let split = ["train/cat/1.png", "train/dog/2.png", "train/val/cat/3.png", "train/val/dog/4.png"];
    let copy = ["train/cat/1.png", "train/dog/2.png", "train/backup/cat/3.png", "train/backup/dog/4.png"];
    let resized = ["cat/1.png", "dog/2.png", "resized/cat/3.png", "resized/dog/4.png"];
    for (paths, advice) in [
        (&split[..], "if it is the validation split, move it out of "),
        (&copy, "if it is a copy, move it out of "),
        (&resized, "if it is a copy, move it out of "),
    ] {
        let hint = hint(paths);
        assert!(hint.contains(advice) && !hint.contains("did you mean"), "{hint}");
    }
}

#[test]
fn the_name_of_a_split_in_another_case_is_answered_with_the_one_there() {
    let options = DatasetOptions { train_split: Some("TRAIN".into()), ..DatasetOptions::default() };
    let folder = tree(&["train/a/1.png", "val/a/2.png"]);
    let error = Dataset::open(folder.path(), &options).unwrap_err();
    assert_eq!(error.hint().unwrap().to_string(), "did you mean train?");
}

#[test]
fn folders_that_could_be_splits_domains_or_classes_are_refused_with_each_flag() {
    let folder = tree(&["photo/cat/1.png", "photo/dog/2.png", "sketch/cat/3.png", "sketch/dog/4.png"]);
    let error = open(&folder).unwrap_err();
    assert!(error.to_string().starts_with("the folders `photo`, `sketch` of "), "{error}");
    let hint = error.hint().unwrap().to_string();
    for part in ["data.train_split", "data.val_split", "data.layout = classes", "domains are not read yet"] {
        assert!(hint.contains(part), "no {part} in {hint}");
    }
    assert_eq!(as_classes(&folder).classes[..], ["photo", "sketch"]);
    let options = DatasetOptions { train_split: Some("sketch".into()), ..DatasetOptions::default() };
    let data = Dataset::open(folder.path(), &options).unwrap();
    assert_eq!((&data.classes[..], data.train.unwrap().len()), (&["cat", "dog"].map(String::from)[..], 2));

    let below = open(&tree(&["cat/train/1.png", "cat/val/2.png", "dog/train/3.png", "dog/val/4.png"])).unwrap_err();
    assert!(below.hint().unwrap().to_string().contains("put the splits above them"), "{:?}", below.hint());
}

#[test]
fn a_data_set_one_folder_too_deep_is_named() {
    let inner = |paths: &[&str]| match open(&tree(paths)).unwrap_err() {
        DataError::TooDeep { path, inner } => inner.strip_prefix(path).unwrap().display().to_string(),
        other => panic!("{other}"),
    };
    assert_eq!(inner(&["data/train/cat/1.png", "data/train/dog/2.png", "data/val/cat/3.png"]), "data");
    assert_eq!(inner(&["data/cat/1.png", "data/dog/2.png", "#recycle/1.png"]), "data");
    assert_eq!(inner(&["a/b/train/cat/1.png", "a/b/test/cat/1.png"]), "a/b");
    assert_eq!(inner(&["__MACOSX/data/train/cat/1.png", "data/train/cat/1.png"]), "data");
    let table = tree(&["data/images/1.png"]);
    write(table.path(), "data/train.csv", b"image_path,label\nimages/1.png,cat\n");
    let without_images = tempdir().unwrap();
    write(without_images.path(), "data/train.csv", b"image_path,label\n/elsewhere/1.png,cat\n");
    write(without_images.path(), "README.md", b"x");
    for folder in [table, without_images] {
        let error = open(&folder).unwrap_err();
        assert!(error.hint().unwrap().to_string().starts_with("did you mean /"), "{error}");
    }
}

#[test]
fn classes_that_lie_deeper_than_the_folders_beside_them_are_named() {
    let found = |paths: &[&str]| match open(&tree(paths)) {
        Err(DataError::ClassesDeeper { path, inner, others, layout, .. }) => {
            let at = path.join(inner);
            let at: Vec<_> = at.iter().rev().take(2).map(|name| name.to_string_lossy().into_owned()).collect();
            (at[0].clone(), others, layout)
        }
        other => panic!("{other:?}"),
    };
    let text = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let deep = ["pets/cat/1.png", "pets/dog/2.png"];
    let with = |more: &[&'static str]| [&deep[..], more].concat();
    assert_eq!(found(&with(&["misc/3.png"])), ("pets".into(), text(&["misc"]), Layout::Classes));
    assert_eq!(found(&with(&["misc/3.png", "other/4.png"])).1, ["misc", "other"]);
    let container = ["data/cat/1.png", "data/dog/2.png", "a/1.png", "b/1.png", "c/x/1.png", "c/y/1.png"];
    assert_eq!(found(&container).0, "data");
    let in_split = ["train/data/cat/1.png", "train/data/dog/2.png", "val/cat/3.png"];
    assert_eq!(found(&in_split), ("data".into(), vec![], Layout::Splits));
    let beside = ["train/data/cat/1.png", "train/data/dog/2.png", "train/misc/3.png", "val/data/cat/4.png"];
    assert_eq!(found(&beside), ("data".into(), text(&["misc"]), Layout::Splits));
    let validation = ["train/cat/1.png", "train/dog/2.png", "val/data/cat/3.png", "val/data/dog/4.png"];
    assert_eq!(found(&validation).0, "data");

    let folder = tree(&with(&["misc/3.png"]));
    assert_eq!(as_classes(&folder).classes[..], ["misc", "pets"]);
    let error = open(&folder).unwrap_err();
    let inner = folder.path().join("pets").display().to_string();
    assert!(error.hint().unwrap().to_string().starts_with(&format!("did you mean {inner}?")), "{:?}", error.hint());
}

#[test]
fn one_class_with_folders_among_many_without_stays_a_class() {
    let folder = tree(&["cat/young/1.png", "cat/old/2.png", "dog/3.png", "cow/4.png", "bird/5.png"]);
    assert_eq!(open(&folder).unwrap().classes[..], ["bird", "cat", "cow", "dog"]);
    let mixed = tree(&["cat/young/1.png", "cat/old/2.png", "cat/3.png", "dog/4.png"]);
    assert_eq!(open(&mixed).unwrap().classes[..], ["cat", "dog"]);
    let patients = tree(&["benign/p1/1.png", "benign/p2/2.png", "malignant/p3/3.png", "malignant/p4/4.png"]);
    assert_eq!(open(&patients).unwrap().classes[..], ["benign", "malignant"]);
}

#[test]
fn domains_within_the_training_split_are_refused_unless_they_are_said_to_be_classes() {
    let folder = tree(&[
        "train/photo/cat/1.png",
        "train/photo/dog/2.png",
        "train/sketch/cat/3.png",
        "train/sketch/dog/4.png",
        "val/photo/cat/5.png",
    ]);
    let error = open(&folder).unwrap_err();
    assert!(error.to_string().contains("`photo`, `sketch`") && error.to_string().contains("`cat`, `dog`"), "{error}");
    let hint = error.hint().unwrap().to_string();
    for part in ["data.layout = splits", "data.train_split", "domains are not read yet"] {
        assert!(hint.contains(part), "no {part} in {hint}");
    }
    let options = DatasetOptions { layout: Layout::Splits, ..DatasetOptions::default() };
    let data = Dataset::open(folder.path(), &options).unwrap();
    assert_eq!(
        (&data.classes[..], counts(&data).1),
        (&["photo", "sketch"].map(String::from)[..], [Some(4), Some(1), None])
    );
    let options = DatasetOptions { train_split: Some("sketch".into()), ..DatasetOptions::default() };
    let sketches = Dataset::open(folder.path().join("train"), &options).unwrap();
    assert_eq!(sketches.classes[..], ["cat", "dog"]);
}

#[test]
fn folders_of_several_folders_each_that_share_one_are_refused() {
    for paths in [
        ["photo/cat/1.png", "photo/dog/2.png", "sketch/cat/3.png", "sketch/bird/4.png"],
        ["train/photo/cat/1.png", "train/photo/dog/2.png", "train/sketch/cat/3.png", "train/sketch/bird/4.png"],
    ] {
        let error = open(&tree(&paths)).unwrap_err();
        assert!(matches!(&error, DataError::SplitsOrClasses { common, .. } if common == &["cat"]), "{error}");
    }
    let tiny_imagenet = tree(&["train/n1/images/1.png", "train/n2/images/2.png", "val/n1/images/3.png"]);
    assert_eq!(open(&tiny_imagenet).unwrap().classes[..], ["n1", "n2"]);
}

#[test]
fn a_class_with_the_name_of_a_folder_above_is_a_class() {
    let folder = tree(&["cat/train/cat/1.png", "cat/train/dog/2.png", "cat/val/cat/3.png"]);
    let data = Dataset::open(folder.path().join("cat"), &DatasetOptions::default()).unwrap();
    assert_eq!(counts(&data), (vec![1, 1], [Some(2), Some(1), None]));
    let doubled = tree(&["cat/cat/1.png", "dog/dog/2.png", "dog/dog/3.png"]);
    assert_eq!(counts(&open(&doubled).unwrap()).0, [1, 2]);
}

#[test]
fn a_folder_with_the_name_of_a_split_among_classes_is_refused_if_it_holds_folders() {
    let error = open(&tree(&["test/cat/1.png", "test/dog/2.png", "more/3.png"])).unwrap_err();
    assert!(matches!(&error, DataError::SplitAmongClasses { split, .. } if split == "test"), "{error}");
    let vehicles = tree(&["car/1.png", "train/2.png", "bus/3.png"]);
    let error = open(&vehicles).unwrap_err();
    assert!(error.to_string().ends_with("train holds 1 image and no folder of a class with images"), "{error}");
    assert_eq!(as_classes(&vehicles).classes[..], ["bus", "car", "train"]);
}

#[test]
fn a_folder_above_is_never_entered_again() {
    let folder = tree(&["train/cat/1.png", "train/dog/2.png", "test/cat/3.png"]);
    let link = |to: &str, at: &str| symlink(to, folder.path().join(at)).unwrap();
    link("..", "train/cat/up");
    link("../..", "train/cat/further_up");
    link(".", "train/dog/self");
    link("/", "train/dog/everything");
    link("..", "train/root");
    fs::create_dir(folder.path().join("train/dog/deeper")).unwrap();
    link("..", "train/dog/deeper/back");
    let data = open(&folder).unwrap();
    assert_eq!(counts(&data), (vec![1, 1], [Some(2), None, Some(1)]));
    let omissions = left_out(&data);
    assert_eq!((omissions.len(), &omissions[0].0, omissions[0].1), (1, &Reason::FolderAbove, 6));
}

#[test]
fn a_folder_that_a_link_leads_to_is_searched_and_its_own_links_are_followed_with_the_same_care() {
    let elsewhere = tree(&["pictures/1.png", "pictures/2.png", "other/3.png"]);
    symlink("..", elsewhere.path().join("pictures/up")).unwrap();
    let folder = tree(&["train/dog/4.png"]);
    symlink(elsewhere.path().join("pictures"), folder.path().join("train/cat")).unwrap();
    let data = open(&folder).unwrap();
    assert_eq!(counts(&data).0, [2, 1]);
    assert_eq!(left_out(&data), [(Reason::FolderAbove, 1, "train/cat/up".into())]);
}

#[test]
fn an_image_that_several_links_of_a_class_reach_counts_once() {
    let folder = tree(&["train/cat/1.png", "train/cat/more/2.png", "train/dog/3.png"]);
    let link = |to: &str, at: &str| symlink(to, folder.path().join(at)).unwrap();
    link("1.png", "train/cat/0.png");
    link("more", "train/cat/again");
    let data = open(&folder).unwrap();
    assert_eq!(counts(&data).0, [2, 1]);
    let omissions = left_out(&data);
    assert_eq!((omissions.len(), &omissions[0].0, omissions[0].1), (1, &Reason::ReachedTwice, 2));
    let names: Vec<String> = data.train.unwrap().images().iter().map(ToString::to_string).collect();
    assert!(names[0].ends_with("cat/1.png") && names[1].ends_with("cat/more/2.png"), "not the links: {names:?}");
}

#[test]
fn hard_links_and_links_between_classes_and_splits_stay_images() {
    let folder = tree(&["train/cat/1.png", "train/dog/2.png", "test/cat/3.png"]);
    fs::hard_link(folder.path().join("train/cat/1.png"), folder.path().join("test/cat/1.png")).unwrap();
    fs::hard_link(folder.path().join("train/cat/1.png"), folder.path().join("train/cat/same.png")).unwrap();
    symlink("../cat/1.png", folder.path().join("train/dog/1.png")).unwrap();
    symlink("nowhere.png", folder.path().join("train/dog/broken.png")).unwrap();
    let data = open(&folder).unwrap();
    assert_eq!(counts(&data), (vec![2, 3], [Some(5), None, Some(2)]));
    assert!(data.left_out.is_empty());
}

#[test]
fn names_that_are_not_utf8_are_refused_and_shown_escaped() {
    for bad in [&b"train/caf\xe9"[..], b"train/cat/deeper/\xff"] {
        let folder = tree(&["train/cat/1.png"]);
        let class = folder.path().join(OsStr::from_bytes(bad));
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join("1.png"), png(7)).unwrap();
        let error = open(&folder).unwrap_err().to_string();
        assert!(
            error.ends_with(r"train/caf\xe9 is not UTF-8") || error.ends_with(r"deeper/\xff is not UTF-8"),
            "{error}"
        );
    }
    let folder = tree(&["train/cat/1.png"]);
    fs::write(folder.path().join("train/cat").join(OsStr::from_bytes(b"\xe4.jpg")), png(3)).unwrap();
    assert!(matches!(open(&folder), Err(DataError::NotUtf8 { .. })));
    let notes = tree(&["train/cat/1.png"]);
    fs::write(notes.path().join("train/cat").join(OsStr::from_bytes(b"\xe4.txt")), "notes").unwrap();
    assert_eq!(left_out(&open(&notes).unwrap()).len(), 1, "no image: counted like others");
}

#[test]
fn what_other_programs_leave_behind_is_no_class_and_no_image() {
    let folder = tree(&[
        "train/cat/1.png",
        "train/dog/2.png",
        "train/@eaDir/cat/1.png",
        "train/cat/@eaDir/1.png/SYNOPHOTO_THUMB_XL.jpg",
        "train/cat/Thumbs.db",
        "train/cat/desktop.ini",
        "train/#recycle/old.png",
        "train/$RECYCLE.BIN/old.png",
        "train/.ipynb_checkpoints/1-checkpoint.png",
        "train/cat/._1.png",
        "__MACOSX/train/cat/._1.png",
        "lost+found/x.png",
        ".git/objects/x.png",
        ".DS_Store",
    ]);
    let data = open(&folder).unwrap();
    assert_eq!((&data.classes[..], counts(&data).0), (&["cat", "dog"].map(String::from)[..], vec![1, 1]));
    let counted: Vec<(Reason, usize)> = left_out(&data).into_iter().map(|(reason, count, _)| (reason, count)).collect();
    assert_eq!(counted, [(Reason::Leftover, 8), (Reason::Hidden, 4)]);
}

#[test]
fn images_are_read_by_their_content_where_the_ending_is_unusual() {
    let folder =
        tree(&["train/cat/1.JPE", "train/cat/2.jfif", "train/cat/3.mpo", "train/cat/4", "train/cat/5.png?size=2"]);
    write(folder.path(), "train/cat/renamed.heic", &png(9));
    for name in ["a.heic", "b.HEIC", "c.heic", "d.avif"] {
        write(folder.path(), &format!("train/cat/{name}"), b"\0\0\0\x18ftypheic");
    }
    for name in ["e.jpg.part", "f.jpg~"] {
        write(folder.path(), &format!("train/cat/{name}"), &png(9));
    }
    write(folder.path(), "train/cat/notes.txt", b"BM are the first letters of a bitmap too");
    write(folder.path(), "train/cat/README", b"P5 as well");
    write(folder.path(), "train/LICENSE", b"none");
    let data = open(&folder).unwrap();
    let train = data.train.as_ref().unwrap();
    assert_eq!(train.len(), 6);
    (0..6).for_each(|index| assert!(train.load(index).is_ok()));
    let sentences: Vec<String> = data.left_out.omissions().iter().map(ToString::to_string).collect();
    assert_eq!(
        sentences,
        [
            "1 file .avif, convert it (train/cat/d.avif)",
            "3 files .heic, convert them (train/cat/a.heic, train/cat/b.HEIC, train/cat/c.heic)",
            "2 temporary files or backup copies (train/cat/e.jpg.part, train/cat/f.jpg~)",
            "2 files without an ending (train/LICENSE, train/cat/README)",
            "1 file .txt (train/cat/notes.txt)",
        ]
    );
    let only = tempdir().unwrap();
    write(only.path(), "cat/1.heic", b"x");
    let error = open(&only).unwrap_err().to_string();
    assert!(error.ends_with("left out: 1 file .heic, convert it (cat/1.heic)"), "{error}");
}

#[test]
fn images_that_no_split_and_no_class_holds_are_counted() {
    let folder = tree(&[
        "train/cat/1.png",
        "train/beside.png",
        "val/cat/2.png",
        "extra/cat/3.png",
        "extra/dog/4.png",
        "cover.png",
    ]);
    let data = open(&folder).unwrap();
    assert_eq!(counts(&data).1, [Some(1), Some(1), None]);
    assert_eq!(
        left_out(&data),
        [
            (Reason::OtherSplit { split: "extra".into() }, 2, "extra/".into()),
            (Reason::BesideClasses, 2, "cover.png train/beside.png".into()),
        ]
    );
}

#[test]
fn files_outside_of_the_classes_are_counted_and_none_twice() {
    let folder = tree(&["train/cat/1.png", "train/dog/2.png"]);
    for name in
        ["holdout/cat/h.heic", "README", "x.jpg.part", "train/notes.txt", "train/h.heic", ".DS_Store", "Thumbs.db"]
    {
        write(folder.path(), name, b"x");
    }
    write(folder.path(), "classes.txt", b"cat Felis\n");
    assert_eq!(
        left_out(&open(&folder).unwrap()),
        [
            (Reason::NotDecoded { ending: ".heic".into() }, 2, "holdout/cat/h.heic train/h.heic".into()),
            (Reason::Temporary, 1, "x.jpg.part".into()),
            (Reason::NotAnImage { ending: String::new() }, 1, "README".into()),
            (Reason::NotAnImage { ending: ".txt".into() }, 1, "train/notes.txt".into()),
            (Reason::Leftover, 1, "Thumbs.db".into()),
            (Reason::Hidden, 1, ".DS_Store".into()),
        ]
    );
    let flat = tempdir().unwrap();
    write(flat.path(), "1.heic", b"x");
    for error in
        [open(&flat), Dataset::open_unlabelled(flat.path(), &DatasetOptions::default())].map(Result::unwrap_err)
    {
        assert!(error.to_string().ends_with("left out: 1 file .heic, convert it (1.heic)"), "{error}");
    }
}

#[test]
fn a_folder_with_the_ending_of_an_image_is_a_folder() {
    let data = open(&tree(&["train/cat/album.jpg/1.png", "train/cat/2.png"])).unwrap();
    assert_eq!(counts(&data).0, [2]);
}

#[test]
fn classes_may_have_any_name() {
    let names = ["-dash", "it's", "two words", "\"quoted\"", "ümlaut", "train", "1"];
    let paths: Vec<String> = names.iter().map(|name| format!("train/{name}/1.png")).collect();
    let data = open(&tree(&paths.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
    assert_eq!(data.classes.len(), names.len());
    assert!(names.iter().all(|name| data.classes.contains(&name.to_string())));
}

#[test]
fn splits_in_single_folders_are_refused_and_can_be_named_with_the_folders_between() {
    let intel = tree(&[
        "seg_train/seg_train/forest/1.png",
        "seg_train/seg_train/sea/2.png",
        "seg_test/seg_test/forest/3.png",
        "seg_test/seg_test/sea/4.png",
        "seg_pred/seg_pred/5.png",
    ]);
    let error = open(&intel).unwrap_err();
    assert!(matches!(&error, DataError::SplitsOrClasses { common, .. } if common == &["forest", "sea"]), "{error}");
    let hint = error.hint().unwrap().to_string();
    assert!(hint.contains("data.train_split = NAME") && hint.contains("seg_train/seg_train"), "{hint}");
    let named = |train: &str, test: Option<&str>| {
        let (train_split, test_split) = (Some(train.into()), test.map(Into::into));
        Dataset::open(intel.path(), &DatasetOptions { train_split, test_split, ..DatasetOptions::default() })
    };
    let data = named("seg_train/seg_train", Some("seg_test/seg_test/")).unwrap();
    assert_eq!(data.classes[..], ["forest", "sea"]);
    assert_eq!(counts(&data), (vec![1, 1], [Some(2), None, Some(2)]));
    assert_eq!(left_out(&data), [(Reason::OtherSplit { split: "seg_pred".into() }, 1, "seg_pred/".into())]);
    let alone = named("seg_train/seg_train/", None).unwrap();
    assert_eq!(left_out(&alone).len(), 2);
    let deeper = named("seg_train", None).unwrap_err();
    assert!(deeper.hint().unwrap().to_string().contains("with NAME seg_train/seg_train"), "{:?}", deeper.hint());
    for outside in ["../elsewhere", "/", "seg_train/none"] {
        assert!(matches!(named(outside, None), Err(DataError::SplitMissing { .. })), "{outside}");
    }

    let plants = tree(&[
        "Plant_Train/Train/a/1.png",
        "Plant_Train/Train/b/2.png",
        "Plant_Val/Val/a/3.png",
        "Plant_Val/Val/b/4.png",
    ]);
    assert!(matches!(open(&plants), Err(DataError::SplitsOrClasses { .. })));
}

#[test]
fn test_images_without_classes_are_left_out_and_counted() {
    let data = open(&tree(&["train/cat/1.png", "train/dog/2.png", "test/3.png", "test/4.png"])).unwrap();
    assert_eq!(counts(&data).1, [Some(2), None, None]);
    assert_eq!(left_out(&data), [(Reason::OfNoClass { folder: "test".into() }, 2, "test/".into())]);
    for split in ["val", "train"] {
        let flat = tree(
            &["train/cat/1.png", "train/dog/2.png"]
                .map(|path| path.replace(split, "test"))
                .each_ref()
                .map(String::as_str),
        );
        write(flat.path(), &format!("{split}/3.png"), &png(9));
        assert!(matches!(open(&flat), Err(DataError::WithoutClasses { .. })), "{split}");
    }
    let beside = tree(&["train/1.png", "val/2.png"]);
    write(beside.path(), "train/metadata.jsonl", b"{}");
    let error = open(&beside).unwrap_err().to_string();
    assert!(error.ends_with("beside it lies `metadata.jsonl`"), "{error}");
}

#[test]
fn data_for_detection_has_no_classes_and_pre_trains() {
    for paths in [&["train/images/1.png", "val/images/2.png"][..], &["images/1.png", "images/2.png"]] {
        let folder = tree(paths);
        let labels = if paths[0].starts_with("train") { "train/labels/1.txt" } else { "labels/1.txt" };
        write(folder.path(), labels, b"0 0.5 0.5 1 1");
        assert!(matches!(open(&folder), Err(DataError::Detection { .. })), "{paths:?}");
        let unlabelled = Dataset::open_unlabelled(folder.path(), &DatasetOptions::default()).unwrap();
        assert!(!unlabelled.train.unwrap().is_empty());
    }
}

#[test]
fn recycle_bins_are_left_out_and_classes_of_waste_are_not() {
    let folder = tree(&["cat/1.png", "dog/2.png", "Recycled/3.png", "@Trash/4.png", "Recycle Bin/5.png"]);
    assert_eq!(open(&folder).unwrap().classes[..], ["Recycled", "cat", "dog"]);
    write(folder.path(), "Recycled/desktop.ini", b"[.ShellClassInfo]");
    let data = open(&folder).unwrap();
    assert_eq!(data.classes[..], ["cat", "dog"]);
    assert_eq!(left_out(&data), [(Reason::Leftover, 3, "@Trash Recycle Bin Recycled".into())]);
}

#[test]
fn a_hidden_name_that_is_not_utf_8_is_left_out() {
    let folder = tree(&["cat/1.png", "dog/2.png"]);
    fs::write(folder.path().join("cat").join(OsStr::from_bytes(b".caf\xe9.png")), png(3)).unwrap();
    fs::create_dir(folder.path().join(OsStr::from_bytes(b".\xe9"))).unwrap();
    let data = open(&folder).unwrap();
    assert_eq!(counts(&data).0, [1, 1]);
    let hidden = left_out(&data);
    assert!(matches!(&hidden[..], [(Reason::Hidden, 2, names)] if names.contains(r".caf\xe9.png")), "{hidden:?}");
}
