//! Contrastive pre-training: unlabelled images in, a checkpoint that any tool reads out.
//!
//! [`MoCo`] and [`SimClr`] are the methods; the loop, its state and its run folder are those of fine-tuning
//! ([`crate::train::Trainer`]).

mod estimate;
mod learner;
mod live_probe;
mod method;
mod moco;
mod queue;
mod simclr;
mod task;

pub use learner::{PretrainedDescription, Pretraining};
pub use live_probe::LiveProbe;
pub use method::{Method, figure, spread};
pub use moco::{MoCo, MoCoSettings, momentum_update};
pub use queue::Queue;
pub use simclr::SimClr;
pub use task::PretrainTask;
