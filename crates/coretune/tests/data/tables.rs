//! Tables as other programs write them: separators, encodings, names of columns, paths of Windows.

use std::fs;

use coretune::data::check::{Depth, check};
use coretune::data::{DataError, Dataset, DatasetOptions, Format, Reason, Role, Split};
use tempfile::{TempDir, tempdir};

use crate::formats::png;
use crate::shared_data::shared;

/// `images/cat/1.png` and `images/dog/2.png`, beside which a table can be put.
fn images() -> TempDir {
    let folder = tempdir().unwrap();
    for (name, colour) in [("cat/1.png", 1), ("dog/2.png", 2)] {
        let path = folder.path().join("images").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, png(colour)).unwrap();
    }
    folder
}

fn open_table(folder: &TempDir, name: &str, bytes: &[u8], options: &DatasetOptions) -> Result<Dataset, DataError> {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    Dataset::open(path, options)
}

fn table(name: &str, bytes: &[u8]) -> Result<Dataset, DataError> {
    let folder = images();
    let data = open_table(&folder, name, bytes, &DatasetOptions::default())?;
    // Every image that the table names is there.
    let train = data.train.as_ref().unwrap();
    (0..train.len()).for_each(|index| assert!(train.load(index).is_ok(), "{name}: image {index}"));
    Ok(data)
}

/// What the table is refused with: the sentence, and the hint.
fn refusal(name: &str, bytes: &[u8]) -> (String, String) {
    let folder = images();
    let error = open_table(&folder, name, bytes, &DatasetOptions::default()).unwrap_err();
    let sentence = error.to_string().replace(&format!("{}/", folder.path().display()), "");
    (sentence, error.hint().map(|hint| hint.to_string()).unwrap_or_default())
}

fn is_cat_and_dog(data: &Dataset) -> bool {
    data.format == Format::Csv && data.classes[..] == ["cat", "dog"] && data.train.as_ref().unwrap().labels() == [0, 1]
}

const PLAIN: &str = "image_path,label\nimages/cat/1.png,cat\nimages/dog/2.png,dog\n";

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
}

#[test]
fn a_file_that_rows_name_again_with_one_label_counts_once() {
    let rows = "images/cat/1.png,cat\nimages/dog/2.png,dog\n./images/cat/1.png,cat\nimages/dog/../cat/1.png,cat\n";
    let data = table("list.csv", format!("image_path,label\n{rows}").as_bytes()).unwrap();
    assert!(is_cat_and_dog(&data));
    let [omission] = &data.left_out.omissions()[..] else { panic!("{:?}", data.left_out.omissions()) };
    let sentence = "2 rows that name an image again (`./images/cat/1.png` on lines 2 and 4, `images/dog/../cat/1.png` on \
                    lines 2 and 5)";
    assert_eq!((omission.reason.clone(), omission.to_string()), (Reason::ListedTwice, sentence.to_string()));
    let two_labels = table("list.csv", format!("{PLAIN}images/cat/1.png,dog\n").as_bytes()).unwrap();
    assert_eq!(two_labels.train.unwrap().labels(), [0, 1, 1]);
}

#[test]
fn paths_that_are_nearly_right_are_answered_with_what_to_write() {
    let beside = "write images/cat/1.png for ";
    for (written, what) in [
        ("/images/cat/1.png", "an absolute path that does not exist"),
        ("~/data/images/cat/1.png", "a path from the home folder"),
        ("images/cat/1.PNG", "differs from the name of a file in upper and lower case"),
    ] {
        let (sentence, hint) = refusal("list.csv", PLAIN.replacen("images/cat/1.png", written, 1).as_bytes());
        assert!(sentence.contains(&format!("list.csv line 2: found `{written}`")), "{sentence}");
        assert!(sentence.contains(what) && hint.contains(beside), "{sentence}; {hint}");
    }
}

