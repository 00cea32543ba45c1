use tch::{Kind, Reduction, Tensor};

pub use crate::engine::rows::IGNORED;
use crate::engine::{EngineError, guard, shape, transfer};

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
    check(logits, masks)?;
    guard("computing the cross-entropy of the pixels", || {
        let targets = transfer::to_device(masks, logits.device()).to_kind(Kind::Int64);
        let sum = logits.cross_entropy_loss::<Tensor>(&targets, None, Reduction::Sum, IGNORED, smoothing);
        sum / labelled_of_step.max(1) as f64
    })
}

/// The same with a weight for each class: the sum of w_y times the (smoothed) cross-entropy over the labelled pixels of a
/// part, divided by the sum of w_y over those of the whole step, [`pixel_weight`].
///
/// `class_weights` is `[C]`, on the device of the logits.
///
/// # Errors
/// As [`dense_cross_entropy`], and for another number of weights.
pub fn weighted_dense_cross_entropy(
    logits: &Tensor,
    masks: &Tensor,
    (class_weights, weight_of_step): (&Tensor, f64),
    smoothing: f64,
) -> Result<Tensor, EngineError> {
    check(logits, masks)?;
    shape::exactly("class weights", class_weights, &[logits.size()[1]])?;
    guard("computing the weighted cross-entropy of the pixels", || {
        let targets = transfer::to_device(masks, logits.device()).to_kind(Kind::Int64);
        let losses = logits.cross_entropy_loss::<Tensor>(&targets, None, Reduction::None, IGNORED, smoothing);
        // The loss of an ignored pixel is 0 whatever its weight: any class will do.
        let classes = targets.remainder(class_weights.size()[0]).flatten(0, -1);
        let weights = class_weights.to_kind(losses.kind()).index_select(0, &classes).view_as(&losses);
        let divisor = if weight_of_step > 0.0 { weight_of_step } else { 1.0 };
        let kind = losses.kind();
        (losses * weights).sum(kind) / divisor
    })
}

/// The sum of the weights of the labelled pixels of masks u8 `[n, h, w]`, which lie on the host.
///
/// # Errors
/// [`EngineError`] for exceptions of libtorch.
pub fn pixel_weight(masks: &Tensor, class_weights: &[f64]) -> Result<f64, EngineError> {
    guard("weighing labelled pixels", || {
        let counts = masks.flatten(0, -1).to_kind(Kind::Int64).bincount(None::<Tensor>, class_weights.len() as i64);
        let mut host = vec![0i64; counts.numel()];
        counts.copy_data(&mut host, counts.numel());
        class_weights.iter().zip(host).map(|(weight, count)| weight * count as f64).sum()
    })
}

/// Refuses masks that do not fit the logits.
fn check(logits: &Tensor, masks: &Tensor) -> Result<(), EngineError> {
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
    Ok(())
}

/// Labelled pixels of masks u8 `[n, h, w]`, which lie on the host.
///
/// # Errors
/// [`EngineError`] for exceptions of libtorch.
pub fn labelled_pixels(masks: &Tensor) -> Result<usize, EngineError> {
    guard("counting labelled pixels", || masks.not_equal(IGNORED).sum(Kind::Int64).int64_value(&[]) as usize)
}
