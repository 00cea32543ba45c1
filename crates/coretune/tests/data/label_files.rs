//! Files beside folders of images that hold the labels: the folders are then not taken for classes.

use std::fs;
use std::path::Path;

use coretune::data::{DataError, Dataset, DatasetOptions, Format, LabelFileKind, Layout, Reason, Role, Split};
use tempfile::{TempDir, tempdir};

use crate::formats::png;

/// Eight images, spread over these folders, and files beside them.
fn spread(folders: &[&str], files: &[(&str, &str)]) -> TempDir {
    let root = tempdir().unwrap();
    for number in 0..8_u8 {
        let path = root.path().join(folders[usize::from(number) % folders.len()]).join(name(number));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, png(number)).unwrap();
    }
    for (name, text) in files {
        fs::write(root.path().join(name), text).unwrap();
    }
    root
}

fn name(number: u8) -> String {
    format!("scan_{number}.png")
}

/// A line for each image, with its number and the class of its half.
fn lines(line: impl Fn(u8, &str) -> String) -> String {
    (0..8).map(|number| line(number, if number < 4 { "cat" } else { "dog" })).collect()
}

fn open(root: &TempDir) -> Result<Dataset, DataError> {
    Dataset::open(root.path(), &DatasetOptions::default())
}

#[test]
fn folders_beside_a_file_with_other_labels_are_refused() {
    let two = ["left", "right"];
    let place = |number: u8| two[usize::from(number) % 2];
    let text = lines(|number, class| format!("{}/{} {class}\n", place(number), name(number)));
    let bare = lines(|number, class| format!("scan_{number}\t{class}\n"));
    let json =
        format!("[{}]", lines(|number, class| format!("{{\"file\":\"{}\",\"label\":\"{class}\"}},", name(number))));
    let described = lines(|number, class| format!("P{number};scan_{number};{class}\n"));
    let described = format!("patient;scan;dx\n{described}");
    for (file, text, kind, names_images) in [
        ("labels.txt", text.as_str(), LabelFileKind::Text, true),
        ("list.txt", text.as_str(), LabelFileKind::Text, true),
        ("all.lst", bare.as_str(), LabelFileKind::Text, true),
        ("labels.json", json.as_str(), LabelFileKind::Json, true),
        ("annotations.json", "{}", LabelFileKind::Json, false),
        ("data.jsonl", json.as_str(), LabelFileKind::Json, true),
        ("labels.xlsx", "PK", LabelFileKind::Workbook, false),
        ("Annotations 2024.XLS", "x", LabelFileKind::Workbook, false),
        ("metadata.tsv", described.as_str(), LabelFileKind::Table, true),
    ] {
        let root = spread(&two, &[(file, text)]);
        let error = open(&root).unwrap_err();
        let DataError::LabelFile { file: found, .. } = &error else { panic!("{file}: {error}") };
        assert_eq!((found.name.as_str(), found.kind, found.names_images), (file, kind, names_images), "{error}");
        assert_eq!(found.folders, two, "{file}");
        let hint = error.hint().unwrap().to_string();
        assert!(hint.contains("data.layout = classes"), "{hint}");
        let classes = DatasetOptions { layout: Layout::Classes, ..DatasetOptions::default() };
        assert_eq!(Dataset::open(root.path(), &classes).unwrap().classes[..], two, "{file}");
        let unlabelled = Dataset::open_unlabelled(root.path(), &DatasetOptions::default()).unwrap();
        assert_eq!(unlabelled.train.unwrap().len(), 8, "{file}");
    }
}