#[test]
fn columns_that_are_exchanged_and_a_declared_separator_that_is_another_are_named() {
    let (sentence, hint) = refusal("list.csv", b"image_path,label\ncat,images/cat/1.png\n");
    assert!(sentence.contains("found `cat` for the image and `images/cat/1.png` for its label"), "{sentence}");
    assert!(hint.starts_with("are the columns exchanged?"), "{hint}");
    let (sentence, hint) = refusal("list.csv", format!("sep=;\n{PLAIN}").as_bytes());
    assert!(sentence.ends_with("its first line says that `;` separates its values, but `,` does"), "{sentence}");
    assert!(hint.contains("the first line"), "{hint}");
}

#[test]
fn tables_are_read_whatever_program_wrote_them() {
    let with = |separator: &str| PLAIN.replace(',', separator);
    let header = |header: &str| PLAIN.replace("image_path,label", header);
    for (what, name, text) in [
        ("semicolons", "list.csv", with(";")),
        ("tabs in a CSV", "list.csv", with("\t")),
        ("tabs", "list.tsv", with("\t")),
        ("tabs, in capitals", "LIST.TSV", with("\t")),
        ("commas in a TSV", "list.tsv", PLAIN.into()),
        ("bars", "list.csv", with("|")),
        ("a text file", "list.txt", with("\t")),
        ("quotes around values with the separator in them", "list.csv", with(";").replace("cat\n", "\"cat\"\n")),
        ("a declared separator", "list.csv", format!("sep=;\r\n{}", with(";"))),
        ("blanks after the separators", "list.csv", with(" ; ")),
        ("another case", "list.csv", header("Image_Path,LABEL")),
        ("other names", "list.csv", header("filename,class")),
        ("words with blanks", "list.csv", header("File Name,Class Name")),
        ("lines of Windows", "list.csv", PLAIN.replace('\n', "\r\n")),
        ("lines of old Macs", "list.csv", PLAIN.replace('\n', "\r")),
        ("backslashes", "list.csv", PLAIN.replace('/', "\\")),
        ("a dot and backslashes", "list.csv", PLAIN.replace('/', "\\").replace("images", ".\\images")),
        ("rows of separators at the end", "list.csv", format!("{PLAIN},\n,\n")),
        ("blank lines", "list.csv", format!("\n\n{}", PLAIN.replace('\n', "\n\n"))),
        ("a byte order mark and quotes", "list.csv", format!("\u{feff}{}", header("\"image_path\",\"label\""))),
    ] {
        let data = table(name, text.as_bytes()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(is_cat_and_dog(&data), "{what}: {:?}", data.classes);
    }
    for bytes in [utf16(PLAIN, u16::to_le_bytes), utf16(PLAIN, u16::to_be_bytes)] {
        assert!(is_cat_and_dog(&table("list.csv", &bytes).unwrap()));
    }
}

#[test]
fn tables_that_cannot_be_read_safely_are_refused_with_what_was_found_and_what_to_do() {
    let columns = |header: &str| PLAIN.replace("image_path,label", header).into_bytes();
    let unmarked: Vec<u8> = PLAIN.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, Vec<u8>, &str, &str); 14] = [
        ("no header", columns("images/cat/0.png,cat"), "begins without the names of its columns", "put a line"),
        ("unknown names", columns("x,y"), "no column of list.csv has a usual name for the paths", "data.image_column"),
        (
            "an unknown label",
            columns("file,y"),
            "no column of list.csv has a usual name for the labels",
            "data.label_column",
        ),
        (
            "two columns of paths",
            b"filename,path,label\na,b,c\n".to_vec(),
            "several columns of list.csv could be the paths of the images: `filename`, `path`",
            "data.image_column",
        ),
        (
            "two columns of labels",
            b"file,class,category\na,b,c\n".to_vec(),
            "could be the labels: `class`, `category`",
            "data.label_column",
        ),
        ("UTF-16 without its mark", unmarked, "looks like UTF-16 without its byte order mark", "save it as UTF-8"),
        (
            "another encoding",
            b"image_path,label\na.png,B\xe4r\n".to_vec(),
            "line 2 has bytes that are not UTF-8",
            "save it as UTF-8",
        ),
        ("a web page", b"<!DOCTYPE html><html>, 404</html>".to_vec(), "is not a table: it is a web page", "download"),
        (
            "a pointer",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".to_vec(),
            "it is a Git LFS pointer, not the file it points to (`git lfs pull` fetches that)",
            "download",
        ),
        ("an image", png(1), "is not a table: it is a PNG image", "download"),
        (
            "a path of Windows with its drive",
            b"image_path,label\nimages/cat/1.png,cat\nC:\\data\\2.png,dog\n".to_vec(),
            "list.csv line 3: found `C:\\data\\2.png`, a path of Windows with its drive or server, expected a path",
            "",
        ),
        (
            "an address",
            b"sep=,\nurl,file,label\nx,https://example.org/1.png,cat\n".to_vec(),
            "list.csv line 3: found `https://example.org/1.png`, an address, expected a path",
            "",
        ),
        (
            "a quote that is not closed",
            b"image_path,label\nimages/cat/1.png,\"cat\nimages/dog/2.png,dog\n".to_vec(),
            "list.csv line 2: found a value of several lines, from \"cat\", expected a label (is a quote not closed?)",
            "",
        ),
        (
            "a comma without quotes",
            b"image_path,label\nimages/cat,1.png,cat\n".to_vec(),
            "list.csv line 2: found 3 values, expected 2, as in the header",
            "",
        ),
    ];
    for (what, bytes, sentence, hint) in cases {
        let found = refusal("list.csv", &bytes);
        assert!(found.0.contains(sentence), "{what}: {}", found.0);
        assert!(found.1.contains(hint), "{what}: {}", found.1);
    }
}

