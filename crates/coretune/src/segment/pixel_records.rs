//! The lines of `pixels.csv`.

use crate::data::{ImageSource, Split};
use crate::evaluate::segmentation::ClassPixels;
use crate::run_folder::PixelRecord;

/// The lines of the images of the split of this name: those of the classes that an image has in truth or prediction, at
/// least one.
pub(super) fn pixel_records(name: &str, split: &Split, images: &[Vec<ClassPixels>]) -> Vec<PixelRecord> {
    let record = |image: &ImageSource, class: usize, pixels: ClassPixels| {
        let ClassPixels { hit, truth, predicted } = pixels;
        PixelRecord { split: name.into(), image: image.to_string(), class, hit, truth, predicted }
    };
    let of_image = |(image, classes): (&ImageSource, &Vec<ClassPixels>)| -> Vec<PixelRecord> {
        let present = classes.iter().enumerate().filter(|(_, class)| class.truth + class.predicted > 0);
        let records: Vec<PixelRecord> = present.map(|(class, pixels)| record(image, class, *pixels)).collect();
        if records.is_empty() { vec![record(image, 0, ClassPixels::default())] } else { records }
    };
    split.images().iter().zip(images).flat_map(of_image).collect()
}
