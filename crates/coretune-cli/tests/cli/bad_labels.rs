//! Labels that lie beside the images, for the page of bad inputs: what `data check` says of each.

use std::os::unix::fs::symlink;

use super::bad_data::Place;
use super::bad_input::{Case, case};
use super::world::World;

pub(super) fn cases(world: &World) -> Vec<Case> {
    [beside_folders(world), beside_images(world), lists(world), tables(world), links(world)]
        .into_iter()
        .flatten()
        .collect()
}

/// Eight images, spread over two folders.
fn spread(world: &World, name: &str, folders: [&str; 2]) -> (Place, Vec<String>) {
    let mut place = Place::new(world, name);
    let of = |number: usize| format!("{}/scan_{number}.ppm", folders[number % 2]);
    let images: Vec<String> = (0..8).map(of).collect();
    place.images(&images);
    (place, images)
}

fn class(number: usize) -> &'static str {
    if number < 4 { "cat" } else { "dog" }
}

fn with(place: &Place, more: &[&str]) -> Vec<String> {
    place.check().into_iter().chain(more.iter().map(ToString::to_string)).collect()
}

fn beside_folders(world: &World) -> Vec<Case> {
    let sides = ["left", "right"];
    let (place, images) = spread(world, "labels-txt", sides);
    let lines =
        images.iter().zip(0..).map(|(image, at)| format!("{image} {}\n", class(at))).collect::<Vec<_>>().concat();
    place.file("labels.txt", lines.as_bytes());
    let (text, as_classes) = (place.check(), with(&place, &["--layout", "classes"]));
    let (place, _) = spread(world, "labels-xlsx", sides);
    place.file("labels.xlsx", b"PK\x03\x04");
    let workbook = place.check();
    let (place, images) = spread(world, "labels-json", sides);
    let pairs: Vec<String> =
        images.iter().zip(0..).map(|(image, at)| format!("\"{image}\": \"{}\"", class(at))).collect();
    place.file("labels.json", format!("{{{}}}", pairs.join(", ")).as_bytes());
    let json = place.check();
    let (place, _) = spread(world, "ham", ["HAM10000_images_part_1", "HAM10000_images_part_2"]);
    let rows = (0..8).map(|at| format!("HAM_{at},scan_{at},{}\n", class(at))).collect::<Vec<_>>().concat();
    place.file("HAM10000_metadata.csv", format!("lesion_id,image_id,dx\n{rows}").as_bytes());
    place.file("hmnist_8_8_L.csv", b"pixel0000,label\n1,2\n");
    let ham = place.check();
    let table = place.root.join("HAM10000_metadata.csv").display().to_string();
    let named = ["data", "check", &table, "--image-column", "image_id", "--label-column", "dx"];
    let (place, _) = spread(world, "same-labels", ["cat", "dog"]);
    place.file("labels.txt", b"cat\ndog\n");
    let same = place.check();
    vec![
        case(
            "a list of labels beside folders of images",
            text,
            2,
            &["the file `labels.txt` names them: either could say the classes", "--layout classes"],
        ),
        case("the same with --layout classes", as_classes, 0, &["8 images, 2 classes of 4", "sound"]),
        case(
            "a workbook of labels beside folders of images",
            workbook,
            2,
            &["the file `labels.xlsx` may hold their labels", "save as, CSV UTF-8"],
        ),
        case("labels in JSON beside folders of images", json, 2, &["the file `labels.json` names them", "labels.csv"]),
        case(
            "HAM10000: two parts of the images and a table",
            ham,
            2,
            &["`HAM10000_metadata.csv` names them", "--image-column image_id", "--label-column NAME"],
        ),
        case(
            "HAM10000: the table, whose names have no endings",
            named.map(String::from).to_vec(),
            0,
            &["8 images, 2 classes of 4", "images `image_id` (without endings), labels `dx`", "sound"],
        ),
        case("a list of the classes beside their folders", same, 0, &["8 images, 2 classes of 4", "sound"]),
    ]
}

fn beside_images(world: &World) -> Vec<Case> {
    let flat = |name: &str, file: &str, bytes: &[u8]| {
        let mut place = Place::new(world, name);
        place.images(&["1.ppm", "2.ppm", "3.ppm", "4.ppm", "5.ppm", "6.ppm", "7.ppm"]);
        place.file(file, bytes);
        place.check()
    };
    let text = flat("flat-txt", "labels.txt", b"1.ppm cat\n2.ppm dog\n3.ppm cat\n4.ppm dog\n");
    let workbook = flat("flat-xls", "labels.xls", b"x");
    vec![
        case(
            "a list of labels beside images in no folder",
            text,
            2,
            &["images in no folder of a class, and the file `labels.txt` names them", "image_path,label"],
        ),
        case("a workbook beside images in no folder", workbook, 2, &["`labels.xls` may hold their labels", "save as"]),
    ]
}

