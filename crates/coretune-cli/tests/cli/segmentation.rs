//! A run that segments images, used as a user would: trained, evaluated, and applied to files.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::compare::{kill_with, table};
use super::world::World;
use super::{coretune, stderr, stdout};

/// A grey or coloured image of 32 x 32 pixels whose right part begins at a column of its own.
fn halves(magic: &str, number: usize, left: &[u8], right: &[u8]) -> Vec<u8> {
    let edge = 8 + 2 * number;
    let mut file = format!("{magic} 32 32 255\n").into_bytes();
    file.extend((0..32 * 32).flat_map(|at| if at % 32 < edge { left } else { right }));
    file
}

/// Two classes, dark on the left and light on the right, in the folder `masked`.
fn masked() -> World {
    let world = World::new();
    for (split, first, last) in [("train", 0, 8), ("val", 8, 10), ("test", 10, 12)] {
        let (images, masks) = (world.path(&format!("masked/{split}")), world.path(&format!("masked/{split}annot")));
        for folder in [&images, &masks] {
            fs::create_dir_all(folder).unwrap();
        }
        for number in first..last {
            fs::write(format!("{images}/{number}.ppm"), halves("P6", number, &[40; 3], &[220; 3])).unwrap();
            fs::write(format!("{masks}/{number}.pgm"), halves("P5", number, &[0], &[1])).unwrap();
        }
    }
    world
}

/// A world with a finished run in `run`.
fn trained() -> World {
    let world = masked();
    fit(&world, &[]);
    world
}

/// Trains into `run`, with more arguments.
fn fit(world: &World, more: &[&str]) {
    let (checkpoint, data, output) = (world.path("resnet.safetensors"), world.path("masked"), world.path("run"));
    let fit = ["fit", "--pretrained-path", &checkpoint, "--data-dir", &data, "--output", &output, "--head", "linear"];
    let short = ["--epochs", "6", "--batch-size", "4", "--crop", "32", "--lr", "0.05", "--device", "cpu", "--no-probe"];
    let run = coretune(&[&fit[..], &short[..], more].concat());
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
}

