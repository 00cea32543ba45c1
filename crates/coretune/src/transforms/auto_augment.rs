use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{Affine, ColorChange, Drawn, RotationInterpolation, Tone, TransformError};
use crate::random::Stream;
use crate::settings::choice;

choice! {
    /// Random operations on training images, beside crop and flip.
    AutoAugment {
        /// None.
        None = "none",
        /// One operation at a random magnitude: `TrivialAugment` (Müller and Hutter, ICCV 2021, arXiv:2103.10158).
        Trivial = "trivial",
        /// N operations at one magnitude: `RandAugment` (Cubuk et al., 2020, arXiv:1909.13719).
        Rand = "rand",
    }
}

/// Magnitudes are numbers of bins from 0 to this.
const LAST_BIN: u32 = 30;

/// One operation of 14, each alike, at a magnitude of 31, each alike: `TrivialAugment` with torchvision's wide ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrivialAugment {}

/// `operations` operations of 14, drawn with replacement, at `magnitude` of 0 to 30: `RandAugment` with torchvision's
/// ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandAugment {
    /// N.
    pub operations: u32,
    /// M.
    pub magnitude: u32,
}

/// An operation of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

const OPERATIONS: [Operation; 14] = [
    Operation::Identity,
    Operation::ShearX,
    Operation::ShearY,
    Operation::TranslateX,
    Operation::TranslateY,
    Operation::Rotate,
    Operation::Brightness,
    Operation::Color,
    Operation::Contrast,
    Operation::Sharpness,
    Operation::Posterize,
    Operation::Solarize,
    Operation::AutoContrast,
    Operation::Equalize,
];

/// The strongest of each operation.
#[derive(Debug, Clone, Copy)]
struct Strongest {
    shear: f64,
    /// Pixels to the right and down.
    translation: (f64, f64),
    degrees: f64,
    /// Change of a factor of colour.
    factor: f64,
    /// Bits that posterize takes away.
    bits: f64,
}

impl TrivialAugment {
    /// The operation; none for the identity.
    #[expect(clippy::unused_self, reason = "as the other steps draw")]
    pub(super) fn draw(self, stream: &mut Stream) -> Option<Drawn> {
        let strongest = Strongest { shear: 0.99, translation: (32.0, 32.0), degrees: 135.0, factor: 0.99, bits: 6.0 };
        let operation = OPERATIONS[stream.random_range(0..OPERATIONS.len())];
        operation.drawn(stream.random_range(0..=LAST_BIN), strongest, stream)
    }
}

impl RandAugment {
    pub(super) const NAME: &'static str = "rand-augment";

    pub(super) fn check(self) -> Result<(), TransformError> {
        let refused = |name, expected, found: u32| TransformError::Setting {
            step: Self::NAME,
            name,
            expected,
            found: found.to_string(),
        };
        match self {
            RandAugment { operations, .. } if operations > 14 => Err(refused("operations", "0 to 14", operations)),
            RandAugment { magnitude, .. } if magnitude > LAST_BIN => Err(refused("magnitude", "0 to 30", magnitude)),
            _ => Ok(()),
        }
    }

    /// The operations for an image of `size`, without identities.
    pub(super) fn draw(self, (width, height): (u32, u32), stream: &mut Stream) -> Vec<Drawn> {
        let translation = (150.0 / 331.0 * f64::from(width), 150.0 / 331.0 * f64::from(height));
        let strongest = Strongest { shear: 0.3, translation, degrees: 30.0, factor: 0.9, bits: 4.0 };
        let one = |_| OPERATIONS[stream.random_range(0..OPERATIONS.len())].drawn(self.magnitude, strongest, stream);
        (0..self.operations).filter_map(one).collect()
    }
}

