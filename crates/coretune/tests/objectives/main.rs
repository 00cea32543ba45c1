//! The methods: their losses against formulas, what they need, and the state that they own.

mod needs;
mod pretraining;
