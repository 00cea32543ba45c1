//! Images with masks: which belongs to which, what values mean, and that both move alike.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use coretune::data::{Budget, Dataset, DatasetOptions, Format, Loader, LoaderOptions, MaskOptions, Split, class_color};
use coretune::transforms::{Interpolation, SegmentationAugmentation, Transform};
use image::{GrayImage, Luma, Rgb, RgbImage};
use png::{BitDepth, ColorType, Encoder};
use tempfile::TempDir;
use tiff::encoder::{TiffEncoder, colortype};

const SIZE: (u32, u32) = (24, 16);

/// The class of a pixel: stripes of 4 columns.
fn class_at(x: u32) -> u8 {
    (x / 4 % 3) as u8
}

/// An image that shows its mask: class 0 red, 1 green, 2 blue.
fn image() -> RgbImage {
    RgbImage::from_fn(SIZE.0, SIZE.1, |x, _| {
        let mut color = [0; 3];
        color[usize::from(class_at(x))] = 255;
        Rgb(color)
    })
}

fn grey(value: impl Fn(u32) -> u8) -> GrayImage {
    GrayImage::from_fn(SIZE.0, SIZE.1, |x, _| Luma([value(x)]))
}

fn save(root: &Path, names: &[&str], mask: &GrayImage) {
    for name in names {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if name.contains("mask") || name.contains("annot") { mask.save(&path) } else { image().save(&path) }.unwrap();
    }
}

/// A folder with an image and a mask of 3 classes at each of these places.
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), names, &grey(class_at));
    folder
}

fn open(folder: &TempDir) -> Dataset {
    Dataset::open(folder.path(), &DatasetOptions::default()).unwrap()
}

fn open_with(folder: &TempDir, masks: MaskOptions) -> Result<Dataset, coretune::data::DataError> {
    Dataset::open(folder.path(), &DatasetOptions { masks, ..DatasetOptions::default() })
}

fn pairs(split: Option<&Split>) -> Vec<(String, String)> {
    let Some(split) = split else { return Vec::new() };
    let names = |index: usize| {
        let name = |file: String| Path::new(&file).file_name().unwrap().to_string_lossy().into_owned();
        (name(split.images()[index].to_string()), name(split.masks().unwrap().files()[index].to_string()))
    };
    (0..split.len()).map(names).collect()
}

#[test]
fn every_usual_layout_is_recognised() {
    let cases: [(&[&str], [usize; 3]); 9] = [
        (
            &["train/a.png", "trainannot/a.png", "val/b.png", "valannot/b.png", "test/c.png", "testannot/c.png"],
            [1, 1, 1],
        ),
        (&["Train/a.png", "Train_masks/a.png", "val/b.png", "val_masks/b.png"], [1, 1, 0]),
        (&["images/a.png", "images/b.png", "masks/a.png", "masks/b.png"], [2, 0, 0]),
        (&["images/x/a.png", "images/y/a.png", "masks/x/a.png", "masks/y/a.png"], [2, 0, 0]),
        (&["images/train/a.png", "masks/train/a.png", "images/val/b.png", "masks/val/b.png"], [1, 1, 0]),
        (&["train/images/a.png", "train/masks/a.png", "test/images/b.png", "test/masks/b.png"], [1, 0, 1]),
        (&["images/a.png", "masks/a_mask.png"], [1, 0, 0]),
        (&["a.png", "a_mask.png", "b.png", "b_mask.png"], [2, 0, 0]),
        (&["train/a.png", "train/a_mask.png", "val/b.png", "val/b_mask.png"], [1, 1, 0]),
    ];
    for (names, sizes) in cases {
        let folder = folder(names);
        let data = open(&folder);
        assert_eq!(data.format, Format::ImageMasks, "{names:?}");
        let found = [&data.train, &data.validation, &data.test].map(|split| split.as_ref().map_or(0, Split::len));
        assert_eq!(found, sizes, "{names:?}");
        assert_eq!(*data.classes, ["0", "1", "2"].map(String::from));
        for split in [&data.train, &data.validation, &data.test].into_iter().flatten() {
            assert!(split.labels().is_empty());
            for (image, mask) in pairs(Some(split)) {
                assert_eq!(image, mask.replace("_mask", ""), "{names:?}");
            }
            assert_eq!(split.load_pair(0).unwrap().1.unwrap(), grey(class_at));
        }
    }
}