#[test]
fn files_that_say_the_same_as_the_folders_or_nothing_about_labels_do_not_matter() {
    let two = ["cat", "dog"];
    let class = |number: u8| two[usize::from(number) % 2];
    let same = (0..8).map(|number| format!("{} {}\n", name(number), number % 2)).collect::<Vec<_>>().concat();
    let sums = (0..8).map(|number| format!("{:08x}  {}/{}\n", 7919 * u32::from(number), class(number), name(number)));
    let json = (0..8).map(|number| format!("{{\"file\":\"{}\",\"label\":\"{}\"}}\n", name(number), class(number)));
    for (file, text) in [
        ("labels.txt", "cat\ndog\n"),
        ("labels.txt", "0 cat\n1 dog\n"),
        ("labels.txt", same.as_str()),
        ("MD5SUMS.txt", &sums.collect::<String>()),
        ("labels.json", "{\"cat\": 0, \"dog\": 1}"),
        ("annotations.jsonl", &json.collect::<String>()),
        ("README.txt", "scan_0.png shows a cat, scan_1.png a dog"),
        ("info.xlsx", "PK"),
        ("config.json", "{\"size\": 32}"),
        ("classes.txt", "cat Felis\ndog Canis\n"),
    ] {
        let root = spread(&two, &[(file, text)]);
        let data = open(&root).unwrap_or_else(|error| panic!("{file} {text}: {error}"));
        assert_eq!((data.format, &data.classes[..]), (Format::ImageFolder, &two.map(String::from)[..]));
    }
}

#[test]
fn images_in_no_folder_beside_a_file_of_labels_are_refused_with_the_file() {
    let text = lines(|number, class| format!("{},{class}\n", name(number)));
    for (file, text) in [("labels.txt", text.as_str()), ("Book1.xlsx", "PK"), ("labels.json", "{}"), ("y.txt", &text)] {
        let error = open(&spread(&["."], &[(file, text)])).unwrap_err();
        assert!(
            error.to_string().contains(&format!("images in no folder of a class, and the file `{file}`")),
            "{error}"
        );
        let hint = error.hint().unwrap().to_string();
        assert!(hint.contains("image_path,label") && hint.contains("into a folder of its class"), "{hint}");
    }
    let error = open(&spread(&["."], &[("notes.txt", "nothing")])).unwrap_err();
    assert!(matches!(error, DataError::Unrecognised { .. }), "{error}");
    let error = open(&spread(&["train"], &[("labels.txt", "")])).unwrap_err();
    assert!(matches!(&error, DataError::WithoutClasses { table: Some(table), .. } if table == "labels.txt"), "{error}");
}

/// HAM10000: two folders of images, and tables of which one has the names of the images without ending.
fn ham10000() -> TempDir {
    let rows: String = lines(|number, class| format!("HAM_{number},scan_{number},{class},{}\n", 30 + number / 3));
    let metadata = format!("lesion_id,image_id,dx,age\n{rows}");
    spread(
        &["HAM10000_images_part_1", "HAM10000_images_part_2"],
        &[("HAM10000_metadata.csv", &metadata), ("hmnist_8_8_L.csv", "pixel0000,label\n1,2\n")],
    )
}

#[test]
fn the_parts_of_a_data_set_are_not_its_classes() {
    let root = ham10000();
    let error = open(&root).unwrap_err();
    assert!(error.to_string().contains("the file `HAM10000_metadata.csv` names them"), "{error}");
    let hint = error.hint().unwrap().to_string();
    assert!(hint.contains("HAM10000_metadata.csv as the data, with data.image_column = image_id"), "{hint}");
    // What the hint says is then read.
    let named = |image: &str| DatasetOptions {
        image_column: Some(image.into()),
        label_column: Some("dx".into()),
        ..DatasetOptions::default()
    };
    let data = Dataset::open(root.path().join("HAM10000_metadata.csv"), &named("image_id")).unwrap();
    let train = data.train.as_ref().unwrap();
    assert_eq!(
        (train.labels(), &data.classes[..]),
        (&[0, 0, 0, 0, 1, 1, 1, 1][..], &["cat", "dog"].map(String::from)[..])
    );
    assert!((0..8).all(|at| train.load(at).unwrap().get_pixel(0, 0).0[0] == at as u8));
    assert!(data.columns[0].without_endings, "{:?}", data.columns);
    assert!(data.columns[0].to_string().contains("images `image_id` (without endings), labels `dx`"));

    for table in ["HAM10000_metadata.csv", "hmnist_8_8_L.csv"] {
        fs::remove_file(root.path().join(table)).unwrap();
    }
    let error = open(&root).unwrap_err();
    assert!(matches!(error, DataError::NamedLikeParts { .. }), "{error}");
}