impl Operation {
    /// The operation at bin `bin`, with a random sign if it has one.
    fn drawn(self, bin: u32, strongest: Strongest, stream: &mut Stream) -> Option<Drawn> {
        let fraction = f64::from(bin) / f64::from(LAST_BIN);
        let mut signed = |most: f64| if stream.random_bool(0.5) { -most * fraction } else { most * fraction };
        let affine = |affine| Some(Drawn::Affine { affine, fill: [0; 3] });
        let color = |change: fn(f32) -> ColorChange, factor: f64| Some(Drawn::Color(change(1.0 + factor as f32)));
        match self {
            Operation::Identity => None,
            Operation::ShearX => affine(Affine::shear_x(signed(strongest.shear))),
            Operation::ShearY => affine(Affine::shear_y(signed(strongest.shear))),
            Operation::TranslateX => affine(Affine::translation(signed(strongest.translation.0) as i32, 0)),
            Operation::TranslateY => affine(Affine::translation(0, signed(strongest.translation.1) as i32)),
            Operation::Rotate => {
                let (degrees, interpolation) = (signed(strongest.degrees), RotationInterpolation::Nearest);
                Some(Drawn::Rotate { degrees, interpolation, fill: [0; 3] })
            }
            Operation::Brightness => color(ColorChange::Brightness, signed(strongest.factor)),
            Operation::Color => color(ColorChange::Saturation, signed(strongest.factor)),
            Operation::Contrast => color(ColorChange::Contrast, signed(strongest.factor)),
            Operation::Sharpness => Some(Drawn::Tone(Tone::Sharpness(1.0 + signed(strongest.factor) as f32))),
            Operation::Posterize => {
                let taken = (f64::from(bin) / (f64::from(LAST_BIN) / strongest.bits)).round_ties_even();
                Some(Drawn::Tone(Tone::Posterize(8 - taken as u8)))
            }
            Operation::Solarize => Some(Drawn::Tone(Tone::Solarize(255.0 * (1.0 - fraction)))),
            Operation::AutoContrast => Some(Drawn::Tone(Tone::AutoContrast)),
            Operation::Equalize => Some(Drawn::Tone(Tone::Equalize)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    fn all(mut draw: impl FnMut(&mut Stream) -> Vec<Drawn>) -> Vec<Drawn> {
        (0..3000).flat_map(|index| draw(&mut stream(3, Purpose::Augmentation, 0, index))).collect()
    }

    #[test]
    fn every_operation_of_trivial_augment_is_drawn_within_its_range() {
        let drawn = all(|stream| TrivialAugment {}.draw(stream).into_iter().collect());
        let share = drawn.len() as f64 / 3000.0;
        assert!((share - 13.0 / 14.0).abs() < 0.02, "the identity is one of 14: {share}");
        let shears = drawn.iter().filter_map(|one| match one {
            Drawn::Affine { affine, .. } if affine.0[1] != 0.0 => Some(affine.0[1]),
            _ => None,
        });
        let shears: Vec<f64> = shears.collect();
        assert!(shears.iter().all(|shear| shear.abs() <= 0.99) && shears.iter().any(|shear| *shear > 0.9));
        assert!(shears.iter().any(|shear| *shear < -0.9));
        let bits = drawn.iter().filter_map(|one| match one {
            Drawn::Tone(Tone::Posterize(bits)) => Some(*bits),
            _ => None,
        });
        let bits: std::collections::BTreeSet<u8> = bits.collect();
        assert_eq!(bits, (2..=8).collect());
    }

    #[test]
    fn rand_augment_uses_one_magnitude() {
        let drawn = all(|stream| RandAugment { operations: 2, magnitude: 15 }.draw((331, 100), stream));
        for one in drawn {
            match one {
                Drawn::Rotate { degrees, .. } => assert!((degrees.abs() - 15.0).abs() < 1e-9),
                Drawn::Tone(Tone::Posterize(bits)) => assert_eq!(bits, 6),
                Drawn::Affine { affine, .. } if affine.0[2] != 0.0 => assert!((affine.0[2].abs() - 75.0).abs() < 1e-9),
                _ => {}
            }
        }
        assert!(RandAugment { operations: 2, magnitude: 31 }.check().is_err());
    }
}
