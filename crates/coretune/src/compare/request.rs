//! What is to be compared, and how.

use std::path::PathBuf;
use std::time::Duration;

use super::entry::shown;
use super::tuning::{LR, Point, Space, short};
use super::{Axis, CompareError, ComparedConfig, ComparedTask, Entry};
use crate::config::Layers;

/// What is to be compared, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the runs learn.
    pub task: ComparedTask,
    /// Settings of every run.
    pub layers: Layers,
    /// The rows of the table. The baseline is added to them if they lack it.
    pub entries: Vec<Entry>,
    /// The row that every other row is compared with.
    pub baseline: Entry,
    /// Runs of each row, with consecutive seeds from that of the layers on.
    pub seeds: usize,
    /// Labelled budgets, training labels of each class; empty: that of the layers.
    pub budgets: Vec<usize>,
    /// How settings are chosen; `None`: they are not.
    pub tuning: Option<Tuning>,
    /// Runs at a time.
    pub jobs: usize,
    /// No run is begun that would not end within this time.
    pub deadline: Option<Duration>,
    /// The folder of the comparison.
    pub output: PathBuf,
}

/// How settings are chosen for each row.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// What is tuned. Without any the learning rate is, around its value in the layers.
    pub axes: Vec<Axis>,
    /// Runs of each row on the first seed.
    pub trials: usize,
}

/// Factors on the learning rate of the layers that are tried if no axis is given.
const USUAL_RATES: [f64; 4] = [0.1, 0.3, 1.0, 3.0];

impl Request {
    /// The same request with the baseline among its entries and every axis given.
    ///
    /// # Errors
    /// What is wrong with the request, before anything is opened.
    pub(super) fn checked(&self) -> Result<Self, CompareError> {
        let mut request = self.clone();
        if !request.entries.contains(&request.baseline) {
            request.entries.insert(0, request.baseline.clone());
        }
        request.add_usual_axis()?;
        request.check_counts()?;
        request.check_names()?;
        request.check_validation_split()?;
        request.check_axes()?;
        request.check_configurations()?;
        Ok(request)
    }

