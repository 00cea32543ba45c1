//! Masks from annotations in COCO's format, as data sets and label tools lay them out.

use std::fs;
use std::path::Path;

use coretune::data::{DataError, Dataset, DatasetOptions, Format, MaskOptions, Split, holds_masks};
use image::{GrayImage, Rgb, RgbImage};
use serde_json::{Value, json};
use tempfile::TempDir;

const SIZE: (u32, u32) = (12, 8);

/// A name, images, annotation files, and the number of images of each split.
type Case<'a> = (&'a str, &'a [&'a str], Vec<(&'a str, Value)>, [usize; 3]);

/// `x, y, width, height` as a polygon.
fn rectangle(x: f64, y: f64, width: f64, height: f64) -> Value {
    json!([[x, y, x + width, y, x + width, y + height, x, y + height]])
}

/// An annotation of image 1.
fn object(category: u32, segmentation: &Value) -> Value {
    json!({"id": 7, "image_id": 1, "category_id": category, "segmentation": segmentation, "bbox": [0, 0, 4, 4], "iscrowd": 0})
}

/// The file of one image `name` with the categories cat (3) and dog (5).
fn annotations(name: &str, objects: &[Value]) -> Value {
    json!({
        "images": [{"id": 1, "file_name": name, "width": SIZE.0, "height": SIZE.1}],
        "categories": [{"id": 5, "name": "dog", "supercategory": ""}, {"id": 3, "name": "cat", "supercategory": ""}],
        "annotations": objects,
    })
}

fn save(root: &Path, images: &[&str], files: &[(&str, Value)]) {
    let place = |name: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    for name in images {
        RgbImage::from_pixel(SIZE.0, SIZE.1, Rgb([90, 120, 30])).save(place(name)).unwrap();
    }
    for (name, value) in files {
        fs::write(place(name), value.to_string()).unwrap();
    }
}

fn folder(images: &[&str], files: &[(&str, Value)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), images, files);
    folder
}

fn open(folder: &TempDir) -> Result<Dataset, DataError> {
    Dataset::open(folder.path(), &DatasetOptions::default())
}

fn mask(data: &Dataset) -> GrayImage {
    data.train.as_ref().unwrap().load_pair(0).unwrap().1.unwrap()
}

/// The mask of one image with these objects.
fn drawn(objects: &[Value]) -> GrayImage {
    let folder = folder(&["a.png"], &[("_annotations.coco.json", annotations("a.png", objects))]);
    mask(&open(&folder).unwrap())
}

/// The rows of a mask, a character for each pixel; `.` is background, `#` ignored.
fn rows(mask: &GrayImage) -> Vec<String> {
    let one = |&value: &u8| match value {
        0 => '.',
        255 => '#',
        class => char::from(b'0' + class),
    };
    mask.as_raw().chunks(mask.width() as usize).map(|row| row.iter().map(one).collect()).collect()
}

