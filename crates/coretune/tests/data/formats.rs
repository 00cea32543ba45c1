use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use coretune::data::{DataError, Dataset, DatasetOptions, Format, Role, Split};
use image::{Rgb, RgbImage};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tempfile::{TempDir, tempdir};

fn open(path: impl AsRef<Path>) -> Result<Dataset, DataError> {
    Dataset::open(path, &DatasetOptions::default())
}

/// A file tree: each path gets a 2 x 2 PNG whose colour is its number.
fn tree(paths: &[&str]) -> TempDir {
    let folder = tempdir().unwrap();
    for (number, path) in paths.iter().enumerate() {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(2, 2, Rgb([number as u8; 3])).save_with_format(path, image::ImageFormat::Png).unwrap();
    }
    folder
}

pub(crate) fn png(colour: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(2, 2, Rgb([colour; 3])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn colours(split: &Split) -> Vec<u8> {
    (0..split.len()).map(|i| split.load(i).unwrap()[(0, 0)].0[0]).collect()
}

#[test]
fn images_without_folders_of_classes_are_of_one_class() {
    let unlabelled = |folder: &TempDir| Dataset::open_unlabelled(folder.path(), &DatasetOptions::default());
    for paths in [&["b.png", "a.png", "more/c.png"][..], &["train/b.png", "train/a.png", "train/x/c.png", "test/d.png"]]
    {
        let data = unlabelled(&tree(paths)).unwrap();
        assert_eq!(data.train.as_ref().map(Split::len), Some(3), "{paths:?}");
        assert_eq!(data.classes[..], ["images"]);
    }
    let labelled = unlabelled(&tree(&["train/cat/a.png", "train/ant/b.png", "test/cat/c.png"])).unwrap();
    assert_eq!((labelled.classes.len(), labelled.test.is_some()), (2, true));
    assert!(unlabelled(&tempdir().unwrap()).is_err());
}

#[test]
fn image_folders_with_splits_sort_classes_and_files_by_name() {
    let folder = tree(&[
        "train/cat/b.png",
        "train/cat/a.JPG",
        "train/ant/deeper/c.png",
        "valid/cat/d.png",
        "test/ant/e.png",
        "train/cat/.hidden.png",
    ]);
    fs::write(folder.path().join("train/cat/notes.txt"), "not an image").unwrap();
    let data = open(&folder).unwrap();
    assert_eq!((data.format, &data.classes[..]), (Format::ImageFolder, &["ant".to_string(), "cat".to_string()][..]));
    let train = data.train.as_ref().unwrap();
    assert_eq!((train.labels(), colours(train)), (&[0, 1, 1][..], vec![2, 1, 0]));
    assert_eq!(data.validation.unwrap().labels(), [1]);
    assert_eq!(data.test.unwrap().labels(), [0]);
}

#[test]
fn folders_of_classes_without_splits_are_training_images() {
    let data = open(tree(&["cat/a.png", "test/b.png"])).unwrap();
    assert_eq!(&data.classes[..], ["cat", "test"]);
    assert_eq!(data.train.unwrap().len(), 2);
    assert!(data.validation.is_none() && data.test.is_none());
}

#[test]
fn splits_can_be_named_and_serve_one_role_only() {
    let folder = tree(&["train/a/1.png", "val/a/2.png", "extra/a/3.png", "extra/a/4.png"]);
    let named = |train: Option<&str>, val: Option<&str>, test: Option<&str>| {
        let own = |name: Option<&str>| name.map(ToString::to_string);
        let options = DatasetOptions {
            train_split: own(train),
            val_split: own(val),
            test_split: own(test),
            ..DatasetOptions::default()
        };
        Dataset::open(&folder, &options)
    };
    let data = named(Some("extra"), None, Some("val")).unwrap();
    assert_eq!((data.train.unwrap().len(), data.test.unwrap().len()), (2, 1));
    assert!(data.validation.is_none());
    let error = named(None, Some("tune"), None).unwrap_err();
    assert!(error.to_string().ends_with("has no split named `tune`, it has `extra`, `train`, `val`"), "{error}");
    assert!(error.hint().unwrap().to_string().contains("data.val_split"));
    assert!(matches!(named(Some("val"), Some("val"), None), Err(DataError::SplitTwice { .. })));
}

#[test]
fn a_class_that_training_lacks_is_named() {
    let error = open(tree(&["train/cat/a.png", "test/dog/b.png", "test/cat/c.png"])).unwrap_err();
    assert!(matches!(&error, DataError::UnknownClass { split: Role::Test, class, .. } if class == "dog"), "{error}");
    assert!(error.to_string().starts_with("class `dog` of the test split of "), "{error}");
    let only_test = open(tree(&["test/cat/a.png", "test/dog/b.png"])).unwrap();
    assert_eq!(
        (&only_test.classes[..], only_test.train.is_none()),
        (&["cat".to_string(), "dog".to_string()][..], true)
    );
}

#[test]
fn titles_of_classes_are_read_beside_the_splits() {
    let folder = tree(&["train/n02/a.png", "train/n01/b.png"]);
    fs::write(folder.path().join("classes.txt"), "n01 tench\nn02 fire truck\n").unwrap();
    let data = open(&folder).unwrap();
    assert_eq!(
        (&data.classes[..], &data.titles[..]),
        (&["n01", "n02"].map(String::from)[..], &["tench", "fire truck"].map(String::from)[..])
    );
}

#[test]
fn what_is_no_data_set_is_refused_with_what_is_there() {
    assert!(matches!(open("no/such/folder"), Err(DataError::NotFound { .. })));
    let folder = tempdir().unwrap();
    let error = open(&folder).unwrap_err();
    assert!(error.to_string().ends_with("is not a data set in a known layout: it holds nothing"), "{error}");
    fs::write(folder.path().join("model.pth"), "x").unwrap();
    let error = open(&folder).unwrap_err();
    assert!(error.to_string().ends_with("it holds `model.pth`"), "{error}");
    assert!(error.hint().unwrap().to_string().contains("train/<class>"));
    assert!(matches!(open(folder.path().join("model.pth")), Err(DataError::Unrecognised { .. })));
    fs::create_dir_all(folder.path().join("train/cat")).unwrap();
    let error = open(&folder).unwrap_err();
    assert!(matches!(&error, DataError::NoImages { path, .. } if path.ends_with("train")), "{error}");
}

#[test]
fn csv_paths_are_relative_to_the_file_and_labels_are_classes() {
    let folder = tree(&["images/a.png", "images/b.png", "images/c.png"]);
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "train.csv",
        "\u{feff}image_path,label,note\nimages/a.png,dog,x\n\"images/b.png\", cat,y\nimages/c.png,dog,\n",
    );
    write("test.csv", "label,image_path\ncat,images/b.png\n");
    let data = open(&folder).unwrap();
    assert_eq!((data.format, &data.classes[..]), (Format::Csv, &["cat", "dog"].map(String::from)[..]));
    let train = data.train.unwrap();
    assert_eq!((train.labels(), colours(&train)), (&[1, 0, 1][..], vec![0, 1, 2]));
    assert_eq!(data.test.unwrap().labels(), [0]);
    assert_eq!(open(folder.path().join("train.csv")).unwrap().train.unwrap().len(), 3);
}

#[test]
fn integer_labels_of_a_csv_are_ordered_by_value() {
    let folder = tempdir().unwrap();
    let rows: Vec<String> = (1..=12).rev().map(|label| format!("{label}.png,{label}")).collect();
    fs::write(folder.path().join("labels.csv"), format!("image_path,label\n{}", rows.join("\n"))).unwrap();
    let data = open(&folder).unwrap();
    assert_eq!(data.train.unwrap().labels(), (0..12).rev().collect::<Vec<i64>>());
    assert_eq!(data.classes[11], "12");
}

#[test]
fn broken_csv_is_refused_with_the_row() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("train.csv");
    let error = |text: &str| {
        fs::write(&path, text).unwrap();
        open(&path).unwrap_err().to_string()
    };
    assert!(error("x,class\na,b\n").ends_with("has a usual name for the paths of the images: `x`, `class`"));
    assert!(error("image_path,label\na.png,x\nb.png,\n").ends_with("line 3: found nothing, expected a label"));
    assert!(error("image_path,label\na.png\n").contains("line 2: found 1 value, expected 2, as in the header"));
    assert!(error("image_path,label\n").ends_with("it ends after the names of its columns"));
    assert!(
        error("image_path,label,split\na.png,x,\n")
            .ends_with("line 2: found nothing, expected a split: train, val or test")
    );
    let unknown = error("image_path,label,split\na.png,x,train\nb.png,x,holdout\n");
    assert!(
        unknown.contains("line 3: found the split `holdout` in the column `split`, expected train, val or test"),
        "{unknown}"
    );
    let twice = error("image_path,label,split\na.png,x,train\nb.png,x,val\nb.png,x,dev\n");
    assert!(twice.ends_with("two splits that are validation by their names: `val` and `dev`"), "{twice}");
}

