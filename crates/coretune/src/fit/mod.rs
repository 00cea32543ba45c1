//! Fine-tuning: a configuration in, a fine-tuned model with its evidence out.
//!
//! [`crate::runs::begin`] and its like carry a [`RunConfig`](crate::config::RunConfig) out by way of `job.rs`: [`prepare`]
//! opens images and checkpoint, [`Task::probe`] measures the frozen checkpoint, [`Preparation::train`] trains, evaluates and
//! writes the run folder. [`evaluate_run`] evaluates a run later.

pub(crate) mod class_weights;
mod classifier_start;
mod estimate;
mod evaluation;
mod frozen;
mod images;
mod job;
mod predictions;
mod preparation;
mod projection_start;
mod pseudo_labels;
mod run;
mod self_training;
mod splits;
mod statistics;
mod summary;
mod unlabelled;

pub use evaluation::{Calibrated, Evaluation, RunEvaluation, RunOutputs, evaluate_run, run_outputs};
pub(crate) use evaluation::{evaluate_outputs, model_outputs, split_of};
pub use frozen::{FrozenFigures, RandomFigures};
pub(crate) use images::check_images;
pub(crate) use preparation::check_method;
pub use preparation::{Preparation, Task, check_usable, prepare};
pub use run::Finished;
pub use splits::{Splits, ValidationSource};
pub(crate) use statistics::measure_statistics;
pub use unlabelled::Unlabelled;
