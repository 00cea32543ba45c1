//! Which images are trained on, chosen with, and tested on.

use crate::config::DataSection;
use crate::data::{Budget, Dataset, Split};
use crate::train::TrainError;

/// Where the validation images come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidationSource {
    /// The data set has a validation split.
    OwnSplit,
    /// A tenth of the labelled budget, stratified.
    CutFromBudget,
    /// So many images per class from what the budget leaves of the training split.
    RestOfTrain,
    /// There are too few images to set any aside.
    None,
}

/// The images of a run.
#[derive(Debug, Clone)]
pub struct Splits {
    /// Trained on.
    pub train: Split,
    /// Chosen with: epoch, penalty of the probe, temperature of calibration.
    pub validation: Option<Split>,
    /// Where the validation images come from.
    pub validation_source: ValidationSource,
    /// Tested on, once.
    pub test: Option<Split>,
}

impl Splits {
    /// Applies the labelled budget and sets validation images aside; every choice depends on `seed` alone.
    pub(super) fn choose(dataset: &Dataset, data: &DataSection, seed: u64) -> Result<Self, TrainError> {
        let all = dataset.train()?;
        let budget = budget(data);
        let labelled = all.budget(budget, seed)?;
        let test = dataset.test.clone();
        if let Some(validation) = &dataset.validation {
            let validation = Some(validation.clone());
            return Ok(Splits { train: labelled, validation, validation_source: ValidationSource::OwnSplit, test });
        }
        let (train, validation, validation_source) = match data.val_per_class {
            Some(per_class) => {
                let validation = all.validation_from_rest(budget, per_class, seed)?;
                (labelled, Some(validation), ValidationSource::RestOfTrain)
            }
            None => {
                let (train, validation) = labelled.carve_validation(seed)?;
                (train, Some(validation), ValidationSource::CutFromBudget)
            }
        };
        Ok(Splits { train, validation, validation_source, test })
    }
}

fn budget(data: &DataSection) -> Budget {
    match data.per_class {
        Some(per_class) => Budget::PerClass(per_class),
        None if data.label_fraction < 1.0 => Budget::Fraction(data.label_fraction),
        None => Budget::Everything,
    }
}
