use tch::{Kind, Reduction, Tensor};

pub use crate::engine::rows::IGNORED;
use crate::engine::{EngineError, guard, shape};

/// The cross-entropy of a part of a step's pixels: the sum over its labelled pixels, divided by the number of labelled
/// pixels of the whole step. The parts of a step add up to the mean over all its labelled pixels.
///
/// `logits` is `[n, C, h, w]`, `masks` u8 `[n, h, w]` with classes in `0..C` or [`IGNORED`], on any device. If the step has
/// no labelled pixel, the loss is 0 and so is its gradient. `smoothing` spreads a fraction of each label over all classes.
///
/// # Errors
/// [`EngineError`] for shapes that do not fit and for labels beyond the classes.
pub fn dense_cross_entropy(
    logits: &Tensor,
    masks: &Tensor,
    labelled_of_step: usize,
    smoothing: f64,
) -> Result<Tensor, EngineError> {
    let &[images, _, height, width] = logits.size().as_slice() else {
        let found = logits.size();
        return Err(EngineError::Shape {
            tensor: "logits",
            expected: "[images, classes, height, width]".into(),
            found,
        });
    };
    shape::exactly("masks", masks, &[images, height, width])?;
    shape::float("logits", logits)?;
    guard("computing the cross-entropy of the pixels", || {
        let targets = masks.to_device(logits.device()).to_kind(Kind::Int64);
        let sum = logits.cross_entropy_loss::<Tensor>(&targets, None, Reduction::Sum, IGNORED, smoothing);
        sum / labelled_of_step.max(1) as f64
    })
}

/// Labelled pixels of masks u8 `[n, h, w]`, which lie on the host.
///
/// # Errors
/// [`EngineError`] for exceptions of libtorch.
pub fn labelled_pixels(masks: &Tensor) -> Result<usize, EngineError> {
    guard("counting labelled pixels", || masks.not_equal(IGNORED).sum(Kind::Int64).int64_value(&[]) as usize)
}
