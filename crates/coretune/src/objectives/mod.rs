//! The methods of fine-tuning and pre-training: one file each, from a batch to a loss.
//!
//! [`METHODS`] lists them. A method's file holds its name, its summary, its settings and its [`Objective`]; adding one
//! is that file and a line of the table.

mod bi_tuning;
mod bss;
mod class_queue;
mod coin;
mod core_tuning;
mod core_tuning_run;
mod cross_entropy;
mod delta;
mod dr_tune;
mod feature_bank;
pub mod figure;
mod instance_discrimination;
mod l2_sp;
mod linear_probe;
mod method;
mod methods;
mod mix_and_match;
pub(crate) mod moco;
mod objective;
mod pass;
mod projection_memory;
mod queue;
mod regularised;
mod rifle;
mod simclr;
mod supervised_contrastive;

pub use bi_tuning::{BiTuning, BiTuningSettings, Contrasted};
pub use bss::BatchSpectralShrinkage;
pub use class_queue::ClassQueue;
pub use coin::{Coin, CoinSettings};
pub use core_tuning::{CoreTuning, MixedRows, PairScheme, Terms};
pub use core_tuning_run::{CoreTuningRun, EtaSchedule, RunSettings};
pub use cross_entropy::CrossEntropy;
pub use delta::{ChannelWeights, Delta, DeltaSettings, channel_weights};
pub use dr_tune::{CalibratedBank, DrTune, DrTuneSettings};
pub use feature_bank::{FeatureBank, rotation, shift};
pub use instance_discrimination::spread;
pub use l2_sp::L2Sp;
pub use linear_probe::LinearProbe;
pub use method::{Method, PretrainingDefaults, Requirement, Values};
pub use methods::METHODS;
pub use mix_and_match::MixAndMatch;
pub use moco::{MoCo, MoCoSettings, momentum_update};
pub use objective::{FileNames, Needs, Objective, ObjectiveLoss, Pull, PullActs, QueueSize, Sharing, Sizes, Start};
pub use pass::{Dense, FeatureBatch, Heads, Pass};
pub use projection_memory::ProjectionMemory;
pub use queue::Queue;
pub use regularised::{Regularised, Regulariser};
pub use rifle::Rifle;
pub use simclr::SimClr;
pub use supervised_contrastive::SupervisedContrastive;
