//! Contrast-regularised fine-tuning (Core-tuning) of visual models pre-trained by contrastive self-supervised learning.

pub mod data;
pub mod engine;
pub mod models;
pub mod random;
pub mod transforms;