#[test]
fn layouts_of_data_sets_and_label_tools_are_recognised() {
    let square = rectangle(1.0, 1.0, 3.0, 2.0);
    let file = |name: &str| annotations(name, &[object(3, &square)]);
    let cases: [Case<'_>; 8] = [
        (
            "COCO",
            &["train2017/a.png", "val2017/b.png"],
            vec![
                ("annotations/instances_train2017.json", file("a.png")),
                ("annotations/instances_val2017.json", file("b.png")),
                ("annotations/captions_val2017.json", json!({"images": [], "annotations": [{"caption": "a dog"}]})),
            ],
            [1, 1, 0],
        ),
        (
            "Roboflow",
            &["train/a.png", "valid/b.png", "test/c.png"],
            vec![
                ("train/_annotations.coco.json", file("a.png")),
                ("valid/_annotations.coco.json", file("b.png")),
                ("test/_annotations.coco.json", file("c.png")),
            ],
            [1, 1, 1],
        ),
        ("CVAT", &["images/default/a.png"], vec![("annotations/instances_default.json", file("a.png"))], [1, 0, 0]),
        ("CVAT, flat", &["images/a.png"], vec![("annotations/instances_default.json", file("a.png"))], [1, 0, 0]),
        ("Label Studio", &["images/a.png"], vec![("result.json", file("images\\a.png"))], [1, 0, 0]),
        ("Label Studio, local files", &["images/a.png"], vec![("result.json", file("../../media/1/a.png"))], [1, 0, 0]),
        ("FiftyOne", &["data/a.png"], vec![("labels.json", file("a.png"))], [1, 0, 0]),
        (
            "files of splits",
            &["images/a.png", "images/b.png"],
            vec![("train.json", file("a.png")), ("val.json", file("b.png"))],
            [1, 1, 0],
        ),
    ];
    for (name, images, files, sizes) in cases {
        let folder = folder(images, &files);
        assert!(holds_masks(folder.path(), &DatasetOptions::default()).unwrap(), "{name}");
        let data = open(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(data.format, Format::Coco, "{name}");
        let found = [&data.train, &data.validation, &data.test].map(|split| split.as_ref().map_or(0, Split::len));
        assert_eq!(found, sizes, "{name}");
        assert_eq!(*data.classes, ["background", "cat", "dog"].map(String::from), "{name}");
        let expected = ["............", ".111........", ".111........", "............"];
        assert_eq!(rows(&mask(&data))[..4], expected, "{name}");
    }
}

#[test]
fn splits_are_named_with_and_without_their_year() {
    let square = rectangle(1.0, 1.0, 3.0, 2.0);
    let file = |name: &str| annotations(name, &[object(3, &square)]);
    let files = [
        ("annotations/instances_train2017.json", file("a.png")),
        ("annotations/instances_val2017.json", file("b.png")),
        ("annotations/instances_minitrain.json", file("a.png")),
    ];
    let folder = folder(&["train2017/a.png", "val2017/b.png"], &files);
    let data = open(&folder).unwrap();
    assert!(data.left_out.to_string().contains("1 image of `minitrain`"), "{}", data.left_out);
    for name in ["train", "train2017"] {
        let options = DatasetOptions { train_split: Some(name.into()), ..DatasetOptions::default() };
        assert_eq!(Dataset::open(folder.path(), &options).unwrap().train.unwrap().len(), 1, "{name}");
    }
}

#[test]
fn a_json_file_of_object_detection_does_not_make_classes_to_masks() {
    let boxes = annotations("a.png", &[object(3, &json!([]))]);
    let folder = folder(&["cat/a.png", "dog/b.png"], &[("annotations.json", boxes)]);
    assert!(!holds_masks(folder.path(), &DatasetOptions::default()).unwrap());
    assert_eq!(open(&folder).unwrap().format, Format::ImageFolder);
}

#[test]
fn later_objects_lie_above_earlier_ones_and_what_is_ignored_below_all() {
    let crowd = |segmentation: Value| json!({"image_id": 1, "category_id": 3, "segmentation": segmentation, "iscrowd": 1, "bbox": [0, 0, 1, 1]});
    // Run lengths go down the columns: 8 pixels outside, 16 inside.
    let runs = json!({"size": [8, 12], "counts": [8, 16, 72]});
    let objects =
        [object(3, &rectangle(0.0, 0.0, 4.0, 2.0)), object(5, &rectangle(3.0, 1.0, 3.0, 2.0)), crowd(runs.clone())];
    let expected = [
        "1111........",
        "111222......",
        ".##222......",
        ".##.........",
        ".##.........",
        ".##.........",
        ".##.........",
        ".##.........",
    ];
    assert_eq!(rows(&drawn(&objects)), expected);
    // The same in compressed form, and as CVAT marks what its brush painted: no crowd.
    let text = json!({"size": [8, 12], "counts": "8`0X2"});
    let elsewhere = object(3, &rectangle(6.0, 4.0, 1.0, 1.0));
    assert_eq!(rows(&drawn(&[crowd(text), elsewhere]))[0], ".##.........");
    let mut painted = crowd(runs);
    painted["attributes"] = json!({"occluded": false});
    assert_eq!(rows(&drawn(&[painted]))[0], ".11.........");
}

#[test]
fn objects_with_a_box_alone_are_ignored_and_counted() {
    let objects = [object(3, &json!([])), object(5, &rectangle(3.0, 0.0, 2.0, 1.0))];
    let folder = folder(&["a.png"], &[("_annotations.coco.json", annotations("a.png", &objects))]);
    let data = open(&folder).unwrap();
    assert_eq!(rows(&mask(&data))[..2], ["###22.......", "####........"]);
    assert!(data.left_out.to_string().contains("1 object without an outline, its box ignored"), "{}", data.left_out);
}

#[test]
fn the_background_can_be_ignored_or_a_category() {
    let file =
        annotations("a.png", &[object(3, &rectangle(0.0, 0.0, 2.0, 8.0)), object(5, &rectangle(2.0, 0.0, 2.0, 8.0))]);
    let tree = folder(&["a.png"], &[("result.json", file.clone())]);
    let masks = MaskOptions { ignored: vec![0], first_class: 0 };
    let data = Dataset::open(tree.path(), &DatasetOptions { masks, ..DatasetOptions::default() }).unwrap();
    assert_eq!(*data.classes, ["cat", "dog"].map(String::from));
    assert_eq!(rows(&mask(&data))[0], "..11########");
    let mut named = file;
    named["categories"][1]["name"] = "Background".into();
    let data = open(&folder(&["a.png"], &[("result.json", named)])).unwrap();
    assert_eq!(*data.classes, ["Background", "dog"].map(String::from));
}

#[test]
fn images_that_no_file_lists_are_counted() {
    let files = |names: [&str; 2]| {
        ["train", "val"]
            .into_iter()
            .zip(names)
            .map(|(split, name)| {
                let file = annotations(
                    name,
                    &[object(3, &rectangle(2.0, 2.0, 4.0, 4.0)), object(5, &rectangle(7.0, 2.0, 3.0, 3.0))],
                );
                (
                    if split == "train" {
                        "annotations/instances_train.json"
                    } else {
                        "annotations/instances_val.json"
                    },
                    file,
                )
            })
            .collect::<Vec<_>>()
    };
    let apart = folder(&["train/a.png", "train/extra.png", "val/b.png"], &files(["a.png", "b.png"]));
    assert_eq!(open(&apart).unwrap().left_out.to_string(), "1 image that no list names (train/extra.png)");
    let together = folder(&["images/a.png", "images/b.png"], &files(["a.png", "b.png"]));
    assert_eq!(open(&together).unwrap().left_out.to_string(), "");
    let train_only = DatasetOptions { train_only: true, ..DatasetOptions::default() };
    let train = Dataset::open(together.path(), &train_only).unwrap();
    assert_eq!(train.left_out.to_string(), "1 image of `val`, which no split is read from", "a file lists it");
}

#[test]
fn the_root_category_of_roboflow_is_left_out() {
    let mut file = annotations("a.png", &[object(3, &rectangle(0.0, 0.0, 2.0, 8.0))]);
    file["categories"] = json!([
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 3, "name": "cat", "supercategory": "pets"},
        {"id": 5, "name": "dog", "supercategory": "pets"},
    ]);
    let data = open(&folder(&["train/a.png"], &[("train/_annotations.coco.json", file)])).unwrap();
    assert_eq!(*data.classes, ["background", "cat", "dog"].map(String::from));
}