#[test]
fn columns_can_be_named_and_must_be_there() {
    let options = |image: &str, label: &str| DatasetOptions {
        image_column: Some(image.into()),
        label_column: Some(label.into()),
        ..DatasetOptions::default()
    };
    let folder = images();
    let text = b"image_path;thumbnail;dx;label\nx;images/cat/1.png;cat;0\nx;images/dog/2.png;dog;0\n";
    let open = |options: &DatasetOptions| open_table(&folder, "list.csv", text, options);
    assert!(is_cat_and_dog(&open(&options("thumbnail", "DX")).unwrap()));
    let error = open(&options("thumbnails", "dx")).unwrap_err().to_string();
    assert!(error.ends_with("has no column `thumbnails`; it has `image_path`, `thumbnail`, `dx`, `label`"), "{error}");
    let error = open(&options("dx", "dx")).unwrap_err();
    assert!(matches!(error, DataError::OneColumnForBoth { .. }), "{error}");
    let error = Dataset::open(folder.path().join("images"), &options("a", "b")).unwrap_err();
    assert!(error.to_string().ends_with("is not a table with a column `a`: it holds image folders"), "{error}");
}

#[test]
fn a_column_of_splits_is_known_in_any_case_and_by_other_names_if_all_its_values_are_splits() {
    let lengths = |header: &str, split: &str, options: &DatasetOptions| {
        let text =
            format!("{header}\nimages/cat/1.png,cat,train\nimages/dog/2.png,dog,Train\nimages/dog/2.png,dog,{split}\n");
        let folder = images();
        let text = text.replace("Train", "train");
        let data = open_table(&folder, "list.csv", text.as_bytes(), options).unwrap();
        [Role::Train, Role::Validation, Role::Test].map(|role| data.split(role).map(Split::len))
    };
    let plain = DatasetOptions::default();
    for header in ["image_path,label,Split", "image_path,label,subset", "File,Class,Data Set", "file,class,fold"] {
        assert_eq!(lengths(header, "test", &plain), [Some(2), None, Some(1)], "{header}");
    }
    assert_eq!(lengths("image_path,label,subset", "3", &plain), [Some(2), None, None], "not splits: a row again");
    let named = DatasetOptions { test_split: Some("b".into()), ..DatasetOptions::default() };
    assert_eq!(lengths("image_path,label,subset", "b", &named), [Some(2), None, Some(1)], "a split that is named");
}