/// A miniature of VOC 2012 in `root`: three images with masks of VOC's values, and lists.
fn voc(root: &Path) {
    for name in ["2007_000001", "2007_000002", "2007_000003"] {
        fs::create_dir_all(root.join("JPEGImages")).unwrap();
        image().save(root.join(format!("JPEGImages/{name}.jpg"))).unwrap();
        let samples: Vec<u8> = grey(|x| [0, 15, 255][usize::from(class_at(x))]).into_raw();
        let palette: Vec<u8> = (0..=255).flat_map(class_color).collect();
        let path = root.join(format!("SegmentationClass/{name}.png"));
        write_png(&path, ColorType::Indexed, BitDepth::Eight, &samples, Some(&palette));
    }
    grey(|_| 20).save_with_folder(&root.join("SegmentationClassAug/2008_000004.png"));
    image().save(root.join("JPEGImages/2008_000004.jpg")).unwrap();
    let lists = root.join("ImageSets/Segmentation");
    fs::create_dir_all(&lists).unwrap();
    fs::write(lists.join("train.txt"), "2007_000001\n2007_000002\n").unwrap();
    fs::write(lists.join("val.txt"), "2007_000003\n").unwrap();
    fs::write(lists.join("trainval.txt"), "2007_000001\n2007_000002\n2007_000003\n").unwrap();
    fs::write(lists.join("test.txt"), "2008_000009\n").unwrap();
    let paths = "/JPEGImages/2007_000001.jpg /SegmentationClass/2007_000001.png\n";
    fs::write(lists.join("train_aug.txt"), format!("{paths}2008_000004\n")).unwrap();
}

trait SaveWithFolder {
    fn save_with_folder(&self, path: &Path);
}

impl SaveWithFolder for GrayImage {
    fn save_with_folder(&self, path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        self.save(path).unwrap();
    }
}

#[test]
fn voc_is_read_by_its_lists_and_has_its_classes() {
    for below in ["", "VOC2012", "VOCdevkit/VOC2012"] {
        let folder = tempfile::tempdir().unwrap();
        voc(&folder.path().join(below));
        let data = open(&folder);
        assert_eq!((data.format, data.classes.len()), (Format::Voc, 21), "{below}");
        let sizes = [&data.train, &data.validation, &data.test].map(|split| split.as_ref().map(Split::len));
        assert_eq!(sizes, [Some(2), Some(1), None]);
        let mask = data.train.as_ref().unwrap().load_pair(1).unwrap().1.unwrap();
        assert_eq!(mask, grey(|x| [0, 15, 255][usize::from(class_at(x))]));
        assert!(data.left_out.to_string().contains("1 image without a mask (JPEGImages/2008_000009.jpg)"));

        let options = DatasetOptions { train_split: Some("train_aug".into()), ..DatasetOptions::default() };
        let train = Dataset::open(folder.path(), &options).unwrap().train.unwrap();
        let masks = pairs(Some(&train)).into_iter().map(|(_, mask)| mask).collect::<Vec<_>>();
        assert_eq!(masks, ["2007_000001.png", "2008_000004.png"]);
        assert_eq!(train.masks().unwrap().load(1).unwrap(), grey(|_| 20));
    }
}

#[test]
fn an_image_that_a_list_of_voc_names_twice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    voc(folder.path());
    let list = folder.path().join("ImageSets/Segmentation/train.txt");
    for lines in [
        "2007_000001\n2007_000002\n2007_000001\n",
        "2007_000001\n/JPEGImages/2007_000001.jpg /SegmentationClass/2007_000001.png\n",
    ] {
        fs::write(&list, lines).unwrap();
        let error = Dataset::open(folder.path(), &DatasetOptions::default()).unwrap_err().to_string();
        assert!(error.contains("train.txt: found ") && error.contains(" twice, expected each image once"), "{error}");
    }
}

#[test]
fn masks_of_voc_in_colours_are_read_by_its_colours() {
    let folder = tempfile::tempdir().unwrap();
    voc(folder.path());
    let colors = [[0, 0, 0], [192, 128, 128], [224, 224, 192]];
    let mask = RgbImage::from_fn(SIZE.0, SIZE.1, |x, _| Rgb(colors[usize::from(class_at(x))]));
    mask.save(folder.path().join("SegmentationClass/2007_000001.png")).unwrap();
    let mask = open(&folder).train.unwrap().masks().unwrap().load(0).unwrap();
    assert_eq!(mask, grey(|x| [0, 15, 255][usize::from(class_at(x))]));
}

