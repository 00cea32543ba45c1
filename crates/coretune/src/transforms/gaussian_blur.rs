use image::RgbImage;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::TransformError;
use super::limits::check_probability;
use crate::random::Stream;

/// Blurs with a Gaussian whose sigma is uniform in a range, with a probability.
///
/// The definition is torchvision's and `SimCLR`'s: a true Gaussian sampled on `kernel` points and normalised, the image
/// reflected at its edges. (`MoCo` v2 calls Pillow's filter, which approximates the same sigma by three box blurs.)
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianBlur {
    /// Points of the kernel along a side, odd; `SimCLR` takes a tenth of the image's side.
    pub kernel: u32,
    /// Lowest and highest sigma in pixels.
    #[serde(default = "GaussianBlur::default_sigma")]
    pub sigma: (f64, f64),
    /// Probability that the image is blurred.
    pub probability: f64,
}

impl GaussianBlur {
    pub(super) const NAME: &'static str = "gaussian-blur";

    fn default_sigma() -> (f64, f64) {
        (0.1, 2.0)
    }

    pub(super) fn check(&self) -> Result<(), TransformError> {
        check_probability(Self::NAME, self.probability)?;
        let setting = |name, expected, found| TransformError::Setting { step: Self::NAME, name, expected, found };
        if self.kernel.is_multiple_of(2) || self.kernel > 255 {
            return Err(setting("kernel", "an odd number up to 255", self.kernel.to_string()));
        }
        let (low, high) = self.sigma;
        if !(low > 0.0 && low <= high && high <= 1000.0) {
            return Err(setting("sigma", "0 < low <= high <= 1000", format!("({low}, {high})")));
        }
        Ok(())
    }

    /// The sigma of the blur, `None` for an image that stays sharp.
    pub(super) fn draw(&self, stream: &mut Stream) -> Option<f64> {
        stream.random_bool(self.probability).then(|| stream.random_range(self.sigma.0..=self.sigma.1))
    }
}

/// Convolves rows, then columns, with exp(-d^2 / 2 sigma^2), d = -(kernel-1)/2 ..= (kernel-1)/2, normalised to sum 1.
pub fn gaussian_blur(image: &RgbImage, kernel: u32, sigma: f64) -> RgbImage {
    let weights = gaussian(kernel, sigma);
    let (width, height) = (image.width() as usize, image.height() as usize);
    let row = width * 3;
    let half = weights.len() / 2;
    let mut across = vec![0.0f32; row * height];
    let mut extended = vec![0.0f32; row + 6 * half];
    for (source, target) in image.chunks_exact(row).zip(across.chunks_exact_mut(row)) {
        for (x, pixel) in extended.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let from = 3 * mirrored(x, half, width);
            *pixel = [source[from], source[from + 1], source[from + 2]].map(f32::from);
        }
        for (offset, &weight) in weights.iter().enumerate() {
            add_scaled(target, &extended[3 * offset..], weight);
        }
    }
    let mut result = RgbImage::new(image.width(), image.height());
    let mut sum = vec![0.0f32; row];
    for (y, target) in result.chunks_exact_mut(row).enumerate() {
        sum.fill(0.0);
        for (offset, &weight) in weights.iter().enumerate() {
            let from = row * mirrored(y + offset, half, height);
            add_scaled(&mut sum, &across[from..], weight);
        }
        target.iter_mut().zip(&sum).for_each(|(value, sum)| *value = sum.round_ties_even() as u8);
    }
    result
}

fn gaussian(kernel: u32, sigma: f64) -> Vec<f32> {
    let half = f64::from(kernel - 1) / 2.0;
    let weights = (0..kernel).map(|i| (-0.5 * ((f64::from(i) - half) / sigma).powi(2)).exp());
    let weights: Vec<f64> = weights.collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

fn add_scaled(sums: &mut [f32], values: &[f32], weight: f32) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
}

/// Position `at - half` on a side mirrored at its outermost pixels, as often as needed.
fn mirrored(at: usize, half: usize, side: usize) -> usize {
    if side == 1 {
        return 0;
    }
    let period = 2 * (side - 1);
    let i = (at + period * half.div_ceil(period) - half) % period;
    i.min(period - i)
}
