//! Which images are trained on, chosen with, and tested on.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use crate::config::{DataCheck, DataSection};
use crate::data::check::{Depth, Problem, Report, check};
use crate::data::{Broken, Budget, DataError, Dataset, Role, Split, ValidationFrom, carve_validation_without};

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

/// Images of a run, what their check found, and the names of those that were left out.
pub(super) type Checked = (Splits, Report, Broken);

impl Splits {
    /// Labelled images of each class in the budget: those of training, and those that were set aside from it for validation.
    pub fn budget_counts(&self) -> Vec<usize> {
        let mut counts = self.train.class_counts();
        if self.validation_source == ValidationSource::CutFromBudget {
            for (count, set_aside) in counts.iter_mut().zip(self.validation.class_counts()) {
                *count += set_aside;
            }
        }
        counts
    }

    /// Applies the labelled budget and sets validation images aside; every choice depends on `seed` alone.
    pub(crate) fn choose(dataset: &Dataset, data: &DataSection, seed: u64) -> Result<Self, DataError> {
        Splits::without(dataset, data, seed, &Broken::default())
    }

    /// [`Splits::choose`] from the images that are not `broken`; if none is, it is the same choice.
    pub(super) fn without(
        dataset: &Dataset,
        data: &DataSection,
        seed: u64,
        broken: &Broken,
    ) -> Result<Self, DataError> {
        let all = dataset.train.as_ref().ok_or_else(|| no_training_split(dataset))?;
        let budget = data.budget();
        let whole = |split: &Split| split.budget_without(Budget::Everything, seed, broken);
        let test = dataset.test.as_ref().map(whole).transpose()?;
        if let Some(validation) = dataset.validation.as_ref().map(whole).transpose()? {
            let validation_source = ValidationSource::OwnSplit;
            return Ok(Splits {
                train: all.budget_without(budget, seed, broken)?,
                validation,
                validation_source,
                test,
            });
        }
        let (from, validation_source) = match data.val_per_class {
            Some(per_class) => (ValidationFrom::Rest { per_class }, ValidationSource::RestOfTrain),
            None => (ValidationFrom::Budget, ValidationSource::CutFromBudget),
        };
        let (train, validation) = carve_validation_without(all, budget, from, seed, broken)?;
        Ok(Splits { train, validation, validation_source, test })
    }

    /// The images of the training split that are neither trained on nor validated with.
    pub(super) fn rest_of_train(&self, dataset: &Dataset) -> Result<Split, DataError> {
        let all = dataset.train.as_ref().ok_or_else(|| no_training_split(dataset))?;
        let used: HashSet<String> =
            [&self.train, &self.validation].iter().flat_map(|split| split.images()).map(ToString::to_string).collect();
        let is_left = |&index: &usize| !used.contains(&all.images()[index].to_string());
        all.subset(&(0..all.len()).filter(is_left).collect::<Vec<_>>())
    }

    /// Content hashes of the splits, by their names in `provenance.json`.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn content_hashes(&self) -> Result<BTreeMap<String, String>, DataError> {
        let hash = |(role, split): (Role, &Split)| Ok((role.to_string(), split.content_hash()?));
        self.present().into_iter().map(hash).collect()
    }

    /// Hashes of the lists of files below `root`, by split: equal for copies of the same files, whose content is not read.
    pub(crate) fn list_hashes(&self, root: &Path) -> BTreeMap<String, String> {
        self.present().into_iter().map(|(role, split)| (role.to_string(), split.list_hash(root))).collect()
    }

    /// All splits, with what each is for.
    pub(super) fn present(&self) -> Vec<(Role, &Split)> {
        let own = [(Role::Train, &self.train), (Role::Validation, &self.validation)];
        own.into_iter().chain(self.test.as_ref().map(|test| (Role::Test, test))).collect()
    }

    /// Chooses, and checks every chosen image as closely as `data` says. With `data.skip_broken`, unreadable images are
    /// left out and others chosen instead, until all can be read. `img_size` is the size of the input, if it is known.
    pub(super) fn choose_and_check(
        dataset: &Dataset,
        data: &DataSection,
        seed: u64,
        img_size: Option<u32>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Checked, DataError> {
        let mut splits = Splits::choose(dataset, data, seed)?;
        let depth = match data.check {
            DataCheck::Full => Depth::Full,
            DataCheck::Quick => Depth::Quick,
            DataCheck::Off => return Ok((splits, Report::default(), Broken::default())),
        };
        let mut report = check(&splits.present(), depth, img_size, data.skip_broken, progress);
        let mut broken = if data.skip_broken { splits.broken(&report) } else { Broken::default() };
        while data.skip_broken && !report.broken.iter().all(Vec::is_empty) {
            let before = splits.names();
            splits = Splits::without(dataset, data, seed, &broken)?;
            if splits.present().iter().any(|(_, split)| split.is_empty()) {
                let broken = report.findings.iter().filter(|finding| finding.problem.is_of_images());
                let findings = broken.map(ToString::to_string).collect();
                return Err(DataError::NoneSound { path: data.dir.clone(), findings });
            }
            if splits.names().is_subset(&before) {
                break;
            }
            let earlier = report;
            report = check(&splits.present(), depth, img_size, true, progress);
            broken.extend(splits.broken(&report));
            report.add_unreadable(&earlier);
        }
        Ok((splits, report, broken))
    }

    /// Refuses images with which a run cannot work, as the check has found.
    ///
    /// # Errors
    /// [`DataError::Unfit`].
    pub(super) fn refuse_unfit(report: &Report, data: &DataSection) -> Result<(), DataError> {
        if report.stops().next().is_none() {
            return Ok(());
        }
        let findings = report.stops().map(ToString::to_string).collect();
        let broken_only = report.stops().all(|finding| finding.problem.is_of_images());
        let of_masks = report.stops().all(|finding| matches!(finding.problem, Problem::Mask(_)));
        Err(DataError::Unfit { path: data.dir.clone(), findings, broken_only, of_masks })
    }

    /// Names of the images that a check of these splits has found unreadable.
    fn broken(&self, report: &Report) -> Broken {
        let of_split = |((_, split), broken): ((Role, &Split), &Vec<usize>)| -> Vec<String> {
            broken.iter().map(|&index| split.images()[index].to_string()).collect()
        };
        self.present().into_iter().zip(&report.broken).flat_map(of_split).collect()
    }

    /// Names of all images.
    fn names(&self) -> HashSet<String> {
        self.present().into_iter().flat_map(|(_, split)| split.images().iter().map(ToString::to_string)).collect()
    }

    /// The split on which final figures are measured, and its name: the test split, or without one the validation split.
    pub fn evaluation_split(&self) -> (&'static str, &Split) {
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
