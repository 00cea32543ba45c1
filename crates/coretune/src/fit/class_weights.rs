//! The weights of the classes in the cross-entropy.

use tch::Tensor;

use super::Task;
use crate::config::ClassWeights;

impl Task {
    /// The weight of each class in the cross-entropy, in the order of the classes; `None` when all are alike.
    pub fn class_weights(&self) -> Option<Vec<f64>> {
        match self.config.train.class_weights {
            ClassWeights::Off => None,
            ClassWeights::Balanced => Some(balanced(self.splits.budget_counts().into_iter().map(|count| count as u64))),
        }
    }

    /// [`Task::class_weights`] on the device.
    pub(super) fn class_weight_tensor(&self) -> Option<Tensor> {
        self.class_weights()
            .map(|weights| Tensor::from_slice(&weights).to_kind(tch::Kind::Float).to_device(self.device))
    }
}

/// w_c = n / (C n_c) for n labelled images or pixels, n_c of them of class c, scaled so that the mean over the C classes is
/// 1. A class without any has the weight 0 and is not one of the C.
pub(crate) fn balanced(counts: impl Iterator<Item = u64>) -> Vec<f64> {
    let inverse: Vec<f64> = counts.map(|count| if count == 0 { 0.0 } else { 1.0 / count as f64 }).collect();
    let classes = inverse.iter().filter(|&&inverse| inverse > 0.0).count() as f64;
    let sum: f64 = inverse.iter().sum();
    inverse.iter().map(|weight| weight * classes / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_half_the_images_weighs_twice_as_much_and_the_mean_is_1() {
        for (counts, expected) in [
            (vec![10, 20], vec![4.0 / 3.0, 2.0 / 3.0]),
            (vec![7, 7, 7], vec![1.0, 1.0, 1.0]),
            (vec![1, 0, 3], vec![1.5, 0.0, 0.5]),
            (vec![100, 50, 25, 25], vec![4.0 / 11.0, 8.0 / 11.0, 16.0 / 11.0, 16.0 / 11.0]),
        ] {
            let weights = balanced(counts.iter().copied());
            for (found, wanted) in weights.iter().zip(&expected) {
                assert!((found - wanted).abs() < 1e-12, "{counts:?}: {weights:?}");
            }
        }
    }

    /// The scale apart, w_c = n / (C n_c).
    #[test]
    fn the_ratios_are_those_of_the_formula() {
        let counts = [3, 8, 13];
        let (n, classes) = (24.0, 3.0);
        let formula: Vec<f64> = counts.iter().map(|&count| n / (classes * count as f64)).collect();
        let weights = balanced(counts.iter().copied());
        assert!((weights[0] / weights[2] - formula[0] / formula[2]).abs() < 1e-12);
        assert!((weights.iter().sum::<f64>() - 3.0).abs() < 1e-12);
    }
}
