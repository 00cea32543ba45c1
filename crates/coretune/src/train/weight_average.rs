//! Exponential moving average of a model's weights (EMA).

use tch::{Kind, Tensor, no_grad};

use crate::models::Network;

/// A second set of weights that follows the trained ones: `a <- d a + (1 - d) w` after every update.
///
/// Running statistics of batch norm are averaged too; integer buffers are copied.
#[derive(Debug)]
pub struct WeightAverage {
    decay: f64,
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
        WeightAverage { decay, entries: entries.collect() }
    }

    /// Follows the weights by one update.
    pub fn follow(&mut self) {
        no_grad(|| {
            for entry in &mut self.entries {
                if entry.average.kind() == Kind::Int64 {
                    entry.average.copy_(&entry.source);
                } else {
                    let _ = entry.average.lerp_(&entry.source, 1.0 - self.decay);
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
