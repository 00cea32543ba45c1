use image::RgbImage;

/// A change of values in which every pixel, or every channel, is treated alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tone {
    /// Keeps so many of the 8 bits of a value.
    Posterize(u8),
    /// Turns values from this one on into their negative.
    Solarize(f64),
    /// Stretches each channel to 0..255.
    AutoContrast,
    /// Spreads the values of each channel evenly.
    Equalize,
    /// Blurred at factor 0, as it is at 1, sharper above.
    Sharpness(f32),
}

impl Tone {
    /// Changes the pixels, as Pillow does.
    pub fn apply(self, image: RgbImage) -> RgbImage {
        match self {
            Tone::Posterize(bits) => posterize(image, bits),
            Tone::Solarize(threshold) => solarize(image, threshold),
            Tone::AutoContrast => by_channel(image, stretched),
            Tone::Equalize => by_channel(image, equalized),
            Tone::Sharpness(factor) => adjust_sharpness(&image, factor),
        }
    }
}

fn posterize(mut image: RgbImage, bits: u8) -> RgbImage {
    let mask = !(0xFF_u16 >> bits.min(8)) as u8;
    image.iter_mut().for_each(|value| *value &= mask);
    image
}

fn solarize(mut image: RgbImage, threshold: f64) -> RgbImage {
    image.iter_mut().filter(|value| f64::from(**value) >= threshold).for_each(|value| *value = 255 - *value);
    image
}

/// How often each value occurs.
type Histogram = [u32; 256];
/// What becomes of each value.
type Table = [u8; 256];

/// Replaces the values of each channel by the table that `table_of` makes from its histogram, if it makes one.
fn by_channel(mut image: RgbImage, table_of: impl Fn(&Histogram) -> Option<Table>) -> RgbImage {
    for channel in 0..3 {
        let mut histogram = [0; 256];
        for pixel in image.as_chunks::<3>().0 {
            histogram[usize::from(pixel[channel])] += 1;
        }
        if let Some(table) = table_of(&histogram) {
            for pixel in image.as_chunks_mut::<3>().0 {
                pixel[channel] = table[usize::from(pixel[channel])];
            }
        }
    }
    image
}

fn stretched(histogram: &Histogram) -> Option<Table> {
    let low = histogram.iter().position(|&count| count > 0)?;
    let high = histogram.iter().rposition(|&count| count > 0)?;
    if high <= low {
        return None;
    }
    let scale = 255.0 / (high - low) as f64;
    let offset = -(low as f64) * scale;
    // The cast cuts towards zero and saturates.
    Some(std::array::from_fn(|value| (value as f64 * scale + offset) as u8))
}

fn equalized(histogram: &Histogram) -> Option<Table> {
    let last = histogram.iter().rfind(|&&count| count > 0)?;
    let pixels: u32 = histogram.iter().sum();
    let step = (pixels - last) / 255;
    if step == 0 {
        return None;
    }
    let mut below = step / 2;
    Some(std::array::from_fn(|value| {
        let level = (below / step).min(255) as u8;
        below += histogram[value];
        level
    }))
}

/// Moves every value away from (`factor` > 1) or towards (< 1) the smoothed image; the border of one pixel stays.
pub fn adjust_sharpness(image: &RgbImage, factor: f32) -> RgbImage {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut result = image.clone();
    if width < 3 || height < 3 {
        return result;
    }
    let pixels = image.as_chunks::<3>().0;
    let rows = result.as_chunks_mut::<3>().0.chunks_exact_mut(width);
    for (y, row) in rows.enumerate().take(height - 1).skip(1) {
        for (x, pixel) in row.iter_mut().enumerate().take(width - 1).skip(1) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let at = |dx: usize, dy: usize| f32::from(pixels[(y + dy - 1) * width + x + dx - 1][channel]);
                let around: f32 = (0..9).map(|place| at(place % 3, place / 3)).sum();
                let smooth = ((around + 4.0 * at(1, 1)) / 13.0 + 0.5) as u8;
                *value = super::color_jitter::blend(smooth, *value, factor);
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_channel_of_one_value_stays_as_it_is() {
        let image = RgbImage::from_pixel(5, 4, Rgb([7, 200, 0]));
        assert_eq!(Tone::AutoContrast.apply(image.clone()), image);
        assert_eq!(Tone::Equalize.apply(image.clone()), image);
    }

    #[test]
    fn all_bits_and_a_threshold_above_every_value_change_nothing() {
        let image = RgbImage::from_fn(16, 16, |x, y| Rgb([(16 * y + x) as u8, 3, 255]));
        assert_eq!(Tone::Posterize(8).apply(image.clone()), image);
        assert_eq!(Tone::Solarize(256.0).apply(image.clone()), image);
        assert_eq!(Tone::Posterize(0).apply(image).into_raw().iter().max(), Some(&0));
    }
}
