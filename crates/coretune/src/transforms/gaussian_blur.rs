use coretune_native::{Loop, byte, run_wide};
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
    run_wide(Convolution { image, weights: &gaussian(kernel, sigma) })
}

struct Convolution<'a> {
    image: &'a RgbImage,
    weights: &'a [f32],
}

impl Loop for Convolution<'_> {
    type Output = RgbImage;

    #[allow(clippy::inline_always, reason = "see Loop")]
    #[inline(always)]
    fn run(self) -> RgbImage {
        let Convolution { image, weights } = self;
        let (width, height) = (image.width() as usize, image.height() as usize);
        let row = width * 3;
        let half = weights.len() / 2;
        let mut across = vec![0.0f32; row * height];
        let mut extended = vec![0.0f32; row + 6 * half];
        for (source, target) in image.chunks_exact(row).zip(across.chunks_exact_mut(row)) {
            let inside = &mut extended[3 * half..];
            inside.iter_mut().zip(source).for_each(|(value, &byte)| *value = f32::from(byte));
            for x in (0..half).chain(half + width..width + 2 * half) {
                let from = 3 * (half + mirrored(x, half, width));
                extended.copy_within(from..from + 3, 3 * x);
            }
            add_all(target, weights, |offset| &extended[3 * offset..]);
        }
        let mut result = RgbImage::new(image.width(), image.height());
        let mut sum = vec![0.0f32; row];
        for (y, target) in result.chunks_exact_mut(row).enumerate() {
            add_all(&mut sum, weights, |offset| &across[row * mirrored(y + offset, half, height)..]);
            target.iter_mut().zip(&sum).for_each(|(value, &sum)| *value = rounded(sum));
        }
        result
    }
}

/// Sums of values times weights, the first weight first; `values` gives those of a weight.
#[allow(clippy::inline_always, reason = "see Loop")]
#[inline(always)]
fn add_all<'a>(sums: &mut [f32], weights: &[f32], values: impl Fn(usize) -> &'a [f32]) {
    // The kernel of images up to 39 pixels: one pass in place of three.
    if let &[first, second, third] = weights {
        let products = values(0).iter().zip(values(1)).zip(values(2));
        for (sum, ((a, b), c)) in sums.iter_mut().zip(products) {
            *sum = first * a + second * b + third * c;
        }
        return;
    }
    sums.fill(0.0);
    for (offset, &weight) in weights.iter().enumerate() {
        add_scaled(sums, values(offset), weight);
    }
}

/// The nearest whole number, of two the even one; for values of 0 to 255 and a little above.
#[allow(clippy::inline_always, reason = "see Loop")]
#[inline(always)]
fn rounded(value: f32) -> u8 {
    // Numbers of this size have no fraction. `round_ties_even` is a call of a function on processors of the baseline.
    const WHOLE: f32 = 12_582_912.0;
    byte((value + WHOLE) - WHOLE)
}

fn gaussian(kernel: u32, sigma: f64) -> Vec<f32> {
    let half = f64::from(kernel - 1) / 2.0;
    let weights = (0..kernel).map(|i| (-0.5 * ((f64::from(i) - half) / sigma).powi(2)).exp());
    let weights: Vec<f64> = weights.collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

#[allow(clippy::inline_always, reason = "see Loop")]
#[inline(always)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_the_nearest_and_halves_to_even() {
        for quarter in 0..=1021u16 {
            let value = f32::from(quarter) / 4.0;
            assert_eq!(rounded(value), value.round_ties_even() as u8, "{value}");
        }
        assert_eq!(rounded(255.001), 255);
    }

    #[test]
    fn the_pass_for_three_weights_gives_the_bits_of_the_passes_for_any_number() {
        let values: Vec<f32> = (0..30).map(|i| (i * i % 37) as f32 * 1.37).collect();
        let weights = gaussian(3, 0.8);
        let (mut at_once, mut added) = (vec![9.0f32; 24], vec![0.0f32; 24]);
        add_all(&mut at_once, &weights, |offset| &values[3 * offset..]);
        for (offset, &weight) in weights.iter().enumerate() {
            add_scaled(&mut added, &values[3 * offset..], weight);
        }
        assert_eq!(
            at_once.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            added.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        );
    }
}
