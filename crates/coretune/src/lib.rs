//! Contrast-regularised fine-tuning (Core-tuning) of visual models pre-trained by contrastive self-supervised learning.

pub mod checkpoints;
pub mod config;
pub mod data;
pub mod engine;
pub mod evaluate;
pub mod export;
pub mod figures;
pub mod files;
pub mod fit;
pub mod losses;
pub mod mining;
pub mod models;
pub mod objectives;
pub mod predict;
pub mod pretrain;
pub mod random;
pub mod report;
pub mod run_folder;
pub mod settings;
pub mod train;
pub mod transforms;
