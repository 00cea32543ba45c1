//! Times the loader alone: images a second that one thread reads, decodes, crops, resizes, flips and batches.
//!
//!     cargo bench -p coretune --bench loader -- FOLDER
//!
//! Prints a JSON line with the keys of `benches/peers/loader.py`, which times the same with torchvision and Pillow.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use coretune::data::{Dataset, DatasetOptions, Loader, LoaderOptions, sampler};
use coretune::transforms::{Augmentation, Interpolation, Transform};
use serde_json::json;

const SIZE: u32 = 128;
const BATCH: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().skip(1).find(|argument| argument != "--bench").ok_or("which folder?")?;
    let split = Dataset::open(Path::new(&folder), &DatasetOptions::default())?.train.ok_or("no training split")?;
    let transform = Arc::new(Transform::train(Augmentation::ResizedCropFlip, SIZE, Interpolation::Bilinear)?);
    let pass = |epoch| -> Result<f64, Box<dyn Error>> {
        let batches = sampler::shuffle(split.len(), BATCH, 0, epoch, true)?;
        let options = LoaderOptions { epoch, ..LoaderOptions::default() };
        let (started, mut images) = (Instant::now(), 0);
        for batch in Loader::new(split.clone(), Arc::clone(&transform), batches, options)? {
            images += batch?.labels.len();
        }
        Ok(images as f64 / started.elapsed().as_secs_f64())
    };
    // The first pass brings the files into the system's cache.
    pass(0)?;
    println!("{}", json!({ "implementation": "coretune", "images_per_second": pass(1)? }));
    Ok(())
}
