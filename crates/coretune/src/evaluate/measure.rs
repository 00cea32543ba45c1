//! Figures of a split, batch by batch: the outputs of a whole split are never kept.

use tch::{Kind, Tensor};

use super::{EvaluateError, Logits, argmax, calibration, figure};
use crate::engine::{World, guard};
use crate::figures::{FigureSpec, Figures};

/// How a task measures a model: it sees outputs and targets of a split batch by batch, and gives figures.
///
/// Shapes are the task's own: logits `[n, C]` and classes `[n]` for classification, maps `[n, C, h, w]` and masks
/// `[n, h, w]` for segmentation.
pub trait Measure {
    /// The figures that it gives, the most important one first.
    fn specs(&self) -> &'static [FigureSpec];

    /// Adds a batch: what the model says, and what is true (int64); both on the host.
    ///
    /// # Errors
    /// Shapes that do not fit; [`EvaluateError::NotFinite`] when outputs hold NaN or infinity.
    fn add(&mut self, outputs: &Tensor, targets: &Tensor) -> Result<(), EvaluateError>;

    /// Adds what each process of `world` has of a round of batches, in the order of the processes: outputs and targets as in
    /// [`Measure::add`], or none. All measure the same then.
    ///
    /// # Errors
    /// As [`Measure::add`], and for a process that is gone.
    fn add_round(&mut self, world: World, own: Option<(&Tensor, &Tensor)>) -> Result<(), EvaluateError> {
        if world.is_alone() {
            return own.map_or(Ok(()), |(outputs, targets)| self.add(outputs, targets));
        }
        let outputs = world.gather_uneven(own.map(|(outputs, _)| outputs))?;
        let targets = world.gather_uneven(own.map(|(_, targets)| targets))?;
        outputs.iter().zip(&targets).try_for_each(|(outputs, targets)| self.add(outputs, &targets.to_kind(Kind::Int64)))
    }

    /// The figures of everything that was added.
    fn figures(&self) -> Figures;
}

/// Begins a measurement, at which nothing has been added yet.
pub type NewMeasure = Box<dyn Fn() -> Box<dyn Measure>>;

/// Top-1 accuracy and mean cross-entropy of logits: [`figure::OF_CLASSIFICATION`].
#[derive(Debug, Clone, Default)]
pub struct ClassificationMeasure {
    images: usize,
    correct: usize,
    loss: f64,
}

impl Measure for ClassificationMeasure {
    fn specs(&self) -> &'static [FigureSpec] {
        &figure::OF_CLASSIFICATION
    }

    fn add(&mut self, outputs: &Tensor, targets: &Tensor) -> Result<(), EvaluateError> {
        let labels = guard("reading the labels", || {
            let mut labels = vec![0; targets.numel()];
            targets.to_kind(Kind::Int64).copy_data(&mut labels, targets.numel());
            labels
        })?;
        for (row, &label) in Logits::new(outputs, &labels)?.rows().zip(&labels) {
            self.images += 1;
            self.correct += usize::from(argmax(row) == label as usize);
            self.loss += calibration::loss(row, label, 1.0);
        }
        Ok(())
    }

    fn figures(&self) -> Figures {
        let mean = |sum: f64| (self.images > 0).then(|| sum / self.images as f64);
        Figures::new().with(figure::TOP1.name, mean(self.correct as f64)).with(figure::LOSS.name, mean(self.loss))
    }
}
