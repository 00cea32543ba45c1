//! Data sets, decoding and the loader.

mod check;
mod decoding;
mod fetch;
mod formats;
mod loading;
#[path = "../common/mutation.rs"]
mod mutation;
mod mutations;
mod shared_data;
