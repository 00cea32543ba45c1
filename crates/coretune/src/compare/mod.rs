//! Methods compared on one data set: as runs of fine-tuning or segmentation with the same initial weights, labels and order of images.
//!
//! | question | file |
//! |---|---|
//! | what is compared, over which seeds and budgets? | [`Request`], in `request.rs`; [`Entry`] and [`Axis`] in `entry.rs` |
//! | what do the checkpoint, the data and the machine decide? | `found.rs` |
//! | what is the configuration of a run, of either task? | [`ComparedConfig`], in `compared_config.rs` |
//! | how are settings chosen? | `tuning.rs` |
//! | what makes two runs the same run? | `identity.rs` |
//! | which runs come next? | `plan.rs` |
//! | how are they carried out, several at a time? | [`compare`], in `carry_out.rs` |
//! | what has a finished run measured? | `measured.rs` |
//! | how sure is a difference? | [`statistics`] |
//! | what does the table say, in which formats? | [`Comparison`] and [`Row`], in `table.rs`, made in `tabulate.rs`, written in `formats/` |
//! | which method is recommended? | `verdict.rs` |
//! | where is its run? | `best.rs` |
//! | what will the runs cost? | [`Outlook`], in `outlook.rs` |
//! | which settings of one method are best? | [`sweep()`], in `sweep.rs` |
//!
//! A run's folder is `runs/<identity>` in the folder of the comparison, so what has finished is never repeated, and
//! comparisons in one folder share their runs.

mod best;
mod carry_out;
mod compared_config;
mod context;
mod edge;
mod entry;
mod error;
mod formats;
mod identity;
mod measured;
mod outlook;
mod plan;
mod request;
pub mod statistics;
mod sweep;
mod table;
mod tabulate;
mod tuning;
mod verdict;

pub use carry_out::{CarryOut, Event, Observer, Order, Place, RunEnd, compare, in_this_process, outlook};
pub use compared_config::{ComparedConfig, ComparedTask};
pub use entry::{Axis, Entry, all_entries};
pub use error::CompareError;
pub use outlook::Outlook;
pub use plan::PlannedRun;
pub use request::{Request, Tuning};
pub use sweep::{Best, Dimension, Scored, Search, Stage, Sweep, SweepRequest, sweep, sweep_outlook};
pub use table::{Comparison, Row, Spread};
