//! Exponential moving average of a model's weights (EMA).

use tch::{Kind, Tensor, no_grad};

use crate::models::Network;

/// A second set of weights that follows the trained ones: `a <- d a + (1 - d) w` after every update.
///
/// Running statistics of batch norm are averaged too; integer buffers are copied.
#[derive(Debug)]
pub struct WeightAverage {
    decay: f64,
    /// Whether the average is of the weights after each update alone, not of those before the first.
    corrected: bool,
    updates: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    source: Tensor,
    average: Tensor,
}

impl WeightAverage {
    /// Starts at the model's present weights; `decay` is d, such as 0.999.
    pub fn new(model: &dyn Network, decay: f64) -> Self {
        let parameters = model.tensors("");
        let entries = parameters.iter().map(|parameter| Entry {
            name: parameter.name.clone(),
            source: parameter.tensor.shallow_clone(),
            average: copy_of(&parameter.tensor),
        });
        WeightAverage { decay, corrected: false, updates: 0, entries: entries.collect() }
    }

    /// The same average without the weights before the first update, as Adam corrects the bias of its moments: after t
    /// updates it is the mean of the weights after each of them, that of update i weighted by d^(t - i). In the first
    /// steps it follows fast: the t-th update weighs (1 - d) / (1 - d^t).
    #[must_use]
    pub fn bias_corrected(mut self) -> Self {
        self.corrected = true;
        self
    }

    /// So many updates were made before those to come.
    pub fn set_updates(&mut self, updates: u64) {
        self.updates = updates;
    }

    /// The weight of the present weights in the average, after so many updates.
    fn weight_of_update(&self) -> f64 {
        if !self.corrected {
            return 1.0 - self.decay;
        }
        let power = i32::try_from(self.updates).unwrap_or(i32::MAX);
        (1.0 - self.decay) / (1.0 - self.decay.powi(power))
    }

    /// Follows the weights by one update.
    pub fn follow(&mut self) {
        self.updates += 1;
        let weight = self.weight_of_update();
        no_grad(|| {
            for entry in &mut self.entries {
                if entry.average.kind() == Kind::Int64 {
                    entry.average.copy_(&entry.source);
                } else {
                    let _ = entry.average.lerp_(&entry.source, weight);
                }
            }
        });
    }

    /// Exchanges the model's weights with the averaged ones; a second call puts them back.
    pub fn exchange(&mut self) {
        no_grad(|| {
            for entry in &mut self.entries {
                let trained = copy_of(&entry.source);
                entry.source.copy_(&entry.average);
                entry.average.copy_(&trained);
            }
        });
    }

    /// The averages, as `average.<name>`.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let named = self.entries.iter();
        named.map(|entry| (format!("average.{}", entry.name), entry.average.shallow_clone())).collect()
    }
}

/// A copy in the same memory layout (channels-last weights included), without graph.
fn copy_of(tensor: &Tensor) -> Tensor {
    let mut copy = tensor.detach().empty_like();
    copy.copy_(&tensor.detach());
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The average of one weight that is 10 before the first update and 1, 2, 3, ... after each.
    fn after(updates: u64, corrected: bool) -> f64 {
        let weight = Tensor::from_slice(&[10.0f64]);
        let entry = Entry { name: "w".into(), source: weight.shallow_clone(), average: copy_of(&weight) };
        let mut average = WeightAverage { decay: 0.9, corrected, updates: 0, entries: vec![entry] };
        for update in 1..=updates {
            let _ = weight.shallow_clone().fill_(update as f64);
            average.follow();
        }
        average.entries[0].average.double_value(&[0])
    }

    #[test]
    fn the_corrected_average_is_the_weighted_mean_of_the_weights_after_each_update() {
        for updates in [1, 2, 5, 40] {
            let weights = (1..=updates).map(|update| 0.9f64.powi((updates - update) as i32));
            let sum: f64 = weights.clone().zip(1..).map(|(weight, value)| weight * f64::from(value)).sum();
            assert!((after(updates, true) - sum / weights.sum::<f64>()).abs() < 1e-12, "{updates}");
        }
        assert!((after(1, false) - 9.1).abs() < 1e-12, "the plain one begins with the weights before the first");
    }
}
