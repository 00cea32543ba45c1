//! Optimizers whose whole state is a list of named tensors.

use coretune_native::{SgdStep, add_scaled, fused_sgd, is_same_order, scale_each};
use tch::{Kind, TchError, Tensor, no_grad};

use crate::models::{Backbone, Network, Role};
use crate::objectives::{Pull, PullActs};

/// The update rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Stochastic gradient descent: `b <- momentum b + g`; the step is along `g + momentum b` (Nesterov) or `b`.
    Sgd {
        /// Share of the old direction.
        momentum: f64,
        /// Nesterov momentum.
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

/// A weight that the optimizer updates.
#[derive(Debug)]
pub struct TrainedWeight {
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
    /// Updates of the run in which it rests, before its own first one.
    rested: u64,
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
    pub fn new(model: &dyn Network, rule: Rule, rates: LayerRates, weight_decay: f64, clip_norm: Option<f64>) -> Self {
        let parameters = model.tensors("");
        let trained = parameters.iter().filter(|p| p.role == Role::Weight && p.tensor.requires_grad());
        let trained = trained.map(|parameter| TrainedWeight {
            name: parameter.name.clone(),
            weight: parameter.tensor.shallow_clone(),
            rate_factor: rates.of(&parameter.name, model.backbone()),
        });
        Optimizer::over(trained, rule, weight_decay, clip_norm)
    }

    /// An optimizer with empty memory over any tensors; see [`Optimizer::new`].
    pub fn over(
        trained: impl Iterator<Item = TrainedWeight>,
        rule: Rule,
        weight_decay: f64,
        clip_norm: Option<f64>,
    ) -> Self {
        let memories = match rule {
            Rule::Sgd { .. } | Rule::Lars { .. } => 1,
            Rule::AdamW => 2,
        };
        let slots = trained.map(|TrainedWeight { name, weight, rate_factor }| Slot {
            name,
            rate_factor,
            pull: None,
            rested: 0,
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

    /// The same optimizer, with weights that have no gradient in so many first updates of the run, which do not count for the
    /// bias of their moments.
    #[must_use]
    pub fn resting(mut self, updates: impl Fn(&str) -> u64) -> Self {
        for slot in &mut self.slots {
            slot.rested = slot.rested.max(updates(&slot.name));
        }
        self
    }

    /// The tensors that gradients are asked of, in the order in which [`Optimizer::update`] takes them.
    pub fn weights(&self) -> Vec<&Tensor> {
        self.slots.iter().map(|slot| &slot.weight).collect()
    }

    /// One update with these gradients, which are used up. An undefined gradient leaves its weight alone.
    ///
    /// # Panics
    /// On an exception of libtorch: call inside [`crate::engine::guard`].
    pub fn update(&mut self, rate: f64, gradients: Vec<Tensor>) {
        no_grad(|| {
            if let Some(most) = self.clip_norm {
                clip(&gradients, most);
            }
            self.updates += 1;
            let before: Vec<_> = self.slots.iter().zip(&gradients).map(|(slot, g)| slot.before_update(g)).collect();
            self.apply(rate, gradients);
            for (slot, before) in self.slots.iter().zip(before) {
                slot.draw_back(before);
            }
        });
    }

    /// The update rule itself.
    fn apply(&mut self, rate: f64, mut gradients: Vec<Tensor>) {
        let (decay, updates) = (self.weight_decay, self.updates);
        if let Rule::Sgd { momentum, nesterov } = self.rule {
            let step = SgdStep { rate, weight_decay: decay, momentum, nesterov };
            return self.sgd(&mut gradients, step);
        }
        for (slot, gradient) in self.slots.iter_mut().zip(gradients).filter(|(_, gradient)| gradient.defined()) {
            let rate = rate * slot.rate_factor;
            match self.rule {
                Rule::Sgd { .. } => unreachable!("all weights at once"),
                Rule::AdamW => slot.adam_w(&gradient, rate, decay, updates),
                Rule::Lars { momentum, trust } => slot.lars(gradient, rate, decay, momentum, trust),
            }
        }
    }

    /// Stochastic gradient descent of all weights: one call of libtorch for those of one rate.
    fn sgd(&self, gradients: &mut [Tensor], step: SgdStep) {
        for (slot, gradient) in self.slots.iter().zip(&mut *gradients) {
            slot.prepare(gradient, step.weight_decay);
        }
        for group in self.groups() {
            let is_in = |(slot, gradient): &(&Slot, &Tensor)| gradient.defined() && slot.group() == group;
            let moved: Vec<(&Slot, &Tensor)> = self.slots.iter().zip(&*gradients).filter(is_in).collect();
            if moved.is_empty() {
                continue;
            }
            let weights: Vec<&Tensor> = moved.iter().map(|(slot, _)| &slot.weight).collect();
            let momenta: Vec<&Tensor> = moved.iter().map(|(slot, _)| &slot.moments[0]).collect();
            let gradients: Vec<&Tensor> = moved.iter().map(|(_, gradient)| *gradient).collect();
            let weight_decay = if group.decayed_before { 0.0 } else { step.weight_decay };
            let step = SgdStep { rate: step.rate * group.rate_factor, weight_decay, ..step };
            unwrap(fused_sgd(&weights, &gradients, &momenta, step));
        }
    }

    /// The groups of weights that an update treats alike, in the order of their first weights.
    fn groups(&self) -> Vec<Group> {
        let mut groups = Vec::new();
        for group in self.slots.iter().map(Slot::group) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
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

/// What weights have in common that are updated in one call.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Group {
    rate_factor: f64,
    /// Whether weight decay is part of the gradients already.
    decayed_before: bool,
}

impl Slot {
    fn group(&self) -> Group {
        Group { rate_factor: self.rate_factor, decayed_before: self.constant_pull().is_some() }
    }

    /// The pull that acts in each update, as a gradient.
    fn constant_pull(&self) -> Option<&Pull> {
        self.pull.as_ref().filter(|pull| pull.acts == PullActs::Always)
    }

    /// The pull that acts after some updates.
    fn selective_pull(&self) -> Option<&Pull> {
        self.pull.as_ref().filter(|pull| pull.acts == PullActs::Selectively)
    }

    /// Of a weight that may be drawn back: its distance, and whether the gradient points towards the goal.
    fn before_update(&self, gradient: &Tensor) -> Option<(Tensor, Tensor)> {
        let offset = self.selective_pull().filter(|_| gradient.defined())?.offset();
        Some((offset.norm(), (gradient * &offset).sum(offset.kind()).gt(0.0)))
    }

    /// Selective projection decay: [`PullActs::Selectively`].
    fn draw_back(&self, before: Option<(Tensor, Tensor)>) {
        let Some((pull, (distance, towards))) = self.selective_pull().zip(before) else { return };
        let offset = pull.offset();
        let now = offset.norm();
        let excess = ((&now - distance) / now.clamp_min(1e-12)).clamp(0.0, 1.0);
        let factor = excess * towards.to_kind(offset.kind()) * pull.strength;
        let _ = self.weight.shallow_clone().g_sub_(&(offset * factor));
    }

    /// Makes a gradient ready for an update of many weights at once: its elements in the order of the weight's, and with
    /// the gradients of weight decay and pull if the weight is pulled.
    fn prepare(&self, gradient: &mut Tensor, decay: f64) {
        if !gradient.defined() {
            return;
        }
        if !is_same_order(gradient, &self.weight) {
            let mut ordered = self.weight.empty_like();
            ordered.copy_(gradient);
            *gradient = ordered;
        }
        if self.constant_pull().is_some() {
            *gradient = self.decayed(gradient.shallow_clone(), decay);
        }
    }

    /// The gradient with those of weight decay and pull, in place.
    fn decayed(&self, gradient: Tensor, decay: f64) -> Tensor {
        let direction = plus_scaled(gradient, &self.weight, decay);
        match self.constant_pull() {
            Some(pull) => plus_scaled(direction, &pull.offset(), pull.strength),
            None => direction,
        }
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
        if let Some(pull) = self.constant_pull() {
            let _ = plus_scaled(self.weight.shallow_clone(), &pull.offset(), -rate * pull.strength);
        }
        let first = self.moments[0].lerp_(gradient, 1.0 - BETA1);
        let second = self.moments[1].lerp_(&gradient.square(), 1.0 - BETA2);
        let own_updates = updates.saturating_sub(self.rested).max(1);
        let correction = |beta: f64| 1.0 - beta.powf(own_updates as f64);
        let deviation = (second / correction(BETA2)).sqrt() + EPSILON;
        let _ = plus_scaled(self.weight.shallow_clone(), &(first / deviation), -rate / correction(BETA1));
    }
}

/// `target += factor source`, in place and without a temporary.
fn plus_scaled(target: Tensor, source: &Tensor, factor: f64) -> Tensor {
    if factor != 0.0 {
        unwrap(add_scaled(&target, source, factor));
    }
    target
}

/// Scales gradients so that their joint norm is at most `most`; the norm stays on the device.
fn clip(gradients: &[Tensor], most: f64) {
    let gradients: Vec<&Tensor> = gradients.iter().filter(|gradient| gradient.defined()).collect();
    if gradients.is_empty() {
        return;
    }
    let norms: Vec<Tensor> = gradients.iter().map(|gradient| gradient.norm()).collect();
    let joint = Tensor::stack(&norms, 0).to_kind(Kind::Float).norm();
    unwrap(scale_each(&gradients, &(most / (joint + 1e-6)).clamp_max(1.0)));
}

/// Raises an exception of libtorch as a panic, as tch's operators do, for [`crate::engine::guard`].
fn unwrap(result: Result<(), TchError>) {
    if let Err(error) = result {
        panic!("{error}");
    }
}