#[test]
fn a_column_of_a_csv_says_the_split_of_each_row() {
    let folder = tree(&["a.png", "b.png", "c.png", "d.png"]);
    let path = folder.path().join("list.csv");
    let rows = "split,image_path,label\ntrain,a.png,cat\nval,b.png,dog\ntest,c.png,cat\ntrain,d.png,dog\n";
    fs::write(&path, rows).unwrap();
    for data in [open(&path).unwrap(), open(&folder).unwrap()] {
        let colours_of = |split: &Option<Split>| split.as_ref().map(colours);
        assert_eq!(colours_of(&data.train), Some(vec![0, 3]));
        assert_eq!(colours_of(&data.validation), Some(vec![1]));
        assert_eq!(colours_of(&data.test), Some(vec![2]));
        assert_eq!((data.train.unwrap().labels(), data.validation.unwrap().labels()), (&[0, 1][..], &[1][..]));
    }
    let options = DatasetOptions { train_split: Some("val".into()), ..DatasetOptions::default() };
    let error = Dataset::open(&path, &options).unwrap_err();
    assert!(error.to_string().contains("class `cat` of the test split"), "named splits are taken: {error}");
    // A file whose name says the split must not contradict itself.
    fs::write(folder.path().join("train.csv"), rows).unwrap();
    fs::write(folder.path().join("test.csv"), "image_path,label\nc.png,cat\n").unwrap();
    let error = open(&folder).unwrap_err().to_string();
    assert!(error.contains("train.csv line 3: found the split `val`, expected train in every row"), "{error}");
}

