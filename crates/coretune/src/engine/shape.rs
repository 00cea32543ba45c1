//! Checks of shapes, element types and settings, made once where they enter.

use tch::{Kind, Tensor};

use super::EngineError;

/// The two sizes of a matrix `[rows, columns]`.
///
/// # Errors
/// [`EngineError::Shape`] for another number of dimensions.
pub fn matrix(name: &'static str, tensor: &Tensor) -> Result<(i64, i64), EngineError> {
    match tensor.size().as_slice() {
        &[rows, columns] => Ok((rows, columns)),
        found => Err(EngineError::Shape { tensor: name, expected: "[rows, columns]".into(), found: found.to_vec() }),
    }
}

/// Fails unless `tensor` has exactly the shape `expected`.
///
/// # Errors
/// [`EngineError::Shape`] for another shape.
pub fn exactly(name: &'static str, tensor: &Tensor, expected: &[i64]) -> Result<(), EngineError> {
    let found = tensor.size();
    if found == expected {
        return Ok(());
    }
    Err(EngineError::Shape { tensor: name, expected: format!("{expected:?}"), found })
}

/// Fails unless `tensor` holds 32- or 64-bit floating point numbers.
///
/// # Errors
/// [`EngineError::Kind`] for another element type.
pub fn float(name: &'static str, tensor: &Tensor) -> Result<Kind, EngineError> {
    match tensor.kind() {
        kind @ (Kind::Float | Kind::Double) => Ok(kind),
        other => Err(EngineError::Kind { tensor: name, expected: "float32 or float64", found: format!("{other:?}") }),
    }
}

/// Fails unless a list of `found` entries has `expected` of them.
///
/// # Errors
/// [`EngineError::Shape`] for another number of entries.
pub fn length(name: &'static str, found: usize, expected: i64) -> Result<(), EngineError> {
    if found as i64 == expected {
        return Ok(());
    }
    Err(EngineError::Shape { tensor: name, expected: format!("[{expected}]"), found: vec![found as i64] })
}

/// Whether `value` is positive and finite.
pub fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

/// Fails unless `value` is positive and finite.
///
/// # Errors
/// [`EngineError::Value`] for a number that is not positive or not finite.
pub fn positive(name: &'static str, value: f64) -> Result<(), EngineError> {
    if is_positive(value) {
        return Ok(());
    }
    Err(EngineError::Value { name, expected: "a number above 0".into(), found: value.to_string() })
}

/// Fails unless every label lies in `0..classes`.
///
/// # Errors
/// [`EngineError::Shape`] for another number of labels than `rows`, [`EngineError::Value`] for a label outside
/// `0..classes`.
pub fn labels(labels: &[i64], rows: i64, classes: i64) -> Result<(), EngineError> {
    length("labels", labels.len(), rows)?;
    match labels.iter().find(|label| !(0..classes).contains(*label)) {
        None => Ok(()),
        Some(label) => Err(EngineError::Value {
            name: "label",
            expected: format!("a class in 0..{classes}"),
            found: label.to_string(),
        }),
    }
}