#[test]
fn images_that_are_missing_are_left_out_and_those_without_objects_are_background() {
    let mut file = annotations("a.png", &[]);
    file["images"] = json!([
        {"id": 1, "file_name": "lost.png", "width": 12, "height": 8},
        {"id": 2, "file_name": "a.png", "width": 12, "height": 8},
    ]);
    file["annotations"] = json!([object(3, &rectangle(0.0, 0.0, 2.0, 8.0))]);
    let folder = folder(&["images/a.png"], &[("result.json", file)]);
    let data = open(&folder).unwrap();
    assert!(
        data.left_out.to_string().contains("1 image that the annotations list, not found (lost.png)"),
        "{}",
        data.left_out
    );
    assert_eq!(rows(&mask(&data)), ["............"; 8]);
}

#[test]
fn what_is_wrong_is_named_with_its_annotation() {
    let square = rectangle(0.0, 0.0, 4.0, 4.0);
    let good = || annotations("a.png", &[object(3, &square)]);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut file = good();
        change(&mut file);
        let folder = folder(&["a.png"], &[("_annotations.coco.json", file)]);
        let error = open(&folder).and_then(|data| data.train.unwrap().load_pair(0).map(drop)).unwrap_err().to_string();
        assert!(error.contains("_annotations.coco.json") && !error.contains('\n') && error.len() < 500, "{error}");
        error
    };
    let outline =
        |segmentation: Value| with(&move |file| file["annotations"][0]["segmentation"] = segmentation.clone());
    let said = [
        (outline(json!([[1.0, 2.0, 3.0]])), "found a polygon of 3 numbers (annotation 7)"),
        (outline(json!([[0, 0, 1e300, 0, 5, 5]])), "a polygon of 6 numbers"),
        (outline(json!({"size": [12, 8], "counts": [96]})), "run lengths of 8 x 12 pixels"),
        (outline(json!({"size": [8, 12], "counts": [90]})), "found 90 pixels (annotation 7)"),
        (outline(json!({"size": [8, 12], "counts": [u32::MAX, u32::MAX]})), "8589934590 pixels"),
        (outline(json!({"size": [8, 12], "counts": "o"})), "compressed run lengths"),
        (outline(json!([])), "boxes alone, or no objects"),
        (with(&|file| file["annotations"][0]["image_id"] = 9.into()), "image_id 9 (annotation 7)"),
        (with(&|file| file["annotations"][0]["category_id"] = 9.into()), "category_id 9 (annotation 7)"),
        (with(&|file| file["categories"][0]["name"] = "cat".into()), "category `cat` twice"),
        (with(&|file| file["categories"] = json!([])), "found none"),
        (with(&|file| file["images"][0]["file_name"] = "b.png".into()), "none, such as `b.png`"),
        (with(&|file| file["images"][0]["width"] = Value::Null), "null in the place of a whole number"),
        (with(&|file| file["images"][0]["width"] = 13.into()), "13 x 8"),
        (with(&|file| file["images"][0]["width"] = 4_000_000_000_u32.into()), "the limit is"),
    ];
    for (error, part) in said {
        assert!(error.contains(part), "{error}\n{part}");
    }
    // Another split has a category that training lacks.
    let mut other = annotations("b.png", &[object(3, &square)]);
    other["categories"][1]["name"] = "cow".into();
    let files = [("train/_annotations.coco.json", good()), ("valid/_annotations.coco.json", other)];
    let error = open(&folder(&["train/a.png", "valid/b.png"], &files)).unwrap_err().to_string();
    assert!(error.contains("found objects of `cow`"), "{error}");
}

