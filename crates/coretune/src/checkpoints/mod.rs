//! Checkpoints in and out: what is in a file, which source wrote it, and a load that proves its coverage.
//!
//! [`Checkpoint::open`] reads names and shapes of any container, [`recognise()`] finds the backbone in them by one rule
//! table per source (`layouts.rs`), [`load_backbone`] copies it into a model and reports. Nothing in a file is
//! executed. [`safetensors_file`] writes our own; what `torch.load` reads is written by
//! [`export`](crate::export).

mod architecture;
mod checkpoint;
mod contents;
mod element;
mod error;
mod layouts;
mod limits;
mod load;
mod names;
mod numpy_archive;
mod other_networks;
mod pickle_scan;
mod projector;
mod recognise;
pub mod safetensors_file;
mod safetensors_reader;
mod segmentation;
mod shards;
mod torch_file;
mod unique_keys;
mod unmerged;
mod zip_directory;

pub use checkpoint::Checkpoint;
pub use contents::{Container, OtherObject, TensorInfo};
pub use element::Element;
pub use error::CheckpointError;
pub use load::{LoadReport, check_coverage, inspect, load_backbone, load_heads};
pub use names::NamePattern;
pub use projector::{Projector, load_projector};
pub use recognise::{LeftOut, Mismatched, Recognised, recognise};
pub use segmentation::{load_segmenter, segmentation_heads};
