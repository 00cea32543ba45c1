//! What the check says of masks, in sentences with counts and first paths.

use std::fs;
use std::path::Path;

use coretune::data::check::{Depth, Report, Severity, check};
use coretune::data::{Dataset, DatasetOptions, MaskOptions, Role};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use tempfile::TempDir;

const SIZE: (u32, u32) = (24, 16);

fn grey(value: impl Fn(u32) -> u8) -> GrayImage {
    GrayImage::from_fn(SIZE.0, SIZE.1, |x, _| Luma([value(x)]))
}

fn striped() -> GrayImage {
    grey(|x| (x / 4 % 3) as u8)
}

fn save(folder: &TempDir, name: &str, image: impl Into<DynamicImage>) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

/// Images 0 to 5 with masks of the classes 0, 1, 2.
fn sound() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..6 {
        let image = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| Rgb([index * 9, 5 * x as u8, 7 * y as u8]));
        save(&folder, &format!("train/{index}.jpg"), image);
        save(&folder, &format!("trainannot/{index}.png"), striped());
    }
    folder
}

fn checked_with(folder: &TempDir, masks: MaskOptions, skip_broken: bool) -> Report {
    let data = Dataset::open(folder.path(), &DatasetOptions { masks, ..DatasetOptions::default() }).unwrap();
    let roles = [Role::Train, Role::Validation, Role::Test];
    let splits: Vec<_> = roles.into_iter().filter_map(|role| Some((role, data.split(role)?))).collect();
    check(&splits, Depth::Full, None, skip_broken, &mut |_, _| {})
}

/// The findings as sentences, without the folder; those that stop a run first.
fn sentences(folder: &TempDir) -> Vec<String> {
    let report = checked_with(folder, MaskOptions::default(), false);
    let root = format!("{}/", folder.path().display());
    let of = |stops: bool| {
        let findings = report.findings.iter().filter(move |finding| (finding.severity == Severity::Stops) == stops);
        findings.map(|finding| finding.to_string().replace(&root, "")).collect::<Vec<_>>()
    };
    let stops = of(true).into_iter().map(|sentence| format!("stops: {sentence}"));
    stops.chain(of(false)).filter(|sentence| !sentence.contains("pixels are all equal")).collect()
}

#[test]
fn sound_masks_have_no_problem_and_their_pixels_are_counted() {
    let folder = sound();
    save(&folder, "trainannot/5.png", grey(|x| if x < 12 { 255 } else { 2 }));
    let report = checked_with(&folder, MaskOptions::default(), false);
    assert_eq!(sentences(&folder), Vec::<String>::new());
    let pixels = &report.pixels[0];
    assert_eq!(pixels.split, Role::Train);
    let counts: Vec<_> = pixels.classes.iter().map(|class| (class.class.as_str(), class.pixels, class.masks)).collect();
    assert_eq!(counts, [("0", 640, 5), ("1", 640, 5), ("2", 832, 6)]);
    assert_eq!(pixels.ignored, 192);
    assert_eq!(pixels.to_string(), "0 30.3 %, 1 30.3 %, 2 39.4 % of 2112 labelled pixels, 192 ignored");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["pixels"][0]["classes"][2]["pixels"], 832);
}

#[test]
fn sizes_that_differ_are_found_also_after_exif() {
    let folder = sound();
    save(&folder, "trainannot/1.png", GrayImage::new(12, 8));
    turn_by_exif(&folder.path().join("train/3.jpg"));
    assert_eq!(
        sentences(&folder),
        ["stops: 2 masks of train have another size than their images: trainannot/1.png (12 x 8, the image 24 x 16), \
          trainannot/3.png (24 x 16, the image 16 x 24 as its EXIF data turns it)"]
    );
}

/// Gives a JPEG an EXIF orientation that turns it by a quarter.
fn turn_by_exif(path: &Path) {
    orient_by_exif(path, 6);
}

/// EXIF data with an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0".to_vec();
    exif.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0]);
    exif
}

fn orient_by_exif(path: &Path, orientation: u8) {
    let bytes = fs::read(path).unwrap();
    let exif = [b"Exif\0\0".to_vec(), exif(orientation)].concat();
    let mut turned = bytes[..2].to_vec();
    turned.extend([0xff, 0xe1]);
    turned.extend(((exif.len() + 2) as u16).to_be_bytes());
    turned.extend(exif);
    turned.extend(&bytes[2..]);
    fs::write(path, turned).unwrap();
}