#[test]
fn a_split_that_is_named_must_be_in_the_csv() {
    let folder = tree(&["a.png"]);
    let path = folder.path().join("list.csv");
    fs::write(&path, "image_path,label\na.png,cat\n").unwrap();
    let options = DatasetOptions { test_split: Some("test".into()), ..DatasetOptions::default() };
    let error = Dataset::open(&path, &options).unwrap_err();
    assert!(matches!(error, DataError::SplitMissing { .. }), "{error}");
}

/// Writes one parquet file as Hugging Face does: a group of bytes and path, and labels.
pub(crate) fn write_parquet(
    path: &Path,
    images: &[Option<Vec<u8>>],
    labels: &[i64],
    compression: Compression,
    footer: Option<&str>,
) {
    let schema = "message schema {
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional int64 label;
    }";
    let footer = footer.map(|text| vec![KeyValue::new("huggingface".to_string(), text.to_string())]);
    let properties = WriterProperties::builder().set_compression(compression).set_key_value_metadata(footer).build();
    let file = fs::File::create(path).unwrap();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    // Two row groups, so that rows are counted across them.
    let half = images.len() / 2;
    for (images, labels) in [(&images[..half], &labels[..half]), (&images[half..], &labels[half..])] {
        let mut group = writer.next_row_group().unwrap();
        let bytes: Vec<ByteArray> = images.iter().flatten().map(|image| ByteArray::from(image.clone())).collect();
        let present: Vec<i16> = images.iter().map(|image| if image.is_some() { 2 } else { 1 }).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&bytes, Some(&present), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[], Some(&vec![1; images.len()]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(labels, Some(&vec![1; labels.len()]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

pub(crate) const FOOTER: &str =
    r#"{"info": {"features": {"label": {"names": ["zebra", "ant", "cow"], "_type": "ClassLabel"}}}}"#;

#[test]
fn parquet_is_read_in_every_compression_with_the_class_names_of_its_footer() {
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default())] {
        let folder = tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let file = |name: &str| folder.path().join("data").join(name);
        let images = |range: std::ops::Range<u8>| range.map(|colour| Some(png(colour))).collect::<Vec<_>>();
        write_parquet(&file("train-00000-of-00002.parquet"), &images(0..3), &[0, 1, 2], compression, Some(FOOTER));
        write_parquet(&file("train-00001-of-00002.parquet"), &images(3..5), &[1, 1], compression, Some(FOOTER));
        write_parquet(&file("validation-00000-of-00001.parquet"), &images(5..7), &[2, 0], compression, Some(FOOTER));
        let data = open(&folder).unwrap();
        assert_eq!((data.format, &data.classes[..]), (Format::Parquet, &["zebra", "ant", "cow"].map(String::from)[..]));
        let train = data.train.unwrap();
        assert_eq!((train.labels(), colours(&train)), (&[0, 1, 2, 1, 1][..], vec![0, 1, 2, 3, 4]));
        assert_eq!(colours(&data.validation.unwrap()), [5, 6]);
        assert!(train.images()[4].to_string().ends_with("train-00001-of-00002.parquet row 1"));
    }
}

#[test]
fn parquet_without_class_names_takes_them_from_a_file_or_numbers_them() {
    let folder = tempdir().unwrap();
    let images: Vec<_> = (0..4).map(|colour| Some(png(colour))).collect();
    write_parquet(&folder.path().join("train.parquet"), &images, &[0, 2, 1, 2], Compression::SNAPPY, None);
    assert_eq!(&open(&folder).unwrap().classes[..], ["0", "1", "2"]);
    fs::write(folder.path().join("classes.txt"), "red\ngreen\nblue\n").unwrap();
    assert_eq!(&open(&folder).unwrap().classes[..], ["red", "green", "blue"]);
    fs::write(folder.path().join("classes.txt"), "red\ngreen\n").unwrap();
    assert!(matches!(open(&folder), Err(DataError::UnknownClass { class, .. }) if class == "2"));
}

#[test]
fn a_null_image_a_wrong_label_and_a_broken_parquet_file_are_named() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    let error = || open(&folder).unwrap_err().to_string();
    let mut images: Vec<_> = (0..5).map(|colour| Some(png(colour))).collect();
    write_parquet(&path, &images, &[0, 0, 0, 0, -1], Compression::SNAPPY, Some(FOOTER));
    assert!(error().starts_with("class `-1` of the train split"), "{}", error());
    images[3] = None;
    write_parquet(&path, &images, &[0; 5], Compression::SNAPPY, Some(FOOTER));
    assert!(error().ends_with("train.parquet row 3: found null, expected an image"), "{}", error());
    let bytes = fs::read(&path).unwrap();
    for broken in [&bytes[..bytes.len() / 2], &bytes[7..], b"PAR1"] {
        fs::write(&path, broken).unwrap();
        assert!(error().contains("expected a parquet file"), "{}", error());
    }
}

#[test]
fn cifar_10_binary_is_planar_with_names_from_its_meta_file() {
    let folder = tempdir().unwrap();
    let batches = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&batches).unwrap();
    let record = |label: u8, colour: [u8; 3]| {
        let mut bytes = vec![label];
        for value in colour {
            bytes.extend([value; 1024]);
        }
        bytes
    };
    for (number, name) in (1..=5).map(|n| (n, format!("data_batch_{n}.bin"))).chain([(9, "test_batch.bin".to_string())])
    {
        fs::write(batches.join(name), [record(number, [1, 2, 3]), record(0, [number, 5, 6])].concat()).unwrap();
    }
    let names: Vec<String> = (0..10).map(|class| format!("class {class}")).collect();
    fs::write(batches.join("batches.meta.txt"), names.join("\n") + "\n\n").unwrap();
    for path in [folder.path(), &batches] {
        let data = open(path).unwrap();
        assert_eq!((data.format, data.classes[3].as_str()), (Format::CifarBinary, "class 3"));
        let train = data.train.unwrap();
        assert_eq!(train.labels(), [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
        let image = train.load(3).unwrap();
        assert_eq!((image.dimensions(), image[(31, 31)].0), ((32, 32), [2, 5, 6]));
        assert_eq!(data.test.unwrap().labels(), [9, 0]);
    }
    fs::write(batches.join("data_batch_2.bin"), [1; 3072]).unwrap();
    let error = open(&folder).unwrap_err().to_string();
    assert!(error.ends_with("data_batch_2.bin: found a file of 3072 bytes, expected records of 3073 bytes"), "{error}");
    fs::remove_file(batches.join("data_batch_2.bin")).unwrap();
    assert!(matches!(open(&folder), Err(DataError::NotFound { path }) if path.ends_with("data_batch_2.bin")));
}

#[test]
fn cifar_100_binary_gives_fine_labels() {
    let folder = tempdir().unwrap();
    let record = |coarse: u8, fine: u8| [vec![coarse, fine], vec![7; 3072]].concat();
    fs::write(folder.path().join("train.bin"), [record(1, 99), record(2, 0)].concat()).unwrap();
    fs::write(folder.path().join("test.bin"), record(3, 50)).unwrap();
    let names: Vec<String> = (0..100).map(|class| format!("fine {class}")).collect();
    fs::write(folder.path().join("fine_label_names.txt"), names.join("\n")).unwrap();
    let data = open(&folder).unwrap();
    assert_eq!(data.train.unwrap().labels(), [99, 0]);
    assert_eq!((data.test.unwrap().labels(), data.classes[50].as_str()), (&[50][..], "fine 50"));
}

fn idx(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    for size in sizes {
        bytes.extend(size.to_be_bytes());
    }
    bytes.extend(data);
    bytes
}

#[test]
fn idx_files_plain_and_gzipped_become_grey_rgb() {
    let folder = tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.path().join(name), bytes).unwrap();
    let gzip = |bytes: Vec<u8>| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap()
    };
    write("train-images-idx3-ubyte.gz", gzip(idx(&[3, 1, 2], &[1, 2, 3, 4, 5, 6])));
    write("train-labels-idx1-ubyte.gz", gzip(idx(&[3], &[4, 0, 2])));
    write("t10k-images-idx3-ubyte", idx(&[1, 1, 2], &[8, 9]));
    write("t10k-labels-idx1-ubyte", idx(&[1], &[1]));
    let data = open(&folder).unwrap();
    assert_eq!((data.format, data.classes.len()), (Format::Idx, 5));
    let train = data.train.unwrap();
    assert_eq!((train.labels(), train.load(1).unwrap().into_raw()), (&[4, 0, 2][..], vec![3, 3, 3, 4, 4, 4]));
    assert_eq!(data.test.unwrap().load(0).unwrap().dimensions(), (2, 1));
    write("classes.txt", b"ankle boot\nbag\ncoat\ndress\npullover\n".to_vec());
    assert_eq!(open(&folder).unwrap().classes[4], "pullover");
    write("classes.txt", b"ankle boot\nbag\n".to_vec());
    assert!(matches!(open(&folder), Err(DataError::UnknownClass { class, .. }) if class == "2"));
    fs::remove_file(folder.path().join("classes.txt")).unwrap();

    let error = || open(&folder).unwrap_err().to_string();
    write("t10k-labels-idx1-ubyte", idx(&[2], &[1, 1]));
    assert!(error().ends_with("found 2 labels for 1 images, expected one label for each image"), "{}", error());
    write("t10k-labels-idx1-ubyte", idx(&[1, 1], &[1]));
    assert!(error().contains("expected an idx file of unsigned bytes in 1 dimensions"), "{}", error());
    // A header that promises 1 GB costs no memory: what is there is read.
    write("t10k-images-idx3-ubyte", idx(&[1 << 10, 1 << 10, 1 << 10], &[0; 100]));
    assert!(error().contains("expected 1073741824 bytes"), "{}", error());
    write("t10k-images-idx3-ubyte", idx(&[u32::MAX, u32::MAX, u32::MAX], &[]));
    assert!(error().contains("expected at most"), "{}", error());
}