/// Public data sets whose lists lack endings or number the images.
fn lists(world: &World) -> Vec<Case> {
    let food = |name: &str, train: &str| {
        let mut place = Place::new(world, name);
        place.images(&["pizza/1", "pizza/2", "sushi/1", "sushi/2"].map(|image| format!("images/{image}.jpg")));
        place.file("meta/train.txt", train.as_bytes());
        place.file("meta/test.txt", b"pizza/2\nsushi/2\n");
        place.check()
    };
    let birds = |name: &str, split: &str| {
        let mut place = Place::new(world, name);
        place.images(&["images/001.Auk/1.jpg", "images/001.Auk/2.jpg", "images/002.Jay/1.jpg", "images/002.Jay/2.jpg"]);
        place.file("images.txt", b"1 001.Auk/1.jpg\n2 001.Auk/2.jpg\n3 002.Jay/1.jpg\n4 002.Jay/2.jpg\n");
        place.file("train_test_split.txt", split.as_bytes());
        [place.check(), ["--data-check", "quick"].map(String::from).to_vec()].concat()
    };
    vec![
        case("Food-101", food("food", "pizza/1\nsushi/1\n"), 2, &["layout       Food-101", "train        2 images"]),
        case(
            "Food-101: a line without a class",
            food("food-line", "pizza/1\n2\n"),
            2,
            &["train.txt line 2: found `2`"],
        ),
        case(
            "CUB-200",
            birds("birds", "1 1\n2 0\n3 1\n4 0\n"),
            2,
            &["layout       CUB-200", "train        2 images", "test         2 images"],
        ),
        case(
            "CUB-200: an image of no split",
            birds("birds-split", "1 1\n2 0\n3 1\n"),
            2,
            &["train_test_split.txt: found no line for image 4 of images.txt"],
        ),
    ]
}

fn tables(world: &World) -> Vec<Case> {
    let of = |name: &str, text: &str| {
        let mut place = Place::new(world, name);
        place.images(&["images/1.ppm", "images/2.ppm", "images/3.ppm", "images/4.ppm"]);
        place.file("list.csv", text.as_bytes());
        vec!["data".into(), "check".into(), place.root.join("list.csv").display().to_string()]
    };
    let rows = "images/1.ppm,cat\nimages/2.ppm,dog\nimages/3.ppm,cat\nimages/4.ppm,dog\n";
    let plain = format!("image_path,label\n{rows}");
    let quoted = plain.lines().map(|line| format!("\"{line}\"\n")).collect::<Vec<_>>().concat();
    let spaced = plain.replace(',', "\", \"").lines().map(|line| format!("\"{line}\"\n")).collect::<Vec<_>>().concat();
    let lists = plain.replace(",cat", ",\"['cat', 'dog']\"");
    let signs = plain.replacen(",cat", ",+1", 1).replace(",cat", ",1").replace(",dog", ",2");
    let mut kaggle = Place::new(world, "kaggle");
    kaggle.images(&["images/1.ppm", "images/2.ppm", "images/3.ppm", "images/4.ppm", "images/5.ppm"]);
    kaggle.file("train.csv", plain.as_bytes());
    kaggle.file("test.csv", b"image_path\nimages/5.ppm\n");
    vec![
        case(
            "a test table without labels",
            kaggle.check(),
            0,
            &["train        4 images", "left out     1 table without labels (test.csv)"],
        ),
        case(
            "two columns of one name",
            of("same-names", &plain.replace("label", "label,label").replace("cat", "cat,1").replace("dog", "dog,2")),
            2,
            &["`label`, `label`", "give each column a name of its own"],
        ),
        case("values in quotes behind blanks", of("spaced", &spaced), 0, &["4 images, 2 classes of 2", "sound"]),
        case("lines in quotes as a whole", of("quoted", &quoted), 2, &["each line is in quotes as a whole"]),
        case("a title above the header", of("title", &format!("Animals\n{plain}")), 2, &["on line 2, below a title"]),
        case(
            "a separator at the end of lines",
            of("ends", &rows.replace("cat", "cat,").replacen("images", "image_path,label\nimages", 1)),
            2,
            &["line 2: found 3 values", "none at the end of a line"],
        ),
        case("lists for labels", of("lists", &lists), 0, &["warning", "['cat', 'dog'] (a list of labels?)"]),
        case("a number with and without its sign", of("signs", &signs), 0, &["warning", "`1` and `+1`"]),
    ]
}

fn links(world: &World) -> Vec<Case> {
    let place = Place::sound(world, "gone-split");
    std::fs::remove_dir_all(place.root.join("val")).unwrap();
    symlink("/mnt/nas/val", place.root.join("val")).unwrap();
    let mut inside = Place::sound(world, "inside");
    inside.images(&["train/cat/train/7.ppm", "train/cat/val/8.ppm"]);
    let mut below = Place::new(world, "split-below");
    below.images(&["train/cat/train/1.ppm", "train/cat/val/2.ppm", "train/dog/3.ppm", "train/dog/4.ppm"]);
    vec![
        case(
            "a split whose link leads nowhere",
            place.check(),
            2,
            &["val is a link that leads nowhere: it points to /mnt/nas/val", "remove the link"],
        ),
        case(
            "folders named like splits in a class",
            inside.check(),
            0,
            &["train        8 images", "warning", "named like splits or other classes: cat (`train`, `val`)"],
        ),
        case("splits in a class", below.check(), 2, &["`cat` holds the folders `train`, `val`", "splits lie above"]),
    ]
}
