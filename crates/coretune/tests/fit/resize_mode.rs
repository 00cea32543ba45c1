//! Images that are not square: the mode is part of the model, in training, evaluation, prediction and export alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use coretune::checkpoints::safetensors_file;
use coretune::config::{Configuration, RunConfig};
use coretune::data::Role;
use coretune::export::{Format, Request, export};
use coretune::fit::{evaluate_run, prepare, run_outputs};
use coretune::models::Mode;
use coretune::predict::{Options, Predictor};
use coretune::run_folder::RunFolder;
use coretune::runs::{Job, Prepared};
use coretune::saved_models::load_model;
use coretune::transforms::{Interpolation, Region, ResizeMode, resample_as_pillow};
use coretune_testing::SmallWorld;
use image::{Rgb, RgbImage};
use tch::{Device, Kind, Tensor, no_grad};

/// 48 x 16, red on the left of one class and on the right of the other: a centre crop shows neither.
fn side_by_side(path: &Path, on_the_left: bool, shade: u8) {
    let image = RgbImage::from_fn(48, 16, |x, _| {
        let red = if on_the_left { x < 16 } else { x >= 32 };
        if red { Rgb([255 - shade, 0, 0]) } else { Rgb([shade, shade, 200]) }
    });
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.save(path).unwrap();
}

fn world() -> SmallWorld {
    let world = SmallWorld::of_classes(&[], 0, 0);
    for (split, images) in [("train", 12), ("val", 4), ("test", 4)] {
        for image in 0..images {
            for class in ["left", "right"] {
                let path = world.data().join(split).join(class).join(format!("{image}.png"));
                side_by_side(&path, class == "left", 4 * image + u8::from(split == "test"));
            }
        }
    }
    world
}

fn config(world: &SmallWorld, mode: &str) -> RunConfig {
    let mode = format!("data.resize_mode={mode}");
    world.config(&[&mode, "run.probe=false", "run.amp=off", "data.check=quick", "data.augment=none", "method.name=scl"])
}

fn fit(world: &SmallWorld, mode: &str) -> RunConfig {
    let folder = RunFolder::create(&world.path(mode)).unwrap();
    let preparation = prepare(&config(world, mode)).unwrap();
    let resolved = preparation.task.config.clone();
    folder.write_config(&resolved.to_toml()).unwrap();
    preparation.run(&folder, &mut |_| {}).unwrap();
    resolved
}

/// The image as the mode says, by hand.
fn framed(path: &Path, mode: &str, mean: [f64; 3]) -> RgbImage {
    let image = image::open(path).unwrap().into_rgb8();
    let whole = Region::whole(image.dimensions());
    match mode {
        "crop" => image::imageops::crop_imm(&image, 16, 0, 16, 16).to_image(),
        "squash" => resample_as_pillow(image, whole, 16, 16, Interpolation::Bilinear),
        _ => {
            let small = resample_as_pillow(image, whole, 16, 5, Interpolation::Bilinear);
            let mut boxed = RgbImage::from_pixel(16, 16, Rgb(mean.map(|value| (255.0 * value).round() as u8)));
            image::imageops::replace(&mut boxed, &small, 0, 5);
            boxed
        }
    }
}