#[test]
fn an_export_of_a_label_tool_in_the_form_of_voc_has_classes_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    save(root, &["JPEGImages/a.png"], &grey(class_at));
    let colors = [[0, 0, 0], [250, 50, 83], [51, 221, 255]];
    let mask = RgbImage::from_fn(SIZE.0, SIZE.1, |x, _| Rgb(colors[usize::from(class_at(x))]));
    fs::create_dir(root.join("SegmentationClass")).unwrap();
    mask.save(root.join("SegmentationClass/a.png")).unwrap();
    fs::create_dir_all(root.join("ImageSets/Segmentation")).unwrap();
    fs::write(root.join("ImageSets/Segmentation/default.txt"), "a\n").unwrap();
    let classes = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nleaf:250,50,83::\nspot:51,221,255::\n";
    fs::write(root.join("labelmap.txt"), classes).unwrap();
    let data = open(&folder);
    assert_eq!(*data.classes, ["background", "leaf", "spot"].map(String::from));
    assert_eq!(data.train.unwrap().load_pair(0).unwrap().1.unwrap(), grey(class_at));
}

#[test]
fn cityscapes_has_the_classes_that_are_evaluated() {
    let save_city = |root: &Path, split: &str, kind: &str, mask: &GrayImage| {
        let name = format!("{split}/ulm/ulm_000000_000019");
        fs::create_dir_all(root.join(format!("leftImg8bit/{split}/ulm"))).unwrap();
        image().save(root.join(format!("leftImg8bit/{name}_leftImg8bit.png"))).unwrap();
        mask.save_with_folder(&root.join(format!("gtFine/{name}_gtFine_{kind}.png")));
    };
    // Road, car and what is ignored, by both kinds of numbers.
    for (kind, numbers) in [("labelTrainIds", [0, 13, 255]), ("labelIds", [7, 26, 4])] {
        let folder = tempfile::tempdir().unwrap();
        for split in ["train", "val", "test"] {
            save_city(folder.path(), split, kind, &grey(|x| numbers[usize::from(class_at(x))]));
        }
        let data = open(&folder);
        assert_eq!((data.format, data.classes.len()), (Format::Cityscapes, 19), "{kind}");
        assert_eq!((data.classes[0].as_str(), data.classes[13].as_str()), ("road", "car"));
        let sizes = [&data.train, &data.validation, &data.test].map(|split| split.as_ref().map(Split::len));
        assert_eq!(sizes, [Some(1), Some(1), None]);
        let mask = data.train.unwrap().load_pair(0).unwrap().1.unwrap();
        assert_eq!(mask, grey(|x| [0, 13, 255][usize::from(class_at(x))]), "{kind}");
    }
}

#[test]
fn a_folder_that_holds_a_voc_devkit_holds_masks() {
    let folder = tempfile::tempdir().unwrap();
    voc(&folder.path().join("VOCdevkit/VOC2012"));
    assert!(coretune::data::holds_masks(folder.path(), &DatasetOptions::default()).unwrap());
}

#[test]
fn swapped_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let photograph = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| Rgb([x as u8 * 10, y as u8 * 10, (x * y) as u8]));
        fs::create_dir_all(folder.path().join("masks")).unwrap();
        photograph.save(folder.path().join(format!("masks/{name}.png"))).unwrap();
        grey(class_at).save_with_folder(&folder.path().join(format!("images/{name}.png")));
    }
    let refused = |folder: &TempDir| open_with(folder, MaskOptions::default()).unwrap_err().to_string();
    let error = refused(&folder);
    assert!(error.contains("images and masks are swapped") && error.contains("images/a.png"), "{error}");
    for name in ["a", "b"] {
        fs::remove_file(folder.path().join(format!("masks/{name}.png"))).unwrap();
        image().save(folder.path().join(format!("masks/{name}.jpg"))).unwrap();
    }
    assert!(refused(&folder).contains("images and masks are swapped"));
}

#[test]
fn folders_of_classes_stay_classes() {
    let cases: [&[&str]; 4] = [
        &["cat/a.png", "dog/a.png"],
        &["train/cat/a.png", "train/dog/a.png", "val/cat/a.png"],
        &["mask/a.png", "no-mask/a.png"],
        &["cat/a.png", "cat/a_mask.png", "dog/b.png"],
    ];
    for names in cases {
        let folder = folder(names);
        let data = open(&folder);
        assert_eq!(data.format, Format::ImageFolder, "{names:?}");
        assert!(!data.has_masks());
    }
    let layout = coretune::data::Layout::Classes;
    let options = DatasetOptions { layout, ..DatasetOptions::default() };
    let data = Dataset::open(folder(&["images/a.png", "masks/a.png"]).path(), &options).unwrap();
    assert_eq!(data.format, Format::ImageFolder);
}

#[test]
fn what_has_no_partner_is_left_out_and_counted() {
    let folder = folder(&["images/a.png", "images/b.png", "images/c.png", "masks/a.png", "masks/d.png"]);
    let data = open(&folder);
    assert_eq!(pairs(data.train.as_ref()).len(), 1);
    let left_out = data.left_out.to_string();
    assert!(left_out.contains("2 images without a mask (images/b.png, images/c.png)"), "{left_out}");
    assert!(left_out.contains("1 mask without an image (masks/d.png)"), "{left_out}");
}

