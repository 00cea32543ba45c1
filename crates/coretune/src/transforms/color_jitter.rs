use std::sync::LazyLock;

use coretune_native::{Loop, run_wide};
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
    let sum = run_wide(LumaSum { pixels });
    let mean = (sum as f64 / pixels.len() as f64 + 0.5) as u8;
    map_values(&mut image, |value| blend(mean, value, factor));
    image
}

struct LumaSum<'a> {
    pixels: &'a [[u8; 3]],
}

impl Loop for LumaSum<'_> {
    type Output = u64;

    #[allow(clippy::inline_always, reason = "see Loop")]
    #[inline(always)]
    fn run(self) -> u64 {
        // No row of so few pixels exceeds 32 bits.
        let of_part = |part: &[[u8; 3]]| part.iter().map(|&pixel| u32::from(luma(pixel))).sum::<u32>();
        self.pixels.chunks(1 << 16).map(|part| u64::from(of_part(part))).sum()
    }
}

/// Moves every pixel away from (`factor` > 1) or towards (< 1) its own luma.
pub fn adjust_saturation(mut image: RgbImage, factor: f32) -> RgbImage {
    run_wide(Saturation { pixels: image.as_chunks_mut::<3>().0, factor });
    image
}

struct Saturation<'a> {
    pixels: &'a mut [[u8; 3]],
    factor: f32,
}

impl Loop for Saturation<'_> {
    type Output = ();

    #[allow(clippy::inline_always, reason = "see Loop")]
    #[inline(always)]
    fn run(self) {
        // Whole groups of pixels, so that the compiler computes several values at a time.
        const GROUP: usize = 32;
        let (groups, rest) = self.pixels.as_chunks_mut::<GROUP>();
        for group in groups {
            let mut greys = [[0; 3]; GROUP];
            for (greys, &pixel) in greys.iter_mut().zip(group.iter()) {
                *greys = [luma(pixel); 3];
            }
            for (value, &grey) in group.as_flattened_mut().iter_mut().zip(greys.as_flattened()) {
                *value = blend(grey, *value, self.factor);
            }
        }
        for pixel in rest {
            let grey = luma(*pixel);
            *pixel = pixel.map(|value| blend(grey, value, self.factor));
        }
    }
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
#[inline]
pub(super) fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let value = f32::from(from) + factor * (f32::from(to) - f32::from(from));
    // A cast alone would cut as well, but one value at a time.
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 255.0 { value } else { 255.0 };
    value as i32 as u8
}

fn map_values(image: &mut RgbImage, map: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|value| map(value as u8));
    for value in image.iter_mut() {
        *value = table[usize::from(*value)];
    }
}

/// Hue, saturation and value, each on 0..=255, cut towards zero. Without branches, which pixels would make hard to predict.
fn hsv_from_rgb([r, g, b]: [u8; 3]) -> [u8; 3] {
    let order = usize::from(r >= g) | usize::from(g >= b) << 1 | usize::from(b > r) << 2;
    let (highest, lowest) = (r.max(g).max(b), r.min(g).min(b));
    let middle = (u16::from(r) + u16::from(g) + u16::from(b) - u16::from(highest) - u16::from(lowest)) as u8;
    let (range, below) = (usize::from(highest - lowest), usize::from(highest - middle));
    let hue = COLOURS.hues[order][range * (range + 1) / 2 + below];
    [hue, COLOURS.saturations[range][usize::from(highest)], highest]
}

fn rgb_from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let (order, distance) = COLOURS.sixths[usize::from(hue)];
    let (share, v) = (COLOURS.shares[usize::from(saturation)], f64::from(value));
    let nearest = |value: f64| (value + 0.5) as i32 as u8;
    let parts = [value, nearest(v * (1.0 - share * distance)), nearest(v * (1.0 - share))];
    order.map(|part| parts[usize::from(part)])
}

/// What conversions of colours read.
static COLOURS: LazyLock<Box<Colours>> = LazyLock::new(|| Box::new(Colours::new()));

/// Pairs of a range of 0..=255 and a number up to it.
const PAIRS: usize = 256 * 257 / 2;

