//! The learning rate as a function of the step.

use std::f64::consts::PI;

/// How the learning rate falls after warm-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decay {
    /// Half a cosine from the base rate to `least` at the last step.
    Cosine {
        /// The rate at the end.
        least: f64,
    },
    /// Multiplied by `factor` every `every` steps.
    Step {
        /// Steps between two drops.
        every: u64,
        /// What the rate is multiplied with.
        factor: f64,
    },
    /// The base rate times a power of the fraction of the steps after warm-up that is left.
    Poly {
        /// The power.
        power: f64,
    },
    /// Stays at the base rate.
    Constant,
}

/// Learning rate per step: linear warm-up, then decay, changed at every update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Learning rate at the end of warm-up.
    pub base: f64,
    /// Steps of warm-up; the rate of step s (from 0) is `base (s + 1) / warmup_steps`.
    pub warmup_steps: u64,
    /// Steps in all.
    pub total_steps: u64,
    /// What follows warm-up.
    pub decay: Decay,
}

impl Schedule {
    /// The learning rate of step `step`, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.base * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let done = || {
            let span = self.total_steps.saturating_sub(self.warmup_steps).max(1);
            ((step - self.warmup_steps) as f64 / span as f64).min(1.0)
        };
        match self.decay {
            Decay::Cosine { least } => {
                let done = done();
                least + (self.base - least) * f64::midpoint(1.0, (PI * done).cos())
            }
            Decay::Step { every, factor } => self.base * factor.powi((step / every.max(1)) as i32),
            Decay::Poly { power } => self.base * (1.0 - done()).powf(power),
            Decay::Constant => self.base,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(warmup_steps: u64, decay: Decay) -> Schedule {
        Schedule { base: 0.1, warmup_steps, total_steps: 100, decay }
    }

    #[test]
    fn warm_up_is_linear_and_ends_at_the_base_rate() {
        let schedule = schedule(5, Decay::Cosine { least: 0.0 });
        for step in 0..5 {
            assert!((schedule.rate(step) - 0.02 * (step + 1) as f64).abs() < 1e-15);
        }
        assert!((schedule.rate(5) - 0.1).abs() < 1e-15);
    }

    #[test]
    fn a_cosine_is_halfway_in_the_middle_and_ends_near_its_least() {
        let schedule = schedule(0, Decay::Cosine { least: 0.01 });
        assert!((schedule.rate(50) - 0.055).abs() < 1e-12);
        assert!((schedule.rate(100) - 0.01).abs() < 1e-12);
        assert!((1..100).all(|step| schedule.rate(step) < schedule.rate(step - 1)));
    }

    #[test]
    fn poly_is_a_power_of_what_is_left() {
        let schedule = schedule(20, Decay::Poly { power: 0.9 });
        assert!((schedule.rate(20) - 0.1).abs() < 1e-15);
        assert!((schedule.rate(60) - 0.1 * 0.5f64.powf(0.9)).abs() < 1e-15);
        assert!(schedule.rate(100).abs() < 1e-15);
    }

    #[test]
    fn steps_drop_the_rate_by_their_factor() {
        let schedule = schedule(0, Decay::Step { every: 30, factor: 0.1 });
        assert!((schedule.rate(29) - 0.1).abs() < 1e-15);
        assert!((schedule.rate(30) - 0.01).abs() < 1e-15);
        assert!((schedule.rate(99) - 1e-4).abs() < 1e-15);
    }
}
