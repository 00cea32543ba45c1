//! Miniature trees in the exact layout of public data sets.

use std::fs;
use std::path::Path;
use std::process::Command;

use coretune::data::{DataError, Dataset, DatasetOptions, Format, Layout, Reason, Role, Split, check, holds_masks};
use tempfile::{TempDir, tempdir};

use crate::formats::png;

/// A tree in which every image has a colour of its own.
struct Tree {
    folder: TempDir,
    images: u8,
}

impl Tree {
    fn new() -> Self {
        Tree { folder: tempdir().unwrap(), images: 0 }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn images(&mut self, paths: &[&str]) {
        for path in paths {
            self.images += 1;
            self.file(path, png(self.images));
        }
    }

    fn open(&self) -> Dataset {
        self.with(&DatasetOptions::default()).unwrap()
    }

    fn with(&self, options: &DatasetOptions) -> Result<Dataset, DataError> {
        Dataset::open(self.path(), options)
    }

    fn refused(&self) -> String {
        refused(self.with(&DatasetOptions::default()))
    }

    /// Puts a list in place of its own, and checks that it is refused in these words.
    fn refuses_list(&self, file: &str, list: &str, words: &[&str]) {
        self.file(file, list);
        let error = self.refused();
        assert!(words.iter().all(|words| error.contains(words)), "{error}");
    }
}

fn refused(data: Result<Dataset, DataError>) -> String {
    let error = data.unwrap_err();
    format!("{error}; {}", error.hint().map(|hint| hint.to_string()).unwrap_or_default())
}

fn numbered(number: u32) -> DatasetOptions {
    DatasetOptions { split_number: Some(number), ..DatasetOptions::default() }
}

fn trains_on(name: &str) -> DatasetOptions {
    DatasetOptions { train_split: Some(name.into()), ..DatasetOptions::default() }
}

/// Names of the images of a split without folder and ending, with their classes.
fn listed(data: &Dataset, role: Role) -> Vec<(String, String)> {
    let split = data.split(role).unwrap();
    let name =
        |at: usize| Path::new(&split.images()[at].to_string()).file_stem().unwrap().to_str().unwrap().to_string();
    (0..split.len()).map(|at| (name(at), data.classes[split.labels()[at] as usize].clone())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, class)| ((*name).to_string(), (*class).to_string())).collect()
}

fn pets() -> Tree {
    let mut tree = Tree::new();
    let names = ["Abyssinian_2", "Abyssinian_10", "american_bulldog_100", "Bengal_1", "american_bulldog_7", "Bengal_3"];
    tree.images(&names.map(|name| format!("images/{name}.jpg")).each_ref().map(String::as_str));
    tree.file("annotations/trimaps/Abyssinian_2.png", png(1));
    tree.file("annotations/xmls/Abyssinian_2.xml", "<annotation/>");
    tree.file("images/Abyssinian_100.mat", "MATLAB");
    tree.file("annotations/README", "...");
    tree.file("annotations/list.txt", "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\nAbyssinian_2 1 1 1\n");
    tree.file("annotations/trainval.txt", "Abyssinian_2 1 1 1\nBengal_1 3 1 2\namerican_bulldog_100 2 2 1\n");
    tree.file("annotations/test.txt", "Abyssinian_10 1 1 1\r\nBengal_3 3 1 2\r\namerican_bulldog_7 2 2 1\r\n");
    tree
}

#[test]
fn oxford_pets_are_read_by_their_lists() {
    let tree = pets();
    let data = tree.open();
    assert_eq!((data.format, data.has_masks()), (Format::OxfordPets, false));
    assert_eq!(&data.classes[..], ["Abyssinian", "american_bulldog", "Bengal"]);
    let train = [("Abyssinian_2", "Abyssinian"), ("Bengal_1", "Bengal"), ("american_bulldog_100", "american_bulldog")];
    assert_eq!(listed(&data, Role::Train), pairs(&train));
    let test = [("Abyssinian_10", "Abyssinian"), ("Bengal_3", "Bengal"), ("american_bulldog_7", "american_bulldog")];
    assert_eq!((listed(&data, Role::Test), data.validation.is_some()), (pairs(&test), false));
    assert!((0..3).all(|at| data.train.as_ref().unwrap().load(at).is_ok()));
    assert_eq!(data.describe().format.to_string(), "Oxford Pets");
    let named = pets().with(&trains_on("test")).unwrap();
    assert_eq!(listed(&named, Role::Train)[0].0, "Abyssinian_10");
}

