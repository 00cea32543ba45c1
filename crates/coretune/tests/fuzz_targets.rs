//! What the fuzz targets do, on stable and with files altered from a seed: it compiles, and nothing panics.

#[path = "../../../fuzz/fuzz_targets/bodies.rs"]
mod bodies;

use std::fs;
use std::path::Path;

use coretune::random::{Purpose, stream};
use flate2::read::GzDecoder;
use rand::RngExt;

const SEED: u64 = 20_261_125;

/// Hands `take` the file as it is and altered `count` times over.
fn altered(whole: &[u8], count: u64, take: impl Fn(&[u8])) {
    take(whole);
    for number in 0..count {
        let mut random = stream(SEED, Purpose::Subset, 2, number);
        let mut file = whole.to_vec();
        for _ in 0..random.random_range(1..4) {
            coretune_testing::alter(&mut file, whole, &mut random);
        }
        take(&file);
    }
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)).unwrap()
}

#[test]
fn the_body_of_checkpoint_takes_altered_files() {
    for name in ["torchvision_half.pth", "hugging_face.safetensors"] {
        let packed = fixture(&format!("checkpoints/fixtures/{name}.gz"));
        let mut whole = Vec::new();
        std::io::copy(&mut GzDecoder::new(&packed[..]), &mut whole).unwrap();
        altered(&whole, 40, bodies::checkpoint);
    }
}

#[test]
fn the_body_of_image_takes_altered_files() {
    for name in ["progressive.jpg", "palette.png"] {
        altered(&fixture(&format!("data/fixtures/{name}")), 40, bodies::image);
    }
}

#[test]
fn the_body_of_data_set_takes_altered_files() {
    altered(b"\x00image_path,label\na.png,x\nb.png,y\n", 100, bodies::data_set);
    altered(b"\x02\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02abcd", 100, bodies::data_set);
    altered(&[&[4, 7][..], &[9; 3072]].concat(), 50, bodies::data_set);
}

#[test]
fn the_body_of_configuration_takes_altered_text() {
    for text in ["[train]\nlr = 0.1\nepochs = 3\n", "train.lr=0.1"] {
        altered(text.as_bytes(), 100, |bytes| bodies::configuration(&String::from_utf8_lossy(bytes)));
    }
}
