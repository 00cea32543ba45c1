//! Backbones and heads: shapes, names, memory layout, determinism, and the same logits as torchvision.

#[path = "models/architecture.rs"]
mod architecture;
#[path = "models/determinism.rs"]
mod determinism;
#[path = "models/freezing.rs"]
mod freezing;
#[path = "models/heads.rs"]
mod heads;
#[path = "models/memory_layout.rs"]
mod memory_layout;
#[path = "models/torchvision.rs"]
mod torchvision;