#[test]
fn a_published_layout_may_lie_in_the_folder_of_its_archive() {
    let tree = pets();
    let above = tempdir().unwrap();
    fs::rename(tree.path(), above.path().join("oxford-iiit-pet")).unwrap();
    let data = Dataset::open(above.path(), &DatasetOptions::default()).unwrap();
    assert_eq!(data.format, Format::OxfordPets);
    assert!(!holds_masks(above.path(), &DatasetOptions::default()).unwrap());
}

#[test]
fn lists_of_pets_that_are_damaged_are_refused_with_their_line() {
    for (list, line, words) in [
        ("Abyssinian_2 1 1 1\nBengal_1 1 1 2\n", 2, "class 1 for images of `Abyssinian` alone"),
        ("Abyssinian_2 1 1 1\nAbyssinian_10 2 1 1\n", 2, "class 1, which other images of `Abyssinian` have"),
        ("Abyssinian_2 0 1 1\n", 1, "from 1 on"),
        ("Abyssinian_2 -1 1 1\n", 1, "from 1 on"),
        ("Abyssinian_2\n", 1, "found `Abyssinian_2`, expected the name of an image and the number of its class"),
        ("Abyssinian_2 1 1 1\n\nAbyssinian_2 1 1 1\n", 3, "`Abyssinian_2.jpg`, which line 1 names already"),
        ("../Abyssinian_2 1 1 1\n", 1, "expected the name of an image and"),
        ("Abyssinian 1 1 1\n", 1, "found `Abyssinian 1 1 1`"),
    ] {
        let line = format!("trainval.txt line {line}: ");
        pets().refuses_list("annotations/trainval.txt", list, &[&line, words]);
    }
    let tree = pets();
    tree.file("annotations/trainval.txt", b"Abyssinian_2 1 1 1\nB\xe9ngal_1 2 1 1\n");
    assert!(tree.refused().contains("expected a list in UTF-8"), "{}", tree.refused());
    tree.file("annotations/trainval.txt", "");
    assert!(tree.refused().contains("there are no images in"), "{}", tree.refused());
    let tree = pets();
    tree.file("annotations/test.txt", "Birman_1 4 1 4\n");
    assert!(check_of(&tree).contains("Birman"), "{}", check_of(&tree));
    let number = refused(pets().with(&numbered(2)));
    assert!(number.contains("has no split 2") && number.contains("data.split_number"), "{number}");
}