#[test]
fn tables_in_a_folder_may_have_either_ending() {
    let folder = images();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let open = || Dataset::open(folder.path(), &DatasetOptions::default());
    write("train.tsv", &PLAIN.replace(',', "\t"));
    write("test.csv", PLAIN);
    let data = open().unwrap();
    assert_eq!((data.train.unwrap().len(), data.test.unwrap().len()), (2, 2));
    write("train.csv", PLAIN);
    let error = open().unwrap_err().to_string();
    assert!(error.ends_with("has two splits that are train by their names: `train.csv` and `train.tsv`"), "{error}");
}

#[test]
fn a_tsv_of_other_things_beside_image_folders_stays_out_of_the_way() {
    let folder = images();
    fs::write(folder.path().join("images/notes.tsv"), "who\twhen\nme\ttoday\n").unwrap();
    let data = Dataset::open(folder.path().join("images"), &DatasetOptions::default()).unwrap();
    assert_eq!((data.format, data.train.unwrap().len()), (Format::ImageFolder, 2));
}

#[test]
fn a_table_beside_folders_of_classes_is_refused_unless_its_columns_have_the_names_of_the_documentation() {
    let folder = tempdir().unwrap();
    for (name, colour) in [("train/cat/1.png", 1), ("train/dog/2.png", 2), ("test/cat/3.png", 3)] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, png(colour)).unwrap();
    }
    let rows = "train/cat/1.png,cat\ntrain/dog/2.png,dog\n";
    let open = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let (of_folder, of_table) = (
            Dataset::open(folder.path(), &DatasetOptions::default()),
            Dataset::open(&path, &DatasetOptions::default()),
        );
        fs::remove_file(path).unwrap();
        assert_eq!(of_table.unwrap().train.unwrap().len(), 2, "the table itself: {name}");
        of_folder.map(|data| data.format)
    };
    let unclear = |format: Result<Format, DataError>| matches!(format, Err(DataError::TableOrFolders { .. }));
    assert!(unclear(open("labels.csv", &format!("filename,class\n{rows}"))));
    assert!(unclear(open("labels.tsv", &format!("image_path,label\n{rows}").replace(',', "\t"))));
    assert_eq!(open("labels.csv", &format!("image_path,label\n{rows}")).unwrap(), Format::Csv);
}

#[test]
fn a_file_with_a_backslash_in_its_name_is_that_file() {
    let folder = images();
    fs::write(folder.path().join("a\\b.png"), png(3)).unwrap();
    let rows = b"image_path,label\na\\b.png,cat\nimages\\dog\\2.png,dog\n";
    let data = open_table(&folder, "list.csv", rows, &DatasetOptions::default()).unwrap();
    assert!((0..2).all(|index| data.train.as_ref().unwrap().load(index).is_ok()));
}

#[test]
fn a_single_file_of_another_kind_is_called_what_it_is() {
    for (name, bytes, found) in [
        (
            "labels.xlsx",
            &b"PK\x03\x04\x14\0\x06\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x13\0\0\0[Content_Types].xml"[..],
            "an Excel workbook",
        ),
        ("data.parquet.part", b"PAR1xxxx", "a parquet file"),
        ("data.html", b"<html>", "a web page"),
    ] {
        let (sentence, hint) = refusal(name, bytes);
        assert!(sentence.ends_with(&format!("it holds a single file: it is {found}")), "{sentence}");
        assert!(!hint.is_empty());
    }
}