#[test]
fn names_without_endings_are_those_of_one_file_each() {
    let table = |rows: &str| format!("image,label\n{rows}");
    let read = |root: &TempDir, rows: &str| {
        fs::write(root.path().join("list.csv"), table(rows)).unwrap();
        Dataset::open(root.path().join("list.csv"), &DatasetOptions::default())
    };
    let root = spread(&["a", "b"], &[]);
    let data = read(&root, "scan_0,x\nb/scan_1,y\na/scan_2,x\n").unwrap();
    let paths: Vec<String> = data.train.unwrap().images().iter().map(ToString::to_string).collect();
    let ends = ["a/scan_0.png", "b/scan_1.png", "a/scan_2.png"];
    assert!(paths.iter().zip(ends).all(|(path, end)| path.ends_with(end)), "{paths:?}");
    // A file in the folder itself counts before those below.
    fs::write(root.path().join("scan_3.png"), png(3)).unwrap();
    let data = read(&root, "scan_3,x\n").unwrap();
    assert_eq!(data.train.unwrap().images()[0].to_string(), root.path().join("scan_3.png").display().to_string());
    fs::write(root.path().join("b/scan_4.jpg"), png(4)).unwrap();
    let error = read(&root, "scan_4,x\n").unwrap_err().to_string();
    assert!(error.contains("`scan_4`, which could be ") && error.contains("b/scan_4.jpg"), "{error}");
    // Names with endings mean the file that they say and no other.
    let data = read(&root, "scan_5.png,x\n").unwrap();
    assert!(data.train.unwrap().load(0).is_err());
    let data = read(&root, "missing,x\nscan_5,y\n").unwrap();
    let train = data.train.unwrap();
    assert!(train.load(0).is_err() && train.load(1).is_ok(), "what no file is called stays missing");
}

#[test]
fn a_test_table_without_labels_is_left_out() {
    let root = spread(&["images"], &[]);
    let file = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
    file("train.csv", "image,label\nimages/scan_0.png,cat\nimages/scan_1.png,dog\n");
    file("test.csv", "image\nimages/scan_2.png\n");
    file("sample_submission.csv", "image,label\nimages/scan_2.png,cat\n");
    let data = open(&root).unwrap();
    assert_eq!(
        [Role::Train, Role::Validation, Role::Test].map(|role| data.split(role).map(Split::len)),
        [Some(2), None, None]
    );
    let left_out: Vec<(Reason, usize)> =
        data.left_out.omissions().into_iter().map(|one| (one.reason, one.count)).collect();
    assert!(left_out.contains(&(Reason::TableWithoutLabels, 1)), "{left_out:?}");
    assert!(data.left_out.to_string().contains("1 table without labels (test.csv)"), "{}", data.left_out);
    // A test that was asked for, and a validation without labels, are refused.
    let asked = DatasetOptions { test_split: Some("test".into()), ..DatasetOptions::default() };
    assert!(matches!(Dataset::open(root.path(), &asked), Err(DataError::NoColumn { .. })));
    fs::rename(root.path().join("test.csv"), root.path().join("val.csv")).unwrap();
    assert!(matches!(open(&root), Err(DataError::NoColumn { .. })));
}

#[test]
fn a_split_or_class_whose_link_leads_nowhere_stops() {
    let link = |root: &Path, name: &str| std::os::unix::fs::symlink("/mnt/nas/gone", root.join(name)).unwrap();
    for name in ["val", "Test", "train/cow", "cow"] {
        let root = if name == "cow" { spread(&["cat", "dog"], &[]) } else { spread(&["train/cat", "train/dog"], &[]) };
        link(root.path(), name);
        let error = open(&root).unwrap_err();
        assert!(
            error.to_string().ends_with(&format!("{name} is a link that leads nowhere: it points to /mnt/nas/gone"))
        );
        assert!(error.hint().unwrap().to_string().contains("remove the link"));
    }
    let root = spread(&["train/cat", "train/dog"], &[]);
    link(root.path(), "val");
    let training = DatasetOptions { train_only: true, ..DatasetOptions::default() };
    assert!(Dataset::open(root.path(), &training).is_ok(), "the split is not read");
    let root = spread(&["train/cat", "train/dog"], &[]);
    link(root.path(), "notes.txt");
    assert!(open(&root).is_ok());
}