/// What the check finds that stops a run.
fn check_of(tree: &Tree) -> String {
    let (data, unknown) = Dataset::open_known(tree.path(), &DatasetOptions::default()).unwrap();
    let splits: Vec<(Role, &Split)> = [Role::Train, Role::Validation, Role::Test]
        .into_iter()
        .filter_map(|role| Some((role, data.split(role)?)))
        .collect();
    let mut report = check::check(&splits, check::Depth::Full, None, false, &mut |_, _| ());
    report.add_unknown(&unknown);
    report.stops().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn an_image_that_a_list_names_and_that_is_missing_stops_a_run() {
    let tree = pets();
    fs::remove_file(tree.path().join("images/Bengal_3.jpg")).unwrap();
    let found = check_of(&tree);
    assert!(found.contains("cannot be read") && found.contains("images/Bengal_3.jpg"), "{found}");
}

fn dtd() -> Tree {
    let mut tree = Tree::new();
    for class in ["banded", "blotchy"] {
        let names = ["0002", "0004", "0005", "0006"].map(|number| format!("images/{class}/{class}_{number}.jpg"));
        tree.images(&names.each_ref().map(String::as_str));
    }
    tree.file("imdb/imdb.mat", "MATLAB");
    tree.file("labels/labels_joint_anno.txt", "banded/banded_0002.jpg banded \n");
    for number in 1..=10 {
        let [first, second] = if number == 2 { ["0005", "0006"] } else { ["0002", "0004"] };
        let both = |image: &str| format!("banded/banded_{image}.jpg\nblotchy/blotchy_{image}.jpg\n");
        tree.file(&format!("labels/train{number}.txt"), both(first));
        tree.file(&format!("labels/val{number}.txt"), both(second));
        tree.file(&format!("labels/test{number}.txt"), both(if number == 2 { "0004" } else { "0005" }));
    }
    tree
}

#[test]
fn the_splits_of_dtd_have_numbers() {
    let tree = dtd();
    let (first, second) = (tree.open(), tree.with(&numbered(2)).unwrap());
    assert_eq!((first.format, second.format), (Format::Dtd { split: 1 }, Format::Dtd { split: 2 }));
    assert_eq!(&first.classes[..], ["banded", "blotchy"]);
    assert_eq!(listed(&first, Role::Train), pairs(&[("banded_0002", "banded"), ("blotchy_0002", "blotchy")]));
    assert_eq!(listed(&first, Role::Validation)[1].0, "blotchy_0004");
    assert_eq!(listed(&first, Role::Test)[0].0, "banded_0005");
    assert_eq!(listed(&second, Role::Train), pairs(&[("banded_0005", "banded"), ("blotchy_0005", "blotchy")]));
    assert_eq!(second.describe().format.to_string(), "DTD, split 2");
    assert!(!holds_masks(tree.path(), &DatasetOptions::default()).unwrap());
    assert_eq!(check_of(&tree), "");
}

#[test]
fn lists_of_dtd_that_are_damaged_are_refused() {
    let beyond = refused(dtd().with(&numbered(11)));
    assert!(beyond.contains("has no split 11, its splits are 1 to 10") && beyond.contains("of 1 to 10"), "{beyond}");
    for (list, words) in [
        ("banded_0002.jpg\n", "line 1: found `banded_0002.jpg`, expected a class and an image"),
        ("banded/banded_0002.jpg\nbanded/banded_0002.jpg\n", "line 2: found `banded/banded_0002.jpg`, which line 1"),
        ("/etc/passwd\n", "line 1: "),
        ("banded/../../x.jpg\n", "line 1: found `banded/../../x.jpg`, expected the name of a file in"),
    ] {
        dtd().refuses_list("labels/train1.txt", list, &["train1.txt", words]);
    }
}

fn aircraft() -> Tree {
    let mut tree = Tree::new();
    tree.images(
        &["1025794", "1340192", "0056978", "0698580", "0450014"]
            .map(|name| format!("data/images/{name}.jpg"))
            .each_ref()
            .map(String::as_str),
    );
    tree.file("data/variants.txt", "707-320\nCessna 172\n");
    tree.file("data/families.txt", "Boeing 707\nCessna 172\n");
    tree.file("data/images_train.txt", "1025794\n1340192\n");
    tree.file("data/images_box.txt", "1025794 3 144 998 431\n");
    tree.file("data/images_family_train.txt", "1025794 Boeing 707\n1340192 Cessna 172\n");
    tree.file("data/images_variant_train.txt", "1025794 707-320\n1340192 Cessna 172\n");
    tree.file("data/images_variant_val.txt", "0056978 707-320\n");
    tree.file("data/images_variant_trainval.txt", "1025794 707-320\n1340192 Cessna 172\n0056978 707-320\n");
    tree.file("data/images_variant_test.txt", "0698580 Cessna 172\n0450014 707-320\n");
    tree.file("README.md", "...");
    tree
}

#[test]
fn fgvc_aircraft_is_read_by_its_lists_of_variants() {
    let tree = aircraft();
    let data = tree.open();
    assert_eq!(
        (data.format, &data.classes[..]),
        (Format::FgvcAircraft, &["707-320".to_string(), "Cessna 172".into()][..])
    );
    assert_eq!(listed(&data, Role::Train), pairs(&[("1025794", "707-320"), ("1340192", "Cessna 172")]));
    assert_eq!(listed(&data, Role::Validation), pairs(&[("0056978", "707-320")]));
    assert_eq!(listed(&data, Role::Test), pairs(&[("0698580", "Cessna 172"), ("0450014", "707-320")]));
    let both = tree.with(&trains_on("trainval")).unwrap();
    assert_eq!((both.train.unwrap().len(), both.validation.is_some()), (3, false));
    let inner = Dataset::open(tree.path().join("data"), &DatasetOptions::default()).unwrap();
    assert_eq!(inner.format, Format::FgvcAircraft);
    fs::remove_file(tree.path().join("data/variants.txt")).unwrap();
    assert_eq!(&tree.open().classes[..], ["707-320", "Cessna 172"]);
}

#[test]
fn lists_of_aircraft_that_are_damaged_are_refused() {
    for (name, list, words) in [
        ("images_variant_train", "1025794\n", "line 1: found `1025794`, expected an image and its variant"),
        ("images_variant_train", "1025794 707-321\n", "line 1: found `707-321`, expected a variant of variants.txt"),
        ("images_variant_test", "1 707-320\n1 Cessna 172\n", "line 2: found `1.jpg`, which line 1 names already"),
        ("variants", "707-320\nCessna 172\n707-320\n", "line 3: found `707-320`, which line 1 names already"),
    ] {
        let file = format!("{name}.txt");
        aircraft().refuses_list(&format!("data/{file}"), list, &[&file, words]);
    }
}

fn caltech101(each: usize) -> Tree {
    let mut tree = Tree::new();
    for class in ["BACKGROUND_Google", "Faces", "accordion"] {
        for number in 1..=each {
            tree.images(&[&format!("101_ObjectCategories/{class}/image_{number:04}.jpg")]);
        }
    }
    tree.file("Annotations/accordion/annotation_0001.mat", "MATLAB");
    tree
}

#[test]
fn caltech101_trains_on_thirty_images_of_each_class() {
    let tree = caltech101(33);
    let data = tree.open();
    assert_eq!(
        (data.format, &data.classes[..]),
        (Format::Caltech101 { split: 1 }, &["Faces".to_string(), "accordion".into()][..])
    );
    assert_eq!(data.train.as_ref().unwrap().class_counts(), [30, 30]);
    assert_eq!((data.test.as_ref().unwrap().class_counts(), data.validation.is_some()), (vec![3, 3], false));
    let left_out = &data.left_out.omissions()[0];
    assert_eq!((&left_out.reason, left_out.count), (&Reason::OfNoClass { folder: "BACKGROUND_Google".into() }, 33));

    let [again, second] = [1, 2].map(|number| tree.with(&numbered(number)).unwrap());
    assert_eq!(listed(&again, Role::Test), listed(&data, Role::Test));
    assert_ne!(listed(&second, Role::Test), listed(&data, Role::Test));
    for data in [data, second] {
        let all = [Role::Train, Role::Test].map(|role| listed(&data, role)).concat();
        assert_eq!(all.into_iter().collect::<std::collections::BTreeSet<_>>().len(), 66);
    }
    let few = caltech101(30).refused();
    assert!(few.contains("class `Faces` has 30 of the 31 images"), "{few}");
    let plain = Dataset::open(tree.path().join("101_ObjectCategories"), &DatasetOptions::default()).unwrap();
    assert_eq!((plain.format, plain.train.unwrap().len()), (Format::ImageFolder, 99));
}

#[test]
fn a_table_of_something_else_beside_folders_of_classes_is_not_the_data() {
    let mut tree = Tree::new();
    tree.images(&["train/n01440764/a.JPEG", "train/n02102040/b.JPEG", "val/n01440764/c.JPEG", "val/n02102040/d.JPEG"]);
    let header = "path,noisy_labels_0,noisy_labels_1,noisy_labels_5,noisy_labels_25,noisy_labels_50,is_valid";
    tree.file(
        "noisy_imagenette.csv",
        format!("{header}\ntrain/n01440764/a.JPEG,n01440764,n01440764,n01440764,n01440764,n02102040,False\n"),
    );
    let data = tree.open();
    assert_eq!((data.format, data.train.unwrap().len(), data.validation.unwrap().len()), (Format::ImageFolder, 2, 2));
}

fn food101() -> Tree {
    let mut tree = Tree::new();
    for dish in ["pizza", "apple_pie"] {
        tree.images(&["1", "2", "3.5"].map(|name| format!("images/{dish}/{name}.jpg")).each_ref().map(String::as_str));
    }
    tree.file("meta/train.txt", "pizza/1\napple_pie/2\napple_pie/3.5\n");
    tree.file("meta/test.txt", "apple_pie/1\npizza/2\n");
    tree.file("meta/classes.txt", "apple_pie\npizza\n");
    tree
}

#[test]
fn food_101_is_read_by_its_lists_without_endings() {
    let tree = food101();
    let data = tree.open();
    assert_eq!((data.format, &data.classes[..]), (Format::Food101, &["apple_pie", "pizza"].map(String::from)[..]));
    assert_eq!(listed(&data, Role::Train), pairs(&[("1", "pizza"), ("2", "apple_pie"), ("3.5", "apple_pie")]));
    assert_eq!(listed(&data, Role::Test), pairs(&[("1", "apple_pie"), ("2", "pizza")]));
    assert!(
        [&data.train, &data.test].into_iter().flatten().all(|split| (0..split.len()).all(|at| split.load(at).is_ok()))
    );
    assert_eq!(data.left_out.to_string(), "1 image that no list names (images/pizza/3.5.jpg)");
    let above = tempdir().unwrap();
    fs::rename(tree.path(), above.path().join("food-101")).unwrap();
    assert_eq!(Dataset::open(above.path(), &DatasetOptions::default()).unwrap().format, Format::Food101);
    for (list, words) in [
        ("pizza\n", "expected a class and an image, without its ending"),
        ("pizza/1\npizza/1\n", "line 2: found `pizza/1.jpg`, which line 1 names already"),
        ("pizza/../../1\n", "expected the name of a file in"),
        ("/1\n", "expected a class and an image"),
    ] {
        food101().refuses_list("meta/train.txt", list, &[words]);
    }
    let tree = food101();
    tree.file("meta/train.txt", "pizza/9\napple_pie/1\n");
    assert!(tree.open().train.unwrap().load(0).is_err(), "a missing image is reported as everywhere");
}

fn cub200() -> Tree {
    let mut tree = Tree::new();
    for bird in ["001.Albatross", "002.Auklet"] {
        tree.images(&["1", "2", "3"].map(|name| format!("images/{bird}/{name}.jpg")).each_ref().map(String::as_str));
    }
    tree.file("images.txt", "1 001.Albatross/1.jpg\n2 001.Albatross/2.jpg\n3 002.Auklet/1.jpg\n4 002.Auklet/2.jpg\n");
    tree.file("train_test_split.txt", "1 1\n2 0\n3 0\n4 1\n");
    tree.file("image_class_labels.txt", "1 1\n2 1\n3 2\n4 2\n");
    tree.file("classes.txt", "1 001.Albatross\n2 002.Auklet\n");
    tree
}

#[test]
fn the_birds_of_cub_200_are_split_by_their_numbers() {
    let tree = cub200();
    let data = tree.open();
    let classes = ["001.Albatross", "002.Auklet"].map(String::from);
    assert_eq!((data.format, &data.classes[..]), (Format::Cub200, &classes[..]));
    assert_eq!(listed(&data, Role::Train), pairs(&[("1", "001.Albatross"), ("2", "002.Auklet")]));
    assert_eq!(listed(&data, Role::Test), pairs(&[("2", "001.Albatross"), ("1", "002.Auklet")]));
    assert!(data.left_out.to_string().starts_with("2 images that no list names (images/001.Albatross/3.jpg, "));
    assert_eq!(listed(&cub200().with(&trains_on("test")).unwrap(), Role::Train)[0].0, "2");
    for (file, list, words) in [
        ("train_test_split.txt", "1 1\n2 0\n3 0\n", "no line for image 4 of images.txt"),
        ("train_test_split.txt", "1 1\n2 2\n3 0\n4 1\n", "line 2: found `2`"),
        ("train_test_split.txt", "1 1\n1 0\n", "line 2: found `1`, which line 1 names already"),
        ("image_class_labels.txt", "1 1\n2 2\n3 2\n4 2\n", "line 2: found class 2 for an image in `001.Albatross`"),
        ("image_class_labels.txt", "1 1\n2 1\n3 1\n4 1\n", "line 3: found class 1 for an image in `002.Auklet`"),
        ("images.txt", "1 a.jpg\n", "line 1: found `1 a.jpg`"),
    ] {
        cub200().refuses_list(file, list, &[words]);
    }
}

/// The command that the hint ends with.
fn command_of(error: &str) -> String {
    let (_, command) = error.split_once("give the same folder again: ").unwrap();
    command.to_string()
}

#[test]
fn labels_in_files_of_matlab_are_refused_with_the_command_that_makes_a_table() {
    let trees = [
        ("Oxford Flowers-102", "setid.mat", vec!["imagelabels.mat", "jpg/image_00001.jpg", "jpg/image_00002.jpg"]),
        (
            "Stanford Cars",
            "devkit/cars_train_annos.mat",
            vec![
                "devkit/cars_meta.mat",
                "cars_test_annos_withlabels.mat",
                "cars_train/00001.jpg",
                "cars_test/00001.jpg",
            ],
        ),
        ("Stanford Cars", "cars_annos.mat", vec!["car_ims/000001.jpg", "car_ims/000002.jpg"]),
    ];
    for (name, mark, others) in trees {
        let mut tree = Tree::new();
        tree.images(&others);
        tree.file(mark, "MATLAB 5.0");
        let error = tree.refused();
        assert!(error.contains(&format!("is {name}, whose labels are in files of MATLAB")), "{error}");
        assert!(command_of(&error).starts_with("python3 -c \"import csv, scipy.io as s; "), "{error}");
        assert!(command_of(&error).ends_with(")\"") && !command_of(&error).contains('\n'), "{error}");
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/data.md")).unwrap();
        assert!(page.contains(&command_of(&error)) || mark == "cars_annos.mat", "docs/data.md lacks {error}");
        let unlabelled = Dataset::open_unlabelled(tree.path(), &DatasetOptions::default()).unwrap();
        assert!(unlabelled.train.is_some_and(|train| train.len() >= 2));
        let classes = DatasetOptions { layout: Layout::Classes, ..DatasetOptions::default() };
        assert!(tree.with(&classes).is_ok());
        // The table that the command writes is then read.
        let images: Vec<&str> = others.iter().copied().filter(|name| name.contains(".jpg")).collect();
        tree.file("labels.csv", format!("image_path,label,split\r\n{},1,train\r\n{},2,test\r\n", images[0], images[1]));
        assert!(tree.with(&DatasetOptions::default()).is_err(), "class 2 has no training image");
        tree.file("labels.csv", format!("image_path,label,split\r\n{},1,train\r\n{},1,test\r\n", images[0], images[1]));
        let data = tree.open();
        assert_eq!((data.format, data.train.unwrap().len(), data.test.unwrap().len()), (Format::Csv, 1, 1));
    }
}

/// Writes the files of MATLAB of Flowers and of both editions of Cars, as they are distributed.
const MATLAB_FILES: &str = "
import numpy as np, os, scipy.io as s
os.makedirs('flowers'); os.makedirs('cars/devkit'); os.makedirs('old')
s.savemat('flowers/imagelabels.mat', {'labels': np.array([[77, 77, 5, 5]], np.uint8)})
s.savemat('flowers/setid.mat', {'trnid': np.array([[1, 3]], np.uint16), 'valid': np.array([[2]], np.uint16), 'tstid': np.array([[4]], np.uint16)})
names = np.array(['AM General Hummer SUV 2000', 'Audi V8 Sedan 1994'], object)
s.savemat('cars/devkit/cars_meta.mat', {'class_names': names})
boxes = [('bbox_x1', 'O'), ('bbox_y1', 'O'), ('bbox_x2', 'O'), ('bbox_y2', 'O'), ('class', 'O'), ('fname', 'O')]
rows = lambda *of: np.array([(39, 116, 569, 375, np.uint8(c), f) for c, f in of], boxes).reshape(1, -1)
s.savemat('cars/devkit/cars_train_annos.mat', {'annotations': rows((2, '00001.jpg'), (1, '00002.jpg'))})
s.savemat('cars/cars_test_annos_withlabels.mat', {'annotations': rows((2, '00001.jpg'), (1, '00002.jpg'))})
old = [('relative_im_path', 'O'), ('bbox_x1', 'O'), ('class', 'O'), ('test', 'O')]
rows = np.array([('car_ims/000001.jpg', 112, np.uint8(1), np.uint8(0)), ('car_ims/000002.jpg', 1, np.uint8(1), np.uint8(1))], old)
s.savemat('old/cars_annos.mat', {'annotations': rows.reshape(1, -1), 'class_names': names})
";

#[test]
fn the_command_for_files_of_matlab_writes_a_table_that_is_read() {
    let mut tree = Tree::new();
    let python =
        |program: &str, folder: &Path| Command::new("python3").args(["-c", program]).current_dir(folder).status();
    if !python("import scipy.io", tree.path()).is_ok_and(|status| status.success()) {
        eprintln!("skipped: python3 has no scipy");
        return;
    }
    assert!(python(MATLAB_FILES, tree.path()).unwrap().success());
    tree.images(&[
        "flowers/jpg/image_00001.jpg",
        "flowers/jpg/image_00002.jpg",
        "flowers/jpg/image_00003.jpg",
        "flowers/jpg/image_00004.jpg",
    ]);
    tree.images(&[
        "cars/cars_train/00001.jpg",
        "cars/cars_train/00002.jpg",
        "cars/cars_test/00001.jpg",
        "cars/cars_test/00002.jpg",
    ]);
    tree.images(&["old/car_ims/000001.jpg", "old/car_ims/000002.jpg"]);
    for (folder, classes, lengths) in [
        ("flowers", &["5", "77"][..], [Some(2), Some(1), Some(1)]),
        ("cars", &["AM General Hummer SUV 2000", "Audi V8 Sedan 1994"], [Some(2), None, Some(2)]),
        ("old", &["AM General Hummer SUV 2000"], [Some(1), None, Some(1)]),
    ] {
        let folder = tree.path().join(folder);
        let error = refused(Dataset::open(&folder, &DatasetOptions::default()));
        assert!(
            Command::new("bash").args(["-c", &command_of(&error)]).current_dir(&folder).status().unwrap().success()
        );
        let data = Dataset::open(&folder, &DatasetOptions::default()).unwrap();
        assert_eq!(data.classes.iter().map(String::as_str).collect::<Vec<_>>(), classes);
        assert_eq!([Role::Train, Role::Validation, Role::Test].map(|role| data.split(role).map(Split::len)), lengths);
        assert!(
            [&data.train, &data.test]
                .into_iter()
                .flatten()
                .all(|split| (0..split.len()).all(|at| split.load(at).is_ok()))
        );
    }
    let cars = Dataset::open(tree.path().join("cars"), &DatasetOptions::default()).unwrap();
    assert_eq!(listed(&cars, Role::Train)[0], ("00001".to_string(), "Audi V8 Sedan 1994".to_string()));
}