struct Colours {
    /// Of each order of the channels the hue by range and by the distance of the middle channel from the highest.
    hues: Vec<Vec<u8>>,
    /// Saturation by range and highest value.
    saturations: Vec<[u8; 256]>,
    /// Of each hue, which of (highest, between, lowest) red, green and blue are, and how far the one between is from the
    /// highest.
    sixths: [([u8; 3], f64); 256],
    /// Of each saturation its fraction of the highest.
    shares: [f64; 256],
}

impl Colours {
    fn new() -> Self {
        let saturation = |range: u8, highest: u8| (f64::from(f32::from(range) / f32::from(highest)) * 255.0) as u8;
        let of_range = |range: usize| std::array::from_fn(|highest| saturation(range as u8, highest as u8));
        Colours {
            hues: (0..8).map(hues_of_order).collect(),
            saturations: (0..256).map(of_range).collect(),
            sixths: std::array::from_fn(|hue| sixth_of(hue as u8)),
            shares: std::array::from_fn(|saturation| saturation as f64 / 255.0),
        }
    }
}

/// The hues of colours with r >= g, g >= b, b > r by the bits of `order`, lowest first.
fn hues_of_order(order: u8) -> Vec<u8> {
    let mut hues = vec![0; PAIRS];
    for range in 1..256usize {
        for below in 0..=range {
            // Of the distances from the highest channel, that of the lowest is 1 and that of the highest 0.
            let (middle, lowest) = (below as f32 / range as f32, 1.0);
            hues[range * (range + 1) / 2 + below] = hue_of(match order {
                // Red is highest, then green; red, then blue.
                0b011 => lowest - middle,
                0b001 => middle - lowest,
                // Green, then red; green, then blue.
                0b010 => 2.0 + middle - lowest,
                0b110 => 2.0 + lowest - middle,
                // Blue, then green; blue, then red.
                0b100 => 4.0 + middle - lowest,
                0b101 => 4.0 + lowest - middle,
                // No colour has these.
                _ => 0.0,
            });
        }
    }
    hues
}

/// The hue at so many sixths of the circle, on 0..=255.
fn hue_of(sixths: f32) -> u8 {
    // Kept in single precision, as Pillow keeps it: a third of the circle then falls on 85, not just below.
    let turns = f64::from(sixths) / 6.0 + 1.0;
    let hue = (turns - turns.floor()) as f32;
    (f64::from(hue) * 255.0) as u8
}

/// Which of (highest, between, lowest) red, green and blue are at a hue, and how far the one between is from the highest.
fn sixth_of(hue: u8) -> ([u8; 3], f64) {
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let (sixth, within) = (sixths as u8, sixths.fract());
    // The channel between rises in every second sixth of the circle, and falls in the others.
    let distance = if sixth % 2 == 0 { 1.0 - within } else { within };
    let order = match sixth % 6 {
        0 => [0, 1, 2],
        1 => [1, 0, 2],
        2 => [2, 0, 1],
        3 => [2, 1, 0],
        4 => [1, 2, 0],
        _ => [0, 2, 1],
    };
    (order, distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Pillow computes it.
    fn formula([r, g, b]: [u8; 3]) -> [u8; 3] {
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
        let saturation = f64::from(range / f32::from(highest));
        [hue_of(sixths), (saturation * 255.0) as u8, highest]
    }

    #[test]
    fn a_colour_has_the_hue_and_saturation_of_the_formula() {
        let values = || (0..=255u8).step_by(3).chain([1, 254]);
        for (r, g, b) in values().flat_map(|r| values().flat_map(move |g| values().map(move |b| (r, g, b)))) {
            assert_eq!(hsv_from_rgb([r, g, b]), formula([r, g, b]), "{r} {g} {b}");
        }
    }

    #[test]
    fn saturation_is_that_of_single_pixels_whatever_their_number() {
        let pixel = |x: u32, y: u32| image::Rgb([(x * 7 + y * 31) as u8, (x * 13 + 5) as u8, (y * 53 + x) as u8]);
        for (width, factor) in [(5, 0.3f32), (16, 1.7), (37, 0.0), (33, 1.0)] {
            let image = RgbImage::from_fn(width, 3, pixel);
            let changed = adjust_saturation(image.clone(), factor);
            for (before, after) in image.pixels().zip(changed.pixels()) {
                let grey = f32::from(luma(before.0));
                let expected = before.0.map(|value| (grey + factor * (f32::from(value) - grey)) as u8);
                assert_eq!(after.0, expected, "{before:?} at {factor}");
            }
        }
    }

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
