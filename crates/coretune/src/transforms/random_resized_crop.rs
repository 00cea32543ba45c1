use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::limits::check_side;
use super::{Interpolation, Region, TransformError};
use crate::random::Stream;

/// Cuts a random rectangle and resizes it to `size` x `size` (the standard augmentation of `ImageNet`).
///
/// Its share of the area is uniform in `scale`, the logarithm of width / height uniform in log `ratio`; ten attempts are
/// made to place it, then the largest central rectangle within `ratio` is taken, as in torchvision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Side of the result.
    pub size: u32,
    /// Lowest and highest share of the area.
    #[serde(default = "RandomResizedCrop::default_scale")]
    pub scale: (f64, f64),
    /// Lowest and highest width / height.
    #[serde(default = "RandomResizedCrop::default_ratio")]
    pub ratio: (f64, f64),
    /// Filter.
    #[serde(default)]
    pub interpolation: Interpolation,
}

impl RandomResizedCrop {
    pub(super) const NAME: &'static str = "random-resized-crop";

    /// torchvision's defaults: scale (0.08, 1), ratio (3/4, 4/3), bilinear.
    pub fn new(size: u32) -> Self {
        let (scale, ratio) = (Self::default_scale(), Self::default_ratio());
        RandomResizedCrop { size, scale, ratio, interpolation: Interpolation::Bilinear }
    }

    fn default_scale() -> (f64, f64) {
        (0.08, 1.0)
    }

    fn default_ratio() -> (f64, f64) {
        (3.0 / 4.0, 4.0 / 3.0)
    }

    pub(super) fn check(&self) -> Result<(), TransformError> {
        check_side(Self::NAME, "size", self.size)?;
        let setting = |name, expected, pair: (f64, f64)| TransformError::Setting {
            step: Self::NAME,
            name,
            expected,
            found: format!("({}, {})", pair.0, pair.1),
        };
        let (low, high) = self.scale;
        if !(low > 0.0 && low <= high && high <= 1.0) {
            return Err(setting("scale", "0 < low <= high <= 1", self.scale));
        }
        let (low, high) = self.ratio;
        if !(low >= 0.01 && low <= high && high <= 100.0) {
            return Err(setting("ratio", "0.01 <= low <= high <= 100", self.ratio));
        }
        Ok(())
    }

    /// The rectangle that is cut from an image of `width` x `height`.
    pub fn draw(&self, (width, height): (u32, u32), stream: &mut Stream) -> Region {
        let area = f64::from(width) * f64::from(height);
        let log_ratio = self.ratio.0.ln()..=self.ratio.1.ln();
        for _ in 0..10 {
            let target = area * stream.random_range(self.scale.0..=self.scale.1);
            let ratio = stream.random_range(log_ratio.clone()).exp();
            let w = (target * ratio).sqrt().round_ties_even() as u32;
            let h = (target / ratio).sqrt().round_ties_even() as u32;
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let top = stream.random_range(0..=height - h);
                let left = stream.random_range(0..=width - w);
                return Region { left, top, width: w, height: h };
            }
        }
        self.largest_central(width, height)
    }

    fn largest_central(&self, width: u32, height: u32) -> Region {
        let (low, high) = self.ratio;
        let found = f64::from(width) / f64::from(height);
        let (w, h) = if found < low {
            (width, ((f64::from(width) / low).round_ties_even() as u32).clamp(1, height))
        } else if found > high {
            (((f64::from(height) * high).round_ties_even() as u32).clamp(1, width), height)
        } else {
            (width, height)
        };
        Region { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn rectangles_have_the_areas_and_ratios_asked_for_and_reach_every_edge() {
        let crop = RandomResizedCrop::new(8);
        let regions: Vec<Region> =
            (0..4000).map(|i| crop.draw((100, 80), &mut stream(0, Purpose::Augmentation, 0, i))).collect();
        let mut mean_share = 0.0;
        for region in &regions {
            let share = f64::from(region.width * region.height) / 8000.0;
            let ratio = f64::from(region.width) / f64::from(region.height);
            assert!((0.07..=1.0).contains(&share), "{region:?}");
            assert!((0.70..=1.42).contains(&ratio), "{region:?}");
            assert!(region.left + region.width <= 100 && region.top + region.height <= 80, "{region:?}");
            mean_share += share / 4000.0;
        }
        // Uniform in (0.08, 1) has mean 0.54; the attempts that do not fit are the large ones.
        assert!((0.45..0.54).contains(&mean_share), "{mean_share}");
        assert!(regions.iter().any(|r| r.left == 0) && regions.iter().any(|r| r.left + r.width == 100));
        assert!(regions.iter().any(|r| r.top == 0) && regions.iter().any(|r| r.top + r.height == 80));
    }

    #[test]
    fn a_thin_image_falls_back_to_its_central_part() {
        let crop = RandomResizedCrop { scale: (1.0, 1.0), ..RandomResizedCrop::new(8) };
        let region = crop.draw((400, 10), &mut stream(0, Purpose::Augmentation, 0, 0));
        assert_eq!(region, Region { left: 193, top: 0, width: 13, height: 10 });
        let region = crop.draw((1, 1), &mut stream(0, Purpose::Augmentation, 0, 0));
        assert_eq!(region, Region { left: 0, top: 0, width: 1, height: 1 });
    }
}