#[test]
fn a_file_whose_objects_are_all_crowds_is_refused_with_what_the_mark_means() {
    let square = rectangle(0.0, 0.0, 4.0, 4.0);
    let crowd = || {
        let mut crowd = object(3, &square);
        crowd["iscrowd"] = 1.into();
        crowd
    };
    let open_with = |objects: &[Value]| open(&folder(&["a.png"], &[("result.json", annotations("a.png", objects))]));
    let error = open_with(&[crowd(), crowd()]).unwrap_err().to_string();
    assert!(error.contains("`iscrowd` on each of 2") && error.contains("set it to 0"), "{error}");
    assert!(open_with(&[crowd(), object(3, &square)]).is_ok());
}

#[test]
fn the_panoptic_format_is_refused_where_no_outlines_are_beside_it() {
    let square = rectangle(0.0, 0.0, 4.0, 4.0);
    let panoptic = ("annotations/panoptic_train2017.json", json!({"images": [], "annotations": [], "categories": []}));
    let alone = folder(&["train2017/a.png", "val2017/b.png"], std::slice::from_ref(&panoptic));
    assert!(holds_masks(alone.path(), &DatasetOptions::default()).unwrap());
    let error = open(&alone).unwrap_err();
    assert!(
        error.to_string().ends_with("panoptic_train2017.json is in COCO's panoptic format, which is not read"),
        "{error}"
    );
    assert!(error.hint().unwrap().to_string().contains("annotations/instances_<split>.json"));
    let outlines = ("annotations/instances_train2017.json", annotations("a.png", &[object(3, &square)]));
    assert_eq!(open(&folder(&["train2017/a.png"], &[panoptic, outlines])).unwrap().format, Format::Coco);
}