#[test]
fn files_of_every_format_that_are_pages_or_pointers_are_called_that() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    let page = b"<!DOCTYPE html><html><body>404</body></html>";
    for name in ["train-00000-of-00001.parquet", "train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"] {
        for (bytes, found) in [(&pointer[..], "it is a Git LFS pointer"), (page, "it is a web page")] {
            let folder = tempdir().unwrap();
            fs::write(folder.path().join(name), bytes).unwrap();
            fs::write(folder.path().join("train-labels-idx1-ubyte"), bytes).unwrap();
            let error = Dataset::open(folder.path(), &DatasetOptions::default()).unwrap_err();
            assert!(matches!(error, DataError::NotData { .. }), "{name}: {error}");
            assert!(error.to_string().contains(found) && error.hint().is_some(), "{name}: {error}");
        }
    }
}

#[test]
fn files_with_the_ending_of_an_image_are_called_what_they_are() {
    let folder = images();
    let heic = b"\0\0\0\x1cftypheic\0\0\0\0mif1heic\0\0\0\0";
    let avif = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1\0\0\0\0";
    let cases: [(&[u8], &str); 9] = [
        (b"<!DOCTYPE html><html><body>404</body></html>\n", "it is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "it is a Git LFS pointer, not the file",
        ),
        (heic, "it is a HEIC image: convert it to JPEG or PNG"),
        (avif, "it is an AVIF image: convert it to JPEG or PNG"),
        (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "it is an SVG drawing: convert it to JPEG or PNG"),
        (b"%PDF-1.7\n", "it is a PDF document: convert it to JPEG or PNG"),
        (
            b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
            "it is an error message of a server, in XML",
        ),
        (&[0; 64], "it is filled with zeros"),
        (b"just some text", "it is not in a supported image format"),
    ];
    for depth in [Depth::Full, Depth::Quick] {
        for (bytes, found) in cases {
            fs::write(folder.path().join("images/cat/1.png"), bytes).unwrap();
            let data = Dataset::open(folder.path().join("images"), &DatasetOptions::default()).unwrap();
            let report = check(&[(Role::Train, data.train.as_ref().unwrap())], depth, None, false, &mut |_, _| {});
            assert!(report.unreadable[0].contains(found), "{depth:?}: {:?}", report.unreadable);
        }
    }
}