#[test]
fn names_that_do_not_match_and_masks_that_occur_twice_are_refused() {
    let refused = |names: &[&str]| {
        let folder = folder(names);
        Dataset::open(folder.path(), &DatasetOptions::default()).unwrap_err().to_string()
    };
    let none = refused(&["images/a.png", "images/b.png", "masks/c.png"]);
    assert!(none.contains("none of the 2 images") && none.contains("a.png") && none.contains("c.png"), "{none}");
    let two = refused(&["images/a.png", "masks/a.png", "masks/a.bmp"]);
    assert!(two.contains("1 image has more than one mask") && two.contains("`a` has a.bmp and a.png"), "{two}");
}

#[test]
fn a_mask_that_could_belong_to_two_images_is_refused() {
    for names in [
        &["images/a.png", "images/a.jpg", "images/b.png", "masks/a.png", "masks/b.png"][..],
        &["a.png", "a.jpg", "a_mask.png", "b.png", "b_mask.png"],
    ] {
        let folder = folder(names);
        let two = Dataset::open(folder.path(), &DatasetOptions::default()).unwrap_err().to_string();
        assert!(
            two.contains("1 mask could belong to either of two images") && two.contains("a.jpg and a.png"),
            "{two}"
        );
    }
    let folder = folder(&["images/a.png", "images/a.jpg", "images/b.png", "masks/b.png"]);
    assert!(open(&folder).left_out.to_string().contains("2 images without a mask"), "no mask has their name");
}

#[test]
fn a_split_without_masks_is_counted_and_splits_are_matched_by_their_roles() {
    let cases: [(&[&str], [usize; 3], &str); 5] = [
        (&["train/a.png", "trainannot/a.png", "val/b.png"], [1, 0, 0], "1 image of `val`, which has no masks"),
        (
            &["images/train/a.png", "images/val/b.png", "masks/train/a.png"],
            [1, 0, 0],
            "1 image of `val`, which has no masks",
        ),
        (&["images/train/a.png", "images/val/b.png", "masks/train/a.png", "masks/validation/b.png"], [1, 1, 0], ""),
        (&["train/a.png", "training_masks/a.png", "val/b.png", "Validation_masks/b.png"], [1, 1, 0], ""),
        (&["train/a.png", "trainannot/a.png", "test/x/b.png"], [1, 0, 0], "1 image of `test`, which has no masks"),
    ];
    for (names, sizes, left_out) in cases {
        let data = open(&folder(names));
        let found = [&data.train, &data.validation, &data.test].map(|split| split.as_ref().map_or(0, Split::len));
        assert_eq!((found, data.left_out.to_string().as_str()), (sizes, left_out), "{names:?}");
        let mut report = coretune::data::check::Report::default();
        report.add_left_out(&data.left_out);
        let warnings: Vec<String> = report.warnings().map(ToString::to_string).collect();
        let expected = format!("a split is left out: {left_out}");
        let warns = left_out.contains("`val`");
        assert_eq!(
            warnings,
            if warns { vec![expected] } else { Vec::new() },
            "only images to train or choose with are missed"
        );
    }
}

