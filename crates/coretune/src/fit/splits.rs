//! Which images are trained on, chosen with, and tested on.

use crate::config::{DataCheck, DataSection};
use crate::data::check::{Depth, Finding, Problem, check};
use crate::data::{Budget, DataError, Dataset, Role, Split, ValidationFrom, carve_validation};

/// Where the validation images come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidationSource {
    /// The data set has a validation split.
    OwnSplit,
    /// A tenth of the labelled budget, stratified.
    CutFromBudget,
    /// So many images per class from what the budget leaves of the training split.
    RestOfTrain,
}

/// The images of a run.
#[derive(Debug, Clone)]
pub struct Splits {
    /// Trained on.
    pub train: Split,
    /// Chosen with: epoch, penalty of the probe, temperature of calibration.
    pub validation: Split,
    /// Where the validation images come from.
    pub validation_source: ValidationSource,
    /// Tested on, once.
    pub test: Option<Split>,
}

impl Splits {
    /// Applies the labelled budget and sets validation images aside; every choice depends on `seed` alone.
    pub(super) fn choose(dataset: &Dataset, data: &DataSection, seed: u64) -> Result<Self, DataError> {
        let all = dataset.train.as_ref().ok_or_else(|| no_training_split(dataset))?;
        let (budget, test) = (budget(data), dataset.test.clone());
        if let Some(validation) = dataset.validation.clone() {
            let validation_source = ValidationSource::OwnSplit;
            return Ok(Splits { train: all.budget(budget, seed)?, validation, validation_source, test });
        }
        let (from, validation_source) = match data.val_per_class {
            Some(per_class) => (ValidationFrom::Rest { per_class }, ValidationSource::RestOfTrain),
            None => (ValidationFrom::Budget, ValidationSource::CutFromBudget),
        };
        let (train, validation) = carve_validation(all, budget, from, seed)?;
        Ok(Splits { train, validation, validation_source, test })
    }

    /// The splits that are there, with what each is for.
    pub(super) fn present(&self) -> Vec<(Role, &Split)> {
        let own = [(Role::Train, &self.train), (Role::Validation, &self.validation)];
        own.into_iter().chain(self.test.as_ref().map(|test| (Role::Test, test))).collect()
    }

    /// Looks at every image as closely as `data` says, and leaves out those that cannot be read where it says so.
    ///
    /// # Errors
    /// [`DataError::Unfit`] when what is found stops a run.
    pub(super) fn checked(
        self,
        data: &DataSection,
        img_size: u32,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(Self, Vec<Finding>), DataError> {
        let depth = match data.check {
            DataCheck::Full => Depth::Full,
            DataCheck::Quick => Depth::Quick,
            DataCheck::Off => return Ok((self, Vec::new())),
        };
        let report = check(&self.present(), depth, Some(img_size), data.skip_broken, progress);
        if report.stops().next().is_some() {
            let findings = report.stops().map(ToString::to_string).collect();
            let broken_only = report.stops().all(|finding| finding.problem == Problem::Unreadable);
            return Err(DataError::Unfit { path: data.dir.clone(), findings, broken_only });
        }
        let mut broken = report.broken.iter();
        let mut whole = |split: Split| match broken.next() {
            Some(broken) if !broken.is_empty() => split.without(broken),
            _ => Ok(split),
        };
        let Splits { train, validation, validation_source, test } = self;
        let (train, validation) = (whole(train)?, whole(validation)?);
        let test = test.map(&mut whole).transpose()?;
        Ok((Splits { train, validation, validation_source, test }, report.findings))
    }

    /// The split that figures are quoted on, and its name: the test split, or without one the validation split.
    pub fn judging(&self) -> (&'static str, &Split) {
        match &self.test {
            Some(test) => ("test", test),
            None => ("validation", &self.validation),
        }
    }
}

fn no_training_split(dataset: &Dataset) -> DataError {
    let there = [("validation", &dataset.validation), ("test", &dataset.test)];
    let there: Vec<&str> = there.into_iter().filter_map(|(name, split)| split.as_ref().map(|_| name)).collect();
    DataError::SplitMissing { path: dataset.root.clone(), split: "train".into(), found: there.join(" and ") }
}

/// The labelled budget that was asked for.
pub(crate) fn budget(data: &DataSection) -> Budget {
    match data.per_class {
        Some(per_class) => Budget::PerClass(per_class),
        None if data.label_fraction < 1.0 => Budget::Fraction(data.label_fraction),
        None => Budget::Everything,
    }
}