#[test]
fn an_image_that_exif_turns_says_so_when_it_is_read() {
    let folder = sound();
    turn_by_exif(&folder.path().join("train/3.jpg"));
    let data = Dataset::open(folder.path(), &DatasetOptions::default()).unwrap();
    let error = data.train.unwrap().load_pair(3).unwrap_err().to_string();
    assert!(error.ends_with("3.jpg 16 x 24, turned as its EXIF data says"), "{error}");
}

#[test]
fn turns_that_the_size_does_not_show_are_named() {
    let folder = sound();
    for (image, orientation) in [(1, 3), (2, 1), (4, 2)] {
        orient_by_exif(&folder.path().join(format!("train/{image}.jpg")), orientation);
    }
    assert_eq!(
        sentences(&folder),
        [
            "2 images of train have EXIF data that turn them, and the size does not show whether their masks are turned too: \
          train/1.jpg, train/4.jpg"
        ]
    );
    let square = RgbImage::from_fn(16, 16, |x, y| Rgb([9, 5 * x as u8, 7 * y as u8]));
    let folder = sound();
    save(&folder, "train/5.jpg", square);
    save(&folder, "trainannot/5.png", GrayImage::from_fn(16, 16, |x, _| Luma([(x / 6) as u8])));
    turn_by_exif(&folder.path().join("train/5.jpg"));
    assert!(sentences(&folder)[0].starts_with("1 image of train has EXIF data that turn it, and the size does not show whether its mask is turned too: train/5.jpg"));
}

#[test]
fn exif_data_of_masks_are_named_and_not_applied() {
    let folder = sound();
    let mut info = png::Info::with_size(SIZE.0, SIZE.1);
    info.exif_metadata = Some(exif(6).into());
    let file = fs::File::create(folder.path().join("trainannot/3.png")).unwrap();
    let mut encoder = png::Encoder::with_info(file, info).unwrap();
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(striped().as_raw()).unwrap();
    assert_eq!(
        sentences(&folder),
        ["1 mask of train has EXIF data that would turn it; masks are read as they are stored: trainannot/3.png"]
    );
}

#[test]
fn identical_images_are_compared_by_their_masks() {
    let folder = sound();
    for (from, to) in [(0, 1), (2, 3)] {
        let image = |number: u8| folder.path().join(format!("train/{number}.jpg"));
        fs::copy(image(from), image(to)).unwrap();
    }
    save(&folder, "trainannot/1.png", grey(|x| 2 - (x / 4 % 3) as u8));
    // The same pixels in another file.
    fs::remove_file(folder.path().join("trainannot/3.png")).unwrap();
    save(&folder, "trainannot/3.bmp", striped());
    let found = sentences(&folder);
    assert_eq!(
        found,
        [
            "1 image of train is identical to images with another mask: train/1.jpg (trainannot/1.png) and train/0.jpg \
             (trainannot/0.png)",
            "1 image of train is identical to others with the same mask: train/3.jpg and train/2.jpg",
        ]
    );
}

#[test]
fn a_split_without_a_label_stops() {
    let folder = sound();
    save(&folder, "val/7.jpg", RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| Rgb([99, 5 * x as u8, 7 * y as u8])));
    save(&folder, "valannot/7.png", grey(|_| 255));
    assert_eq!(
        sentences(&folder),
        ["stops: no pixel of the masks of validation is labelled, all are ignored: valannot/7.png"]
    );
}

