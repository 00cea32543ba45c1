//! The methods of fine-tuning and pre-training: one file each, from a batch to a loss.
//!
//! | method | file | stage |
//! |---|---|---|
//! | Core-tuning (M1-M7, R1-R3) | [`CoreTuning`] | fine-tuning |
//! | cross-entropy (B1) | [`CrossEntropy`] | fine-tuning |
//! | supervised contrast, SCL (B1) | [`SupervisedContrastive`] | fine-tuning |
//! | `MoCo` v2 | [`MoCo`] | pre-training |
//! | `SimCLR` | [`SimClr`] | pre-training |

mod core_tuning;
mod cross_entropy;
pub mod figure;
mod instance_discrimination;
mod moco;
mod objective;
mod pass;
mod queue;
mod simclr;
mod supervised_contrastive;

pub use core_tuning::{CoreTuning, PairScheme};
pub use cross_entropy::CrossEntropy;
pub use instance_discrimination::spread;
pub use moco::{MoCo, MoCoSettings, momentum_update};
pub use objective::{FileNames, Needs, Objective, ObjectiveLoss, QueueSize, Start};
pub use pass::{FeatureBatch, Heads, Pass};
pub use queue::Queue;
pub use simclr::SimClr;
pub use supervised_contrastive::SupervisedContrastive;
