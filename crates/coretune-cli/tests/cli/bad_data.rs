//! Folders and tables that go wrong, for the page of bad inputs: what `data check` says of each.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::bad_input::{Case, case};
use super::world::World;

/// The folder of one case.
pub(super) struct Place {
    pub(super) root: PathBuf,
    image: Vec<u8>,
    number: u8,
}

impl Place {
    pub(super) fn new(world: &World, name: &str) -> Self {
        let image = fs::read(world.path("data/train/dark/0.ppm")).unwrap();
        Place { root: PathBuf::from(world.path(name)), image, number: 0 }
    }

    /// Two classes of three training images and one validation image.
    pub(super) fn sound(world: &World, name: &str) -> Self {
        let mut place = Place::new(world, name);
        for class in ["cat", "dog"] {
            place.images(&["1", "2", "3"].map(|image| format!("train/{class}/{image}.ppm")));
            place.images(&[format!("val/{class}/4.ppm")]);
        }
        place
    }

    /// Images, no two of which are equal.
    pub(super) fn images<T: AsRef<OsStr>>(&mut self, names: &[T]) {
        for name in names {
            self.number += 1;
            let mut bytes = self.image.clone();
            *bytes.last_mut().unwrap() = self.number;
            self.file(name, &bytes);
        }
    }

