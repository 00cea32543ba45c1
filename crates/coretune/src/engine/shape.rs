//! Checks of shape and element type, made once where tensors enter.

use tch::{Kind, Tensor};

use super::EngineError;

/// The two sizes of a matrix `[rows, columns]`.
pub fn matrix(name: &'static str, tensor: &Tensor) -> Result<(i64, i64), EngineError> {
    match tensor.size().as_slice() {
        &[rows, columns] => Ok((rows, columns)),
        found => Err(EngineError::Shape { tensor: name, expected: "[rows, columns]".into(), found: found.to_vec() }),
    }
}

/// Fails unless `tensor` has exactly the shape `expected`.
pub fn exactly(name: &'static str, tensor: &Tensor, expected: &[i64]) -> Result<(), EngineError> {
    let found = tensor.size();
    if found == expected {
        return Ok(());
    }
    Err(EngineError::Shape { tensor: name, expected: format!("{expected:?}"), found })
}

/// Fails unless `tensor` holds 32- or 64-bit floating point numbers.
pub fn float(name: &'static str, tensor: &Tensor) -> Result<Kind, EngineError> {
    match tensor.kind() {
        kind @ (Kind::Float | Kind::Double) => Ok(kind),
        other => Err(EngineError::Kind { tensor: name, expected: "float32 or float64", found: format!("{other:?}") }),
    }
}

/// Fails unless every label lies in `0..classes`.
pub fn labels(labels: &[i64], rows: i64, classes: i64) -> Result<(), EngineError> {
    if labels.len() as i64 != rows {
        return Err(EngineError::Shape {
            tensor: "labels",
            expected: format!("[{rows}]"),
            found: vec![labels.len() as i64],
        });
    }
    match labels.iter().find(|label| !(0..classes).contains(*label)) {
        None => Ok(()),
        Some(label) => Err(EngineError::Value {
            name: "label",
            expected: format!("a class in 0..{classes}"),
            found: label.to_string(),
        }),
    }
}
