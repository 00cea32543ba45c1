//! The folder of a run: what goes into it, in which form, and how it is kept whole.
mod error;
mod folder;
mod metrics;
mod summary;

pub use error::RunFolderError;
pub use folder::RunFolder;
pub use metrics::{EvaluationRecord, MetricsRecord, StepRecord};
pub use summary::{BestSummary, ProbeSummary, Summary, TestSummary};
