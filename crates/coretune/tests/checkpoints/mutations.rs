//! Thousands of files altered at random, from a seed: each opens or is refused, and none takes more memory than its size
//! allows.
//!
//! `CORETUNE_MUTATIONS=10000 cargo nextest run -p coretune mutated --no-capture` makes so many, and measures memory.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::panic::catch_unwind;

use coretune::checkpoints::{Checkpoint, inspect};
use coretune::random::{Purpose, stream};
use rand::RngExt;
use tempfile::TempDir;

use crate::fixture::{bytes, file_of};
use coretune_testing::alter;

/// A file of every container, small ones first in each.
const SOURCES: [&str; 8] = [
    "torchvision_half.pth",
    "core_tuning.pth",
    "infomin.pth",
    "solo_learn_encoder.ckpt",
    "torchvision_resnet18.tar",
    "hugging_face.safetensors",
    "timm_resnet50.safetensors",
    "torchvision_resnet18.npz",
];

const SEED: u64 = 20_261_124;

/// Bytes of a file whose size memory is compared with.
const LARGE: usize = 1 << 16;

/// Opens a file, reads every tensor and looks for a backbone; whether it was taken.
fn take(path: &std::path::Path) -> bool {
    let Ok(checkpoint) = Checkpoint::open(path) else { return false };
    let length = fs::metadata(path).unwrap().len();
    for (name, info) in checkpoint.tensors() {
        let declared = info.shape.iter().product::<i64>() as u64 * info.element.size() as u64;
        // Compressed ones may unpack to more.
        assert!(declared <= 65 * length + (64 << 20), "{name} of {declared} bytes in a file of {length}");
        if let Ok(tensor) = checkpoint.read_as_stored(name) {
            assert_eq!(tensor.size(), info.shape);
        }
    }
    inspect(path, None).is_ok()
}

/// Resets the peak of this process's memory; the peak since then in bytes. None outside of Linux.
fn peak_since_reset() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    fs::write("/proc/self/clear_refs", "5").ok()?;
    Some(kibibytes * 1024)
}

#[test]
fn mutated_checkpoints_open_or_are_refused() {
    let asked: Option<usize> = std::env::var("CORETUNE_MUTATIONS").ok().map(|text| text.parse().expect("a number"));
    let files: Vec<Vec<u8>> = SOURCES.iter().map(|name| bytes(name)).collect();
    let folder = TempDir::new().unwrap();
    // What libtorch and the allocator take once, whatever the file, is not the file's.
    for file in &files {
        assert!(take(&file_of(file, &folder)));
    }
    let (mut taken, mut most, mut worst) = (0, (0, 0), (0.0, 0));
    let count = asked.unwrap_or(1200);
    for number in 0..count {
        let mut random = stream(SEED, Purpose::Subset, 0, number as u64);
        let mut file = files[number % files.len()].clone();
        let other = &files[random.random_range(0..files.len())];
        for _ in 0..random.random_range(1..5) {
            alter(&mut file, other, &mut random);
        }
        let path = file_of(&file, &folder);
        let _ = peak_since_reset();
        let before = peak_since_reset();
        let outcome = catch_unwind(|| take(&path));
        taken +=
            usize::from(outcome.unwrap_or_else(|_| panic!("mutation {number} of {}", SOURCES[number % files.len()])));
        if let (Some(_), Some(before), Some(after)) = (asked, before, peak_since_reset()) {
            let (more, length) = (after.saturating_sub(before), file.len());
            most = most.max((more, length));
            // Memory comes in pages: a ratio to a file of a few bytes says nothing.
            if length >= LARGE && more as f64 / length as f64 > worst.0 {
                worst = (more as f64 / length as f64, length);
            }
        }
    }
    println!("{count} mutations from seed {SEED}: {taken} taken, {} refused", count - taken);
    println!("most memory above what was held: {} bytes, for a file of {}", most.0, most.1);
    assert!(worst.0 <= 2.0, "{:.2} times a file of {} bytes", worst.0, worst.1);
    println!("most of a file of {LARGE} bytes or more: {:.2} times its {} bytes", worst.0, worst.1);
}

#[test]
fn names_of_sources_are_those_of_the_containers() {
    let folder = TempDir::new().unwrap();
    let containers: std::collections::BTreeSet<&str> = SOURCES
        .iter()
        .map(|name| Checkpoint::open(file_of(&bytes(name), &folder)).unwrap().container().name())
        .collect();
    assert_eq!(containers.len(), 5, "{containers:?}");
}

/// The entries of a zip: name and content.
fn entries(whole: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut zip = zip::ZipArchive::new(Cursor::new(whole)).unwrap();
    let count = zip.len();
    let entry = |index: usize| {
        let mut entry = zip.by_index(index).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.name().unwrap().to_string(), content)
    };
    (0..count).map(entry).collect()
}

/// A zip of these entries, not compressed, with checksums that are right.
fn zipped(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(name.as_str(), stored).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Bytes of a zip that are altered fail its checksum, so most mutations of whole files end there. These reach the pickle.
#[test]
fn torch_zips_mutated_inside_open_or_are_refused() {
    let folder = TempDir::new().unwrap();
    let (mut past_the_zip, count) = (0, 120);
    for name in ["torchvision_half.pth", "lightly_cifar.ckpt"] {
        let whole = entries(&bytes(name));
        assert!(take(&file_of(&zipped(&whole), &folder)), "{name} is whole");
        let pickle = whole.iter().position(|(name, _)| name.ends_with("data.pkl")).unwrap();
        for number in 0..count {
            let mut random = stream(SEED, Purpose::Subset, 3, number);
            let mut altered = whole.clone();
            // As often the pickle as any entry.
            let at = if random.random_range(0..2) == 0 { pickle } else { random.random_range(0..altered.len()) };
            for _ in 0..random.random_range(1..4) {
                alter(&mut altered[at].1, &whole[pickle].1, &mut random);
            }
            let path = file_of(&zipped(&altered), &folder);
            let outcome = catch_unwind(|| take(&path));
            past_the_zip += u64::from(outcome.unwrap_or_else(|_| panic!("mutation {number} inside {name}")));
        }
    }
    assert!(past_the_zip > 0, "none got past the zip");
}
