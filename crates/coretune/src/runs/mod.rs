//! The life of a run, whatever it trains: begun, resumed, repeated, or only estimated.
//!
//! | question | file |
//! |---|---|
//! | how does a run begin? | [`begin`], in `begin.rs` |
//! | how is a run resumed that was stopped or killed? | [`resume`], in `resume.rs` |
//! | how is a run repeated and compared? | [`repeat`], in `repeat.rs` |
//! | how much memory and time will it take? | [`dry_run`], in `dry_run.rs`; a few steps are measured in `estimate.rs` |
//! | what does a kind of run bring? | [`Job`] and [`Prepared`], in `job.rs` |
//! | what does the caller see? | [`Event`], in `event.rs` |
//! | may a setting change on resume? | [`changed_settings`]; which may is a column of the tables of settings |
//! | can a saved state be resumed? | `saved_state.rs` |
//! | are inputs and machine still the same? | `provenance.rs` |
//! | which weights does a run start from? | `starting_point.rs`: a checkpoint that was recognised, checked and loaded |
//! | device, threads and precision | `machine.rs` |
//! | what do several ranks agree on? | `ranks.rs` |
//! | optimizer, schedule and sampling of a configuration | `training_plan.rs` |
//!
//! Fine-tuning ([`crate::fit`]), segmentation ([`crate::segment`]) and pre-training ([`crate::pretrain`]) are the jobs; their
//! configurations, [`crate::config::RunConfig`], [`crate::config::SegmentationConfig`] and [`crate::config::PretrainConfig`],
//! implement [`Job`].

mod begin;
mod changed_settings;
mod dry_run;
mod error;
pub(crate) mod estimate;
mod event;
mod job;
mod machine;
mod provenance;
mod ranks;
mod repeat;
mod resume;
mod saved_state;
mod starting_point;
pub(crate) mod training_plan;

pub use begin::begin;
pub use changed_settings::changed_settings;
pub use dry_run::dry_run;
pub use error::RunError;
pub use estimate::Estimate;
pub use event::{Event, Observer};
pub use job::{Job, Options, Prepared};
pub(crate) use machine::Machine;
pub use machine::MachineError;
pub use provenance::compare_provenance;
pub(crate) use provenance::{provenance, versions};
pub use repeat::repeat;
pub use resume::{Changes, Resumed, folder_of, is_begun, resume};
pub(crate) use starting_point::{ReadHead, StartingPoint, freeze};