#[test]
fn coco_s_folders_without_annotations_are_refused_with_where_they_belong() {
    let folder = folder(&["train2017/a.png", "val2017/b.png"], &[]);
    let error = open(&folder).unwrap_err();
    assert!(error.to_string().contains("named like splits"), "{error}");
    let hint = error.hint().unwrap().to_string();
    assert!(hint.contains("annotations/instances_train2017.json"), "{hint}");
}

#[test]
fn outlines_that_reach_far_beyond_the_image_are_cut() {
    let far = json!([[-1e9, -1e9, 1e9, -1e9, 1e9, 1e9, -1e9, 1e9]]);
    assert_eq!(rows(&drawn(&[object(3, &far)])), ["111111111111"; 8]);
    let beside = rectangle(50.0, 2.0, 5.0, 5.0);
    assert_eq!(rows(&drawn(&[object(3, &beside)])), ["............"; 8]);
}

#[test]
fn the_content_hash_follows_the_outlines() {
    let hash = |x: f64| {
        let file = annotations("a.png", &[object(3, &rectangle(x, 0.0, 2.0, 8.0))]);
        open(&folder(&["a.png"], &[("result.json", file)])).unwrap().train.unwrap().content_hash().unwrap()
    };
    assert_eq!(hash(1.0), hash(1.0));
    assert_ne!(hash(1.0), hash(2.0));
}