#[test]
fn a_run_keeps_its_class_numbers_on_another_folder() {
    let data = open(tree(&["test/cat/a.png", "test/bee/b.png"])).unwrap();
    let run: Arc<[String]> = ["cat", "dog", "bee"].map(String::from).into();
    let renumbered = data.with_classes(run).unwrap();
    assert_eq!(renumbered.test.unwrap().labels(), [2, 0]);
    let fewer: Arc<[String]> = ["dog", "bee"].map(String::from).into();
    assert!(matches!(data.with_classes(fewer), Err(DataError::OtherClasses { unknown, .. }) if unknown == ["cat"]));
}

#[test]
fn a_description_counts_classes_and_measures_the_first_image() {
    let folder = tree(&["train/a/1.png", "train/b/2.png", "train/b/3.png", "val/b/4.png"]);
    let description = open(&folder).unwrap().describe();
    assert_eq!(
        (description.classes, description.first_image, description.splits.len()),
        (vec!["a".into(), "b".into()], Some((2, 2)), 2)
    );
    let train = &description.splits[0];
    assert_eq!((train.role, train.images, train.classes), (Role::Train, 3, 2));
    assert_eq!((train.smallest.class.as_str(), train.smallest.images), ("a", 1));
    assert_eq!((train.largest.class.as_str(), train.largest.images), ("b", 2));
    assert_eq!((description.splits[1].smallest.images, description.splits[1].classes), (0, 1));
}
