use std::sync::LazyLock;

use image::RgbImage;
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::limits::check_probability;
use super::{TransformError, luma};
use crate::random::Stream;

/// Changes brightness, contrast, saturation and hue by random factors in random order, as torchvision on Pillow images.
///
/// The factor of each of the first three is uniform in [max(0, 1 - s), 1 + s], s the setting; the hue turns by a
/// fraction of the circle uniform in [-s, s]. A setting of 0 leaves its property alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColorJitter {
    /// Strength of the change of brightness, >= 0.
    #[serde(default)]
    pub brightness: f64,
    /// Strength of the change of contrast, >= 0.
    #[serde(default)]
    pub contrast: f64,
    /// Strength of the change of saturation, >= 0.
    #[serde(default)]
    pub saturation: f64,
    /// Largest turn of the hue, 0 to 0.5.
    #[serde(default)]
    pub hue: f64,
    /// Probability that the image is changed at all.
    #[serde(default = "always")]
    pub probability: f64,
}

fn always() -> f64 {
    1.0
}

#[derive(Clone, Copy)]
enum Property {
    Brightness,
    Contrast,
    Saturation,
    Hue,
}

/// A change of one property of the colours, with its strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ColorChange {
    /// Factor of [`adjust_brightness`].
    Brightness(f32),
    /// Factor of [`adjust_contrast`].
    Contrast(f32),
    /// Factor of [`adjust_saturation`].
    Saturation(f32),
    /// Turn of [`adjust_hue`].
    Hue(f64),
}

impl ColorJitter {
    pub(super) const NAME: &'static str = "color-jitter";

    pub(super) fn check(&self) -> Result<(), TransformError> {
        check_probability(Self::NAME, self.probability)?;
        let strengths = [("brightness", self.brightness), ("contrast", self.contrast), ("saturation", self.saturation)];
        let setting = |name, expected, found: f64| TransformError::Setting {
            step: Self::NAME,
            name,
            expected,
            found: found.to_string(),
        };
        for (name, found) in strengths {
            if !(0.0..=100.0).contains(&found) {
                return Err(setting(name, "0 to 100", found));
            }
        }
        if !(0.0..=0.5).contains(&self.hue) {
            return Err(setting("hue", "0 to 0.5", self.hue));
        }
        Ok(())
    }

    /// The changes in their order; none for an image that keeps its colours.
    pub(super) fn draw(&self, stream: &mut Stream) -> Vec<ColorChange> {
        if !stream.random_bool(self.probability) {
            return Vec::new();
        }
        let mut order = [Property::Brightness, Property::Contrast, Property::Saturation, Property::Hue];
        order.shuffle(stream);
        order.into_iter().filter_map(|property| self.draw_change(property, stream)).collect()
    }

    fn draw_change(&self, property: Property, stream: &mut Stream) -> Option<ColorChange> {
        let mut factor = |s: f64| stream.random_range((1.0 - s).max(0.0)..=1.0 + s) as f32;
        match property {
            Property::Brightness if self.brightness > 0.0 => Some(ColorChange::Brightness(factor(self.brightness))),
            Property::Contrast if self.contrast > 0.0 => Some(ColorChange::Contrast(factor(self.contrast))),
            Property::Saturation if self.saturation > 0.0 => Some(ColorChange::Saturation(factor(self.saturation))),
            Property::Hue if self.hue > 0.0 => Some(ColorChange::Hue(stream.random_range(-self.hue..=self.hue))),
            _ => None,
        }
    }
}

impl ColorChange {
    /// Changes the pixels.
    pub fn apply(self, image: RgbImage) -> RgbImage {
        match self {
            ColorChange::Brightness(factor) => adjust_brightness(image, factor),
            ColorChange::Contrast(factor) => adjust_contrast(image, factor),
            ColorChange::Saturation(factor) => adjust_saturation(image, factor),
            ColorChange::Hue(turn) => adjust_hue(image, turn),
        }
    }
}

/// Multiplies every value by `factor` >= 0.
pub fn adjust_brightness(mut image: RgbImage, factor: f32) -> RgbImage {
    map_values(&mut image, |value| blend(0, value, factor));
    image
}

/// Moves every value away from (`factor` > 1) or towards (< 1) the mean luma of the image.
pub fn adjust_contrast(mut image: RgbImage, factor: f32) -> RgbImage {
    let pixels = image.as_chunks::<3>().0;
    let sum: u64 = pixels.iter().map(|&pixel| u64::from(luma(pixel))).sum();
    let mean = (sum as f64 / pixels.len() as f64 + 0.5) as u8;
    map_values(&mut image, |value| blend(mean, value, factor));
    image
}