    fn add_usual_axis(&mut self) -> Result<(), CompareError> {
        let rate = self.layers.get(LR).and_then(toml::Value::as_float);
        if let (Some(tuning), Some(rate)) = (&mut self.tuning, rate)
            && tuning.axes.is_empty()
        {
            let rates = USUAL_RATES.map(|factor| short(factor * rate)).join(",");
            tuning.axes.push(Axis::parse(&format!("{LR}={rates}"))?);
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), CompareError> {
        let trials = self.tuning.as_ref().map_or(1, |tuning| tuning.trials);
        let counts = [
            ("the number of seeds", self.seeds),
            ("the number of jobs", self.jobs),
            ("the number of trials", trials),
            ("a labelled budget", self.budgets.iter().copied().min().unwrap_or(1)),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((what, _)) => Err(CompareError::Nothing { what }),
            None => Ok(()),
        }
    }

    fn check_names(&self) -> Result<(), CompareError> {
        for (index, entry) in self.entries.iter().enumerate() {
            if self.entries[..index].iter().any(|earlier| earlier.name == entry.name) {
                return Err(CompareError::Twice { name: entry.name.clone() });
            }
        }
        for (index, budget) in self.budgets.iter().enumerate() {
            if self.budgets[..index].contains(budget) {
                return Err(CompareError::Twice { name: format!("{budget} labels per class") });
            }
        }
        Ok(())
    }

    /// Refuses to choose settings on the test images.
    fn check_validation_split(&self) -> Result<(), CompareError> {
        let named = |key| self.layers.get(key).and_then(toml::Value::as_str).filter(|&word| word != "auto");
        let Some(split) = named("data.val_split") else { return Ok(()) };
        let test = named("data.test_split").unwrap_or("test");
        if split.eq_ignore_ascii_case(test) || split.eq_ignore_ascii_case("test") {
            return Err(CompareError::ValidationIsTest { split: split.into() });
        }
        Ok(())
    }

    fn check_axes(&self) -> Result<(), CompareError> {
        let Some(tuning) = &self.tuning else { return Ok(()) };
        for (index, axis) in tuning.axes.iter().enumerate() {
            if tuning.axes[..index].iter().any(|earlier| earlier.key == axis.key) {
                return Err(CompareError::Axis { axis: axis.key.into(), found: "it is given twice".into() });
            }
            let open = self.entries.iter().map(|entry| self.is_open(entry, axis)).collect::<Result<Vec<_>, _>>()?;
            if !open.contains(&true) {
                return Err(CompareError::NothingToTune { key: axis.key });
            }
            if axis.key == LR && axis.values.len() > tuning.trials {
                let (key, values, trials) = (axis.key, axis.values.len(), tuning.trials);
                return Err(CompareError::GridTooLarge { key, values, trials });
            }
        }
        Ok(())
    }

    /// Refuses settings that some run would be refused with.
    fn check_configurations(&self) -> Result<(), CompareError> {
        for entry in &self.entries {
            for &budget in &self.budgets_to_run() {
                let seed = self.first_seed();
                self.config(entry, budget, seed, &Point::new())?.check_method()?;
                for axis in self.open_axes(entry)? {
                    for value in &axis.values {
                        self.config(entry, budget, seed, &Point::from([(axis.key, value.clone())]))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The budgets; `None` for that of the layers.
    pub(super) fn budgets_to_run(&self) -> Vec<Option<usize>> {
        if self.budgets.is_empty() { vec![None] } else { self.budgets.iter().copied().map(Some).collect() }
    }

    /// The seeds, the first of which settings are chosen on.
    pub(super) fn seeds_to_run(&self) -> Vec<u64> {
        (self.first_seed()..).take(self.seeds).collect()
    }

    fn first_seed(&self) -> u64 {
        let seed = self.layers.get("train.seed").and_then(toml::Value::as_integer);
        seed.and_then(|seed| u64::try_from(seed).ok()).unwrap_or_default()
    }

    /// What is tuned for an entry.
    fn open_axes(&self, entry: &Entry) -> Result<Vec<&Axis>, CompareError> {
        let mut open = Vec::new();
        for axis in self.tuning.iter().flat_map(|tuning| &tuning.axes) {
            if self.is_open(entry, axis)? {
                open.push(axis);
            }
        }
        Ok(open)
    }

    /// Whether an entry reads a setting and leaves it open. A method that makes no steps reads none of training.
    fn is_open(&self, entry: &Entry, axis: &Axis) -> Result<bool, CompareError> {
        let config = self.config(entry, self.budgets_to_run()[0], self.first_seed(), &Point::new())?;
        let reads = entry.reads(axis.key) && (config.makes_steps() || !axis.key.starts_with("train."));
        Ok(reads && !entry.gives(axis.key))
    }

    /// What is tuned for an entry; `None` if settings are not chosen.
    ///
    /// # Errors
    /// As [`Request::config`].
    pub(super) fn space(&self, entry: &Entry, budget: Option<usize>) -> Result<Option<Space>, CompareError> {
        let Some(tuning) = &self.tuning else { return Ok(None) };
        let table = self.config(entry, budget, self.first_seed(), &Point::new())?.to_table();
        let value = |key: &str| {
            let (section, name) = key.split_once('.')?;
            Some(shown(table.get(section)?.get(name)?))
        };
        let open = self.open_axes(entry)?;
        let start = open.iter().filter_map(|axis| Some((axis.key, value(axis.key)?))).collect();
        let (lr, axes): (Vec<Axis>, Vec<Axis>) = open.into_iter().cloned().partition(|axis| axis.key == LR);
        Ok(Some(Space { start, lr: lr.into_iter().next(), axes, trials: tuning.trials }))
    }

    /// The configuration of a run, in which what the checkpoint and the data decide is still open.
    ///
    /// # Errors
    /// [`CompareError::Setting`] for settings that a run would be refused with.
    pub(super) fn config(
        &self,
        entry: &Entry,
        budget: Option<usize>,
        seed: u64,
        point: &Point,
    ) -> Result<ComparedConfig, CompareError> {
        let mut layers = entry.over(&self.layers)?;
        let budget = budget.map(|budget| ("data.per_class", budget.to_string()));
        let seed = ("train.seed", seed.to_string());
        let point = point.iter().map(|(key, value)| (*key, value.clone()));
        let refused = |error| CompareError::Setting { of: entry.name.clone(), error: Box::new(error) };
        for (key, value) in budget.into_iter().chain([seed]).chain(point) {
            layers = layers.assignment(&format!("{key}={value}")).map_err(refused)?;
        }
        ComparedConfig::of(self.task, &layers).map_err(refused)
    }
}