#[test]
fn the_tables_of_the_shared_cases_are_read_or_refused() {
    let (Some(script), Some(_)) = (shared("cases/make.py"), shared("data/imagenet20-160-subset")) else { return };
    let out = tempdir().unwrap();
    let made = std::process::Command::new("python3").arg(&script).arg(out.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let open = |name: &str| Dataset::open(out.path().join("tables").join(name), &DatasetOptions::default());
    for name in ["semicolon.csv", "tab.tsv", "header-case.csv", "other-columns.csv", "windows-paths.csv", "utf-16.csv"]
    {
        let train = open(name).unwrap_or_else(|error| panic!("{name}: {error}")).train.unwrap();
        assert_eq!(train.class_counts(), [3, 3], "{name}");
        assert!((0..6).all(|index| train.load(index).is_ok()), "{name}");
    }
    assert!(matches!(open("no-header.csv"), Err(DataError::NoHeader { .. })));
}

#[test]
fn what_no_row_names_is_counted_in_the_folder_of_a_table() {
    let folder = images();
    for (name, bytes) in [("images/3.png", &png(3)[..]), ("images/4.heic", b"x"), ("README.md", b"x"), ("5.heic", b"x")]
    {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    fs::write(folder.path().join("list.csv"), PLAIN.to_string() + "./images/4.heic,cat\n").unwrap();
    let found = |path: &std::path::Path| {
        let omissions = Dataset::open(path, &DatasetOptions::default()).unwrap().left_out.omissions();
        omissions.into_iter().map(|one| (one.reason, one.examples.join(" "))).collect::<Vec<_>>()
    };
    let expected = [
        (Reason::NotDecoded { ending: ".heic".into() }, "5.heic".to_string()),
        (Reason::WithoutRow, "images/3.png".into()),
        (Reason::NotAnImage { ending: ".md".into() }, "README.md".into()),
    ];
    assert_eq!(found(folder.path()), expected);
    assert_eq!(found(&folder.path().join("list.csv")), [], "of a file, only the file is the data");
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    let otherwise = PLAIN.replace("images/cat", &format!("../{name}/images/dog/../cat"));
    fs::write(folder.path().join("list.csv"), otherwise + "images/4.heic,cat\n").unwrap();
    assert_eq!(found(folder.path()), expected, "paths of another spelling name the same images");
}

/// A table of the two images with a third column.
fn with_column(name: &str, values: [&str; 2]) -> String {
    let [cat, dog] = values;
    format!(
        "image_path,label,{name}\nimages/cat/1.png,cat,{cat}\nimages/dog/2.png,dog,{dog}\nimages/dog/2.png,dog,{cat}\n"
    )
}

#[test]
fn a_column_with_names_of_splits_is_read_and_other_names_among_them_are_refused() {
    for column in ["set", "Stage", "type", "partition", "fold", "split_type"] {
        let folder = images();
        let text = with_column(column, ["train", "val"]);
        let data = open_table(&folder, "t.csv", text.as_bytes(), &DatasetOptions::default()).unwrap();
        assert_eq!(data.validation.as_ref().map(Split::len), Some(1), "{column}");
        assert_eq!(data.columns[0].split.as_deref(), Some(column));
        let (sentence, hint) = refusal("t.csv", with_column(column, ["train", "holdout"]).as_bytes());
        assert!(
            sentence.contains(&format!("line 3: found the split `holdout` in the column `{column}`")),
            "{sentence}"
        );
        assert!(hint.contains("data.val_split"), "{hint}");
        for values in [["1", "2"], ["train", "bus"], ["a", "b"]] {
            let data = table("t.csv", with_column(column, values).as_bytes()).unwrap();
            assert_eq!(data.columns[0].not_read, [column], "{values:?}");
        }
    }
    let options = DatasetOptions { train_split: Some("train".into()), ..DatasetOptions::default() };
    let folder = images();
    let data = open_table(&folder, "t.csv", with_column("set", ["train", "holdout"]).as_bytes(), &options).unwrap();
    assert_eq!(data.train.unwrap().len(), 2);
    let two = "image_path,label,set,stage\nimages/cat/1.png,cat,train,test\nimages/dog/2.png,dog,train,val\n";
    let (sentence, hint) = refusal("t.csv", two.as_bytes());
    assert!(
        sentence.contains("could be the splits: `set`, `stage`") && hint.contains("data.split_column"),
        "{sentence}"
    );
}

#[test]
fn a_column_of_any_name_holds_the_splits_if_all_its_values_are_names_of_splits_and_one_trains() {
    for column in ["splits", "image_set", "train_or_test", "role"] {
        let folder = images();
        let text = with_column(column, ["train", "test"]);
        let data = open_table(&folder, "t.csv", text.as_bytes(), &DatasetOptions::default()).unwrap();
        assert_eq!(data.test.as_ref().map(Split::len), Some(1), "{column}");
        for values in [["test", "test"], ["test", "val"], ["train", "plane"]] {
            let data = table("t.csv", with_column(column, values).as_bytes());
            assert!(data.unwrap().test.is_none(), "{column} {values:?}");
        }
    }
}

#[test]
fn one_table_among_others_is_read_and_several_are_refused() {
    let folder = images();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let open = || Dataset::open(folder.path(), &DatasetOptions::default());
    write("labels.csv", PLAIN);
    write("notes.csv", "id,name\n0,a\n");
    let data = open().unwrap();
    assert!(is_cat_and_dog(&data), "{:?}", data.classes);
    assert!(data.left_out.to_string().contains("the table `notes`"), "{}", data.left_out);
    write("more.csv", PLAIN);
    let error = open().unwrap_err();
    assert!(
        error.to_string().ends_with("holds several tables of images and labels: `labels.csv`, `more.csv`"),
        "{error}"
    );
    assert!(error.hint().unwrap().to_string().contains("name the file"), "{:?}", error.hint());
}

#[test]
fn a_column_that_marks_one_split_is_refused_with_the_settings_that_read_it() {
    for (column, values, train) in
        [("is_train", ["1", "0"], "1"), ("is_valid", ["False", "True"], "False"), ("test", ["no", "yes"], "no")]
    {
        let text = with_column(column, values);
        let (sentence, hint) = refusal("t.csv", text.as_bytes());
        assert!(sentence.contains(&format!("the column `{column}`")), "{sentence}");
        assert!(hint.contains(&format!("data.train_split = {train}")), "{hint}");
        let [train_split, other] = if train == values[0] { values } else { [values[1], values[0]] };
        let options = DatasetOptions {
            split_column: Some(column.into()),
            train_split: Some(train_split.into()),
            val_split: Some(other.into()),
            ..DatasetOptions::default()
        };
        let folder = images();
        let data = open_table(&folder, "t.csv", text.as_bytes(), &options).unwrap();
        assert_eq!(data.train.unwrap().len() + data.validation.unwrap().len(), 3, "{column}");
    }
    let all = table("t.csv", with_column("is_train", ["1", "1"]).as_bytes()).unwrap();
    assert_eq!(all.columns[0].not_read, ["is_train"]);
    let missing = DatasetOptions { split_column: Some("set".into()), ..DatasetOptions::default() };
    assert!(matches!(open_table(&images(), "t.csv", PLAIN.as_bytes(), &missing), Err(DataError::NoSuchColumn { .. })));
}

#[test]
fn comments_before_the_header_are_passed_over_and_others_are_named() {
    let after = |comments: &str| format!("{comments}{PLAIN}");
    for text in [after("# labels of 2020\n# by hand\n"), after("#"), after("sep=,\n# by hand\n")] {
        assert!(is_cat_and_dog(&table("t.csv", text.as_bytes()).unwrap()), "{text}");
    }
    let (sentence, _) = refusal("t.csv", PLAIN.replace("images/dog", "# dogs\nimages/dog").as_bytes());
    assert!(sentence.contains("line 3: found a comment"), "{sentence}");
    let (sentence, _) = refusal("t.csv", after("# a\n").replace("2.png,dog", "2.png").as_bytes());
    assert!(sentence.contains("line 4: found 1 value"), "{sentence}");
}

#[test]
fn what_is_not_a_table_is_called_what_it_is() {
    for (name, text, sentence, hint) in [
        ("t.csv", "image_path,label\n", "it ends after the names of its columns", "download"),
        (
            "t.csv",
            "image_path,label;x\na,b;c\n",
            "two signs separate the names of its columns, `,` and `;`",
            "one sign",
        ),
        ("t.csv", "image_path;label\na.png,cat\n", "found 1 value, expected 2, as in the header (between `;`;", ""),
        ("t.csv", "[{\"image_path\": \"a.png\", \"label\": 1}]", "it is JSON", "write it as CSV"),
        (
            "t.csv",
            "filename, cat, dog\n1.png, 1, 0\n2.png, 0, 1\n",
            "one of 0 and 1 for each class: `cat`, `dog`",
            "several labels",
        ),
        ("t.csv", "id,label\n1,0\n2,1\n", "no column of t.csv has a usual name for the paths", "image_column"),
    ] {
        let found = refusal(name, text.as_bytes());
        assert!(found.0.contains(sentence) && found.1.contains(hint), "{found:?}");
    }
}

#[test]
fn tables_beside_the_images_of_each_split_are_read() {
    let folder = tempdir().unwrap();
    for (split, names) in [("train", &["1", "2"][..]), ("test", &["3"])] {
        let root = folder.path().join(split);
        fs::create_dir_all(&root).unwrap();
        let mut text = String::from("file_name,label\n");
        for name in names {
            fs::write(root.join(format!("{name}.png")), png(name.as_bytes()[0])).unwrap();
            text += [*name, ".png,", if *name == "2" { "dog" } else { "cat" }, "\n"].concat().as_str();
        }
        fs::write(root.join("metadata.csv"), text).unwrap();
    }
    let data = Dataset::open(folder.path(), &DatasetOptions::default()).unwrap();
    assert_eq!((data.train.as_ref().unwrap().labels(), data.test.as_ref().unwrap().labels()), (&[0, 1][..], &[0][..]));
    assert!(data.train.unwrap().load(1).is_ok() && data.left_out.is_empty());
    assert_eq!(data.columns[0].files, ["train/metadata.csv", "test/metadata.csv"]);
}

#[test]
fn images_that_lie_in_a_folder_beside_the_table_are_found_for_the_hint() {
    let folder = images();
    let elsewhere = |written: &str| {
        let text = format!("image_path,label\n{written},cat\n");
        open_table(&folder, "t.csv", text.as_bytes(), &DatasetOptions::default()).unwrap().first_image_elsewhere()
    };
    let pair = |written: &str| Some((written.to_string(), "images/cat/1.png".to_string()));
    assert_eq!(elsewhere("1.png"), pair("1.png"));
    assert_eq!(elsewhere("cat/1"), pair("cat/1"));
    assert_eq!(elsewhere("images/cat/1.png"), None);
    assert_eq!(elsewhere("none.png"), None);
}

#[test]
fn blanks_before_quotes_do_not_become_part_of_a_value() {
    let quoted = |line: &str| format!("\"{}\"\n", line.replace(',', "\",  \""));
    let text: String = PLAIN.lines().map(quoted).collect();
    assert!(text.contains("\"image_path\",  \"label\""));
    assert!(is_cat_and_dog(&table("quoted.csv", text.as_bytes()).unwrap()));
}

#[test]
fn tables_that_begin_with_a_title_or_are_quoted_as_a_whole_are_called_so() {
    for (name, text, words, advice) in [
        (
            "title.csv",
            format!("Animals of 2024\n\n{PLAIN}"),
            "names of its columns are on line 3, below a title",
            "remove the lines above",
        ),
        (
            "wide.csv",
            format!("Animals,\n{PLAIN}"),
            "names of its columns are on line 2, below a title",
            "remove the lines above",
        ),
        (
            "whole.csv",
            PLAIN.lines().map(|line| format!("\"{line}\"\n")).collect::<Vec<_>>().concat(),
            "each line is in quotes as a whole",
            "remove the quotes",
        ),
    ] {
        let (sentence, hint) = refusal(name, text.as_bytes());
        assert!(sentence.contains(words) && hint.contains(advice), "{sentence}; {hint}");
    }
}

#[test]
fn refusals_of_tables_have_a_hint_that_mends_them() {
    let (sentence, hint) =
        refusal("twice.csv", PLAIN.replace("label", "label,label").replace("cat\n", "cat,1\n").as_bytes());
    assert!(sentence.contains("`label`, `label`") && hint.contains("a name of its own"), "{sentence}; {hint}");
    let (sentence, hint) = refusal("drive.csv", PLAIN.replace("images/cat/", "C:\\data\\images\\cat\\").as_bytes());
    assert!(sentence.contains("a path of Windows"), "{sentence}");
    assert_eq!(hint, r"write images/cat/1.png for C:\data\images\cat\1.png, and so for all");
    let (_, hint) = refusal("server.csv", PLAIN.replace("images/cat/1", "https://example.org/9").as_bytes());
    assert!(hint.contains("put the images beside the table"), "{hint}");
    let (sentence, hint) = refusal("trailing.csv", PLAIN.replace("cat\n", "cat,\n").as_bytes());
    assert!(
        sentence.contains("line 2: found 3 values") && hint.contains("none at the end of a line"),
        "{sentence}; {hint}"
    );
}
