//! The boundary to libtorch: devices, threads, precision, memory format, and errors in place of panics.
//!
//! Mathematics in this crate is written with tch's plain operators, which panic on a C++ exception. Public entry
//! points check the shapes they are given ([`shape`]) and run what follows inside [`guard`], so that no panic leaves
//! the crate: an exception of libtorch (out of memory, say) becomes an [`EngineError`]. Steps that several formulas share
//! are in [`rows`].

pub mod channels_last;
mod cpu;
mod device;
mod error;
mod guard;
mod memory;
mod pair_table;
mod precision;
pub mod ranks;
pub mod rows;
pub mod shape;
mod stop;
pub mod threads;
pub mod transfer;
mod versions;
mod world;

pub use cpu::cpu_type;
pub use device::{DeviceChoice, DeviceError, UnknownDevice, device_name, may_be_gpu};
pub use error::EngineError;
pub use guard::{guard, panic_text};
pub use memory::{available_memory_bytes, peak_device_bytes, peak_rss_bytes, recent_peak_rss_bytes, reset_recent_peak};
pub use pair_table::PairTable;
pub use precision::{Amp, Precision, cpu_multiplies_bf16};
pub use stop::Stop;
pub use versions::{Versions, versions};
pub use world::World;
