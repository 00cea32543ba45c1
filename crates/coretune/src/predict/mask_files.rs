//! Masks and overlays as PNG files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use image::{GrayImage, ImageFormat, RgbImage};

use super::PredictError;
use crate::data::class_color;
use crate::files::write_whole;

/// A new folder of PNG files, one for each image, under the image's name.
#[derive(Debug)]
pub struct MaskFiles {
    folder: PathBuf,
    names: BTreeMap<PathBuf, OsString>,
}

impl MaskFiles {
    /// Makes the folder for the results of `images`.
    ///
    /// # Errors
    /// [`PredictError::FolderInUse`] if it holds files already; [`PredictError::SameName`] if two images would give one
    /// file.
    pub fn create(folder: &Path, images: &[PathBuf]) -> Result<Self, PredictError> {
        let names = names(images)?;
        match fs::read_dir(folder) {
            Ok(entries) => {
                if entries.count() > 0 {
                    return Err(PredictError::FolderInUse { folder: folder.into() });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(folder)?,
            Err(error) => return Err(error.into()),
        }
        Ok(MaskFiles { folder: folder.into(), names })
    }

    /// Writes the mask of an image: grey levels are positions in the classes, with a palette of PASCAL VOC's colours.
    ///
    /// # Errors
    /// [`PredictError::Write`].
    pub fn write_mask(&self, image: &Path, mask: &GrayImage) -> Result<(), PredictError> {
        let palette: Vec<u8> = (0..=255).flat_map(class_color).collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, mask.width(), mask.height());
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(palette);
        let mut writer = encoder.write_header().map_err(io::Error::other)?;
        writer.write_image_data(mask.as_raw()).map_err(io::Error::other)?;
        writer.finish().map_err(io::Error::other)?;
        self.write(image, &bytes)
    }

    /// Writes an image in colours.
    ///
    /// # Errors
    /// [`PredictError::Write`].
    pub fn write_image(&self, image: &Path, pixels: &RgbImage) -> Result<(), PredictError> {
        let mut bytes = Vec::new();
        pixels.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).map_err(io::Error::other)?;
        self.write(image, &bytes)
    }

    fn write(&self, image: &Path, bytes: &[u8]) -> Result<(), PredictError> {
        let name = self.names.get(image).cloned().unwrap_or_else(|| OsString::from("image.png"));
        Ok(write_whole(&self.folder.join(name), bytes)?)
    }
}

/// `<stem>.png` for each image.
fn names(images: &[PathBuf]) -> Result<BTreeMap<PathBuf, OsString>, PredictError> {
    let mut taken: BTreeMap<OsString, &PathBuf> = BTreeMap::new();
    let mut names = BTreeMap::new();
    for image in images {
        let mut name = image.file_stem().unwrap_or_default().to_os_string();
        name.push(".png");
        match taken.insert(name.clone(), image) {
            Some(first) if first != image => {
                return Err(PredictError::SameName { name, first: first.clone(), second: image.clone() });
            }
            _ => names.insert(image.clone(), name),
        };
    }
    Ok(names)
}