fn json(output: &std::process::Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_run_is_evaluated_and_its_masks_are_what_evaluation_counts() {
    let world = trained();
    let run = world.path("run");
    let summary: Value = serde_json::from_slice(&fs::read(format!("{run}/summary.json")).unwrap()).unwrap();
    let evaluation = json(&coretune(&["evaluate", &run, "--json"]));
    assert_eq!(evaluation["mean_iou"], summary["test"]["mean_iou"]);
    assert_eq!(evaluation["classes"].as_array().unwrap().len(), 2);
    let table = coretune(&["evaluate", &run, "--split", "train"]);
    assert!(stdout(&table).contains("mean IoU"), "{}", stdout(&table));

    let (masks, overlays, images) = (world.path("masks"), world.path("overlays"), world.path("masked/test"));
    let rows = coretune(&["predict", &run, &images, "--masks", &masks, "--overlays", &overlays]);
    assert_eq!(rows.status.code(), Some(0), "{}", stderr(&rows));
    let mut right = 0;
    for (number, row) in (10..12).zip(stdout(&rows).lines().skip(1)) {
        let mut reader =
            png::Decoder::new(fs::File::open(format!("{masks}/{number}.png")).map(std::io::BufReader::new).unwrap())
                .read_info()
                .unwrap();
        assert_eq!(reader.info().color_type, png::ColorType::Indexed);
        let mut mask = vec![0; 32 * 32];
        reader.next_frame(&mut mask).unwrap();
        let edge = 8 + 2 * number;
        right += (0..32 * 32).filter(|at| mask[*at] == u8::from(at % 32 >= edge)).count();
        // The classes are 0 and 1.
        let light = mask.iter().map(|&class| f64::from(class)).sum::<f64>() / 1024.0;
        assert!(row.ends_with(&format!(",32,32,{:.6},{light:.6}", 1.0 - light)), "{row}");
        assert!(Path::new(&format!("{overlays}/{number}.png")).exists());
    }
    assert_eq!(evaluation["pixel_accuracy"], serde_json::json!(right as f64 / 2048.0));
    assert!(right > 1400, "{right} of 2048 pixels are right");
}

#[test]
fn masks_have_the_values_of_those_that_the_run_was_trained_on() {
    let world = masked();
    for (split, first, last) in [("train", 0, 8), ("val", 8, 10), ("test", 10, 12)] {
        for number in first..last {
            let mask = world.path(&format!("masked/{split}annot/{number}.pgm"));
            fs::write(mask, halves("P5", number, &[1], &[3])).unwrap();
        }
    }
    fit(&world, &["--first-class", "1", "--ignore-index", "2"]);
    let (run, masks, images) = (world.path("run"), world.path("masks"), world.path("masked/test"));
    let rows = coretune(&["predict", &run, &images, "--masks", &masks]);
    assert_eq!(rows.status.code(), Some(0), "{}", stderr(&rows));
    assert!(stdout(&rows).starts_with("path,error,width,height,1,3\n"), "{}", stdout(&rows));
    let mut right = 0;
    for number in 10..12 {
        let file = fs::File::open(format!("{masks}/{number}.png")).map(std::io::BufReader::new).unwrap();
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let palette = reader.info().palette.as_deref().unwrap().to_vec();
        assert_eq!((&palette[3..6], &palette[9..12]), (&[0, 0, 0][..], &[128, 0, 0][..]), "colours by class");
        let mut mask = vec![0; 32 * 32];
        reader.next_frame(&mut mask).unwrap();
        assert!(mask.iter().all(|value| [1, 3].contains(value)));
        let edge = 8 + 2 * number;
        right += (0..32 * 32).filter(|at| mask[*at] == if at % 32 < edge { 1 } else { 3 }).count();
    }
    assert!(right > 1400, "{right} of 2048 pixels are right");
}

#[test]
fn labels_that_no_position_of_the_map_has_and_masks_without_labels_stop_before_training() {
    let world = masked();
    let refused = |probe: bool, status: i32| {
        let (checkpoint, data, output) =
            (world.path("resnet.safetensors"), world.path("masked"), world.path(&format!("thin-{probe}-{status}")));
        let own = ["fit", "--pretrained-path", &checkpoint, "--data-dir", &data, "--output", &output, "--epochs", "1"];
        let short = ["--batch-size", "4", "--crop", "32", "--head", "linear", "--device", "cpu"];
        let run = coretune(&[&own[..], &short, if probe { &[] } else { &["--no-probe"] }].concat());
        assert_eq!(run.status.code(), Some(status), "{}", stderr(&run));
        stderr(&run)
    };
    let rewrite = |split: &str, numbers: std::ops::Range<usize>, value: &dyn Fn(usize) -> u8| {
        for number in numbers {
            let mut file = b"P5 32 32 255\n".to_vec();
            file.extend((0..32 * 32).map(value));
            fs::write(world.path(&format!("masked/{split}annot/{number}.pgm")), file).unwrap();
        }
    };
    // Two pixels between the positions of the map.
    rewrite("train", 0..8, &|at| match at {
        37 => 0,
        38 => 1,
        _ => 255,
    });
    let thin = refused(true, 1);
    assert!(thin.contains("the training masks have no label at a position of the backbone's map"), "{thin}");
    assert!(thin.contains("--output-stride") && thin.contains("--no-probe"), "{thin}");
    rewrite("train", 0..8, &|at| u8::from(at % 32 > 20));
    rewrite("val", 8..10, &|_| 255);
    for probe in [true, false] {
        let none = refused(probe, 2);
        assert!(none.contains("no pixel of the masks of validation is labelled, all are ignored"), "{none}");
        assert!(none.contains("correct the masks"), "{none}");
    }
}

#[test]
fn broken_masks_that_are_all_left_out_are_reported_with_what_is_wrong() {
    let world = masked();
    fs::write(world.path("masked/classes.txt"), "dark\nlight\n").unwrap();
    for number in 0..8 {
        let mask = world.path(&format!("masked/trainannot/{number}.pgm"));
        fs::write(mask, halves("P5", number, &[0], &[5])).unwrap();
    }
    let (checkpoint, data, output) = (world.path("resnet.safetensors"), world.path("masked"), world.path("none"));
    let own = ["fit", "--pretrained-path", &checkpoint, "--data-dir", &data, "--output", &output, "--skip-broken"];
    let run = coretune(&[&own[..], &["--batch-size", "4", "--crop", "32", "--device", "cpu"]].concat());
    let text = stderr(&run);
    assert_eq!(run.status.code(), Some(2), "{text}");
    assert!(text.contains("has no image left to train on: 8 masks of train have values that are neither"), "{text}");
}

#[test]
fn what_is_wrong_with_masks_is_reported_also_where_the_task_is_found_from_the_data() {
    let world = masked();
    let root = world.path("voc");
    for (folder, files) in [("JPEGImages", 0..4), ("SegmentationClass", 0..4)] {
        fs::create_dir_all(format!("{root}/{folder}")).unwrap();
        for number in files {
            fs::write(format!("{root}/{folder}/{number}.png"), b"").unwrap();
        }
    }
    fs::create_dir_all(format!("{root}/ImageSets/Segmentation")).unwrap();
    fs::write(format!("{root}/ImageSets/Segmentation/train.txt"), "0\n1\n").unwrap();
    fs::write(format!("{root}/ImageSets/Segmentation/val.txt"), "2\n3\n").unwrap();
    let checkpoint = world.path("resnet.safetensors");
    let own = ["fit", "--recipe", "voc2012-deeplabv3", "--pretrained-path", &checkpoint, "--data-dir", &root];
    let run = coretune(&[&own[..], &["--output", &world.path("never")]].concat());
    let text = stderr(&run);
    assert_eq!(run.status.code(), Some(2), "{text}");
    assert!(text.contains("trainaug") && !text.contains("is a setting of"), "{text}");
    assert!(text.contains("--train-split train") && text.contains("SegmentationClassAug"), "{text}");
}

#[test]
fn windows_sizes_and_mirror_images_are_averaged_at_the_end_and_on_demand() {
    let world = masked();
    let views = ["--tta", "flip", "--window", "24", "--window-overlap", "0.25", "--scales", "0.75,1"];
    fit(&world, &views);
    let run = world.path("run");
    let summary: Value = serde_json::from_slice(&fs::read(format!("{run}/summary.json")).unwrap()).unwrap();
    let loss = |more: &[&str]| json(&coretune(&[&["evaluate", &run, "--json"], more].concat()))["loss"].clone();
    assert_eq!(loss(&[]), summary["test"]["loss"]);
    let plain = ["--tta", "none", "--window", "off", "--scales", "1"];
    assert_ne!(loss(&plain), summary["test"]["loss"]);

    let images = world.path("masked/test");
    let rows = |more: &[&str]| {
        let masks = world.path(&format!("masks{}", more.len()));
        let rows = coretune(&[&["predict", &run, &images, "--masks", &masks], more].concat());
        assert_eq!(rows.status.code(), Some(0), "{}", stderr(&rows));
        fs::read(format!("{masks}/10.png")).unwrap()
    };
    // Predictions have the views of the run; flags change them.
    let of_run = rows(&[]);
    assert_eq!(of_run, rows(&views));
    assert_ne!(of_run, rows(&["--scales", "0.1"]));
    let none = coretune(&["evaluate", &run, "--scales", "0.01"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("numbers, each a number from 0.1 to 4"), "{}", stderr(&none));
}

#[test]
fn a_broken_image_is_a_row_and_folders_for_masks_are_new() {
    let world = trained();
    let (run, image, broken) = (world.path("run"), world.path("masked/test/10.ppm"), world.path("broken.ppm"));
    fs::write(&broken, b"P6 32 32 255\n").unwrap();
    let rows = coretune(&["predict", &run, &image, &broken, "--format", "jsonl"]);
    assert_eq!(rows.status.code(), Some(0), "{}", stderr(&rows));
    let lines: Vec<Value> = stdout(&rows).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["areas"].as_object().unwrap().len(), 2);
    assert!(lines[1]["error"].as_str().unwrap().contains("broken.ppm"), "{}", lines[1]);
    assert!(stderr(&rows).contains("1 of 2 images could not be read"), "{}", stderr(&rows));

    let used = coretune(&["predict", &run, &image, "--masks", &world.path("masked/test")]);
    assert_eq!(used.status.code(), Some(2));
    assert!(stderr(&used).contains("is not empty"), "{}", stderr(&used));
    let other = world.path("masked/train/../test/10.ppm");
    let twice = coretune(&["predict", &run, &image, &other, "--masks", &world.path("twice")]);
    assert_eq!(twice.status.code(), Some(2));
    assert!(stderr(&twice).contains("would both be written to 10.png"), "{}", stderr(&twice));
}

#[test]
fn a_run_that_classifies_gives_no_masks() {
    let world = World::new();
    let arguments = world.fit("run", &["--no-probe"]);
    let run = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let (run, image) = (world.path("run"), world.path("data/test/dark/0.ppm"));
    let masks = coretune(&["predict", &run, &image, "--masks", &world.path("masks")]);
    assert_eq!(masks.status.code(), Some(2));
    assert!(stderr(&masks).contains("classifies whole images"), "{}", stderr(&masks));
    let window = coretune(&["predict", &run, &image, "--window", "64"]);
    assert_eq!(window.status.code(), Some(2));
    assert!(stderr(&window).contains("does not read --window"), "{}", stderr(&window));
}

#[test]
fn an_export_of_a_run_that_segments_is_not_called_a_classifier() {
    let world = trained();
    let (run, export) = (world.path("run"), world.path("street.safetensors"));
    let written = coretune(&["export", &run, "--output", &export]);
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    let masks = coretune(&["predict", &export, &world.path("masked/test"), "--masks", &world.path("masks")]);
    let text = stderr(&masks);
    assert_eq!(masks.status.code(), Some(2), "{text}");
    assert!(text.contains("it is an export for other programs") && text.contains("name the folder of a run"), "{text}");
}

#[test]
fn a_page_shows_runs_of_one_kind_and_says_which_is_of_another() {
    let world = trained();
    let arguments = world.fit("classes", &["--no-probe"]);
    let run = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let (masks, classes) = (world.path("run"), world.path("classes"));
    for (first, second, kinds) in [
        (&masks, &classes, ["coretune fit for segmentation", "coretune fit"]),
        (&classes, &masks, ["coretune fit", "coretune fit for segmentation"]),
    ] {
        let page = coretune(&["report", first, second]);
        let text = stderr(&page);
        assert_eq!(page.status.code(), Some(2), "{text}");
        let sentence = format!("{first} is a run of {}, and {second} is a run of {}", kinds[0], kinds[1]);
        assert!(text.contains(&sentence) && text.contains("make one for each"), "{text}");
    }
}

/// The commands of `docs/segmentation.md`, in their order, with smaller numbers.
#[test]
fn every_command_of_the_page_works_in_its_order() {
    let world = masked();
    let folder = world.path("");
    let place = |name: &str| Path::new(&folder).join(name);
    fs::rename(place("masked"), place("street")).unwrap();
    fs::rename(place("resnet.safetensors"), place("moco.pth")).unwrap();
    fs::create_dir(place("photos")).unwrap();
    fs::copy(place("street/test/10.ppm"), place("photos/10.ppm")).unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/segmentation.md");
    let page = fs::read_to_string(page).unwrap();
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("    coretune ")).collect();
    assert!(commands.len() >= 7, "the page has {} commands", commands.len());
    for command in commands {
        let mut arguments: Vec<&str> = command.split_whitespace().take_while(|word| *word != "#").collect();
        let short = ["--epochs", "1", "--batch-size", "4", "--crop", "32"];
        match arguments[0] {
            "fit" => arguments.extend(short.into_iter().chain(["--no-probe"])),
            // One trial and one seed of each method.
            "compare" => arguments.extend(short.into_iter().chain(["--fixed", "--seeds", "1", "--head", "fcn"])),
            _ => {}
        }
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_coretune"))
            .args(&arguments)
            .current_dir(&folder)
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(0), "coretune {}: {}", arguments.join(" "), stderr(&run));
    }
    for file in ["sheet.png", "masks/10.png", "overlays/10.png", "areas.csv", "street.safetensors", "street.onnx"] {
        assert!(place(file).is_file(), "{file}");
    }
}

