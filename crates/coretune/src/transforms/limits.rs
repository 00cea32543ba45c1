//! The ranges of settings that several steps share.

use super::TransformError;

/// Longest side, in pixels, that a step can be asked for.
pub const SIDE_LIMIT: u32 = 16_384;
/// Pixels that the result of a step may have; a thin image enlarged by its shorter side would exceed any memory.
pub(super) const RESULT_LIMIT: u64 = 1 << 28;

pub(super) fn check_side(step: &'static str, name: &'static str, side: u32) -> Result<(), TransformError> {
    if (1..=SIDE_LIMIT).contains(&side) {
        return Ok(());
    }
    Err(TransformError::Setting { step, name, expected: "1 to 16384 pixels", found: side.to_string() })
}

/// The parameter of a Beta distribution; 0 where it is off.
pub(super) fn check_beta(step: &'static str, alpha: f64) -> Result<(), TransformError> {
    if alpha.is_finite() && alpha >= 0.0 {
        return Ok(());
    }
    Err(TransformError::Setting { step, name: "alpha", expected: "a number, at least 0", found: alpha.to_string() })
}

pub(super) fn check_probability(step: &'static str, probability: f64) -> Result<(), TransformError> {
    if (0.0..=1.0).contains(&probability) {
        return Ok(());
    }
    Err(TransformError::Setting { step, name: "probability", expected: "0 to 1", found: probability.to_string() })
}
