use coretune_native::{Loop, byte, byte_of_double, run_wide};
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
    run_wide(Blend { from: 0, values: &mut image, factor });
    image
}

/// Moves every value away from (`factor` > 1) or towards (< 1) the mean luma of the image.
pub fn adjust_contrast(mut image: RgbImage, factor: f32) -> RgbImage {
    let pixels = image.as_chunks::<3>().0;
    let sum = run_wide(LumaSum { pixels });
    let mean = (sum as f64 / pixels.len() as f64 + 0.5) as u8;
    run_wide(Blend { from: mean, values: &mut image, factor });
    image
}

/// Blends every value with one.
struct Blend<'a> {
    from: u8,
    values: &'a mut [u8],
    factor: f32,
}

impl Loop for Blend<'_> {
    type Output = ();

    #[allow(clippy::inline_always, reason = "see Loop")]
    #[inline(always)]
    fn run(self) {
        self.values.iter_mut().for_each(|value| *value = blend(self.from, *value, self.factor));
    }
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
        const GROUP: usize = 16;
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
    run_wide(Hue { pixels: image.as_chunks_mut::<3>().0, shift: (turn * 255.0) as i32 as u8 });
    image
}

/// Pixels whose hues are turned together.
const GROUP: usize = 64;

struct Hue<'a> {
    pixels: &'a mut [[u8; 3]],
    shift: u8,
}

