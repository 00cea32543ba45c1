//! A page of images as a training step gets them, with their masks.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use image::imageops::{FilterType, replace, resize};
use image::{GrayImage, ImageFormat, Rgb, RgbImage};
use tch::Tensor;

use super::masks::overlay;
use super::{Batch, DataError, Loader, LoaderOptions, Split, sampler};
use crate::engine;
use crate::files::write_whole;
use crate::transforms::Transform;

/// Longest side of an image on the sheet, pixels; smaller images are enlarged by whole factors.
const SIDE: u32 = 256;
/// White pixels between images.
const GAP: u32 = 6;

/// A page of images.
#[derive(Debug)]
pub struct ContactSheet {
    /// The page: row by row, each image with its mask laid over it on its right, if it has one.
    pub page: RgbImage,
    /// Positions in the split of the images, in their order on the page.
    pub shown: Vec<usize>,
    /// Images in a row.
    pub columns: usize,
}

impl ContactSheet {
    /// The first `images` images of the epoch 0 that `seed` shuffles, transformed as in that epoch.
    ///
    /// # Errors
    /// What is wrong with an image, a mask or the transform.
    pub fn new(split: &Split, transform: Transform, images: usize, seed: u64) -> Result<Self, DataError> {
        let shown: Vec<usize> = sampler::shuffle(split.len(), 1, seed, 0, false)?.concat();
        let shown = shown[..images.min(shown.len())].to_vec();
        let batches = shown.iter().map(|&index| vec![index]).collect();
        let options = LoaderOptions { seed, ..LoaderOptions::default() };
        let colors = split.masks().map(|masks| masks.coding().colors().clone());
        let mut cells = Vec::with_capacity(shown.len());
        for batch in Loader::new(split.clone(), Arc::new(transform), batches, options)? {
            cells.push(cell(&batch?, colors.as_deref())?);
        }
        let (width, height) = cells.iter().fold((1, 1), |(w, h), cell| (w.max(cell.width()), h.max(cell.height())));
        // Three to two, as far as whole rows allow.
        let columns = (cells.len() as f64 * 1.5 * f64::from(height) / f64::from(width)).sqrt().ceil() as usize;
        let columns = columns.clamp(1, cells.len().max(1));
        Ok(ContactSheet { page: page(&cells, columns, (width, height)), shown, columns })
    }

    /// Writes the page as PNG, or as JPEG if the name ends so.
    ///
    /// # Errors
    /// [`DataError::Argument`] for another ending; [`DataError::Read`] when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        let Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) = ImageFormat::from_path(path) else {
            let (expected, found) = ("a name that ends in .png or .jpg".to_string(), path.display().to_string());
            return Err(DataError::Argument { name: "the sheet", expected, found });
        };
        let mut bytes = Cursor::new(Vec::new());
        let message = |error: image::ImageError| DataError::Argument {
            name: "the sheet",
            expected: "fewer images".into(),
            found: error.to_string(),
        };
        self.page.write_to(&mut bytes, format).map_err(message)?;
        let failed = |source| DataError::Written { path: path.to_path_buf(), source };
        write_whole(path, &bytes.into_inner()).map_err(failed)
    }
}

/// The image of a batch of one, with its mask beside it.
fn cell(batch: &Batch, colors: Option<&[[u8; 3]]>) -> Result<RgbImage, DataError> {
    let size = batch.images.size();
    let (height, width) = (size[1] as u32, size[2] as u32);
    let pixels = bytes_of(&batch.images)?;
    let image = RgbImage::from_raw(width, height, pixels).expect("a batch holds three bytes for every pixel");
    let (Some(masks), Some(colors)) = (&batch.masks, colors) else { return Ok(scaled(&image)) };
    let mask = GrayImage::from_raw(width, height, bytes_of(masks)?).expect("a mask has the size of its image");
    let (image, overlaid) = (scaled(&image), scaled(&overlay(image, &mask, colors)));
    let mut both = RgbImage::from_pixel(2 * image.width() + 1, image.height(), Rgb([255; 3]));
    replace(&mut both, &image, 0, 0);
    replace(&mut both, &overlaid, i64::from(image.width()) + 1, 0);
    Ok(both)
}

fn bytes_of(values: &Tensor) -> Result<Vec<u8>, DataError> {
    Ok(engine::guard("reading a batch", || {
        let mut bytes = vec![0_u8; values.numel()];
        values.copy_data(&mut bytes, values.numel());
        bytes
    })?)
}

/// The image with a longer side of about [`SIDE`]: enlarged by a whole factor, or reduced.
fn scaled(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    let longer = width.max(height);
    let factor = (SIDE / longer).clamp(1, 4);
    if longer <= SIDE {
        return resize(image, width * factor, height * factor, FilterType::Nearest);
    }
    let side = |side: u32| (u64::from(side) * u64::from(SIDE) / u64::from(longer)).max(1) as u32;
    resize(image, side(width), side(height), FilterType::Triangle)
}

fn page(cells: &[RgbImage], columns: usize, (width, height): (u32, u32)) -> RgbImage {
    let rows = cells.len().div_ceil(columns) as u32;
    let (step_x, step_y) = (width + GAP, height + GAP);
    let mut page = RgbImage::from_pixel(columns as u32 * step_x + GAP, rows * step_y + GAP, Rgb([255; 3]));
    for (position, cell) in cells.iter().enumerate() {
        let (row, column) = ((position / columns) as u32, (position % columns) as u32);
        replace(&mut page, cell, i64::from(GAP + column * step_x), i64::from(GAP + row * step_y));
    }
    page
}
