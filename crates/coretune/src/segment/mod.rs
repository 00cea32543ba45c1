//! Segmentation: a configuration in, a network for pixels with its evidence out.
//!
//! | question | file |
//! |---|---|
//! | what is opened and checked? | [`SegmentationPreparation`], in `preparation.rs` |
//! | which positions become rows, and what is the cross-entropy of the pixels? | `pixel_rows.rs` |
//! | what is trained, validated and kept? | [`Segmentation`], in `learner.rs` |
//! | how is a finished run evaluated again? | [`evaluate_segmentation`], in `run_evaluation.rs` |
//! | how is a split evaluated? | [`SegmentationEvaluator`], in `evaluation.rs` |
//! | what does the frozen backbone give? | [`PixelProbe`], in `probe.rs` |
//! | how much memory and time will it take? | `estimate.rs` |
//! | how does a run go? | `run.rs`; `job.rs` is what [`crate::runs`] calls |

mod estimate;
mod evaluation;
mod job;
mod learner;
mod pixel_rows;
mod preparation;
mod probe;
mod run;
mod run_evaluation;

pub use evaluation::SegmentationEvaluator;
pub use learner::Segmentation;
pub use pixel_rows::{AUXILIARY_WEIGHT, PixelRows};
pub use preparation::{SegmentationPreparation, SegmentationTask};
pub use probe::{PixelProbe, ProbeOfPixels};
pub use run::SegmentationFinished;
pub use run_evaluation::{ClassEvaluation, SegmentationEvaluation, evaluate_segmentation};