/// Distance of a point from the nearest side of a polygon.
fn distance((x, y): (f64, f64), polygon: &[Value]) -> f64 {
    let points: Vec<(f64, f64)> =
        polygon.chunks(2).map(|pair| (pair[0].as_f64().unwrap(), pair[1].as_f64().unwrap())).collect();
    let side = |at: usize| {
        let ((ax, ay), (bx, by)) = (points[at], points[(at + 1) % points.len()]);
        let length = (bx - ax).powi(2) + (by - ay).powi(2);
        let along = (((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length.max(1e-12)).clamp(0.0, 1.0);
        (ax + along * (bx - ax) - x).hypot(ay + along * (by - ay) - y)
    };
    (0..points.len()).map(side).fold(f64::INFINITY, f64::min)
}

/// What a file with these outlines is refused with, or what is left out.
fn refused_or_left_out(outlines: &[Value]) -> String {
    let objects: Vec<Value> = outlines.iter().map(|outline| object(3, outline)).collect();
    let folder = folder(&["a.png"], &[("_annotations.coco.json", annotations("a.png", &objects))]);
    open(&folder).map_or_else(|error| error.to_string(), |data| data.left_out.to_string())
}

#[test]
fn outlines_in_other_units_are_refused_and_objects_outside_of_their_image_are_counted() {
    let fractions = refused_or_left_out(&[rectangle(0.1, 0.2, 0.5, 0.5), rectangle(0.0, 0.0, 1.0, 1.0)]);
    assert!(fractions.contains("expected outlines in pixels") && fractions.contains("fractions"), "{fractions}");
    let mut outlines = vec![rectangle(4.0, 4.0, 16.0, 10.0); 3];
    outlines.extend(vec![rectangle(2.0, 2.0, 2.0, 2.0); 3]);
    let doubled = refused_or_left_out(&outlines);
    assert!(doubled.contains("3 of 6 that reach beyond them, such as a.png"), "{doubled}");
    let mut outlines = vec![rectangle(1.0, 1.0, 4.0, 4.0); 6];
    outlines.push(rectangle(30.0, 1.0, 4.0, 4.0));
    let counted = refused_or_left_out(&outlines);
    assert!(counted.contains("1 object outside of its image"), "{counted}");
    assert_eq!(refused_or_left_out(&[rectangle(0.0, 0.0, 12.4, 8.4)]), "", "a border within a pixel");
}

#[test]
fn two_images_that_lead_to_one_file_are_refused() {
    let mut file = annotations("x/a.png", &[object(3, &rectangle(1.0, 1.0, 4.0, 4.0))]);
    let second = json!({"id": 2, "file_name": "y/a.png", "width": SIZE.0, "height": SIZE.1});
    file["images"].as_array_mut().unwrap().push(second);
    let folder = folder(&["a.png"], &[("_annotations.coco.json", file)]);
    let error = open(&folder).unwrap_err().to_string();
    assert!(
        error.contains("expected a file for each image") && error.contains("`x/a.png` and for `y/a.png`"),
        "{error}"
    );
}

#[test]
fn run_lengths_are_those_of_pycocotools_and_polygons_differ_at_their_border_alone() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fixtures/coco_pycocotools.json"));
    let fixture: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let (width, height) = (fixture["width"].as_u64().unwrap() as u32, fixture["height"].as_u64().unwrap() as u32);
    let (mut differ, mut inside, mut farthest) = (0, 0, 0.0_f64);
    for case in fixture["cases"].as_array().unwrap() {
        let filled = |segmentation: &Value| {
            let mut file = annotations("a.png", &[object(3, segmentation)]);
            file["images"][0]["width"] = width.into();
            file["images"][0]["height"] = height.into();
            let folder = folder(&[], &[("_annotations.coco.json", file)]);
            RgbImage::new(width, height).save(folder.path().join("a.png")).unwrap();
            mask(&open(&folder).unwrap())
        };
        let theirs: Vec<u8> = case["pixels"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row.as_str().unwrap().bytes())
            .map(|bit| bit - b'0')
            .collect();
        assert_eq!(filled(&json!({"size": [height, width], "counts": case["counts"]})).into_raw(), theirs);
        let ours = filled(&case["polygons"]);
        inside += theirs.iter().map(|&bit| usize::from(bit)).sum::<usize>();
        for ((x, y, pixel), &expected) in ours.enumerate_pixels().zip(&theirs) {
            if pixel.0[0] != expected {
                let center = (f64::from(x) + 0.5, f64::from(y) + 0.5);
                let polygons = case["polygons"].as_array().unwrap().iter();
                let nearest =
                    polygons.map(|polygon| distance(center, polygon.as_array().unwrap())).fold(f64::INFINITY, f64::min);
                differ += 1;
                farthest = farthest.max(nearest);
            }
        }
    }
    println!("{differ} of {inside} pixels differ, at most {farthest:.2} pixels from the border");
    assert!(farthest < 1.0, "a pixel {farthest} from the border differs");
    assert!(differ * 20 < inside, "{differ} of {inside} pixels differ");
}

#[test]
fn faults_of_a_file_are_reported_in_plain_words() {
    let image = "images/1.png";
    let file = |change: &dyn Fn(&mut Value)| {
        let mut value = annotations("1.png", &[object(3, &rectangle(1.0, 1.0, 4.0, 4.0))]);
        change(&mut value);
        value
    };
    for (value, words) in [
        (file(&|value| value["annotations"][0]["image_id"] = json!([1])), "an id that is neither a number nor a text"),
        (file(&|value| value["annotations"][0]["iscrowd"] = json!("no")), "`iscrowd` that is neither 0 nor 1"),
        (file(&|value| value["images"][0]["width"] = json!("12")), "the text \"12\" in the place of a whole number"),
        (
            file(&|value| drop(value["images"][0].as_object_mut().unwrap().remove("height"))),
            "an object without `height`",
        ),
    ] {
        let error = open(&folder(&[image], &[("annotations/instances_train.json", value)])).unwrap_err().to_string();
        assert!(error.contains(&format!("found {words}")), "{error}");
        assert!(error.contains("in line 1, expected COCO's lists") && !error.contains("untagged"), "{error}");
    }
    let cut = folder(&[image], &[]);
    fs::create_dir(cut.path().join("annotations")).unwrap();
    let text = file(&|_| {}).to_string();
    fs::write(cut.path().join("annotations/instances_train.json"), &text[..text.len() - 40]).unwrap();
    let error = open(&cut).unwrap_err().to_string();
    assert!(error.contains("found an early end in line 1"), "{error}");
}
