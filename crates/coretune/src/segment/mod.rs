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
//! | which pixels of each image were right? | `pixel_records.rs` |
//! | which features have pixels? | [`pixel_features`], in `pixel_features.rs` |
//! | how does a run go? | `run.rs`; `job.rs` is what [`crate::runs`] calls |

mod estimate;
mod evaluation;
mod job;
mod learner;
mod pixel_features;
mod pixel_records;
mod pixel_rows;
mod preparation;
mod probe;
mod run;
mod run_evaluation;

pub use evaluation::SegmentationEvaluator;
pub use learner::Segmentation;
pub use pixel_features::{PixelFeatures, pixel_features};
pub use pixel_rows::{AUXILIARY_WEIGHT, PixelRows, PixelWeights};
pub(crate) use preparation::check_method;
pub use preparation::{SegmentationPreparation, SegmentationTask};
pub use probe::{PixelProbe, ProbeOfPixels};
pub use run::SegmentationFinished;
pub use run_evaluation::{
    ClassEvaluation, SegmentationEvaluation, SegmentationOutputs, evaluate_segmentation, segmentation_outputs,
};