impl Loop for Hue<'_> {
    type Output = ();

    #[allow(clippy::inline_always, reason = "see Loop")]
    #[inline(always)]
    fn run(self) {
        let (groups, rest) = self.pixels.as_chunks_mut::<GROUP>();
        for group in groups {
            turn_hues(group, self.shift);
        }
        let mut last = [[0; 3]; GROUP];
        last[..rest.len()].copy_from_slice(rest);
        turn_hues(&mut last, self.shift);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

#[allow(clippy::inline_always, reason = "see Loop")]
#[inline(always)]
fn turn_hues(pixels: &mut [[u8; 3]; GROUP], shift: u8) {
    // Channel by channel, so that the compiler computes several pixels at a time.
    let (mut reds, mut greens, mut blues) = ([0; GROUP], [0; GROUP], [0; GROUP]);
    for (at, &[red, green, blue]) in pixels.iter().enumerate() {
        (reds[at], greens[at], blues[at]) = (red, green, blue);
    }
    for at in 0..GROUP {
        let [hue, saturation, value] = hsv_from_rgb([reds[at], greens[at], blues[at]]);
        [reds[at], greens[at], blues[at]] = rgb_from_hsv([hue.wrapping_add(shift), saturation, value]);
    }
    for (at, pixel) in pixels.iter_mut().enumerate() {
        *pixel = [reds[at], greens[at], blues[at]];
    }
}

/// from + factor (to - from), cut to 0..255 and towards zero.
#[inline]
pub(super) fn blend(from: u8, to: u8, factor: f32) -> u8 {
    byte(f32::from(from) + factor * (f32::from(to) - f32::from(from)))
}

/// Hue, saturation and value, each on 0..=255, cut towards zero. Without branches, so that several are computed at a time.
#[allow(clippy::inline_always, reason = "see Loop")]
#[inline(always)]
fn hsv_from_rgb([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (highest, lowest) = (r.max(g).max(b), r.min(g).min(b));
    // A grey has hue and saturation 0, which all other ranges and values give as well.
    let range = f32::from((highest - lowest).max(1));
    let distance = |channel: u8| f32::from(highest - channel) / range;
    let by_highest = |red: u8, green: u8, blue: u8| {
        if r == highest {
            red
        } else if g == highest {
            green
        } else {
            blue
        }
    };
    let (start, after, before) = (f32::from(by_highest(0, 2, 4)), by_highest(b, r, g), by_highest(g, b, r));
    let saturation = f64::from(f32::from(highest - lowest) / f32::from(highest.max(1)));
    [hue_of(start + distance(after) - distance(before)), byte_of_double(saturation * 255.0), highest]
}

/// The hue at so many sixths of the circle, -1 to 5, on 0..=255.
#[allow(clippy::inline_always, reason = "see Loop")]
#[inline(always)]
fn hue_of(sixths: f32) -> u8 {
    let turns = f64::from(sixths) / 6.0 + 1.0;
    let turns = if turns < 1.0 { turns } else { turns - 1.0 };
    // Kept in single precision, as Pillow keeps it: a third of the circle then falls on 85, not just below.
    byte_of_double(f64::from(turns as f32) * 255.0)
}

/// value (1 - saturation x distance), rounded, for each channel: its distance from the highest rises from 0 to 1 within a sixth
/// of the circle.
#[allow(clippy::inline_always, reason = "see Loop")]
#[inline(always)]
fn rgb_from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    // In units of 1 / 255 of a sixth.
    const SIXTH: i32 = 255;
    let place = 6 * i32::from(hue);
    let red = 2 * SIXTH - (place - 3 * SIXTH).abs();
    let green = (place - 2 * SIXTH).abs() - SIXTH;
    let blue = (place - 4 * SIXTH).abs() - SIXTH;
    [red, green, blue].map(|distance| {
        // No value lies halfway between two whole numbers: the denominator is odd.
        const ONE: u32 = 255 * 255;
        let left = ONE - u32::from(saturation) * distance.clamp(0, SIXTH) as u32;
        ((u32::from(value) * left + ONE / 2) / ONE) as u8
    })
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
        let turns = f64::from(sixths) / 6.0 + 1.0;
        let hue = f64::from((turns - turns.floor()) as f32);
        let saturation = f64::from(range / f32::from(highest));
        [(hue * 255.0) as u8, (saturation * 255.0) as u8, highest]
    }

    #[test]
    fn a_colour_has_the_hue_and_saturation_of_the_formula() {
        let values = || (0..=255u8).step_by(3).chain([1, 254]);
        for (r, g, b) in values().flat_map(|r| values().flat_map(move |g| values().map(move |b| (r, g, b)))) {
            assert_eq!(hsv_from_rgb([r, g, b]), formula([r, g, b]), "{r} {g} {b}");
        }
    }

    /// Colours of all kinds, of a number that no group divides.
    fn colours() -> Vec<[u8; 3]> {
        let values = || (0..=255u8).step_by(15);
        let all = values().flat_map(|r| values().flat_map(move |g| values().map(move |b| [r, g, b])));
        all.chain([[1, 2, 3], [254, 255, 253]]).collect()
    }

    #[test]
    fn loops_give_the_same_colours_with_registers_of_any_width() {
        for factor in [0.0, 0.37, 1.0, 1.9] {
            let (mut wide, mut narrow) = (colours(), colours());
            run_wide(Saturation { pixels: &mut wide, factor });
            Saturation { pixels: &mut narrow, factor }.run();
            assert_eq!(wide, narrow, "saturation {factor}");
            run_wide(Blend { from: 77, values: wide.as_flattened_mut(), factor });
            Blend { from: 77, values: narrow.as_flattened_mut(), factor }.run();
            assert_eq!(wide, narrow, "blend {factor}");
            let shift = (factor * 100.0) as u8;
            run_wide(Hue { pixels: &mut wide, shift });
            Hue { pixels: &mut narrow, shift }.run();
            assert_eq!(wide, narrow, "hue {shift}");
            assert_eq!(run_wide(LumaSum { pixels: &wide }), LumaSum { pixels: &narrow }.run());
        }
    }

    #[test]
    fn a_hue_turns_pixel_by_pixel() {
        let mut pixels = colours();
        run_wide(Hue { pixels: &mut pixels, shift: 200 });
        for (before, after) in colours().into_iter().zip(pixels) {
            let [hue, saturation, value] = hsv_from_rgb(before);
            assert_eq!(after, rgb_from_hsv([hue.wrapping_add(200), saturation, value]), "{before:?}");
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