#[test]
fn a_run_evaluates_predicts_and_exports_with_the_mode_that_it_was_trained_in() {
    let world = world();
    for mode in ["crop", "squash", "letterbox"] {
        let config = fit(&world, mode);
        let root = world.path(mode);
        let (model, description) = load_model(&root.join("checkpoints/best.safetensors"), Device::Cpu).unwrap();
        assert_eq!(description.resize_mode.name(), mode);
        assert!(fs::read_to_string(root.join("config.toml")).unwrap().contains(&format!("resize_mode = \"{mode}\"")));

        let outputs = run_outputs(&root, &config, Some(Role::Test), &mut |_| {}).unwrap();
        let paths: Vec<_> = outputs.images.images().iter().map(ToString::to_string).collect();
        for (row, path) in paths.iter().enumerate() {
            let image = framed(Path::new(path), mode, description.mean);
            let pixels = Tensor::from_slice(image.as_raw()).view([1, 16, 16, 3]);
            let logits = no_grad(|| model.logits(&pixels, Mode::Evaluate)).unwrap();
            let off = (logits.get(0) - outputs.outputs.logits.get(row as i64)).abs().max().double_value(&[]);
            assert!(off < 1e-5, "{mode}: {path} is off by {off}");
        }
        let table = String::from_utf8(outputs.logits_table().unwrap()).unwrap();
        assert!(table.starts_with("image,class,left,right\n") && table.lines().count() == 9, "{table}");

        let options = Options { top_k: 2, batch_size: 4, workers: 1, tta: None, calibrated: false };
        let predictor = Predictor::open(&root, &config.run, options).unwrap();
        let files: Vec<_> = paths.iter().map(Into::into).collect();
        let mut row = 0;
        let mut take = |prediction: coretune::predict::Prediction| {
            let logits = outputs.outputs.logits.get(row).to_kind(Kind::Double).softmax(0, Kind::Double);
            let first = &prediction.outcome.unwrap()[0];
            assert!((first.probability - logits.max().double_value(&[])).abs() < 1e-5, "{mode}");
            row += 1;
            Ok(())
        };
        predictor.predict(&files, &mut take, &mut |_| {}).unwrap();

        for format in Format::ALL {
            let output = world.path(&format!("{mode}.{}", format.extension()));
            let request = Request { format, output, with_projection: false, force: false };
            let metadata = export(&root, &request).unwrap().metadata;
            assert_eq!(metadata["resize_mode"], mode);
            assert_eq!(metadata.contains_key("fill"), mode == "letterbox");
            assert!(metadata["preprocess"].contains("def preprocess(path):"), "{}", metadata["preprocess"]);
        }
    }
}

/// What the crop cuts off is all that tells these classes apart.
#[test]
fn whole_images_are_told_apart_where_the_crop_sees_nothing() {
    let world = world();
    let top1 = |mode: &str| {
        let settings = [
            &format!("data.resize_mode={mode}"),
            "run.probe=false",
            "train.epochs=10",
            "data.augment=none",
            "data.check=quick",
        ];
        let folder = RunFolder::create(&world.path(&format!("ten {mode}"))).unwrap();
        let preparation = prepare(&world.config(&settings)).unwrap();
        folder.write_config(&preparation.task.config.to_toml()).unwrap();
        preparation.run(&folder, &mut |_| {}).unwrap().test.unwrap().classification.top1
    };
    assert!(top1("crop") < 0.8 && top1("squash") > 0.9 && top1("letterbox") > 0.9);
}

/// A file from before the mode existed says nothing of it.
#[test]
fn a_model_that_names_no_mode_is_cropped() {
    let world = world();
    let config = fit(&world, "squash");
    let best = world.path("squash/checkpoints/best.safetensors");
    let (metadata, tensors) = safetensors_file::read(&best).unwrap();
    let described = metadata["coretune"].replace("\"resize_mode\":\"squash\",", "");
    assert!(!described.contains("resize_mode"));
    let old = world.path("old.safetensors");
    let tensors: Vec<_> = tensors.into_iter().collect();
    safetensors_file::write(&old, &BTreeMap::from([("coretune".to_string(), described)]), &tensors).unwrap();
    assert_eq!(load_model(&old, Device::Cpu).unwrap().1.resize_mode, ResizeMode::Crop);
    assert!(evaluate_run(&world.path("squash"), &config, Role::Test, &mut |_| {}).is_ok());
}

#[test]
fn no_side_is_cut_unless_the_crop_is_given() {
    let world = world();
    let crop = |settings: &[&str]| {
        let settings = [&["data.img_size=224", "run.probe=false", "data.check=quick"], settings].concat();
        world.config(&settings).prepare(coretune::runs::Options::default(), &mut |_| {}).unwrap().task.input.crop_pct
    };
    let percent = |settings: &[&str]| (1000.0 * crop(settings)).round() as u32;
    assert_eq!(percent(&[]), 875);
    assert_eq!(percent(&["data.resize_mode=letterbox"]), 1000);
    assert_eq!(percent(&["data.resize_mode=squash", "data.crop_pct=0.9"]), 900);
}
