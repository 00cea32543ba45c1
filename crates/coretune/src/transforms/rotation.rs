use image::{GrayImage, Luma, RgbImage};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{IGNORED, TransformError};
use crate::random::Stream;

/// How a rotated image reads between pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RotationInterpolation {
    /// The nearest pixel, torchvision's default.
    #[default]
    Nearest,
    /// Between the four nearest pixels.
    Bilinear,
}

/// Rotates about the centre by an angle uniform in +-`degrees`; the size stays, corners that come in get the colour `fill`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomRotation {
    /// Largest angle in degrees.
    pub degrees: f64,
    /// Reading between pixels.
    #[serde(default)]
    pub interpolation: RotationInterpolation,
    /// Colour of the corners that come in: black unless given.
    #[serde(default, skip_serializing_if = "is_black")]
    pub fill: [u8; 3],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_black(color: &[u8; 3]) -> bool {
    *color == [0; 3]
}

impl RandomRotation {
    pub(super) const NAME: &'static str = "random-rotation";

    pub(super) fn check(self) -> Result<(), TransformError> {
        if (0.0..=180.0).contains(&self.degrees) {
            return Ok(());
        }
        let found = self.degrees.to_string();
        Err(TransformError::Setting { step: Self::NAME, name: "degrees", expected: "0 to 180", found })
    }

    /// An angle in degrees.
    pub(super) fn draw(self, stream: &mut Stream) -> f64 {
        stream.random_range(-self.degrees..=self.degrees)
    }
}

/// Rotates counter-clockwise by `degrees` about the centre, as Pillow's `image.rotate(degrees)` does.
///
/// Pixel (x, y) of the result reads the source at R (x + 1/2 - a, y + 1/2 - b) + (a, b), with R the inverse
/// rotation and (a, b) the centre. Where that lies beyond the edges, the result has the colour `fill`.
pub fn rotate(image: &RgbImage, degrees: f64, interpolation: RotationInterpolation, fill: [u8; 3]) -> RgbImage {
    let angle = degrees.rem_euclid(360.0);
    if angle == 0.0 {
        return image.clone();
    }
    let source = Source { image, pixels: image.as_chunks::<3>().0, fill };
    let inverse = InverseRotation::about_centre(image.dimensions(), angle);
    let mut result = RgbImage::new(image.width(), image.height());
    let rows = result.as_chunks_mut::<3>().0.chunks_exact_mut(image.width() as usize);
    for (y, row) in rows.enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            let (u, v) = inverse.map(x as f64 + 0.5, y as f64 + 0.5);
            *pixel = match interpolation {
                RotationInterpolation::Nearest => source.nearest(u, v),
                RotationInterpolation::Bilinear => source.bilinear(u, v),
            };
        }
    }
    result
}

/// Rotates a mask as [`rotate`] its image, each pixel read from the nearest one; what comes in is ignored.
pub fn rotate_mask(mask: &GrayImage, degrees: f64) -> GrayImage {
    let (width, height) = mask.dimensions();
    let inverse = InverseRotation::about_centre((width, height), degrees.rem_euclid(360.0));
    GrayImage::from_fn(width, height, |x, y| {
        let (u, v) = inverse.map(f64::from(x) + 0.5, f64::from(y) + 0.5);
        let inside = u >= 0.0 && v >= 0.0 && u < f64::from(width) && v < f64::from(height);
        if inside { *mask.get_pixel(u as u32, v as u32) } else { Luma([IGNORED]) }
    })
}

struct InverseRotation {
    cosine: f64,
    sine: f64,
    shift_x: f64,
    shift_y: f64,
}

impl InverseRotation {
    fn about_centre((width, height): (u32, u32), degrees: f64) -> Self {
        // Rounded to 15 digits, so that multiples of 90 degrees are exact.
        let round = |value: f64| (value * 1e15).round() / 1e15;
        let (sine, cosine) = (-degrees.to_radians()).sin_cos();
        let (sine, cosine) = (round(sine), round(cosine));
        let (x, y) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
        InverseRotation { cosine, sine, shift_x: x - cosine * x - sine * y, shift_y: y + sine * x - cosine * y }
    }

    fn map(&self, x: f64, y: f64) -> (f64, f64) {
        (self.cosine * x + self.sine * y + self.shift_x, self.cosine * y - self.sine * x + self.shift_y)
    }
}

struct Source<'a> {
    image: &'a RgbImage,
    pixels: &'a [[u8; 3]],
    fill: [u8; 3],
}

impl Source<'_> {
    fn contains(&self, u: f64, v: f64) -> bool {
        u >= 0.0 && v >= 0.0 && u < f64::from(self.image.width()) && v < f64::from(self.image.height())
    }

    fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        self.pixels[y as usize * self.image.width() as usize + x as usize]
    }

    fn nearest(&self, u: f64, v: f64) -> [u8; 3] {
        if self.contains(u, v) { self.pixel(u as u32, v as u32) } else { self.fill }
    }

    fn bilinear(&self, u: f64, v: f64) -> [u8; 3] {
        if !self.contains(u, v) {
            return self.fill;
        }
        let (left, right, across) = neighbours(u - 0.5, self.image.width());
        let (top, bottom, down) = neighbours(v - 0.5, self.image.height());
        let [a, b] = [self.pixel(left, top), self.pixel(right, top)];
        let [c, d] = [self.pixel(left, bottom), self.pixel(right, bottom)];
        std::array::from_fn(|i| {
            let upper = f64::from(a[i]) + across * (f64::from(b[i]) - f64::from(a[i]));
            let lower = f64::from(c[i]) + across * (f64::from(d[i]) - f64::from(c[i]));
            (upper + down * (lower - upper)) as u8
        })
    }
}

/// The two pixels around `at` along a side, and how far it lies towards the second; beyond the edge both are the edge.
fn neighbours(at: f64, side: u32) -> (u32, u32, f64) {
    let floor = at.floor();
    let clamp = |i: f64| i.clamp(0.0, f64::from(side - 1)) as u32;
    (clamp(floor), clamp(floor + 1.0), at - floor)
}
