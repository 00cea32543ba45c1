use std::fs;

use serde_json::Value;

use super::world::World;
use super::{coretune, stderr, stdout};

fn pack(arguments: &[&str]) -> std::process::Output {
    coretune(&[&["data", "pack"], arguments].concat())
}

#[test]
fn a_run_on_a_packed_file_ends_with_the_bytes_of_one_on_the_folder() {
    let world = World::new();
    let (data, run) = (world.path("data"), |arguments: &[String]| {
        let output = coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    });
    let last = |name: &str| fs::read(world.path(&format!("{name}/checkpoints/last.safetensors"))).unwrap();
    let fit = |name: &str, data_dir: &str| {
        let folder = world.path("data");
        let own = world.fit(name, &["--no-probe", "--epochs", "2"]);
        run(&own.into_iter().map(|word| if word == folder { data_dir.to_string() } else { word }).collect::<Vec<_>>());
    };
    fit("folder", &data);
    for store in ["encoded", "pixels"] {
        let file = world.path(&format!("{store}.parquet"));
        let output = pack(&[&data, "--output", &file, "--store", store, "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let packed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&packed["store"], &packed["images"], &packed["classes"]), (&store.into(), &28.into(), &2.into()));
        assert_eq!(packed["bytes"], fs::metadata(&file).unwrap().len());
        fit(store, &file);
        assert!(last(store) == last("folder"), "{store}");
        let evaluated =
            coretune(&["evaluate", &world.path("folder"), "--data-dir", &file, "--split", "test", "--json"]);
        assert_eq!(evaluated.status.code(), Some(0), "{}", stderr(&evaluated));
        let checked = coretune(&["data", "check", &file]);
        assert!(stdout(&checked).contains("no problems in 28 images"), "{}", stdout(&checked));
    }
}

#[test]
fn images_without_classes_are_packed_for_pretrain() {
    let world = World::new();
    let (photos, file) = (world.path("data/train/dark"), world.path("photos.parquet"));
    let refused = pack(&[&photos, "--output", &file]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    let output = pack(&[&photos, "--output", &file, "--unlabelled"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("10 images"), "{}", stdout(&output));
    let output = world.path("encoder");
    let own = ["pretrain", "--method", "simclr", "--data-dir", &file, "--output", &output, "--epochs", "1"];
    let short =
        ["--width", "0.125", "--batch-size", "4", "--img-size", "16", "--probe-epochs", "off", "--threads", "1"];
    let pretrained = coretune(&[&own[..], &short[..]].concat());
    assert_eq!(pretrained.status.code(), Some(0), "{}", stderr(&pretrained));
}

#[test]
fn a_name_that_is_taken_or_not_that_of_a_parquet_file_is_refused() {
    let world = World::new();
    let (data, taken) = (world.path("data"), world.path("taken.parquet"));
    fs::write(&taken, "mine").unwrap();
    for (output, words) in [(&taken, "exists already"), (&world.path("images.bin"), "does not end in .parquet")] {
        let refused = pack(&[&data, "--output", output]);
        assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(words) && stderr(&refused).contains("hint:"), "{}", stderr(&refused));
    }
    assert_eq!(fs::read(&taken).unwrap(), b"mine");
}
