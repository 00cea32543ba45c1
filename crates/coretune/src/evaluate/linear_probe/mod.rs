//! Linear probe (B10): the best linear classifier on frozen features, and the figure that fine-tuning has to beat.

mod regression;
mod settings;
mod standardisation;

use serde::Serialize;
use tch::{Device, Tensor};

use self::regression::{Minimum, Regression};
pub use self::settings::{PENALTIES, Settings, Training};
use self::standardisation::Standardisation;
use super::calibration::negative_log_likelihood;
use super::{EvaluateError, classification, labelled_matrix};
use crate::engine::{guard, shape};
use crate::models::{Linear, ModelError};

/// A linear classifier of frozen features.
#[derive(Debug)]
pub struct LinearProbe {
    /// `[C, D]`, for features that are not standardised: the standardisation is folded in.
    pub weight: Tensor,
    /// `[C]`, likewise.
    pub bias: Tensor,
    /// The `c` that was chosen.
    pub penalty: f64,
    /// Accuracy on the validation split, a fraction.
    pub validation_top1: f64,
    /// Every `c` that was tried, from the largest to the smallest.
    pub path: Vec<Fit>,
}

/// The result of one penalty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fit {
    /// `c`.
    pub penalty: f64,
    /// Accuracy on the validation split, a fraction.
    pub validation_top1: f64,
    /// Mean cross-entropy on the validation split, nats.
    pub validation_loss: f64,
    /// Mean cross-entropy + c/2 ||W||^2 on the training rows.
    pub objective: f64,
    /// Iterations of L-BFGS.
    pub iterations: u64,
    /// Norm of the gradient at the end, in the coordinates of [`Settings::gradient_tolerance`].
    pub gradient_norm: f64,
    /// Whether that norm is below the tolerance.
    pub converged: bool,
}

impl LinearProbe {
    /// The probe as a classifier that can be trained.
    ///
    /// # Errors
    /// [`ModelError::Engine`] for exceptions of libtorch.
    pub fn classifier(&self, device: Device) -> Result<Linear, ModelError> {
        Linear::from_values(&self.weight, Some(&self.bias), device)
    }

    /// `features W^T + b`: logits `[n, C]` of features `[n, D]`.
    ///
    /// # Errors
    /// Features of another width or element type.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor, EvaluateError> {
        let (rows, _) = shape::matrix("features", features)?;
        shape::exactly("features", features, &[rows, self.weight.size()[1]])?;
        Ok(guard("applying the linear probe", || features.matmul(&self.weight.tr()) + &self.bias)?)
    }
}

/// Fits multinomial logistic regression for each `c` and keeps the one that is best on the validation split.
///
/// On standardised features x: minimise mean cross-entropy of `W x + b` + c/2 ||W||^2 (no penalty on b) with L-BFGS, from
/// the largest c to the smallest, each starting where the last one ended. Chosen is the highest validation accuracy,
/// among equals the lowest validation cross-entropy, then the larger c; it is not fitted again with the validation
/// images. A feature that never varies is left out; a class without training image gets weights 0 and a bias below
/// every logit of the training rows.
///
/// # Errors
/// Shapes that do not fit, a label outside 0..`classes`, features that are empty or not finite, training images of one
/// class, settings out of range.
pub fn linear_probe(
    training: Training<'_>,
    validation: (&Tensor, &[i64]),
    classes: i64,
    settings: &Settings,
) -> Result<LinearProbe, EvaluateError> {
    check(training, validation, classes, settings)?;
    let (standardisation, rows) = guard("standardising features", || Standardisation::fit(training.views))?;
    let regression = Regression::new(rows, training)?;
    let mut penalties = settings.penalties.clone();
    penalties.sort_by(|a, b| b.total_cmp(a));

    let mut candidates: Vec<Candidate> = Vec::with_capacity(penalties.len());
    let mut start = guard("preparing the linear probe", || regression.origin())?;
    for penalty in penalties {
        let minimum = regression.minimise(penalty, &start, settings)?;
        let (weight, bias) = guard("folding the standardisation into the probe", || {
            let (weight, bias) = regression.classifier(&minimum.at, classes);
            standardisation.fold(&weight, &bias, validation.0.kind())
        })?;
        candidates.push(Candidate::new(weight, bias, penalty, &minimum, validation)?);
        start = minimum.at;
    }
    choose(candidates)
}

/// The probe of one penalty, measured on the validation split.
struct Candidate {
    weight: Tensor,
    bias: Tensor,
    fit: Fit,
}

impl Candidate {
    fn new(
        weight: Tensor,
        bias: Tensor,
        penalty: f64,
        minimum: &Minimum,
        (features, labels): (&Tensor, &[i64]),
    ) -> Result<Self, EvaluateError> {
        let logits = guard("applying the linear probe", || features.matmul(&weight.tr()) + &bias)?;
        let correct = classification::correct(&logits, labels)?;
        let fit = Fit {
            penalty,
            validation_top1: classification::accuracy(&correct),
            validation_loss: negative_log_likelihood(&logits, labels, 1.0)?,
            objective: minimum.objective,
            iterations: minimum.iterations,
            gradient_norm: minimum.gradient_norm,
            converged: minimum.converged,
        };
        Ok(Candidate { weight, bias, fit })
    }

    /// Higher validation accuracy, or the same and lower validation cross-entropy.
    fn beats(&self, other: &Candidate) -> bool {
        let key = |candidate: &Candidate| (candidate.fit.validation_top1, -candidate.fit.validation_loss);
        key(self) > key(other)
    }
}

/// Keeps the best candidate; the earlier one, which has the larger penalty, where two are alike.
fn choose(candidates: Vec<Candidate>) -> Result<LinearProbe, EvaluateError> {
    let path = candidates.iter().map(|candidate| candidate.fit).collect();
    let best = candidates.into_iter().reduce(|best, next| if next.beats(&best) { next } else { best });
    let Candidate { weight, bias, fit } = best.ok_or(EvaluateError::Empty { tensor: "penalties", found: vec![0] })?;
    Ok(LinearProbe { weight, bias, penalty: fit.penalty, validation_top1: fit.validation_top1, path })
}

fn check(
    training: Training<'_>,
    validation: (&Tensor, &[i64]),
    classes: i64,
    settings: &Settings,
) -> Result<(), EvaluateError> {
    let Some(first) = training.views.first() else {
        return Err(EvaluateError::Empty { tensor: "training features", found: vec![0] });
    };
    for view in training.views {
        labelled_matrix("training features", view, training.labels, Some(classes))?;
        shape::exactly("training features", view, &first.size())?;
    }
    labelled_matrix("validation features", validation.0, validation.1, Some(classes))?;
    shape::exactly("validation features", validation.0, &[validation.0.size()[0], first.size()[1]])?;
    settings.penalties.iter().try_for_each(|&penalty| shape::positive("penalty", penalty))?;
    shape::positive("gradient tolerance", settings.gradient_tolerance)?;
    Ok(())
}