/// A PNG of any depth, of samples a byte each.
fn write_png(path: &Path, color: ColorType, depth: BitDepth, samples: &[u8], palette: Option<&[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = Encoder::new(fs::File::create(path).unwrap(), SIZE.0, SIZE.1);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if let Some(palette) = palette {
        encoder.set_palette(palette.to_vec());
    }
    let bits = depth as usize;
    let packed: Vec<u8> = match bits {
        1..8 => samples
            .chunks(SIZE.0 as usize)
            .flat_map(|row| row.chunks(8 / bits).map(|part| part.iter().fold(0, |byte, value| byte << bits | value)))
            .collect(),
        _ => samples.to_vec(),
    };
    encoder.write_header().unwrap().write_image_data(&packed).unwrap();
}

#[test]
fn the_number_of_a_pixel_counts_not_its_colour() {
    let classes: Vec<u8> = (0..SIZE.1).flat_map(|_| (0..SIZE.0).map(class_at)).collect();
    let deep: Vec<u8> = classes.iter().flat_map(|&class| [0, class]).collect();
    let colors: Vec<u8> = classes.iter().flat_map(|&class| [class; 3]).collect();
    let palette = [200, 0, 0, 200, 0, 0, 0, 0, 9];
    let cases = [
        (ColorType::Indexed, BitDepth::Eight, &classes, Some(&palette[..])),
        (ColorType::Indexed, BitDepth::Two, &classes, Some(&palette)),
        (ColorType::Indexed, BitDepth::Four, &classes, Some(&palette)),
        (ColorType::Grayscale, BitDepth::Eight, &classes, None),
        (ColorType::Grayscale, BitDepth::Sixteen, &deep, None),
        (ColorType::Rgb, BitDepth::Eight, &colors, None),
    ];
    for (color, depth, samples, palette) in cases {
        let folder = folder(&["images/a.png"]);
        write_png(&folder.path().join("masks/a.png"), color, depth, samples, palette);
        let data = open(&folder);
        let mask = data.train.unwrap().masks().unwrap().load(0).unwrap();
        assert_eq!(mask, grey(class_at), "{color:?} {depth:?}");
    }
    let folder = folder(&["images/a.png"]);
    let bits: Vec<u8> = classes.iter().map(|&class| u8::from(class > 0)).collect();
    write_png(&folder.path().join("masks/a.png"), ColorType::Grayscale, BitDepth::One, &bits, None);
    assert_eq!(open(&folder).train.unwrap().masks().unwrap().load(0).unwrap(), grey(|x| u8::from(class_at(x) > 0)));
}

#[test]
fn a_palette_in_another_order_than_the_class_file_is_read_by_its_colours() {
    let colors = [[0, 0, 0], [128, 0, 0], [0, 128, 0]];
    let load = |order: [u8; 3], colors: [[u8; 3]; 3], classes: &str| {
        let folder = folder(&["images/a.png"]);
        fs::write(folder.path().join("classes.txt"), classes).unwrap();
        let samples: Vec<u8> = (0..SIZE.1).flat_map(|_| (0..SIZE.0).map(|x| order[usize::from(class_at(x))])).collect();
        let mut palette = [[0; 3]; 3];
        order.iter().zip(colors).for_each(|(&index, color)| palette[usize::from(index)] = color);
        let path = folder.path().join("masks/a.png");
        write_png(&path, ColorType::Indexed, BitDepth::Eight, &samples, Some(&palette.concat()));
        let masks = open(&folder).train.unwrap().masks().unwrap().clone();
        masks.load(0).map(GrayImage::into_raw).map_err(|error| error.to_string())
    };
    let (colored, plain) = ("bg,0,0,0\na,128,0,0\nb,0,128,0\n", "bg\na\nb\n");
    let classes = grey(class_at).into_raw();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        assert_eq!(load(order, colors, colored).unwrap(), classes, "{order:?}");
        let numbers = grey(|x| order[usize::from(class_at(x))]).into_raw();
        assert_eq!(load(order, colors, plain).unwrap(), numbers, "without colours the index counts");
        let others = [[9, 9, 9], [8, 8, 8], [7, 7, 7]];
        assert_eq!(load(order, others, colored).unwrap(), numbers, "colours of no class say nothing");
        assert_eq!(load(order, [[0; 3]; 3], colored).unwrap(), numbers, "nor does one colour for all");
    }
    let mixed = load([2, 1, 0], [[0, 0, 0], [128, 0, 0], [7, 7, 7]], colored).unwrap_err();
    assert!(mixed.contains("a.png has a palette in another order than the classes"), "{mixed}");
    assert!(mixed.contains("index 2 has colour 0,0,0") && mixed.contains("index 0 has colour 7,7,7"), "{mixed}");
}

#[test]
fn bmp_masks_are_read_by_index_and_whole_numbers_of_tiff_in_any_type() {
    let classes: Vec<u8> = grey(class_at).into_raw();
    let load = |name: &str, write: &dyn Fn(&Path)| {
        let folder = folder(&["images/a.png"]);
        fs::create_dir(folder.path().join("masks")).unwrap();
        write(&folder.path().join(format!("masks/{name}")));
        let data = open_with(&folder, MaskOptions::default()).map_err(|error| error.to_string())?;
        data.train.unwrap().masks().unwrap().load(0).map(GrayImage::into_raw).map_err(|error| error.to_string())
    };
    let bmp = |palette: &[[u8; 3]]| {
        let palette = palette.to_vec();
        let classes = classes.clone();
        load("a.bmp", &move |path| {
            let mut file = fs::File::create(path).unwrap();
            image::codecs::bmp::BmpEncoder::new(&mut file)
                .encode_with_palette(&classes, SIZE.0, SIZE.1, image::ExtendedColorType::L8, Some(&palette))
                .unwrap();
        })
    };
    assert_eq!(bmp(&[[0, 0, 0], [128, 0, 0], [0, 128, 0]]).unwrap(), classes);
    assert_eq!(bmp(&[[2; 3], [1; 3], [0; 3]]).unwrap(), grey(|x| 2 - class_at(x)).into_raw(), "a palette of greys");

    let whole: Vec<i32> = classes.iter().map(|&class| i32::from(class)).collect();
    let floats: Vec<f32> = classes.iter().map(|&class| f32::from(class)).collect();
    let halves: Vec<f32> = floats.iter().map(|value| value / 2.0).collect();
    let write = |path: &Path| TiffEncoder::new(fs::File::create(path).unwrap()).unwrap();
    let read = load("a.tif", &|path| write(path).write_image::<colortype::GrayI32>(SIZE.0, SIZE.1, &whole).unwrap());
    assert_eq!(read.unwrap(), classes);
    let read = |values: &[f32]| {
        load("a.tif", &|path| write(path).write_image::<colortype::Gray32Float>(SIZE.0, SIZE.1, values).unwrap())
    };
    assert_eq!(read(&floats).unwrap(), classes);
    let refused = read(&halves).unwrap_err();
    assert!(refused.contains("it has the value 0.5, expected whole numbers from 0 to 65535"), "{refused}");
}

