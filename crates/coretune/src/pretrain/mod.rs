//! Contrastive pre-training: unlabelled images in, a checkpoint that any tool reads out.
//!
//! The methods are objectives ([`crate::objectives::MoCo`], [`crate::objectives::SimClr`]); the loop, its state and its
//! run folder are those of fine-tuning ([`crate::train::Trainer`]).

mod estimate;
mod job;
mod learner;
mod live_probe;
mod task;

pub use learner::{PretrainedDescription, Pretraining};
pub use live_probe::LiveProbe;
pub use task::PretrainTask;
