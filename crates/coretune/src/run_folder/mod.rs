//! The folder of a run: what goes into it, in which form, and how it is kept whole.
//!
//! | file | what | written |
//! |---|---|---|
//! | `config.toml` | the resolved configuration | before the first step |
//! | `metrics.jsonl` | a [`MetricsRecord`] per line | appended to, a line at a time |
//! | `log.txt` | what was said to the user | appended to, a line at a time |
//! | `checkpoints/{last,best}.safetensors` | weights and state | by the trainer |
//! | `summary.json` | the [`Summary`] | at the end |
//! | `metrics.csv`, `events.out.tfevents.coretune` | `metrics.jsonl` in other forms | by [`RunFolder::derive`] |
//!
//! A file that is written whole is written beside as `<name>.partial` and renamed, so that it is never half there.

mod derived;
mod error;
mod folder;
mod metrics;
mod summary;
mod tensorboard;

pub use error::RunFolderError;
pub use folder::RunFolder;
pub use metrics::{EvaluationRecord, MetricsRecord, StepRecord};
pub use summary::{BestSummary, ProbeSummary, Summary, TestSummary};
