//! Resampling with Pillow's own arithmetic, equal to the last bit, so that another program that starts from the image file
//! gives a network the very same pixels. [`super::resample`] is faster, and may differ by one grey level.

use image::RgbImage;

use super::{Interpolation, Region};

/// Bits of a weight behind the point, as in Pillow for 8 bits a channel.
const BITS: u32 = 22;
const HALF: i32 = 1 << (BITS - 1);

/// The source pixels of one pixel of the result along a side, and their weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Resamples `region` of `image` to `width` x `height` as Pillow's `image.crop(region).resize((width, height),
/// interpolation)` does: rows first, rounded to 8 bits, then columns. (Some versions of Pillow take columns first for tall
/// images; two calls, one for each side, fix the order.)
///
/// # Panics
/// When the region is empty or leaves the image: whoever makes a region makes it from the image's size.
pub fn resample_as_pillow(
    image: RgbImage,
    region: Region,
    width: u32,
    height: u32,
    interpolation: Interpolation,
) -> RgbImage {
    let mut image = region.cut(image);
    if image.width() != width {
        image = across(&image, &taps(image.width(), width, interpolation));
    }
    if image.height() != height {
        image = down(&image, &taps(image.height(), height, interpolation));
    }
    image
}

fn across(image: &RgbImage, taps: &[Taps]) -> RgbImage {
    let mut result = RgbImage::new(taps.len() as u32, image.height());
    let row_bytes = 3 * image.width() as usize;
    let rows = image.as_raw().chunks_exact(row_bytes);
    for (row, target) in rows.zip(result.chunks_exact_mut(3 * taps.len())) {
        for (Taps { first, weights }, pixel) in taps.iter().zip(target.chunks_exact_mut(3)) {
            let (mut red, mut green, mut blue) = (HALF, HALF, HALF);
            for (source, weight) in row[3 * first..].chunks_exact(3).zip(weights) {
                red += i32::from(source[0]) * weight;
                green += i32::from(source[1]) * weight;
                blue += i32::from(source[2]) * weight;
            }
            pixel.copy_from_slice(&[red, green, blue].map(rounded));
        }
    }
    result
}

fn down(image: &RgbImage, taps: &[Taps]) -> RgbImage {
    let mut result = RgbImage::new(image.width(), taps.len() as u32);
    let row_bytes = 3 * image.width() as usize;
    let mut sums = vec![0i32; row_bytes];
    for (Taps { first, weights }, target) in taps.iter().zip(result.chunks_exact_mut(row_bytes)) {
        sums.fill(HALF);
        for (row, weight) in image.as_raw().chunks_exact(row_bytes).skip(*first).zip(weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        for (value, sum) in target.iter_mut().zip(&sums) {
            *value = rounded(*sum);
        }
    }
    result
}

fn rounded(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// The taps of every pixel of a side of `to` pixels made of one of `from`.
fn taps(from: u32, to: u32, interpolation: Interpolation) -> Vec<Taps> {
    let scale = f64::from(from) / f64::from(to);
    let stretch = scale.max(1.0);
    let reach = radius(interpolation) * stretch;
    let of_pixel = |at: u32| {
        let center = (f64::from(at) + 0.5) * scale;
        let first = ((center - reach + 0.5) as i64).max(0);
        let end = ((center + reach + 0.5) as i64).min(i64::from(from));
        let weights: Vec<f64> = (first..end)
            .map(|source| filter((source as f64 - center + 0.5) * (1.0 / stretch), interpolation))
            .collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| {
            let scaled = weight / sum * f64::from(1u32 << BITS);
            (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
        };
        Taps { first: first as usize, weights: weights.iter().map(fixed).collect() }
    };
    (0..to).map(of_pixel).collect()
}

/// Half the width of the filter, in pixels of the result.
fn radius(interpolation: Interpolation) -> f64 {
    match interpolation {
        Interpolation::Bilinear => 1.0,
        Interpolation::Bicubic => 2.0,
    }
}

/// The filter at this distance from its centre.
fn filter(x: f64, interpolation: Interpolation) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match interpolation {
        Interpolation::Bilinear if x < 1.0 => 1.0 - x,
        Interpolation::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        Interpolation::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        Interpolation::Bilinear | Interpolation::Bicubic => 0.0,
    }
}
