use tch::Tensor;

use crate::engine::{EngineError, guard, rows, shape, transfer};

/// M6: mean over the rows of - sum_k Y_k log softmax(logits)_k.
///
/// `logits` and `targets` are `[rows, C]`; the result is a scalar.
///
/// # Errors
/// [`EngineError`] for logits that are not a matrix of floats, and for targets of another shape.
pub fn soft_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor, EngineError> {
    let (rows, classes) = shape::matrix("logits", logits)?;
    shape::exactly("targets", targets, &[rows, classes])?;
    let kind = shape::float("logits", logits)?;
    guard("computing the cross-entropy", || -(targets * logits.log_softmax(1, kind)).sum(kind) / rows as f64)
}

/// M6 with a weight v for each row: sum_r v_r L_r / sum_r v_r, where L_r = - sum_k Y_rk log softmax(logits)_rk.
///
/// `logits` and `targets` are `[rows, C]`, `weights` is `[rows]`, not negative and not all 0; the result is a scalar.
///
/// # Errors
/// [`EngineError`] for logits that are not a matrix of floats, and for targets or weights of another shape.
pub fn weighted_cross_entropy(logits: &Tensor, targets: &Tensor, weights: &Tensor) -> Result<Tensor, EngineError> {
    let (rows, classes) = shape::matrix("logits", logits)?;
    shape::exactly("targets", targets, &[rows, classes])?;
    shape::exactly("weights", weights, &[rows])?;
    let kind = shape::float("logits", logits)?;
    guard("computing the weighted cross-entropy", || {
        let of_rows = -(targets * logits.log_softmax(1, kind)).sum_dim_intlist(1, false, kind);
        (weights * of_rows).sum(kind) / weights.sum(kind)
    })
}

/// The weight of each row, sum_k Y_k w_k, from the weights w `[C]` of the classes: `[rows]`.
///
/// # Errors
/// [`EngineError::Shape`] for targets that are not a matrix, and for another number of class weights.
pub fn row_weights(targets: &Tensor, class_weights: &Tensor) -> Result<Tensor, EngineError> {
    let (_, classes) = shape::matrix("targets", targets)?;
    shape::exactly("class weights", class_weights, &[classes])?;
    guard("weighing rows", || targets.matmul(&class_weights.to_kind(targets.kind())))
}

/// One row `[C]` per label with a 1 at its class: `[n, C]`.
///
/// # Errors
/// [`EngineError::Value`] for a label outside `0..classes`, [`EngineError::Kind`] when `like` does not hold floats.
pub fn one_hot(labels: &[i64], classes: i64, like: &Tensor) -> Result<Tensor, EngineError> {
    shape::labels(labels, labels.len() as i64, classes)?;
    let kind = shape::float("features", like)?;
    guard("encoding labels", || rows::one_hot(&transfer::integers(labels, like.device()), classes, kind))
}

/// Label smoothing: (1 - s) Y + s / C, on hard and soft labels alike.
///
/// # Errors
/// [`EngineError::Shape`] for targets that are not a matrix.
pub fn smooth(targets: &Tensor, smoothing: f64) -> Result<Tensor, EngineError> {
    let (_, classes) = shape::matrix("targets", targets)?;
    if smoothing == 0.0 {
        return Ok(targets.shallow_clone());
    }
    guard("smoothing labels", || targets * (1.0 - smoothing) + smoothing / classes as f64)
}
