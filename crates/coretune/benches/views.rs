//! Times what a loader's thread does with an image, without the loader: decoding it, and making a contrastive view of it.
//!
//!     cargo bench -p coretune --bench views -- FOLDER
//!     cargo bench -p coretune --bench views -- FOLDER --images 4000 --size 32 --turns 5
//!
//! Prints a JSON line: microseconds that the processor worked, for an image and for a view of it, medians over turns, and a checksum of
//! all pixels of the views, by which two builds can be compared.

use std::error::Error;
use std::path::Path;

use coretune::data::{Dataset, DatasetOptions};
use coretune::random::{Purpose, stream};
use coretune::transforms::{Augmentation, Interpolation, Transform};
use coretune_native::processor_seconds;
use image::RgbImage;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    if coretune_testing::prints_help(include_str!("views.rs")) {
        return Ok(());
    }
    coretune_native::keep_freed_memory();
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let folder = arguments.next().ok_or("which folder?")?;
    let (mut images, mut size, mut turns) = (4000, 32, 5);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--images" => images = value.parse()?,
            "--size" => size = value.parse()?,
            "--turns" => turns = value.parse()?,
            _ => return Err(format!("{name} is no setting").into()),
        }
    }
    let split = Dataset::open(Path::new(&folder), &DatasetOptions::default())?.train.ok_or("no training split")?;
    let count = split.len().min(images);
    let transform = Transform::train(Augmentation::Contrastive, size, Interpolation::Bilinear)?;
    let (mut decoding, mut viewing, mut checksum) = (Vec::new(), Vec::new(), 0u64);
    for _ in 0..turns {
        let before = processor_seconds();
        let decoded: Vec<RgbImage> = (0..count).map(|index| split.load(index)).collect::<Result<_, _>>()?;
        let between = processor_seconds();
        checksum = 0;
        for (index, image) in decoded.iter().enumerate() {
            let mut stream = stream(0, Purpose::Augmentation, 0, index as u64);
            let drawn = transform.draw(image.dimensions(), &mut stream)?;
            let view = Transform::apply(&drawn, image.clone());
            checksum = view.as_raw().iter().fold(checksum, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        }
        let microseconds = |seconds: f64| seconds * 1e6 / count as f64;
        decoding.push(microseconds(between - before));
        viewing.push(microseconds(processor_seconds() - between));
    }
    let line = json!({
        "images": count,
        "size": size,
        "turns": turns,
        "decoding_us": median(&mut decoding),
        "view_us": median(&mut viewing),
        "checksum": format!("{checksum:016x}"),
    });
    println!("{line}");
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
    (middle * 10.0).round() / 10.0
}
