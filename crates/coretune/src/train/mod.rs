//! Training: the step, the loop around it, and the state that a run leaves behind.
//!
//! [`step`] reads like the algorithm box of the paper; [`Trainer`] knows neither the method nor the architecture.

mod batches;
mod error;
mod evaluator;
mod events;
mod figures;
mod optimizer;
mod progress;
mod saved_model;
mod schedule;
mod step;
mod trainer;
mod weight_average;

pub use batches::{Sampling, TrainingImages};
pub use error::TrainError;
pub use evaluator::{Evaluator, Outputs};
pub use events::{EpochReport, Event, Observer, StepReport};
pub use figures::{DeviceFigures, PositiveCounts};
pub use optimizer::{LayerRates, Optimizer, Rule};
pub use progress::{Best, Progress};
pub use saved_model::{ModelDescription, load_model, save_model};
pub use schedule::{Decay, Schedule};
pub use step::step;
pub use trainer::{Outcome, Plan, Trainer};
pub use weight_average::WeightAverage;