#[test]
fn values_to_be_ignored_that_no_mask_has_are_named() {
    let folder = sound();
    let warnings = |ignored: &[u16]| {
        let masks = MaskOptions { ignored: ignored.to_vec(), first_class: 0 };
        checked_with(&folder, masks, false).warnings().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(warnings(&[2, 9, 300, 255]), ["2 values to be ignored never occur in the masks: 9, 300"]);
    assert_eq!(warnings(&[2]), [""; 0]);
}

#[test]
fn masks_that_may_count_from_one_are_named() {
    let folder = sound();
    for index in 0..6 {
        save(&folder, &format!("trainannot/{index}.png"), grey(|x| 1 + (x / 4 % 3) as u8));
    }
    let sentence = "1 class never occurs in train: 0 (if the masks count classes from 1, say so: first class 1)";
    assert_eq!(sentences(&folder), [sentence]);
    let masks = MaskOptions { ignored: Vec::new(), first_class: 1 };
    assert_eq!(checked_with(&folder, masks, false).warnings().count(), 0);
}

#[test]
fn a_value_far_above_the_others_in_a_few_pixels_stops() {
    let folder = sound();
    let with = |pixels: u32| {
        let mask = GrayImage::from_fn(SIZE.0, SIZE.1, |x, y| {
            Luma([if y * SIZE.0 + x < pixels { 200 } else { (x % 3) as u8 }])
        });
        save(&folder, "trainannot/4.png", mask);
        sentences(&folder)
    };
    let found = with(1);
    assert!(found[0].starts_with("stops: 1 value of train lies far above the others in a few pixels"), "{found:?}");
    assert!(found[0].ends_with(": 200 (1 pixel, first in trainannot/4.png)"), "{found:?}");
    assert!(found[1].starts_with("197 classes never occur in train"), "{found:?}");
    let report = checked_with(&folder, MaskOptions::default(), false);
    assert!(report.pixels[0].to_string().ends_with(" 200 0.0 % of 2304 labelled pixels, 197 classes without pixels"));
    assert_eq!(with(40).len(), 1, "of more pixels it is a class");
    fs::write(
        folder.path().join("classes.txt"),
        (0..201).map(|class| format!("c{class}\n")).collect::<Vec<_>>().concat(),
    )
    .unwrap();
    assert_eq!(with(1).len(), 1, "a file names it");
}

#[test]
fn few_values_among_many_unused_ones_suggest_jpeg() {
    let folder = sound();
    for index in 0..6 {
        save(
            &folder,
            &format!("trainannot/{index}.png"),
            grey(|x| [0, 32, 39, 40, 41, 43, 47, 73, 77, 79, 80, 84][x as usize / 2]),
        );
    }
    let found = sentences(&folder).join("; ");
    assert!(
        found.contains("6 masks of train have more than 8 values, and most numbers between them are unused"),
        "{found}"
    );
}

#[test]
fn palettes_in_another_order_are_named() {
    let folder = sound();
    fs::write(folder.path().join("classes.txt"), "sky 0 0 0\nroad 128 0 0\ncar 0 128 0\n").unwrap();
    let mut encoder =
        png::Encoder::new(fs::File::create(folder.path().join("trainannot/2.png")).unwrap(), SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(vec![0, 128, 0, 128, 0, 0, 0, 0, 0]);
    encoder.write_header().unwrap().write_image_data(striped().as_raw()).unwrap();
    assert_eq!(
        sentences(&folder),
        [
            "1 mask of train has a palette in another order than the file of classes; it is read by colour, not by number: \
          trainannot/2.png"
        ]
    );
}

#[test]
fn values_of_no_class_are_found() {
    let folder = sound();
    fs::write(folder.path().join("classes.txt"), "sky\nroad\ncar\n").unwrap();
    save(&folder, "trainannot/2.png", grey(|x| if x == 5 { 7 } else { 1 }));
    save(&folder, "trainannot/4.png", ImageBuffer::<Luma<u16>, _>::from_pixel(SIZE.0, SIZE.1, Luma([1000_u16])));
    assert_eq!(
        sentences(&folder),
        ["stops: 2 masks of train have values that are neither of a class nor ignored (expected 0 to 2, or ignored): \
          trainannot/2.png (16 pixels, the first at column 5, row 0: value 7), \
          trainannot/4.png (384 pixels, the first at column 0, row 0: value 1000)"]
    );
    let ignoring = MaskOptions { ignored: vec![7, 1000], first_class: 0 };
    assert_eq!(checked_with(&folder, ignoring, false).stops().count(), 0);
}

#[test]
fn masks_in_jpeg_and_masks_that_cannot_be_decoded_are_found() {
    let folder = sound();
    fs::remove_file(folder.path().join("trainannot/0.png")).unwrap();
    save(&folder, "trainannot/0.jpg", striped());
    fs::write(folder.path().join("trainannot/1.png"), b"\x89PNG\r\n\x1a\nshort").unwrap();
    let found = sentences(&folder);
    assert!(
        found[0].starts_with("stops: 1 mask of train cannot be read: trainannot/1.png cannot be read as a mask"),
        "{found:?}"
    );
    assert_eq!(
        found[1],
        "stops: 1 mask of train is JPEG or WebP, whose compression changes values, and must be saved as PNG: trainannot/0.jpg"
    );
}

#[test]
fn colours_near_those_of_the_class_file_are_found() {
    let folder = sound();
    fs::write(folder.path().join("classes.txt"), "sky 0 0 0\nroad 128 0 0\ncar 0 128 0\n").unwrap();
    for index in 0..6 {
        let near = u8::from(index == 3);
        let color = |x: u32| [[0, 0, 0], [128, 0, 0], [0, 128 - near, 0]][(x / 4 % 3) as usize];
        let mask = RgbImage::from_fn(SIZE.0, SIZE.1, |x, _| Rgb(color(x)));
        save(&folder, &format!("trainannot/{index}.png"), mask);
    }
    assert_eq!(
        sentences(&folder),
        [
            "stops: 1 mask of train has colours that are not among the 3 colours of the class file: trainannot/3.png (128 pixels, \
          the first at column 8, row 0: colour 0,127,0, nearest: car with colour 0,128,0)"
        ]
    );
}

#[test]
fn classes_that_never_occur_and_masks_without_labels_are_told() {
    let folder = sound();
    fs::write(folder.path().join("classes.txt"), "sky\nroad\ncar\nbus\ntram\n").unwrap();
    save(&folder, "trainannot/5.png", grey(|_| 255));
    assert_eq!(
        sentences(&folder),
        [
            "2 classes never occur in train: bus, tram",
            "1 mask of train has no labelled pixel: all are ignored: trainannot/5.png"
        ]
    );
}

#[test]
fn masks_of_0_and_255_have_one_class() {
    let folder = sound();
    for index in 0..6 {
        save(&folder, &format!("trainannot/{index}.png"), grey(|x| if x < 9 { 255 } else { 0 }));
    }
    let found = sentences(&folder);
    assert!(
        found[0].starts_with("stops: all labelled pixels of train are of one class: `0`; 255 is ignored"),
        "{found:?}"
    );
    fs::write(folder.path().join("classes.txt"), "back 0 0 0\nobject 255 255 255\n").unwrap();
    assert_eq!(sentences(&folder), Vec::<String>::new());
}

#[test]
fn masks_of_16_bits_are_read_by_their_numbers_and_told() {
    let folder = sound();
    let deep = ImageBuffer::<Luma<u16>, _>::from_fn(SIZE.0, SIZE.1, |x, _| Luma([(x / 4 % 3) as u16]));
    save(&folder, "trainannot/0.png", deep);
    assert_eq!(
        sentences(&folder),
        ["1 mask of train has 16 bits per pixel; the number counts, not its upper byte: trainannot/0.png"]
    );
}

#[test]
fn pairs_that_cannot_be_trained_on_are_left_out_with_skip_broken() {
    let folder = sound();
    save(&folder, "trainannot/1.png", GrayImage::new(12, 8));
    fs::write(folder.path().join("train/4.jpg"), b"no image").unwrap();
    let report = checked_with(&folder, MaskOptions::default(), true);
    assert_eq!((report.stops().count(), report.broken), (0, vec![vec![1, 4]]));
    assert_eq!(report.unreadable.len(), 2);
}

#[test]
fn a_quick_check_reads_a_sample_of_the_masks() {
    let quick = |folder: &TempDir| {
        let data = Dataset::open(folder.path(), &DatasetOptions::default()).unwrap();
        check(&[(Role::Train, data.train.as_ref().unwrap())], Depth::Quick, None, false, &mut |_, _| {})
    };
    let folder = sound();
    fs::write(folder.path().join("classes.txt"), "sky\nroad\ncar\nbus\n").unwrap();
    assert_eq!(quick(&folder).findings, [], "a sample does not know which classes never occur");
    turn_by_exif(&folder.path().join("train/3.jpg"));
    save(&folder, "trainannot/3.png", GrayImage::from_pixel(SIZE.1, SIZE.0, Luma([1])));
    assert_eq!(quick(&folder).findings, [], "sizes are those after EXIF");
    for index in 6..64 {
        fs::copy(folder.path().join("train/0.jpg"), folder.path().join(format!("train/{index}.jpg"))).unwrap();
        save(&folder, &format!("trainannot/{index}.png"), grey(|_| 9));
    }
    let report = quick(&folder);
    assert!(report.pixels.is_empty());
    let [finding] = &report.findings[..] else { panic!("{:?}", report.findings) };
    assert!(finding.severity == Severity::Stops && (10..=16).contains(&finding.count()), "{finding:?}");
    assert!(finding.to_string().contains("values that are neither of a class nor ignored"), "{finding}");
    let broken = &report.broken[0];
    assert_eq!(broken.len(), finding.count());
    assert!(broken.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn masks_that_were_saved_as_jpeg_once_warn() {
    let folder = sound();
    let noisy = GrayImage::from_fn(24, 16, |x, y| image::Luma([((x * 16 + y) % 40) as u8]));
    save(&folder, "trainannot/1.png", noisy.clone());
    let all = sentences(&folder).join("; ");
    assert!(all.contains("1 mask of train has more than 32 values each, which are read as classes"), "{all}");
    assert!(all.contains("trainannot/1.png"), "{all}");
    let names = (0..40).map(|class| format!("class {class}\n")).collect::<Vec<_>>().concat();
    fs::write(folder.path().join("classes.txt"), names).unwrap();
    let all = sentences(&folder).join("; ");
    assert!(!all.contains("more than 32 values"), "a file names the classes: {all}");
}
