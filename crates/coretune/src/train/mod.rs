//! Training: the step, the loop around it, and the state that a run leaves behind.
//!
//! [`step`] reads like the algorithm box of the paper; [`Trainer`] is the loop around any [`Learner`] and knows neither the
//! method nor the architecture.
//!
//! | what happens | where |
//! |---|---|
//! | one step: gradients, update | `step.rs` |
//! | forward, loss, backward: of the whole batch, of its parts, shared by ranks | `gradients/` |
//! | what a step reads, and the method's pass over it | `step_input.rs`, `rows.rs` |
//! | the second gradient of sharpness-aware minimisation | `sharpness.rs` |
//! | the update, the learning rate, the average of the weights | `optimizer.rs`, `schedule.rs`, `weight_average.rs` |
//! | epochs, saving, stopping, logging | `trainer.rs`, `batches.rs` |
//! | what is trained, and which epoch is kept | `learner.rs`, `supervised.rs`, `fine_tuning.rs` |
//! | checks after the first epoch | `frozen_check.rs` |
//! | the state on disk | `state.rs`, `progress.rs` |
//! | what observers see | `events.rs`, `figures.rs`, `meter.rs` |

mod accumulation;
mod batches;
mod error;
mod events;
mod figures;
mod fine_tuning;
mod frozen_check;
mod gradients;
mod learner;
mod meter;
mod method_state;
mod optimizer;
mod progress;
mod rows;
mod schedule;
mod sharpness;
mod state;
mod step;
mod step_input;
mod supervised;
mod trainer;
mod unfinished;
mod weight_average;

pub use accumulation::{Accumulation, check_sharing};
pub use batches::{Sampling, TrainingImages};
pub(crate) use error::smaller_batch;
pub use error::{Saved, TrainError};
pub use events::{EvaluationReport, Event, Measurement, Observer, StepReport};
pub use figures::{DeviceFigures, PositiveCounts};
pub use fine_tuning::FineTuning;
pub use frozen_check::Frozen;
pub use gradients::gradients;
pub use learner::{EpochEnd, EpochPlace, Evaluated, Learner};
pub use meter::Stopwatch;
pub(crate) use method_state::is_method_state;
pub use method_state::run_parameters;
pub use optimizer::{LayerRates, Optimizer, Rule, TrainedWeight};
pub use progress::Progress;
pub use rows::{DenseRows, ImageRows, RowSource, Rows};
pub use schedule::{Decay, Schedule};
pub use state::{StateComparison, compare_states, saved_progress};
pub use step::step;
pub use step_input::{Phase, StepInput};
pub use supervised::{Candidate, SupervisedTraining};
pub use trainer::{Outcome, Plan, Saving, Trainer};
pub use unfinished::unfinished;
pub use weight_average::WeightAverage;
