//! Optimizers whose whole state is a list of named tensors.

use tch::{Kind, Tensor, no_grad};

use crate::models::{Backbone, Model, Role};
use crate::objectives::Pull;

/// The update rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Stochastic gradient descent: `b <- momentum b + g`; the step is along `g + momentum b` (Nesterov) or `b`.
    Sgd {
        /// Share of the old direction.
        momentum: f64,
        /// Whether the step looks ahead.
        nesterov: bool,
    },
    /// Adam with decoupled weight decay (betas 0.9 and 0.999, epsilon 1e-8).
    AdamW,
    /// Layer-wise adaptive rates (You et al. 2017, arXiv:1708.03888) as `SimCLR` uses them: a matrix's gradient, weight decay
    /// included, is scaled to `trust` of the matrix's own norm, then `b <- momentum b + g` and a step along b. Vectors
    /// (biases, batch norm) are neither scaled nor decayed.
    Lars {
        /// Share of the old direction.
        momentum: f64,
        /// Norm of a step at learning rate 1, relative to that of the weights.
        trust: f64,
    },
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// How far the parts of a model move relative to the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerRates {
    /// Factor per stage below the heads (1 = none): the last stage moves at this rate, the one before at its square.
    pub layer_decay: f64,
    /// Factor for the classifier and the projection head.
    pub head_factor: f64,
}

impl LayerRates {
    fn of(&self, name: &str, backbone: &Backbone) -> f64 {
        match name.strip_prefix("backbone.").and_then(|inner| backbone.stage_of(inner)) {
            Some(stage) => self.layer_decay.powi((backbone.stage_names().len() - stage) as i32),
            None => self.head_factor,
        }
    }
}

/// A tensor to be trained.
#[derive(Debug)]
pub struct Trained {
    /// Its name, for the file of the state.
    pub name: String,
    /// The tensor itself.
    pub weight: Tensor,
    /// Its learning rate relative to the others'.
    pub rate_factor: f64,
}

/// A trained tensor with what the optimizer remembers of it.
#[derive(Debug)]
struct Slot {
    name: String,
    weight: Tensor,
    rate_factor: f64,
    pull: Option<Pull>,
    /// Momentum, or first and second moment.
    moments: Vec<Tensor>,
}

/// Optimizer over every weight of a model that is not frozen.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    weight_decay: f64,
    clip_norm: Option<f64>,
    slots: Vec<Slot>,
    updates: u64,
}

impl Optimizer {
    /// An optimizer with empty memory. `weight_decay` acts on all weights; gradients are scaled so that their joint norm
    /// is at most `clip_norm`.
    pub fn new(model: &Model, rule: Rule, rates: LayerRates, weight_decay: f64, clip_norm: Option<f64>) -> Self {
        let parameters = model.parameters();
        let trained = parameters.iter().filter(|p| p.role == Role::Weight && p.tensor.requires_grad());
        let trained = trained.map(|parameter| Trained {
            name: parameter.name.clone(),
            weight: parameter.tensor.shallow_clone(),
            rate_factor: rates.of(&parameter.name, &model.backbone),
        });
        Optimizer::over(trained, rule, weight_decay, clip_norm)
    }

    /// An optimizer with empty memory over any tensors; see [`Optimizer::new`].
    pub fn over(trained: impl Iterator<Item = Trained>, rule: Rule, weight_decay: f64, clip_norm: Option<f64>) -> Self {
        let memories = match rule {
            Rule::Sgd { .. } | Rule::Lars { .. } => 1,
            Rule::AdamW => 2,
        };
        let slots = trained.map(|Trained { name, weight, rate_factor }| Slot {
            name,
            rate_factor,
            pull: None,
            moments: (0..memories).map(|_| weight.detach().zeros_like()).collect(),
            weight,
        });
        Optimizer { rule, weight_decay, clip_norm, slots: slots.collect(), updates: 0 }
    }

    /// The same optimizer, with weights that are pulled towards values of their own, beside the weight decay and after
    /// the clipping. A weight that the optimizer does not train is not pulled.
    #[must_use]
    pub fn pulled(mut self, pulls: Vec<Pull>) -> Self {
        for pull in pulls {
            let pulled = self.slots.iter_mut().find(|slot| slot.weight.data_ptr() == pull.weight.data_ptr());
            if let Some(slot) = pulled {
                slot.pull = Some(pull);
            }
        }
        self
    }

    /// The tensors that gradients are asked of, in the order in which [`Optimizer::update`] takes them.
    pub fn weights(&self) -> Vec<&Tensor> {
        self.slots.iter().map(|slot| &slot.weight).collect()
    }