#[test]
fn what_keeps_all_masks_from_being_read_is_counted() {
    let names: Vec<String> = (0..4).map(|index| format!("images/{index}.png")).collect();
    let refused = |write: &dyn Fn(&Path, usize)| {
        let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
        fs::create_dir(folder.path().join("masks")).unwrap();
        (0..4).for_each(|index| write(&folder.path().join("masks"), index));
        open_with(&folder, MaskOptions::default()).unwrap_err().to_string()
    };
    let lossy = refused(&|folder, index| grey(class_at).save(folder.join(format!("{index}.jpg"))).unwrap());
    assert!(lossy.contains("0.jpg and 3 other masks are JPEG or WebP"), "{lossy}");
    let colors = refused(&|folder, index| image().save(folder.join(format!("{index}.png"))).unwrap());
    assert!(colors.contains("0.png and 3 other masks have colours, and no file says"), "{colors}");
    let deep = |factor: u16| {
        let pixel = move |x, _| Luma([u16::from(class_at(x)) * factor]);
        image::ImageBuffer::<Luma<u16>, _>::from_fn(SIZE.0, SIZE.1, pixel)
    };
    let scaled = refused(&|folder, index| {
        deep(if index < 2 { 1 } else { 256 }).save(folder.join(format!("{index}.png"))).unwrap();
    });
    let expected =
        "2.png and 1 other mask have values up to 512 (16 bits per pixel), expected numbers of classes from 0 to 254";
    assert!(scaled.contains(expected), "{scaled}");
    let nested = folder(&["images/x/a.png", "masks/y/a.png"]);
    let nested = Dataset::open(nested.path(), &DatasetOptions::default()).unwrap_err().to_string();
    assert!(nested.contains("the first image is x/a.png, the first mask y/a.png"), "{nested}");
}

#[test]
fn masks_are_written_as_they_were_read() {
    let folder = folder(&["images/a.png"]);
    let legend = |values: [u8; 3], options: MaskOptions, classes: &str| {
        save(folder.path(), &["masks/a.png"], &grey(|x| values[usize::from(class_at(x))]));
        fs::write(folder.path().join("classes.txt"), classes).unwrap();
        let data = open_with(&folder, options).unwrap();
        data.train.unwrap().masks().unwrap().coding().legend().unwrap()
    };
    let from = |ignored: &[u16], first_class| MaskOptions { ignored: ignored.to_vec(), first_class };
    assert_eq!(legend([0, 1, 2], from(&[], 0), "a\nb\nc\n"), coretune::data::MaskLegend::usual(3));
    let first = legend([1, 2, 3], from(&[], 1), "a\nb\nc\n");
    assert_eq!((first.values, &first.colors[..2]), (vec![1, 2, 3], &[[0, 0, 0], [128, 0, 0]][..]));
    assert_eq!(legend([0, 1, 2], from(&[1], 0), "a\nb\nc\n").values, [0, 2]);
    let greys = legend([0, 128, 255], from(&[], 0), "a,0,0,0\nb,128,128,128\nc,255,255,255\n");
    assert_eq!((greys.values, greys.colors), (vec![0, 128, 255], vec![[0; 3], [128; 3], [255; 3]]));
}