    pub(super) fn file(&self, name: impl AsRef<OsStr>, bytes: &[u8]) {
        let path = self.root.join(Path::new(&name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn check(&self) -> Vec<String> {
        vec!["data".into(), "check".into(), self.root.display().to_string()]
    }
}

pub(super) fn cases(world: &World) -> Vec<Case> {
    [
        splits(world),
        splits_between(world),
        doubtful_classes(world),
        left_out(world),
        published(world),
        joined(world),
        tables(world),
        rows_of_tables(world),
        values_of_tables(world),
        splits_of_tables(world),
        not_tables(world),
        unusable(world),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn splits(world: &World) -> Vec<Case> {
    let of = |name: &str, images: &[&str]| {
        let mut place = Place::new(world, name);
        place.images(images);
        place.check()
    };
    let capitals =
        of("capitals", &["Train/cat/1.ppm", "Train/cat/2.ppm", "Train/dog/3.ppm", "VAL/cat/4.ppm", "VAL/dog/5.ppm"]);
    let twice = of("twice", &["train/cat/1.ppm", "Train/cat/2.ppm", "val/cat/3.ppm"]);
    let domains = of("domains", &["photo/cat/1.ppm", "photo/dog/2.ppm", "sketch/cat/3.ppm", "sketch/dog/4.ppm"]);
    let spelt = of("spelt", &["photo/cat/1.ppm", "photo/dog/2.ppm", "sketch/Cat/3.ppm", "sketch/Dog/4.ppm"]);
    let most =
        of("most", &["art/cat/1.ppm", "photo/cat/2.ppm", "photo/dog/3.ppm", "sketch/cat/4.ppm", "sketch/dog/5.ppm"]);
    let below = of("below", &["cat/train/1.ppm", "cat/val/2.ppm", "dog/train/3.ppm", "dog/val/4.ppm"]);
    let deep = of("deep", &["data/train/cat/1.ppm", "data/train/dog/2.ppm", "data/val/cat/3.ppm"]);
    let stray = of("stray", &["pets/cat/1.ppm", "pets/cat/2.ppm", "pets/dog/3.ppm", "pets/dog/4.ppm", "misc/5.ppm"]);
    let inner = of("inner", &["train/data/cat/1.ppm", "train/data/dog/2.ppm", "val/data/cat/3.ppm"]);
    let in_train = of(
        "in-train",
        &["train/photo/cat/1.ppm", "train/photo/dog/2.ppm", "train/sketch/cat/3.ppm", "train/sketch/dog/4.ppm"],
    );
    let as_classes = [in_train.clone(), ["--layout", "splits"].map(String::from).to_vec()].concat();
    let mut splits_as_classes =
        of("as-classes", &["train/cat/1.ppm", "train/dog/2.ppm", "val/cat/3.ppm", "val/dog/4.ppm"]);
    splits_as_classes.extend(["--layout", "classes"].map(String::from));
    let share_one = of("share-one", &["photo/cat/1.ppm", "photo/dog/2.ppm", "sketch/cat/3.ppm", "sketch/cow/4.ppm"]);
    let among = of("among", &["test/cat/1.ppm", "test/dog/2.ppm", "more/3.ppm"]);
    let flat = of("flat", &["train/1.ppm", "train/2.ppm", "val/3.ppm"]);
    let extra =
        of("extra", &["train/cat/1.ppm", "train/cat/2.ppm", "train/dog/3.ppm", "train/dog/4.ppm", "old/cat/5.ppm"]);
    let classes = ["train/cat/1.ppm", "train/cat/2.ppm", "train/dog/3.ppm", "train/dog/4.ppm"];
    let beside = |name: &str, more: &[&str]| of(name, &[&classes[..], more].concat());
    let evaluating = beside("evaluating", &["eval/cat/5.ppm", "eval/dog/6.ppm"]);
    let val_inside = beside("val-inside", &["train/val/cat/5.ppm", "train/val/dog/6.ppm"]);
    let copy_inside = beside("copy-inside", &["train/backup/cat/5.ppm", "train/backup/dog/6.ppm"]);
    let other_inside = beside("other-inside", &["train/cat/dog/5.ppm"]);
    vec![
        case("splits in capitals", capitals, 0, &["train        3 images", "validation   2 images", "sound"]),
        case("two training splits", twice, 2, &["`Train` and `train`"]),
        case("splits, domains or classes", domains, 2, &["--train-split NAME", "--val-split NAME", "--layout classes"]),
        case("domains that spell their classes differently", spelt, 2, &["both hold `cat`, `dog`", "--layout classes"]),
        case("domains of which one lacks a class", most, 2, &["all or most hold `cat`, `dog`"]),
        case("splits below the classes", below, 2, &["put the splits above them"]),
        case("a data set one folder too deep", deep, 2, &["did you mean", "deep/data?"]),
        case("a data set beside another folder", stray, 2, &["`pets` holds the folders `cat`, `dog`", "stray/pets?"]),
        case("classes one folder too deep in a split", inner, 2, &["did you mean", "train/data?", "--layout splits"]),
        case("domains in the training split", in_train, 2, &["--layout splits", "--train-split NAME"]),
        case("the same with --layout splits", as_classes, 0, &["train        4 images, 2 classes of 2", "sound"]),
        case("splits that are read as classes", splits_as_classes, 0, &["warning", "names of splits: train, val"]),
        case("domains that share one class", share_one, 2, &["both hold `cat`", "--layout classes"]),
        case(
            "a test split among folders",
            among,
            2,
            &["`test` has the name of a split, `more` has not", "--layout classes"],
        ),
        case("a split without folders of classes", flat, 2, &["no folder of a class"]),
        case("a folder that is not a split", extra, 0, &["left out     1 image of `old`"]),
        case("a folder that validates or tests", evaluating, 2, &["`eval` beside its splits", "--val-split NAME"]),
        case("validation images among the classes", val_inside, 2, &["if it is the validation split, move it out"]),
        case("a copy of the classes among them", copy_inside, 2, &["if it is a copy, move it out"]),
        case(
            "other classes in the folder of a class",
            other_inside,
            0,
            &["warning", "named like splits or other classes: cat (`dog`)"],
        ),
    ]
}

/// Splits and classes with other folders between or beside them.
fn splits_between(world: &World) -> Vec<Case> {
    let of = |name: &str, images: &[&str]| {
        let mut place = Place::new(world, name);
        place.images(images);
        place.check()
    };
    let with = |arguments: &[String], more: &[&str]| {
        [arguments, &more.iter().map(ToString::to_string).collect::<Vec<_>>()].concat()
    };
    let intel = of(
        "intel",
        &[
            "seg_train/seg_train/sea/1.ppm",
            "seg_train/seg_train/sea/2.ppm",
            "seg_train/seg_train/street/3.ppm",
            "seg_train/seg_train/street/4.ppm",
            "seg_test/seg_test/sea/5.ppm",
            "seg_test/seg_test/street/6.ppm",
            "seg_pred/seg_pred/7.ppm",
        ],
    );
    let named = with(&intel, &["--train-split", "seg_train/seg_train", "--test-split", "seg_test/seg_test"]);
    let flat_test =
        of("flat-test", &["train/cat/1.ppm", "train/cat/2.ppm", "train/dog/3.ppm", "train/dog/4.ppm", "test/5.ppm"]);
    let beside = {
        let mut place = Place::new(world, "beside-labels");
        place.images(&["train/1.ppm", "train/2.ppm"]);
        place.file("train/metadata.jsonl", b"{}");
        place.check()
    };
    let detection = {
        let mut place = Place::new(world, "detection");
        place.images(&["train/images/1.ppm", "train/images/2.ppm"]);
        place.file("train/labels/1.txt", b"0 0.5 0.5 1 1");
        place.check()
    };
    vec![
        case("splits in single folders", intel, 2, &["all or most hold `sea`, `street`", "seg_train/seg_train"]),
        case(
            "splits that are named with the folders between",
            named,
            0,
            &["train        4 images", "test         2 images", "`seg_pred`"],
        ),
        case("test images without classes", flat_test, 0, &["1 image of `test`, which is of no class"]),
        case(
            "a list of labels beside images without classes",
            beside,
            2,
            &["beside it lies `metadata.jsonl`", "image_path,label"],
        ),
        case("data for detection", detection, 2, &["as data for detection does", "boxes are not read"]),
    ]
}

/// Classes that may be something else, or nothing.
fn doubtful_classes(world: &World) -> Vec<Case> {
    let of = |name: &str, images: &[&str]| {
        let mut place = Place::new(world, name);
        place.images(images);
        place.check()
    };
    let masks = of("masks-beside", &["ill/images/1.ppm", "ill/masks/1.ppm", "well/images/2.ppm", "well/masks/2.ppm"]);
    let kinds =
        of("kinds", &["birds/owl/1.ppm", "birds/owl/2.ppm", "birds/jay/3.ppm", "fish/cod/4.ppm", "fish/eel/5.ppm"]);
    let parts = of("parts", &["images_001/1.ppm", "images_001/2.ppm", "images_002/3.ppm", "images_002/4.ppm"]);
    let names =
        of("doubtful", &["None/1.ppm", "None/2.ppm", "Recycled/3.ppm", "Recycled/4.ppm", "dog /5.ppm", "dog /6.ppm"]);
    let spelt = of(
        "blank",
        &[
            "train/cat/1.ppm",
            "train/cat/2.ppm",
            "train/dog /3.ppm",
            "train/dog /4.ppm",
            "val/cat/5.ppm",
            "val/dog/6.ppm",
        ],
    );
    let empty = {
        let place = Place::sound(world, "empty-class");
        fs::create_dir(place.root.join("train/cow")).unwrap();
        place.check()
    };
    let no_val = {
        let place = Place::sound(world, "empty-val");
        fs::remove_dir_all(place.root.join("val")).unwrap();
        fs::create_dir_all(place.root.join("val/cat")).unwrap();
        place.check()
    };
    let only_val = of("only-val", &["val/cat/1.ppm", "val/dog/2.ppm"]);
    vec![
        case(
            "masks beside the images of each class",
            masks,
            2,
            &["both hold `images`, `masks`", "move the folders `masks` elsewhere"],
        ),
        case("classes that could be groups of classes", kinds, 0, &["notice", "birds (`jay`, `owl`)"]),
        case("folders over which images were spread", parts, 2, &["named like parts of one set", "--layout classes"]),
        case(
            "names that no class has",
            names,
            0,
            &["None (a missing value?)", "Recycled (a recycle bin?)", "\"dog \""],
        ),
        case(
            "a class whose name ends in a blank",
            spelt,
            2,
            &["1 image of classes that train lacks", "resembles \"dog \""],
        ),
        case(
            "a class without training images",
            empty,
            2,
            &["1 class without training images: cow", "hint: every class needs"],
        ),
        case("a validation split without images", no_val, 2, &["no images", "remove it if it is an empty split"]),
        case("validation images only", only_val, 2, &["no split named `train`", "--train-split"]),
    ]
}

fn left_out(world: &World) -> Vec<Case> {
    let place = Place::sound(world, "loop");
    symlink("..", place.root.join("train/cat/loop")).unwrap();
    let above = place.check();

    let place = Place::sound(world, "nowhere");
    symlink("bird that was moved", place.root.join("train/bird")).unwrap();
    let nowhere = place.check();

    let mut place = Place::new(world, "backslashes");
    place.images(&["train\\cat/1.ppm", "train\\dog/2.ppm", "val\\cat/3.ppm", "val\\dog/4.ppm"]);
    let backslashes = place.check();

    let place = Place::sound(world, "cloud");
    place.file("train/cat/.5.jpg.icloud", b"bplist00");
    let cloud = place.check();

    let place = Place::sound(world, "links");
    symlink("1.ppm", place.root.join("train/cat/again.ppm")).unwrap();
    let again = place.check();

    let mut place = Place::sound(world, "utf8");
    place.images(&[OsStr::from_bytes(b"train/caf\xe9/1.ppm")]);
    let not_utf8 = place.check();

    let mut place = Place::sound(world, "leftovers");
    place.images(&["train/@eaDir/cat/1.ppm", "train/cat/@eaDir/1.ppm/THUMB.ppm", "__MACOSX/train/cat/1.ppm"]);
    place.images(&["train/.ipynb_checkpoints/1-checkpoint.ppm"]);
    place.file("train/cat/Thumbs.db", b"x");
    let leftovers = place.check();

    let place = Place::sound(world, "endings");
    for name in ["1.heic", "2.heic", "3.heic", "4.avif", "5.jpg.part", "6.ppm~", "notes.txt"] {
        place.file(format!("train/cat/{name}"), b"x");
    }
    let endings = place.check();

    let place = Place::sound(world, "outside");
    for name in ["holdout/cat/1.heic", "README", "2.jpg.part", ".DS_Store"] {
        place.file(name, b"x");
    }
    let outside = place.check();

    let place = Place::sound(world, "zipped");
    place.file("train/cow.zip", b"x");
    let zipped = place.check();

    let mut place = Place::new(world, "flat-splits");
    place.images(&["train_images/1.ppm", "train_images/2.ppm", "test_images/3.ppm"]);
    let flat_splits = place.check();

    let mut place = Place::new(world, "tables-of-splits");
    place.images(&["train_images/1.ppm", "train_images/2.ppm"]);
    for table in ["train_labels.csv", "test_labels.csv"] {
        place.file(table, b"filename,class\ntrain_images/1.ppm,cat\ntrain_images/2.ppm,dog\n");
    }
    let several_tables = place.check();

    let mut place = Place::sound(world, "beside");
    place.images(&["cover.ppm", "train/beside.ppm"]);
    let beside = place.check();
    vec![
        case(
            "a link to a folder above",
            above,
            0,
            &["6 images, 2 classes of 3", "1 link to a folder above (train/cat/loop)"],
        ),
        case("an image that a link reaches again", again, 0, &["6 images, 2 classes of 3", "train/cat/again.ppm"]),
        case(
            "a class whose link leads nowhere",
            nowhere,
            2,
            &["train/bird is a link that leads nowhere", "remove the link"],
        ),
        case("an archive among the classes", zipped, 0, &["may hold images: 1 file .zip (train/cow.zip)"]),
        case(
            "folders named like splits, without classes",
            flat_splits,
            2,
            &["named like splits", "--train-split NAME"],
        ),
        case("several tables of labels", several_tables, 2, &["`test_labels.csv`, `train_labels.csv`"]),
        case(
            "a zip file of Windows, unpacked without its folders",
            backslashes,
            2,
            &["train\\cat has backslashes", "7-Zip"],
        ),
        case("a file that iCloud keeps elsewhere", cloud, 0, &["1 file that iCloud keeps elsewhere"]),
        case("a name that is not UTF-8", not_utf8, 2, &[r"train/caf\xe9"]),
        case("leftovers of other programs", leftovers, 0, &["4 leftovers", "1 hidden", "6 images, 2 classes of 3"]),
        case("files that are not images", endings, 0, &["3 files .heic, convert them", "1 file .txt", "2 temporary"]),
        case(
            "files outside of splits and classes",
            outside,
            0,
            &["(holdout/cat/1.heic)", "(README)", "(2.jpg.part)", "(.DS_Store)"],
        ),
        case("images beside the classes", beside, 0, &["2 images beside the folders of the classes"]),
    ]
}

/// `images/1.ppm` to `images/4.ppm`, and what a check of this table beside them says.
fn table(world: &World, name: &str, bytes: &[u8], more: &[&str]) -> Vec<String> {
    let mut place = Place::new(world, &format!("tables/{}", name.replace('.', "-")));
    place.images(&["images/1.ppm", "images/2.ppm", "images/3.ppm", "images/4.ppm"]);
    place.file(name, bytes);
    let path = place.root.join(name).display().to_string();
    [&["data".into(), "check".into(), path][..], &more.iter().map(ToString::to_string).collect::<Vec<_>>()].concat()
}

fn tables(world: &World) -> Vec<Case> {
    let rows = ["images/1.ppm,cat", "images/2.ppm,dog", "images/3.ppm,cat", "images/4.ppm,dog"].join("\n");
    let of =
        |name: &str, header: &str, row: &str| table(world, name, format!("{header}\n{rows}\n{row}\n").as_bytes(), &[]);
    let bytes = |name: &str, bytes: &[u8]| table(world, name, bytes, &[]);
    let semicolons = format!("File Name;CLASS\n{rows}").replace(',', ";").replace('/', "\\");
    let utf16: Vec<u8> = format!("image_path,label\n{rows}\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let named = ["--image-column", "thumbnail", "--label-column", "dx"];
    let chosen = format!("image_path,thumbnail,dx\n{}\n", rows.replace("images", "none.ppm,images"));
    vec![
        case(
            "a table of a spreadsheet of Windows",
            bytes("spreadsheet.csv", semicolons.as_bytes()),
            0,
            &["4 images", "columns      spreadsheet.csv: images `File Name`, labels `CLASS`", "sound"],
        ),
        case(
            "columns that are named",
            table(world, "named.csv", chosen.as_bytes(), &named),
            0,
            &["4 images", "images `thumbnail`, labels `dx`; not read: `image_path`", "sound"],
        ),
        case(
            "a column that is named and not there",
            table(world, "missing.csv", chosen.as_bytes(), &["--image-column", "img"]),
            2,
            &["no column `img`", "--image-column", "--label-column"],
        ),
        case(
            "a table without a header",
            of("headless.csv", "images/1.ppm,cat", ""),
            2,
            &["put a line image_path,label"],
        ),
        case("columns with unusual names", of("unusual.csv", "x,y", ""), 2, &["--image-column NAME"]),
        case("labels with an unusual name", of("labels.csv", "file,y", ""), 2, &["--label-column NAME"]),
        case(
            "two columns of paths",
            bytes("two.csv", b"filename,path,label\n1.ppm,images/1.ppm,cat\n"),
            2,
            &["`filename`, `path`", "--image-column NAME"],
        ),
        case(
            "a table beside folders of classes",
            {
                let place = Place::sound(world, "beside-table");
                place.file("labels.csv", b"filename,class\ntrain/cat/1.ppm,cat\n");
                place.check()
            },
            2,
            &["`labels.csv`", "--layout splits"],
        ),
        case("a table in UTF-16 without its mark", bytes("utf-16.csv", &utf16), 2, &["UTF-16", "save it as UTF-8"]),
        case(
            "a table in another encoding",
            bytes("latin.csv", b"image_path,label\nimages/1.ppm,B\xe4r\n"),
            2,
            &["line 2", "save it as UTF-8"],
        ),
        case(
            "a path of Windows with its drive",
            of("drive.csv", "image_path,label", "C:\\images\\5.ppm,cat"),
            2,
            &["line 6", "a path of Windows"],
        ),
        case(
            "an address instead of a path",
            of("address.csv", "image_path,label", "https://example.org/5.ppm,cat"),
            2,
            &["line 6", "an address"],
        ),
        case(
            "a quote that is not closed",
            of("quote.csv", "image_path,label\nimages/1.ppm,\"cat", ""),
            2,
            &["line 2", "is a quote not closed?"],
        ),
        case(
            "a comma without quotes",
            of("comma.csv", "image_path,label", "images/5,6.ppm,cat"),
            2,
            &["line 6: found 3 values, expected 2"],
        ),
        case(
            "a column for image folders",
            {
                let place = Place::sound(world, "columns");
                [place.check(), vec!["--image-column".into(), "file".into()]].concat()
            },
            2,
            &["it holds image folders", "leave out --image-column"],
        ),
    ]
}

/// Columns that say which rows are of which split, and comments.
fn splits_of_tables(world: &World) -> Vec<Case> {
    let of = |name: &str, column: &str, values: [&str; 4], more: &[&str]| {
        let labels = ["cat", "dog", "cat", "dog"];
        let rows: Vec<String> =
            (0..4).map(|row| format!("images/{}.ppm,{},{}", row + 1, labels[row], values[row])).collect();
        let text = format!("image_path,label,{column}\n{}\n", rows.join("\n"));
        table(world, &format!("{name}.csv"), text.as_bytes(), more)
    };
    let comment = "# labels of 2020\nimage_path,label\nimages/1.ppm,cat\nimages/2.ppm,cat\n# dogs\nimages/3.ppm,dog\n";
    let marks = ["--split-column", "is_valid", "--train-split", "0", "--val-split", "1"];
    let beside = {
        let mut place = Place::new(world, "metadata");
        place.images(&["train/1.ppm", "train/2.ppm", "train/3.ppm", "train/4.ppm"]);
        place.file("train/metadata.csv", b"file_name,label\n1.ppm,cat\n2.ppm,cat\n3.ppm,dog\n4.ppm,dog\n");
        place.check()
    };
    let one_hot = {
        let mut place = Place::new(world, "one-hot");
        place.images(&["train/1.ppm", "train/2.ppm"]);
        place.file("train/_classes.csv", b"filename, cat, dog\n1.ppm, 1, 0\n2.ppm, 0, 1\n");
        place.check()
    };
    let bytes = |name: &str, bytes: &[u8]| table(world, name, bytes, &[]);
    vec![
        case(
            "an unknown split in a column that splits have",
            of("subset", "subset", ["train", "train", "holdout", "val"], &[]),
            2,
            &["line 4: found the split `holdout` in the column `subset`", "--val-split NAME"],
        ),
        case(
            "a column that marks the rows of one split",
            of("marks", "is_valid", ["0", "0", "1", "1"], &[]),
            2,
            &["`is_valid`", "--split-column NAME with NAME is_valid, --train-split 0 --val-split 1"],
        ),
        case(
            "the same with these options",
            of("marks-read", "is_valid", ["0", "0", "1", "1"], &marks),
            0,
            &["train        2 images", "validation   2 images", "splits `is_valid`"],
        ),
        case(
            "two columns of splits",
            of("two-splits", "set,stage", ["train,val", "val,val", "train,val", "test,val"], &[]),
            2,
            &["`set`, `stage`", "--split-column NAME"],
        ),
        case("a comment among the rows", bytes("comment.csv", comment.as_bytes()), 2, &["line 5: found a comment"]),
        case(
            "a table with a header only",
            bytes("header.csv", b"image_path,label\n"),
            2,
            &["it ends after the names of its columns"],
        ),
        case(
            "two separators in one table",
            bytes("mixed.csv", b"image_path;label\nimages/1.ppm,cat\n"),
            2,
            &["expected 2, as in the header (between `;`"],
        ),
        case(
            "two separators in the header",
            bytes("mixed-header.csv", b"image_path,label;x\nimages/1.ppm,cat;1\n"),
            2,
            &["two signs"],
        ),
        case(
            "JSON with the name of a table",
            bytes("rows.csv", b"[{\"image_path\": \"images/1.ppm\", \"label\": 0}]"),
            2,
            &["it is JSON"],
        ),
        case(
            "a workbook",
            bytes("book.xlsx", b"PK\x03\x04"),
            2,
            &["it holds a single file", "save the workbook as CSV"],
        ),
        case("a table beside the images of a split", beside, 0, &["4 images, 2 classes of 2", "train/metadata.csv"]),
        case("a column for each class", one_hot, 2, &["one of 0 and 1 for each class", "several labels"]),
    ]
}

/// Rows and values that no label or path of an image is.
/// Rows that are nearly right, and rows that say something twice.
fn rows_of_tables(world: &World) -> Vec<Case> {
    let rows = ["images/1.ppm,cat", "images/2.ppm,dog", "images/3.ppm,cat", "images/4.ppm,dog"].join("\n");
    let of =
        |name: &str, header: &str, row: &str| table(world, name, format!("{header}\n{rows}\n{row}\n").as_bytes(), &[]);
    vec![
        case(
            "a path from the root that lies beside the table",
            of("rooted.csv", "image_path,label", "/images/4.ppm,dog"),
            2,
            &["line 6: found `/images/4.ppm`", "write images/4.ppm"],
        ),
        case(
            "columns that are exchanged",
            of("exchanged.csv", "label,image_path", ""),
            2,
            &["for its label, expected them the other way round", "are the columns exchanged?"],
        ),
        case(
            "a row that names an image again",
            of("again.csv", "image_path,label", "./images/1.ppm,cat"),
            0,
            &["1 row that names an image again"],
        ),
    ]
}

fn values_of_tables(world: &World) -> Vec<Case> {
    let rows = ["images/1.ppm,cat", "images/2.ppm,dog", "images/3.ppm,cat", "images/4.ppm,dog"].join("\n");
    let bytes = |name: &str, bytes: &[u8]| table(world, name, bytes, &[]);
    let missing = format!("image_path,label\n{rows}\nimages/5.ppm,NaN\n");
    let splits = ["images/1.ppm,cat,train", "images/2.ppm,dog,train", "images/3.ppm,cat,holdout"].join("\n");
    let numbers = "images/1.ppm,0\nimages/2.ppm,1\nimages/3.ppm,0.0\nimages/4.ppm,1.0";
    let elsewhere = format!("image_path,label\n{}\n", rows.replace("images/", ""));
    vec![
        case(
            "a list of paths and labels with blanks between them",
            bytes("list.txt", rows.replace(',', " ").as_bytes()),
            2,
            &["blanks separate its values"],
        ),
        case("a table without content", bytes("empty.csv", b"\n"), 2, &["it is empty"]),
        case(
            "images in the folder of a table that no row names",
            {
                let place = Place::sound(world, "no-row");
                let rows = "train/cat/1.ppm,cat\ntrain/cat/2.ppm,cat\ntrain/dog/1.ppm,dog\ntrain/dog/2.ppm,dog\n";
                place.file("list.csv", format!("image_path,label\n{rows}").as_bytes());
                place.check()
            },
            0,
            &["4 images without a row in the table"],
        ),
        case(
            "a split of an unknown name",
            bytes("holdout.csv", format!("image_path,label,split\n{splits}\n").as_bytes()),
            2,
            &["line 4: found the split `holdout`", "hint: if the splits have other names: --train-split NAME"],
        ),
        case(
            "labels that are integers with and without decimals",
            bytes("decimals.csv", format!("image_path,label\n{numbers}\n").as_bytes()),
            2,
            &["warning", "`0.0` and `0`, `1.0` and `1`"],
        ),
        case("a label that is missing", bytes("nan.csv", missing.as_bytes()), 2, &["line 6: found `NaN`"]),
        case(
            "paths that do not count from the folder of the table",
            bytes("paths.csv", elsewhere.as_bytes()),
            2,
            &[
                "cannot be read",
                "paths in a table count from the folder of the table",
                "write `images/1.ppm` for `1.ppm`",
            ],
        ),
    ]
}

/// Public data sets whose lists were damaged.
fn published(world: &World) -> Vec<Case> {
    let pets = |name: &str, list: &str| {
        let mut place = Place::new(world, name);
        place.images(&[
            "images/Abyssinian_1.jpg",
            "images/Abyssinian_2.jpg",
            "images/Bengal_1.jpg",
            "images/Bengal_2.jpg",
        ]);
        place.file("annotations/trainval.txt", list.as_bytes());
        place.check()
    };
    let mut textures = Place::new(world, "dtd");
    textures.images(&["images/banded/banded_0002.jpg", "images/blotchy/blotchy_0003.jpg"]);
    textures.file("labels/train1.txt", b"banded/banded_0002.jpg\nblotchy/blotchy_0003.jpg\n");
    let numbered = |number: &str| [textures.check(), vec!["--split-number".into(), number.into()]].concat();
    let flowers = {
        let mut place = Place::new(world, "flowers");
        place.images(&["jpg/image_00001.jpg"]);
        place.file("setid.mat", b"MATLAB 5.0");
        place.check()
    };
    let rows = "Abyssinian_1 1 1 1\nAbyssinian_2 1 1 1\nBengal_1 2 1 2\n";
    vec![
        case(
            "Oxford Pets",
            pets("pets", &format!("{rows}Bengal_2 2 1 2\n")),
            0,
            &["4 images, 2 classes of 2", "Oxford Pets"],
        ),
        case(
            "Oxford Pets: a list that names an image that is not there",
            pets("pets-missing", &format!("{rows}Bengal_3 2 1 2\n")),
            2,
            &["images/Bengal_3.jpg does not exist"],
        ),
        case(
            "Oxford Pets: a class that has the number of another",
            pets("pets-number", &format!("{rows}Bengal_2 1 1 2\n")),
            2,
            &["trainval.txt line 4: found class 1 for an image of `Bengal`"],
        ),
        case(
            "Oxford Pets: a line twice",
            pets("pets-twice", &format!("{rows}Bengal_1 2 1 2\n")),
            2,
            &["line 4: found `Bengal_1.jpg`, which line 3 names already"],
        ),
        case("DTD: a split that is not published", numbered("2"), 2, &["its splits are 1 to 1", "--split-number"]),
        case(
            "the number of a split for data with one split",
            [Place::sound(world, "one-split").check(), vec!["--split-number".into(), "2".into()]].concat(),
            2,
            &["it holds image folders", "leave out --split-number"],
        ),
        case("labels in files of MATLAB", flowers, 2, &["Oxford Flowers-102", "python3 -c", "labels.csv"]),
    ]
}

fn joined(world: &World) -> Vec<Case> {
    let mut place = Place::new(world, "joined");
    for (root, class, splits) in [("1", "cat", "train val"), ("2", "dog", "train val"), ("3", "bird", "train")] {
        for split in splits.split(' ') {
            place.images(&["1", "2"].map(|image| format!("{root}/{split}/{class}/{image}.ppm")));
        }
    }
    let [first, second, third] = ["1", "2", "3"].map(|root| place.root.join(root).display().to_string());
    let check = |roots: &[&String]| {
        let roots: Vec<String> = roots.iter().map(ToString::to_string).collect();
        vec!["data".into(), "check".into(), roots.join(",")]
    };
    vec![
        case("several roots", check(&[&first, &second]), 0, &["4 images, 2 classes of 2"]),
        case("several roots, one of them without a split", check(&[&first, &third]), 2, &["found the split train in"]),
        case("a root twice", check(&[&first, &first]), 2, &["joined/1 twice"]),
    ]
}

/// Files that are not the tables that their names promise.
fn not_tables(world: &World) -> Vec<Case> {
    let bytes = |name: &str, bytes: &[u8]| table(world, name, bytes, &[]);
    vec![
        case("a web page for a table", bytes("page.csv", b"<!DOCTYPE html><html>404"), 2, &["it is a web page"]),
        case(
            "a Git LFS pointer for a parquet file",
            {
                let place = Place::new(world, "pointer-parquet");
                let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
                place.file("train-00000-of-00001.parquet", pointer);
                place.check()
            },
            2,
            &["holds no images: it is a Git LFS pointer"],
        ),
        case(
            "an Excel workbook",
            bytes("book.csv", b"PK\x03\x04 ... xl/workbook.xml\0"),
            2,
            &["it is an Excel workbook"],
        ),
    ]
}

/// A file of this content among sound images.
fn instead(world: &World, name: &str, bytes: &[u8]) -> Vec<String> {
    let place = Place::sound(world, name);
    place.file("train/cat/5.jpg", bytes);
    place.check()
}

fn unusable(world: &World) -> Vec<Case> {
    let of = |name: &str, images: &[&str]| {
        let mut place = Place::new(world, name);
        place.images(images);
        place.check()
    };
    let single = of("single", &["train/cat/1.ppm", "train/cat/2.ppm", "val/cat/3.ppm"]);
    let only_test = of("only-test", &["test/cat/1.ppm", "test/dog/2.ppm"]);
    let too_few = of("too-few", &["cat/1.ppm", "dog/2.ppm"]);
    let packed = Place::new(world, "packed");
    packed.file("train.zip", b"PK\x03\x04");
    let unread = Place::new(world, "unread");
    unread.file("cat/1.heic", b"x");
    vec![
        case("images of one class", single, 2, &["stops", "of one class, cat"]),
        case("no training split", only_test, 2, &["stops", "no split named `train`"]),
        case("too few images to validate with", too_few, 2, &["stops", "none for validation"]),
        case("a web page for an image", instead(world, "page-jpg", b"<!DOCTYPE html><html>"), 2, &["it is a web page"]),
        case(
            "a Git LFS pointer for an image",
            instead(world, "lfs-jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
            2,
            &["it is a Git LFS pointer", "git lfs pull"],
        ),
        case(
            "a HEIC image with the ending .jpg",
            instead(world, "heic-jpg", b"\0\0\0\x1cftypheic\0\0\0\0mif1heic\0\0\0\0"),
            2,
            &["it is a HEIC image: convert it to JPEG or PNG"],
        ),
        case("archives that are not unpacked", packed.check(), 2, &["`train.zip`", "unpack the archive first"]),
        case("images of a kind that is not read only", unread.check(), 2, &["1 file .heic, convert it"]),
    ]
}
