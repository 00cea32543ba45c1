//! Figures of a step on their way from the device to the log.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use coretune_native::CopyToHost;
use tch::{Kind, Tensor};

use super::Rows;
use crate::engine::{EngineError, World, guard};
use crate::objectives::{ObjectiveLoss, figure};

/// Figures of one step, still on the device. They are read one step later, so that the device never waits for the host.
#[derive(Debug)]
pub struct DeviceFigures {
    names: Vec<&'static str>,
    /// The total loss, then one value per name: f32 `[1 + names]`.
    values: Tensor,
    /// The same on their way to the host.
    copy: CopyToHost,
    /// Figures that were never on the device.
    known: Vec<(&'static str, f64)>,
}

impl DeviceFigures {
    /// Collects the total and the named figures of a loss into one small tensor.
    pub(crate) fn gather(loss: &ObjectiveLoss) -> Self {
        let names = loss.figures.iter().map(|(name, _)| *name).collect();
        let scalars = std::iter::once(loss.total.detach()).chain(loss.figures.iter().map(|(_, value)| value.detach()));
        let scalars: Vec<Tensor> = scalars.map(|value| value.to_kind(Kind::Float)).collect();
        DeviceFigures::of_values(names, &scalars)
    }

    /// Starts the copy to the host at once: read later, it is not behind the next step, which the device then has.
    fn of_values(names: Vec<&'static str>, values: &[Tensor]) -> Self {
        let values = Tensor::stack(values, 0);
        let copy = CopyToHost::start(&values).expect("the figures can be copied");
        DeviceFigures { names, values, copy, known: Vec::new() }
    }

    /// The mean of the figures of several parts of a batch; a figure that some part lacks is the mean of the others.
    pub(super) fn mean(parts: &[DeviceFigures]) -> Self {
        let names: BTreeSet<&'static str> = parts.iter().flat_map(|part| part.names.iter().copied()).collect();
        let names: Vec<&'static str> = names.into_iter().collect();
        let mean = |values: Vec<Tensor>| Tensor::stack(&values, 0).mean(Kind::Float);
        let total = mean(parts.iter().map(|part| part.values.get(0)).collect());
        let of_name = |name: &&str| mean(parts.iter().filter_map(|part| part.of(name)).collect());
        let values: Vec<Tensor> = std::iter::once(total).chain(names.iter().map(of_name)).collect();
        DeviceFigures::of_values(names, &values)
    }

    /// The mean of these figures over all processes, each of which has its own; a figure that some process lacks is the mean
    /// of the others. One of a caller's own method is known only to the processes that have measured it.
    ///
    /// # Errors
    /// [`EngineError::Ranks`] for a process that is gone.
    pub(super) fn mean_over(self, world: World) -> Result<Self, EngineError> {
        if world.is_alone() {
            return Ok(self);
        }
        let numbers: Vec<i64> = self.names.iter().map(|name| number_of(name)).collect();
        let mut counts = BTreeMap::<i64, usize>::new();
        for number in world.gather_uneven_numbers(&numbers)? {
            *counts.entry(number).or_default() += 1;
        }
        let place = |number: i64| numbers.iter().position(|own| *own == number);
        let mut sums = guard("adding figures", || {
            let total = self.values.get(0);
            let own = |&number: &i64| place(number).map(|at| self.values.get(1 + at as i64));
            let of_names = counts.keys().map(|number| own(number).unwrap_or_else(|| total.zeros_like()));
            [Tensor::stack(&std::iter::once(total.shallow_clone()).chain(of_names).collect::<Vec<_>>(), 0)]
        })?;
        world.sum(&mut sums)?;
        let means = || {
            let mut names = Vec::new();
            let mut values = vec![sums[0].get(0) / world.ranks() as f64];
            for (at, (&number, &count)) in (1..).zip(&counts) {
                if let Some(name) = name_of(number, &self.names) {
                    names.push(name);
                    values.push(sums[0].get(at) / count as f64);
                }
            }
            DeviceFigures::of_values(names, &values)
        };
        let figures = guard("averaging figures", means)?;
        Ok(DeviceFigures { known: self.known, ..figures })
    }