/// Moves every pixel away from (`factor` > 1) or towards (< 1) its own luma.
pub fn adjust_saturation(mut image: RgbImage, factor: f32) -> RgbImage {
    for pixel in image.as_chunks_mut::<3>().0 {
        let grey = luma(*pixel);
        *pixel = pixel.map(|value| blend(grey, value, factor));
    }
    image
}

/// Turns the hue by `turn` of the circle, -0.5 to 0.5, in Pillow's 8-bit HSV.
pub fn adjust_hue(mut image: RgbImage, turn: f64) -> RgbImage {
    let shift = (turn * 255.0) as i32 as u8;
    for pixel in image.as_chunks_mut::<3>().0 {
        let [hue, saturation, value] = hsv_from_rgb(*pixel);
        *pixel = rgb_from_hsv([hue.wrapping_add(shift), saturation, value]);
    }
    image
}

/// from + factor (to - from), cut to 0..255 and towards zero.
pub(super) fn blend(from: u8, to: u8, factor: f32) -> u8 {
    // The cast saturates, which is the cut.
    (f32::from(from) + factor * (f32::from(to) - f32::from(from))) as u8
}

fn map_values(image: &mut RgbImage, map: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|value| map(value as u8));
    for value in image.iter_mut() {
        *value = table[usize::from(*value)];
    }
}

/// Hue, saturation and value, each on 0..=255, cut towards zero.
fn hsv_from_rgb([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (highest, lowest) = (r.max(g).max(b), r.min(g).min(b));
    if highest == lowest {
        return [0, 0, highest];
    }
    let range = f32::from(highest - lowest);
    let distance = |channel: u8| f32::from(highest - channel) / range;
    let sixths = if r == highest {
        distance(b) - distance(g)
    } else if g == highest {
        2.0 + distance(r) - distance(b)
    } else {
        4.0 + distance(g) - distance(r)
    };
    // Kept in single precision, as Pillow keeps it: a third of the circle then falls on 85, not just below.
    // Not `fract` and `round` here and below: they are calls of functions on processors of the baseline.
    let turns = f64::from(sixths) / 6.0 + 1.0;
    let hue = (turns - f64::from(turns as u8)) as f32;
    let saturation = range / f32::from(highest);
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, highest]
}

fn rgb_from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let (sixth, within) = HUES[usize::from(hue)];
    let (share, v) = (SHARES[usize::from(saturation)], f64::from(value));
    let nearest = |value: f64| (value + 0.5) as u8;
    let low = nearest(v * (1.0 - share));
    // It rises in every second sixth of the circle, and falls in the others.
    let distance = if sixth % 2 == 0 { 1.0 - within } else { within };
    let between = nearest(v * (1.0 - share * distance));
    match sixth % 6 {
        0 => [value, between, low],
        1 => [between, value, low],
        2 => [low, value, between],
        3 => [low, between, value],
        4 => [between, low, value],
        _ => [value, low, between],
    }
}

/// Of each saturation its fraction of the highest.
static SHARES: LazyLock<[f64; 256]> = LazyLock::new(|| std::array::from_fn(|saturation| saturation as f64 / 255.0));

/// Of each hue the sixth of the circle that it is in, and how far.
static HUES: LazyLock<[(u8, f64); 256]> = LazyLock::new(|| {
    std::array::from_fn(|hue| {
        let sixths = hue as f64 * 6.0 / 255.0;
        (sixths as u8, sixths - f64::from(sixths as u8))
    })
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hue_becomes_the_colour_of_the_formula() {
        for hue in 0..=255u8 {
            for saturation in (0..=255u8).step_by(3) {
                for value in [0, 1, 100, 254, 255u8] {
                    let sixths = f64::from(hue) * 6.0 / 255.0;
                    let (share, v) = (f64::from(saturation) / 255.0, f64::from(value));
                    let low = (v * (1.0 - share)).round() as u8;
                    let falling = (v * (1.0 - share * sixths.fract())).round() as u8;
                    let rising = (v * (1.0 - share * (1.0 - sixths.fract()))).round() as u8;
                    let expected = match sixths as u8 % 6 {
                        _ if saturation == 0 => [value; 3],
                        0 => [value, rising, low],
                        1 => [falling, value, low],
                        2 => [low, value, rising],
                        3 => [low, falling, value],
                        4 => [rising, low, value],
                        _ => [value, low, falling],
                    };
                    assert_eq!(rgb_from_hsv([hue, saturation, value]), expected);
                }
            }
        }
    }
}