#[test]
fn ignored_numbers_and_the_first_class_move_the_others() {
    let folder = tempfile::tempdir().unwrap();
    // Numbers 1, 2, 3 and 255 instead of 0, 1, 2.
    let stored = |x: u32| if x >= 20 { 255 } else { class_at(x) + 1 };
    save(folder.path(), &["images/a.png", "masks/a.png"], &grey(stored));
    let load = |ignored: &[u16], first_class: u16| {
        let data = open_with(&folder, MaskOptions { ignored: ignored.to_vec(), first_class }).unwrap();
        (data.classes.to_vec(), data.train.unwrap().masks().unwrap().load(0).unwrap())
    };
    let expected = |of: [u8; 3]| grey(move |x| if x >= 20 { 255 } else { of[usize::from(class_at(x))] });
    assert_eq!(load(&[], 1), (["1", "2", "3"].map(String::from).to_vec(), expected([0, 1, 2])));
    assert_eq!(load(&[2], 1), (["1", "3"].map(String::from).to_vec(), expected([0, 255, 1])));
    assert_eq!(load(&[0], 0).0, ["1", "2", "3"].map(String::from));
    assert_eq!(load(&[3, 300], 0), (["0", "1", "2"].map(String::from).to_vec(), expected([1, 2, 255])));
}

#[test]
fn a_file_of_classes_gives_names_and_colours() {
    let folder = folder(&["images/a.png"]);
    let colors = [[10, 20, 30], [40, 50, 60], [70, 80, 90]];
    let mask = RgbImage::from_fn(SIZE.0, SIZE.1, |x, _| Rgb(colors[usize::from(class_at(x))]));
    fs::create_dir(folder.path().join("masks")).unwrap();
    mask.save(folder.path().join("masks/a.png")).unwrap();
    let refused = open_with(&folder, MaskOptions::default()).unwrap_err().to_string();
    assert!(refused.contains("a.png has colours, and no file says"), "{refused}");

    fs::write(folder.path().join("classes.txt"), "sky 10 20 30\nvoid 40 50 60\ncar 70 80 90\n").unwrap();
    let data = open_with(&folder, MaskOptions { ignored: vec![1], first_class: 0 }).unwrap();
    assert_eq!(*data.classes, ["sky", "car"].map(String::from));
    let masks = data.train.as_ref().unwrap().masks().unwrap().clone();
    assert_eq!(masks.load(0).unwrap(), grey(|x| [0, 255, 1][usize::from(class_at(x))]));
    assert_eq!(**masks.coding().colors(), [colors[0], colors[2]]);

    fs::write(folder.path().join("classes.txt"), "sky 10 20 30\nvoid 40 50 60\ncar 70 80 91\n").unwrap();
    let error = open(&folder).train.unwrap().masks().unwrap().load(0).unwrap_err().to_string();
    assert!(error.contains("128 pixels are of no class, the first at column 8, row 0"), "{error}");
    assert!(error.contains("found colour 70,80,90, nearest: car with colour 70,80,91"), "{error}");
}

#[test]
fn colours_of_grey_classes_are_read_from_grey_masks() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &["images/a.png", "masks/a.png"], &grey(|x| [0, 128, 255][usize::from(class_at(x))]));
    fs::write(folder.path().join("classes.csv"), "name,r,g,b\nback,0,0,0\nmiddle,128,128,128\nfront,255,255,255\n")
        .unwrap();
    let data = open(&folder);
    assert_eq!(*data.classes, ["back", "middle", "front"].map(String::from));
    assert_eq!(data.train.unwrap().masks().unwrap().load(0).unwrap(), grey(class_at));
}

#[test]
fn values_sizes_and_formats_that_cannot_be_are_refused() {
    let folder = folder(&["train/a.png", "trainannot/a.png"]);
    save(folder.path(), &["val/b.png", "valannot/b.png"], &grey(|x| if x == 5 { 7 } else { 1 }));
    let error = open(&folder).validation.unwrap().load_pair(0).unwrap_err().to_string();
    assert!(
        error.contains("16 pixels are of no class, the first at column 5, row 0: found value 7, expected 0 to 2"),
        "{error}"
    );

    GrayImage::new(SIZE.1, SIZE.0).save(folder.path().join("trainannot/a.png")).unwrap();
    let error = open(&folder).train.unwrap().load_pair(0).unwrap_err().to_string();
    assert!(error.contains("is 16 x 24 pixels, its image") && !error.contains("EXIF"), "{error}");

    fs::remove_file(folder.path().join("trainannot/a.png")).unwrap();
    grey(class_at).save(folder.path().join("trainannot/a.jpg")).unwrap();
    let error = open_with(&folder, MaskOptions::default()).unwrap_err().to_string();
    assert!(error.contains("a.jpg is a JPEG or WebP, whose compression changes"), "{error}");

    fs::remove_file(folder.path().join("trainannot/a.jpg")).unwrap();
    grey(|_| 255).save(folder.path().join("trainannot/a.png")).unwrap();
    let error = open_with(&folder, MaskOptions::default()).unwrap_err().to_string();
    assert!(error.contains("no pixel of the masks is labelled, all are ignored (number of masks: 1"), "{error}");
}

