//! The main job from end to end: a configuration in, a fine-tuned model with its evidence out.
//!
//! [`prepare`] opens data and checkpoint and refuses what cannot work; [`Task::probe`] measures the frozen
//! checkpoint; [`Preparation::run`] trains, evaluates and writes the run folder; [`evaluate_run`] comes back to it later.

mod estimate;
mod evaluation;
mod frozen;
mod images;
mod machine;
mod preparation;
mod resume;
mod session;
mod settings;
mod splits;
mod starting_point;
mod summary;

pub use evaluation::{Calibrated, Evaluation, RunEvaluation, RunOutputs, evaluate_run, run_outputs};
pub use frozen::{FrozenFigures, RandomFigures};
pub(crate) use machine::Machine;
pub use preparation::{Preparation, Task, prepare, prepare_watched};
pub(crate) use resume::provenance;
pub use resume::{Standing, changed_entries, changed_settings, compare_provenance, standing};
pub use session::Finished;
pub(crate) use settings::{plan, rule, schedule};
pub(crate) use splits::budget;
pub use splits::{Splits, ValidationSource};
pub(crate) use summary::versions;
