//! Decodes image files as training does, and writes each as PNG: to compare with other decoders.
//!
//! `cargo run --release --example decode_images OUTPUT IMAGE...` writes `OUTPUT/0.png`, `OUTPUT/1.png`, ...

use std::error::Error;
use std::fs;
use std::path::Path;

use coretune::data::ImageSource;

fn main() -> Result<(), Box<dyn Error>> {
    decode(&std::env::args().skip(1).collect::<Vec<_>>())
}

/// What `main` does, with the arguments of the command line.
pub(crate) fn decode(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [output, images @ ..] = arguments else { return Err("OUTPUT IMAGE...".into()) };
    fs::create_dir_all(output)?;
    for (number, image) in images.iter().enumerate() {
        ImageSource::File(Path::new(image).into()).load()?.save(Path::new(output).join(format!("{number}.png")))?;
    }
    Ok(())
}
