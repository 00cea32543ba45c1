//! Backbones and heads: shapes, names, memory layout, determinism, and the same logits as torchvision.

mod activation_checkpointing;
mod architecture;
mod determinism;
mod filled;
mod freezing;
mod heads;
mod memory_layout;
mod pixel_views;
mod segmentation;
mod segmentation_parity;
mod torchvision;