    /// The sum of two losses with the figures of both; an exception of libtorch panics, so call it inside [`guard`].
    pub(super) fn plus(self, other: &DeviceFigures) -> Self {
        let names: Vec<&'static str> = self.names.iter().chain(&other.names).copied().collect();
        let total = self.values.get(0) + other.values.get(0);
        let rest = [&self, other].map(|part| part.values.narrow(0, 1, part.names.len() as i64));
        let values: Vec<Tensor> = std::iter::once(total).chain(rest.iter().flat_map(|part| part.unbind(0))).collect();
        DeviceFigures { known: self.known, ..DeviceFigures::of_values(names, &values) }
    }

    /// Adds a figure that the host knows already.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        self.known.push((name, value));
        self
    }

    /// Adds what the labels of sampled rows say about contrast. Rows that are images are counted before they are mixed, by
    /// [`FineTuning`](super::FineTuning).
    pub(super) fn counting(self, rows: &Rows) -> Self {
        if rows.dense.is_none() {
            return self;
        }
        let positives = PositiveCounts::of(&rows.labels);
        self.with("rows", rows.labels.len() as f64)
            .with("positives_per_anchor", positives.per_anchor)
            .with("anchors_without_positives", positives.anchors_without as f64)
    }

    fn of(&self, name: &str) -> Option<Tensor> {
        let place = self.names.iter().position(|other| *other == name)?;
        Some(self.values.get(1 + place as i64))
    }

    /// Waits for the device and reads the total loss and the named figures.
    ///
    /// # Errors
    /// [`EngineError::Torch`] when the device has failed.
    pub fn read(&self) -> Result<(f64, BTreeMap<&'static str, f64>), EngineError> {
        let values: Vec<f32> = guard("reading the figures of a step", || {
            let mut values = vec![0.0; self.names.len() + 1];
            finished(&self.copy).copy_data(&mut values, self.names.len() + 1);
            values
        })?;
        let (total, figures) = (f64::from(values[0]), values[1..].iter().map(|&value| f64::from(value)));
        Ok((total, self.names.iter().copied().zip(figures).chain(self.known.iter().copied()).collect()))
    }
}

/// A number that stands for the name of a figure in all processes, which run the same program.
fn number_of(name: &str) -> i64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish().cast_signed()
}

/// The name that a number stands for: one of the process's own, or one that only methods of other processes have measured.
fn name_of(number: i64, own: &[&'static str]) -> Option<&'static str> {
    own.iter().chain(figure::ALL).copied().find(|name| number_of(name) == number)
}

/// Waits for a copy; an exception of libtorch panics, so call it inside [`guard`].
fn finished(copy: &CopyToHost) -> &Tensor {
    copy.finish().expect("the device has finished the step")
}

/// What the labels of a batch alone say about contrast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositiveCounts {
    /// Mean number of other rows of the same class.
    pub per_anchor: f64,
    /// Anchors that are alone in their class.
    pub anchors_without: usize,
}

impl PositiveCounts {
    /// Counts over the labels of a batch.
    pub fn of(labels: &[i64]) -> Self {
        PositiveCounts::of_parts(labels, labels.len())
    }

    /// Counts over the labels of a batch whose parts of so many images are compared each in itself.
    pub fn of_parts(labels: &[i64], part: usize) -> Self {
        let (mut pairs, mut anchors_without) = (0, 0);
        for labels in labels.chunks(part.max(1)) {
            let mut rows_of_class = BTreeMap::<i64, usize>::new();
            for &label in labels {
                *rows_of_class.entry(label).or_default() += 1;
            }
            pairs += rows_of_class.values().map(|rows| rows * (rows - 1)).sum::<usize>();
            anchors_without += rows_of_class.values().filter(|&&rows| rows == 1).count();
        }
        PositiveCounts { per_anchor: pairs as f64 / labels.len().max(1) as f64, anchors_without }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positives_are_counted_per_anchor() {
        let counts = PositiveCounts::of(&[0, 0, 0, 1, 2, 2]);
        assert!((counts.per_anchor - 8.0 / 6.0).abs() < 1e-12);
        assert_eq!(counts.anchors_without, 1);
        let counts = PositiveCounts::of_parts(&[0, 0, 0, 1, 2, 2], 2);
        assert!((counts.per_anchor - 4.0 / 6.0).abs() < 1e-12);
        assert_eq!(counts.anchors_without, 2);
    }
}