#[test]
fn an_image_and_its_mask_move_alike() {
    let folder = folder(&["images/a.png", "masks/a.png", "images/b.png", "masks/b.png"]);
    let data = open(&folder);
    let augmentation =
        SegmentationAugmentation { rotation: 20.0, beyond: [9, 9, 9], ..SegmentationAugmentation::new(20) };
    let transform = Arc::new(augmentation.transform(Interpolation::Bilinear).unwrap());
    let (mut agree, mut differ, mut beyond) = (0, 0, 0);
    for epoch in 0..20 {
        let options = LoaderOptions { seed: 3, epoch, ..LoaderOptions::default() };
        let batches = vec![vec![0, 1]];
        let mut loader = Loader::new(data.train.clone().unwrap(), transform.clone(), batches, options).unwrap();
        let batch = loader.next().unwrap().unwrap();
        let masks = batch.masks.unwrap();
        assert_eq!((masks.size(), batch.images.size()), (vec![2, 20, 20], vec![2, 20, 20, 3]));
        assert!(batch.labels.is_empty());
        let masks: Vec<u8> = masks.flatten(0, -1).try_into().unwrap();
        let images: Vec<u8> = batch.images.flatten(0, -1).try_into().unwrap();
        for (class, color) in masks.iter().zip(images.as_chunks::<3>().0) {
            if *class == 255 {
                assert_eq!(*color, [9; 3]);
                beyond += 1;
            } else if let Some(bright) = color.iter().position(|&value| value > 200) {
                // Where one colour dominates, the nearest pixel has it; between stripes the filter mixes.
                if usize::from(*class) == bright { agree += 1 } else { differ += 1 }
            }
        }
    }
    assert!(agree > 3000 && beyond > 1000 && 100 * differ < agree, "{agree} {differ} {beyond}");
}

#[test]
fn a_transform_without_steps_leaves_both_as_they_are() {
    let folder = folder(&["images/a.png", "masks/a.png"]);
    let data = open(&folder);
    let transform = Arc::new(Transform::new(Vec::new()).unwrap());
    let options = LoaderOptions { views: 2, ..LoaderOptions::default() };
    let mut loader = Loader::new(data.train.unwrap(), transform, vec![vec![0]], options).unwrap();
    let masks: Vec<u8> = loader.next().unwrap().unwrap().masks.unwrap().flatten(0, -1).try_into().unwrap();
    let once = grey(class_at).into_raw();
    assert_eq!(masks, [once.clone(), once].concat());
}

#[test]
fn parts_budgets_and_hashes_keep_images_and_masks_together() {
    let names: Vec<String> = (0..20).flat_map(|i| [format!("images/{i}.png"), format!("masks/{i}.png")]).collect();
    let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let data = open(&folder);
    let train = data.train.as_ref().unwrap();
    let part = train.budget(Budget::Fraction(0.3), 1).unwrap();
    assert_eq!(part.len(), 6);
    assert!(pairs(Some(&part)).iter().all(|(image, mask)| image == mask));
    let hash = train.content_hash().unwrap();
    assert_eq!(hash, open(&folder).train.unwrap().content_hash().unwrap());
    let ignored = open_with(&folder, MaskOptions { ignored: vec![2], first_class: 0 }).unwrap();
    assert_ne!(hash, ignored.train.unwrap().content_hash().unwrap());
    grey(|_| 2).save(folder.path().join("masks/3.png")).unwrap();
    assert_ne!(hash, open(&folder).train.unwrap().content_hash().unwrap());
}

#[test]
fn pretraining_takes_the_images_alone() {
    let folder = folder(&["images/a.png", "masks/a.png", "images/b.png", "masks/b.png"]);
    let data = Dataset::open_unlabelled(folder.path(), &DatasetOptions::default()).unwrap();
    let train = data.train.unwrap();
    assert!(train.masks().is_none());
    assert_eq!((train.labels(), train.classes().len()), (&[0, 0][..], 1));
}

#[test]
fn the_classes_of_a_run_keep_their_positions() {
    let folder = folder(&["images/a.png", "masks/a.png"]);
    let data = open(&folder);
    let known = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Arc<[String]>>();
    let moved = data.with_classes(known(&["2", "x", "1", "0"])).unwrap();
    let mask = moved.train.unwrap().masks().unwrap().load(0).unwrap();
    assert_eq!(mask, grey(|x| [3, 2, 0][usize::from(class_at(x))]));
    let refused = data.with_classes(known(&["0", "1"])).unwrap_err().to_string();
    assert!(refused.contains("`2`"), "{refused}");
}

#[test]
fn classes_without_a_colour_get_that_of_pascal_voc() {
    let colors = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]];
    assert_eq!([0, 1, 2, 3, 4].map(class_color), colors);
    assert_eq!((class_color(20), class_color(255)), ([0, 64, 128], [224, 224, 192]));
}