    /// One update with these gradients, which are used up. An undefined gradient leaves its weight alone.
    pub fn update(&mut self, rate: f64, gradients: Vec<Tensor>) {
        no_grad(|| {
            let scale = self.clip_norm.map(|most| clip_scale(&gradients, most));
            self.updates += 1;
            let (rule, decay, updates) = (self.rule, self.weight_decay, self.updates);
            for (slot, mut gradient) in self.slots.iter_mut().zip(gradients) {
                if !gradient.defined() {
                    continue;
                }
                if let Some(scale) = &scale {
                    gradient = gradient.g_mul_(scale);
                }
                let rate = rate * slot.rate_factor;
                match rule {
                    Rule::Sgd { momentum, nesterov } => slot.sgd(gradient, rate, decay, momentum, nesterov),
                    Rule::AdamW => slot.adam_w(&gradient, rate, decay, updates),
                    Rule::Lars { momentum, trust } => slot.lars(gradient, rate, decay, momentum, trust),
                }
            }
        });
    }

    /// Number of updates made.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// What the optimizer remembers, as `optimizer.<moment>.<weight>`.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let names: &[&str] = match self.rule {
            Rule::Sgd { .. } | Rule::Lars { .. } => &["momentum"],
            Rule::AdamW => &["first_moment", "second_moment"],
        };
        let of_slot = |slot: &Slot| {
            let named = names.iter().zip(&slot.moments);
            named
                .map(|(name, moment)| (format!("optimizer.{name}.{}", slot.name), moment.shallow_clone()))
                .collect::<Vec<_>>()
        };
        self.slots.iter().flat_map(of_slot).collect()
    }

    /// Sets the number of updates made, as part of loading a state whose tensors were copied into [`Optimizer::state`].
    pub fn set_updates(&mut self, updates: u64) {
        self.updates = updates;
    }
}

impl Slot {
    /// The gradient with those of weight decay and pull, in place.
    fn decayed(&self, gradient: Tensor, decay: f64) -> Tensor {
        let direction = plus_scaled(gradient, &self.weight, decay);
        match &self.pull {
            Some(pull) => plus_scaled(direction, &pull.offset(), pull.strength),
            None => direction,
        }
    }

    fn sgd(&mut self, gradient: Tensor, rate: f64, decay: f64, momentum: f64, nesterov: bool) {
        let mut direction = self.decayed(gradient, decay);
        if momentum > 0.0 {
            let buffer = self.moments[0].g_mul_scalar_(momentum).g_add_(&direction);
            direction = if nesterov { plus_scaled(direction, &buffer, momentum) } else { buffer };
        }
        let _ = plus_scaled(self.weight.shallow_clone(), &direction, -rate);
    }

    fn lars(&mut self, gradient: Tensor, rate: f64, decay: f64, momentum: f64, trust: f64) {
        let mut direction = gradient;
        if self.weight.dim() > 1 {
            direction = self.decayed(direction, decay);
            let (weight, step) = (self.weight.norm(), direction.norm());
            // Weights of zeros, or no gradient at all, would never move, or move without bound.
            let either_is_zero = (&weight * &step).eq(0.0);
            let scale = (weight * trust / step).masked_fill(&either_is_zero, 1.0);
            direction = direction.g_mul_(&scale);
        }
        let buffer = self.moments[0].g_mul_scalar_(momentum).g_add_(&direction);
        let _ = plus_scaled(self.weight.shallow_clone(), &buffer, -rate);
    }

    fn adam_w(&mut self, gradient: &Tensor, rate: f64, decay: f64, updates: u64) {
        let _ = self.weight.g_mul_scalar_(1.0 - rate * decay);
        if let Some(pull) = &self.pull {
            let _ = plus_scaled(self.weight.shallow_clone(), &pull.offset(), -rate * pull.strength);
        }
        let first = self.moments[0].lerp_(gradient, 1.0 - BETA1);
        let second = self.moments[1].lerp_(&gradient.square(), 1.0 - BETA2);
        let correction = |beta: f64| 1.0 - beta.powf(updates as f64);
        let deviation = (second / correction(BETA2)).sqrt() + EPSILON;
        let _ = plus_scaled(self.weight.shallow_clone(), &(first / deviation), -rate / correction(BETA1));
    }
}

/// `target += factor source`, in place and without a temporary: libtorch's add takes the factor, tch's does not.
fn plus_scaled(mut target: Tensor, source: &Tensor, factor: f64) -> Tensor {
    if factor == 0.0 {
        return target;
    }
    let factor = Tensor::from(factor).to_kind(target.kind()).to_device(target.device());
    target.addcmul_(source, &factor)
}

/// What to multiply gradients with so that their joint norm is at most `most`; stays on the device.
fn clip_scale(gradients: &[Tensor], most: f64) -> Tensor {
    let norms: Vec<Tensor> = gradients.iter().filter(|g| g.defined()).map(Tensor::norm).collect();
    let joint = Tensor::stack(&norms, 0).to_kind(Kind::Float).norm();
    (most / (joint + 1e-6)).clamp_max(1.0)
}
