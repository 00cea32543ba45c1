use image::{GrayImage, Luma, Rgb, RgbImage};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::limits::check_probability;
use super::{IGNORED, TransformError};
use crate::random::Stream;

/// Fills a random rectangle with one colour (Zhong et al., AAAI 2020, arXiv:1708.04896): 2 to 33 % of the area, sides in a
/// ratio of 0.3 to 3.3, as torchvision does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomErasing {
    /// Probability that something is erased.
    pub probability: f64,
    /// The colour: the mean that is subtracted from images, so that the network sees 0.
    pub fill: [u8; 3],
}

/// A rectangle inside of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

const AREA: (f64, f64) = (0.02, 0.33);
const RATIO: (f64, f64) = (0.3, 3.3);
const ATTEMPTS: usize = 10;

impl RandomErasing {
    pub(super) const NAME: &'static str = "random-erasing";

    pub(super) fn check(&self) -> Result<(), TransformError> {
        check_probability(Self::NAME, self.probability)
    }

    /// What is erased of an image of this size, if anything.
    pub(super) fn draw(&self, (width, height): (u32, u32), stream: &mut Stream) -> Option<Rectangle> {
        if !stream.random_bool(self.probability) {
            return None;
        }
        (0..ATTEMPTS).find_map(|_| {
            let area = f64::from(width) * f64::from(height) * stream.random_range(AREA.0..=AREA.1);
            let ratio = stream.random_range(RATIO.0.ln()..=RATIO.1.ln()).exp();
            let sides = ((area / ratio).sqrt().round_ties_even(), (area * ratio).sqrt().round_ties_even());
            let (wide, high) = (sides.0 as u32, sides.1 as u32);
            (wide < width && high < height && wide > 0 && high > 0).then(|| Rectangle {
                left: stream.random_range(0..=width - wide),
                top: stream.random_range(0..=height - high),
                width: wide,
                height: high,
            })
        })
    }
}

impl Rectangle {
    fn pixels(self) -> impl Iterator<Item = (u32, u32)> {
        (self.top..self.top + self.height).flat_map(move |y| (self.left..self.left + self.width).map(move |x| (x, y)))
    }

    pub(super) fn fill(self, image: &mut RgbImage, color: [u8; 3]) {
        self.pixels().for_each(|(x, y)| image.put_pixel(x, y, Rgb(color)));
    }

    pub(super) fn ignore(self, mask: &mut GrayImage) {
        self.pixels().for_each(|(x, y)| mask.put_pixel(x, y, Luma([IGNORED])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn what_is_erased_lies_inside_and_has_the_area_and_the_ratio() {
        let erasing = RandomErasing { probability: 0.5, fill: [1, 2, 3] };
        let drawn: Vec<Rectangle> = (0..2000)
            .filter_map(|index| erasing.draw((60, 40), &mut stream(0, Purpose::Augmentation, 0, index)))
            .collect();
        assert!((900..1100).contains(&drawn.len()), "{}", drawn.len());
        for Rectangle { left, top, width, height } in &drawn {
            assert!(left + width <= 60 && top + height <= 40);
            let area = f64::from(width * height) / 2400.0;
            assert!((0.015..0.36).contains(&area), "{width} x {height}");
        }
        let mut image = RgbImage::new(60, 40);
        drawn[0].fill(&mut image, erasing.fill);
        let erased = image.pixels().filter(|pixel| pixel.0 == [1, 2, 3]).count();
        assert_eq!(erased as u32, drawn[0].width * drawn[0].height);
    }
}
