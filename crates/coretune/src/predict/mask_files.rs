//! Masks and overlays as PNG files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use image::{GrayImage, ImageFormat, RgbImage};

use super::PredictError;
use crate::data::{MaskLegend, class_color};
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

    /// Writes the mask of an image, whose pixels are positions in the classes: with the values of the legend as indices of a
    /// palette of its colours, or as grey levels of 16 bits if one is above 255.
    ///
    /// # Errors
    /// [`PredictError::Write`].
    pub fn write_mask(&self, image: &Path, mask: &GrayImage, legend: &MaskLegend) -> Result<(), PredictError> {
        let value = |class: &u8| legend.values.get(usize::from(*class)).copied().unwrap_or(u16::from(*class));
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, mask.width(), mask.height());
        let values: Vec<u8> = if let Some(palette) = palette(legend) {
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_depth(png::BitDepth::Eight);
            encoder.set_palette(palette.into_flattened());
            mask.as_raw().iter().map(|class| value(class) as u8).collect()
        } else {
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(png::BitDepth::Sixteen);
            mask.as_raw().iter().flat_map(|class| value(class).to_be_bytes()).collect()
        };
        let mut writer = encoder.write_header().map_err(io::Error::other)?;
        writer.write_image_data(&values).map_err(io::Error::other)?;
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

/// The colour of every index: those of the legend at its values, and PASCAL VOC's. `None` if a value is above 255.
fn palette(legend: &MaskLegend) -> Option<Vec<[u8; 3]>> {
    let mut palette: Vec<[u8; 3]> = (0..=255).map(class_color).collect();
    for (value, color) in legend.values.iter().zip(&legend.colors) {
        *palette.get_mut(usize::from(*value))? = *color;
    }
    Some(palette)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_above_255_are_written_with_16_bits() {
        let folder = tempfile::tempdir().unwrap();
        let image = PathBuf::from("a.jpg");
        let files = MaskFiles::create(&folder.path().join("masks"), std::slice::from_ref(&image)).unwrap();
        let legend = MaskLegend { values: vec![7, 300], colors: vec![[1; 3], [2; 3]] };
        let mask = GrayImage::from_raw(3, 1, vec![1, 0, 1]).unwrap();
        files.write_mask(&image, &mask, &legend).unwrap();
        let written = image::open(folder.path().join("masks/a.png")).unwrap().into_luma16();
        assert_eq!(written.into_raw(), [300, 7, 300]);
    }
}