#[test]
fn a_comparison_that_was_killed_ends_with_the_same_table_and_both_pages_can_be_written() {
    let world = masked();
    let compare = |output: &str| -> Vec<String> {
        let (checkpoint, data, output) = (world.path("resnet.safetensors"), world.path("masked"), world.path(output));
        let own = ["compare", "--pretrained-path", &checkpoint, "--data-dir", &data, "--output", &output];
        let short = ["--epochs", "1", "--batch-size", "4", "--crop", "32", "--head", "fcn", "--device", "cpu"];
        let methods =
            ["--methods", "random-init,cross-entropy", "--tune", "lr=0.01,0.1", "--trials", "2", "--seeds", "2"];
        own.into_iter().chain(short).chain(methods).map(ToString::to_string).collect()
    };
    let run = |arguments: &[String]| coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let whole = run(&compare("whole"));
    assert!(whole.status.success(), "{}", stderr(&whole));
    assert!(stdout(&whole).contains("mean IoU %"), "{}", stdout(&whole));
    for (signal, begun) in [("-KILL", 2), ("-TERM", 4)] {
        kill_with(&compare("killed"), &Path::new(&world.path("killed")).join("runs"), begun, signal);
    }
    let resumed = run(&compare("killed"));
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert_eq!(table(&world.path("killed")), table(&world.path("whole")));

    let page = fs::read_to_string(world.path("whole/report.html")).unwrap();
    assert!(page.contains("Mean IoU, mean over seeds") && !page.contains("Calibration"), "the page of the comparison");
    let runs = fs::read_dir(world.path("whole/runs")).unwrap().flatten().map(|entry| entry.path());
    let folders: Vec<String> = runs.filter(|path| path.is_dir()).map(|path| path.display().to_string()).collect();
    let (one, several) = (world.path("one.html"), world.path("several.html"));
    let report = coretune(&["report", &folders[0], "--output", &one]);
    assert!(report.status.success(), "{}", stderr(&report));
    let page = fs::read_to_string(one).unwrap();
    for part in [
        "IoU of each class",
        "prediction of test/10.ppm",
        "Confusion matrix",
        "Validation mean intersection",
        "labelled positions",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let report = coretune(&["report", &folders[0], &folders[1], "--output", &several]);
    assert!(report.status.success(), "{}", stderr(&report));
    assert!(fs::read_to_string(several).unwrap().contains("2 runs side by side"));
}

#[test]
fn images_that_a_run_skips_are_skipped_when_it_is_evaluated() {
    let world = masked();
    for image in ["train/0.ppm", "test/10.ppm"] {
        fs::write(world.path(&format!("masked/{image}")), b"P6 32 32 255\n").unwrap();
    }
    fit(&world, &["--skip-broken"]);
    let evaluation = coretune(&["evaluate", &world.path("run"), "--json"]);
    assert_eq!(json(&evaluation)["images"], 1);
    assert!(stderr(&evaluation).contains("cannot be read"), "{}", stderr(&evaluation));
}

#[test]
fn the_average_of_a_run_can_leave_out_the_weights_before_the_first_step() {
    let best = |more: &[&str]| {
        let world = masked();
        fit(&world, &[&["--model-ema", "0.999"], more].concat());
        fs::read(world.path("run/checkpoints/best.safetensors")).unwrap()
    };
    assert_ne!(best(&[]), best(&["--model-ema-warmup"]));
}

#[test]
fn a_sweep_ranks_its_points_by_the_mean_iou_of_the_validation_images() {
    let world = masked();
    let (checkpoint, data, output) = (world.path("resnet.safetensors"), world.path("masked"), world.path("swept"));
    let own = ["sweep", "--pretrained-path", &checkpoint, "--data-dir", &data, "--output", &output, "--json"];
    let short = ["--epochs", "3", "--batch-size", "4", "--crop", "32", "--head", "fcn", "--device", "cpu"];
    let searched = ["--method", "bss", "--search", "halving", "--trials", "4", "--tune", "lr=0.001..0.1"];
    let swept = coretune(&[&own[..], &short, &searched].concat());
    assert!(swept.status.success(), "{}", stderr(&swept));
    let found = json(&swept);
    let stages = found["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 2, "{found}");
    let points = stages[0]["points"].as_array().unwrap();
    let iou = |point: &Value| -point["validation_score"].as_f64().unwrap();
    assert_eq!(points.len(), 5);
    assert!(points.windows(2).all(|pair| iou(&pair[0]) >= iou(&pair[1])), "{points:?}");
    assert!(points.iter().all(|point| (0.0..=1.0).contains(&iou(point)) && point["mean_iou"].is_number()));
    let best = found["best"]["name"].as_str().unwrap();
    assert!(best.starts_with("bss"), "{best}");
    assert!(coretune(&[&own[..], &short, &searched].concat()).status.success(), "asked again, it ends as before");
}

#[test]
fn a_rate_is_searched_for_masks_and_shown_in_the_report() {
    let world = masked();
    let (checkpoint, data, output) = (world.path("resnet.safetensors"), world.path("masked"), world.path("run"));
    let own = ["fit", "--pretrained-path", &checkpoint, "--data-dir", &data, "--output", &output, "--lr", "auto"];
    let short =
        ["--epochs", "5", "--batch-size", "4", "--crop", "32", "--head", "fcn", "--device", "cpu", "--no-probe"];
    let run = coretune(&[&own[..], &short, &["--method", "cross-entropy"]].concat());
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(stderr(&run).contains("mean IoU of the validation images"), "{}", stderr(&run));
    let search: Value = serde_json::from_str(&fs::read_to_string(world.path("run/lr_search.json")).unwrap()).unwrap();
    assert!(search["stages"][0]["points"][0]["mean_iou"].is_number(), "{search}");
    let usual = search["comparison"]["rows"].as_array().unwrap().len();
    assert_eq!(usual, 5, "four rates beside the default");
    assert!(coretune(&["report", &world.path("run")]).status.success());
    let page = fs::read_to_string(world.path("run/report.html")).unwrap();
    assert!(page.contains("Learning rates tried first") && page.contains("validation mean IoU"));
}
