//! Files on the user's disk: opened, written whole, and the folder of those that can be made again.

mod content;
mod json_fault;
mod lock;
mod partial_file;
mod place;
pub(crate) mod regular_file;
mod storage_hint;
pub(crate) mod user_cache;

pub(crate) use content::{Content, content_of};
pub(crate) use json_fault::json_fault;
pub(crate) use lock::is_locked;
pub(crate) use partial_file::{PARTIAL, beside, move_into_place, write_shared};
pub use partial_file::{PartialFile, write_whole};
pub(crate) use place::{absolute, below};
pub(crate) use storage_hint::storage_hint;
