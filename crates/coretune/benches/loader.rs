//! Times the loader alone: images a second that its threads read, decode, crop, resize, flip and batch.
//!
//!     cargo bench -p coretune --bench loader -- FOLDER
//!     cargo bench -p coretune --bench loader -- FOLDER --size 32 --augment contrastive --views 2 --workers 2 --cache true
//!
//! Prints a JSON line with the keys of `benches/peers/loader.py`, which times the same with torchvision and Pillow, and the
//! images for each second that the processor worked for them: on a busy machine that figure is the steadier one. Further, the
//! seconds of the processor for opening the data and for the first pass, and the memory of the process at the end, in MB: all of it,
//! and what is not shared with other processes.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use coretune::data::{Dataset, DatasetOptions, Loader, LoaderOptions, Split, sampler};
use coretune::transforms::{Augmentation, Interpolation, Transform};
use coretune_native::processor_seconds;
use serde_json::json;

const BATCH: usize = 64;

/// What to time.
struct Case {
    size: u32,
    augmentation: Augmentation,
    views: usize,
    workers: usize,
    cache: bool,
    passes: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    if coretune_testing::prints_help(include_str!("loader.rs")) {
        return Ok(());
    }
    // As the command line does.
    coretune_native::keep_freed_memory();
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let folder = arguments.next().ok_or("which folder?")?;
    let augmentation = Augmentation::ResizedCropFlip;
    let mut case = Case { size: 128, augmentation, views: 1, workers: 1, cache: false, passes: 1 };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--size" => case.size = value.parse()?,
            "--augment" => case.augmentation = value.parse()?,
            "--views" => case.views = value.parse()?,
            "--workers" => case.workers = value.parse()?,
            "--cache" => case.cache = value.parse()?,
            "--passes" => case.passes = value.parse()?,
            _ => return Err(format!("{name} is no setting").into()),
        }
    }
    let before = processor_seconds();
    let split = Dataset::open(Path::new(&folder), &DatasetOptions::default())?.train.ok_or("no training split")?;
    let opened = processor_seconds() - before;
    let split = if case.cache { split.cached(u64::MAX) } else { split };
    // The first pass brings the files into the system's cache, and the images into that of the loader.
    let first = case.pass(&split, 0)?;
    let (mut images, mut seconds, mut busy) = (0.0, 0.0, 0.0);
    for epoch in 1..=case.passes {
        let pass = case.pass(&split, epoch)?;
        (images, seconds, busy) = (images + pass.0, seconds + pass.1, busy + pass.2);
    }
    println!(
        "{}",
        json!({
            "implementation": "coretune",
            "workers": case.workers,
            "images_per_second": images / seconds,
            "images_per_processor_second": images / busy,
            "opening_processor_seconds": opened,
            "first_pass_processor_seconds": first.2,
            "memory_mb": memory_mb("Rss:"),
            "own_memory_mb": memory_mb("Anonymous:"),
        })
    );
    Ok(())
}

/// A line of what the kernel says of this process's memory; none elsewhere than on Linux.
fn memory_mb(name: &str) -> Option<f64> {
    let memory = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let kilobytes = memory.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?;
    Some(kilobytes.parse::<f64>().ok()? / 1e3)
}

impl Case {
    /// Images, seconds, and seconds of the processor of a pass.
    fn pass(&self, split: &Split, epoch: u64) -> Result<(f64, f64, f64), Box<dyn Error>> {
        let transform = Arc::new(Transform::train(self.augmentation, self.size, Interpolation::Bilinear)?);
        let batches = sampler::shuffle(split.len(), BATCH, 0, epoch, true)?;
        let &Case { views, workers, .. } = self;
        let options = LoaderOptions { epoch, views, workers, ..LoaderOptions::default() };
        let (started, before, mut images) = (Instant::now(), processor_seconds(), 0);
        for batch in Loader::new(split.clone(), transform, batches, options)? {
            images += batch?.labels.len();
        }
        Ok((f64::from(images as u32), started.elapsed().as_secs_f64(), processor_seconds() - before))
    }
}
